"""The insider's changes to holds whose reviewers are asked one after the other."""

from __future__ import annotations

from support.insider import Hint, Leaf, Tape


def _of_later_step(leaf: Leaf) -> bool:
    return "step" in leaf["data"]


def answer_before_their_turn(tape: Tape) -> Hint | None:
    """Who is asked second answers first: the first review is gone, and nobody cites it."""
    index = tape.pick("hold.review", fits=_of_later_step)
    if index is None:
        return None
    about = tape.events_of(tape.leaves[index]["exchange"])
    kinds = {at: tape.leaves[at]["type"] for at in about}
    [settled] = [at for at in about if kinds[at] == "hold.settled"]
    first = min(at for at in about if kinds[at] == "hold.review")
    tape.leaves[settled]["data"]["reviews"].remove(tape.leaves[first]["id"])
    del tape.leaves[first]
    return tape.lay_down(first, rule=True)


def answer_at_another_step(tape: Tape) -> Hint | None:
    """A review of the second step is said to be one more of the first."""
    index = tape.pick("hold.review", fits=_of_later_step)
    if index is None:
        return None
    del tape.leaves[index]["data"]["step"]
    return tape.lay_down(index, rule=True)


def ask_all_at_once(tape: Tape) -> Hint | None:
    """The filing knows no order, the decision did."""
    index = tape.pick(
        "hold.filed",
        fits=lambda leaf: any("step" in one for one in leaf["data"]["thresholds"]),
    )
    if index is None:
        return None
    for threshold in tape.leaves[index]["data"]["thresholds"]:
        threshold.pop("step", None)
    return tape.lay_down(index, rule=True)
