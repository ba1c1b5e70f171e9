"""Whether the reviews of a hold are enough to approve it; pure, shared by writer and verifier.

Any threshold whose denials are reached stands against an approval, whoever cites what. All
thresholds must have their approvals, and one person counts for one of them only: two people asked
for are two people. `sekisho.holding.tally` decides by the same rules before anything is written.

A threshold may stand at a step. The reviewers of a step are asked when all steps before it have
their approvals, and a review counts at the step that was open when it was given, which it names.
Whatever names no step is of the first.

A threshold may name groups that relieve its reviewers. Whoever answers in their place says by which
group, and counts for no reviewers whom that group does not relieve. When they may, hold_rules asks.

The book lets no two reviews share a person, neither as reviewer nor as whose seat it was, so here
each review is one human being.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Leaf = Mapping[str, Any]
# Obligations are any document. Reviews that do not read were asked for all the same: as no hold
# can have these, none will do.
UNREADABLE: Sequence[Leaf] = ({},)
FIRST_STEP = 1


def people(review: Leaf) -> frozenset[str]:
    """Pseudonyms behind a review: who spoke, and in whose name if that is somebody else."""
    return frozenset(filter(None, (review["actor"], review["data"].get("person"))))


def step_of(item: Leaf) -> int:
    """The step of a threshold, or of the data of a review."""
    step: int = item.get("step", FIRST_STEP)
    return step


def steps_of(thresholds: Sequence[Leaf]) -> list[int]:
    """The steps that are there, in order."""
    return sorted({step_of(threshold) for threshold in thresholds})


def open_step(thresholds: Sequence[Leaf], reviews: Sequence[Leaf]) -> int:
    """The step whose reviewers are asked after `reviews`: the first that lacks approvals, the last
    if none does.
    """
    steps = steps_of(thresholds)
    for step in steps:
        if _missing_at(step, thresholds, reviews) is not None:
            return step
    return steps[-1] if steps else FIRST_STEP


def out_of_turn(thresholds: Sequence[Leaf], before: Sequence[Leaf], review: Leaf) -> str | None:
    """Why a review cannot stand after those of `before`, as a sentence, or None: it is of another
    step than the open one, or counts for nobody who is asked there.
    """
    now, named = open_step(thresholds, before), step_of(review["data"])
    if named != now:
        return f"a review at step {named} while step {now} is open"
    groups = {one["reviewers"] for one in thresholds if step_of(one) == now}
    foreign = _not_relieved(thresholds, now, review["data"])
    if foreign is not None:
        return foreign
    # Where there is one step only, one that counts for nobody changes nothing and always might be.
    ordered = len(steps_of(thresholds)) > 1
    if ordered and not any(_counts_for(review, group) for group in groups):
        return f"a review that counts for nobody who is asked at step {now}"
    return None


def _not_relieved(thresholds: Sequence[Leaf], step: int, said: Leaf) -> str | None:
    """Why whoever answers in the place of others may not, or None."""
    group = said.get("relief")
    if group is None:
        return None
    relieved = {
        one["reviewers"]
        for one in thresholds
        if step_of(one) == step and group in one.get("relief", ())
    }
    if not said.get("counts_for") or not relieved.issuperset(said["counts_for"]):
        return f"a review by {group} in the place of reviewers whom it does not relieve"
    return None


def objection(thresholds: Sequence[Leaf], reviews: Sequence[Leaf]) -> str | None:
    """The threshold whose denials are reached by any of `reviews`, as a sentence, or None."""
    denying = [review for review in reviews if review["data"]["decision"] == "deny"]
    for threshold in thresholds:
        group, need = threshold["reviewers"], max(threshold["deny"], 1)
        at = _given_at(step_of(threshold), denying)
        have = sum(_counts_for(review, group) for review in at)
        if have >= need:
            return f"{have} reviews by {group} deny it, {need} are enough"
    return None


def missing(thresholds: Sequence[Leaf], cited: Sequence[Leaf]) -> str | None:
    """What the cited reviews, in their order, lack for an approval, or None."""
    for step in steps_of(thresholds):
        lacking = _missing_at(step, thresholds, cited)
        if lacking is not None:
            return lacking
    given = [step_of(review["data"]) for review in cited]
    if given != sorted(given):
        return "a review at a later step stands before one at an earlier"
    return None


def _missing_at(step: int, thresholds: Sequence[Leaf], reviews: Sequence[Leaf]) -> str | None:
    """What the reviews that were given at `step` lack for its thresholds."""
    asked = [threshold for threshold in thresholds if step_of(threshold) == step]
    approving = [
        review for review in _given_at(step, reviews) if review["data"]["decision"] == "approve"
    ]
    for threshold in asked:
        group, need = threshold["reviewers"], threshold["approve"]
        have = sum(_counts_for(review, group) for review in approving)
        if have < need:
            return f"{need} approving reviews by {group} are required, {have} are there"
    need = sum(threshold["approve"] for threshold in asked)
    # Only now is the number of seats known to be at most that of reviews, for each threshold.
    seats = [t["reviewers"] for t in asked for _ in range(t["approve"])]
    have = _seated(seats, approving)
    if have < need:
        return f"{need} people are required, each for one threshold; {have} can be counted"
    return None


def _given_at(step: int, reviews: Sequence[Leaf]) -> list[Leaf]:
    return [review for review in reviews if step_of(review["data"]) == step]


def covered(asked: object, given: Sequence[Leaf]) -> bool:
    """Whether reviews collected for `given` are enough for what is asked now: the same groups at
    the same steps with as many approvals or fewer, relieved by nobody else. What does not read is
    never covered.
    """
    wanted, had = _by_place(asked), _by_place(given)
    if wanted is None or had is None:
        return False
    return all(
        place in had and one.approve <= had[place].approve and had[place].relief <= one.relief
        for place, one in wanted.items()
    )


def merged(one: Sequence[Leaf] | None, other: Sequence[Leaf] | None) -> Sequence[Leaf] | None:
    """The reviews that satisfy both: of the same reviewers at the same step the most approvals, the
    fewest denials, relieved by whom both let relieve them.

    None where nothing was told, `UNREADABLE` where either does not read.
    """
    if one is None or other is None:
        return other if one is None else one
    told = _by_place(one), _by_place(other)
    if told[0] is None or told[1] is None:
        return UNREADABLE
    found = dict(told[0])
    for place, asked in told[1].items():
        had = found.get(place, asked)
        found[place] = _Asked(
            max(had.approve, asked.approve),
            min(had.deny, asked.deny),
            had.relief & asked.relief,
        )
    return [
        {
            "reviewers": group,
            "approve": asked.approve,
            "deny": asked.deny,
            **({"step": step} if step > FIRST_STEP else {}),
            **({"relief": sorted(asked.relief)} if asked.relief else {}),
        }
        for (step, group), asked in found.items()
    ]


def strict(asked: Sequence[Leaf], given: Sequence[Leaf]) -> bool:
    """Whether `given` asks of everybody in `asked`, at the same step, for as many approvals or
    more, ends with as few denials or fewer, and lets nobody else relieve them. What does not read
    as thresholds is never met.
    """
    wanted, had = _by_place(asked), _by_place(given)
    if wanted is None or had is None:
        return False
    return all(
        place in had
        and had[place].approve >= one.approve
        and had[place].deny <= one.deny
        and had[place].relief <= one.relief
        for place, one in wanted.items()
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of one group at one step."""

    approve: int
    deny: int
    relief: frozenset[str]


_Places = dict[tuple[int, str], _Asked]


def _by_place(thresholds: object) -> _Places | None:
    """What is asked by step and group, None if it does not read. Who is named twice is asked twice:
    each review fills one place only.
    """
    if not isinstance(thresholds, (list, tuple)):
        return None
    found: _Places = {}
    for threshold in thresholds:
        if not isinstance(threshold, dict):
            return None
        group, approve, deny = (threshold.get(name) for name in ("reviewers", "approve", "deny"))
        if not isinstance(group, str) or type(approve) is not int or type(deny) is not int:
            return None
        step, relief = step_of(threshold), threshold.get("relief", ())
        if approve < 1 or type(step) is not int or step < FIRST_STEP:
            return None
        if not isinstance(relief, (list, tuple)) or not all(isinstance(one, str) for one in relief):
            return None
        had = found.get((step, group), _Asked(0, deny, frozenset(relief)))
        found[step, group] = _Asked(
            had.approve + approve,
            max(min(had.deny, deny), 1),
            had.relief.intersection(relief),
        )
    return found


def _counts_for(review: Leaf, group: str) -> bool:
    """A review that names no groups counts for any."""
    return group in review["data"].get("counts_for", (group,))


def _seated(seats: Sequence[str], reviews: Sequence[Leaf]) -> int:
    """How many seats can have a person of their own (augmenting paths)."""
    taken: dict[int, int] = {}

    def seat(place: int, tried: set[int]) -> bool:
        for number, group in enumerate(seats):
            if number in tried or not _counts_for(reviews[place], group):
                continue
            tried.add(number)
            if number not in taken or seat(taken[number], tried):
                taken[number] = place
                return True
        return False

    return sum(seat(place, set()) for place in range(len(reviews)))
