"""The insider's changes, each with a name; those of whoever has no key are in `insider_crude.py`.

    BREAKING everything is signed again, but a rule of the ledger is broken
    FITTING  everything is signed again and fits: only a checkpoint kept elsewhere can tell

Each takes a `Tape` and returns a hint of what it did, or None if it finds nothing to do it to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from sekisho.model.ids import uuid7
from support.insider import Hint, Leaf, Tape
from support.insider_officers import (
    appoint_nobody,
    disclose_without_the_duty,
    erase_under_hold,
    forge_a_retention_done,
    forge_an_erasure_done,
    release_a_hold_alone,
    rotate_with_one_key,
)
from support.insider_steps import (
    answer_at_another_step,
    answer_before_their_turn,
    ask_all_at_once,
)

Change = Callable[[Tape], Hint | None]


# -- breaking: signed again, against the rules


def delete_a_review(tape: Tape) -> Hint | None:
    """The approval cites it still."""
    index = tape.pick("hold.review")
    if index is None:
        return None
    del tape.leaves[index]
    return tape.lay_down(index, rule=True)


def delete_an_outcome(tape: Tape) -> Hint | None:
    """The intent stays open when its session is closed."""
    index = tape.pick("backend.outcome")
    if index is None:
        return None
    del tape.leaves[index]
    return tape.lay_down(index, rule=True)


def join_two_boots(tape: Tape) -> Hint | None:
    """As if the writer had not been started again."""
    boots = [i for i, leaf in enumerate(tape.leaves) if leaf["type"] == "audit.boot"]
    found = [index for index in boots[1:] if tape.low <= index < tape.high]
    if not found:
        return None
    index = tape.random.choice(found)
    del tape.leaves[index]
    return tape.lay_down(index, rule=True)


def answer_twice(tape: Tape) -> Hint | None:
    """Two outcomes for one intent."""
    index = tape.pick("backend.outcome")
    if index is None:
        return None
    again = {**orjson.loads(orjson.dumps(tape.leaves[index])), "id": uuid7(), "pl": []}
    again["data"]["status"] = "failed"
    tape.leaves.insert(index + 1, again)
    return tape.lay_down(index + 1, rule=True)


def repeat_an_event(tape: Tape) -> Hint | None:
    """The very same event a second time, in the next place."""
    index = tape.pick()
    if index is None or index + 1 >= tape.high:
        return None
    tape.leaves.insert(index + 1, orjson.loads(orjson.dumps(tape.leaves[index])))
    return tape.lay_down(index + 1, rule=True)


def show_the_content_of_another(tape: Tape) -> Hint | None:
    """An event names the stored text of an earlier one."""
    one, other = tape.pick("request.received"), tape.pick("request.received")
    if one is None or other is None or one == other:
        return None
    early, late = min(one, other), max(one, other)
    tape.leaves[late]["pl"] = tape.leaves[early]["pl"]
    return tape.lay_down(late, rule=True)


def move_content_to_another_key(tape: Tape) -> Hint | None:
    """So that it goes, or stays, when somebody else is erased."""
    index = tape.pick("request.received")
    if index is None:
        return None
    leaf = tape.leaves[index]
    somebody = tape.pseudonym(leaf["principal"])
    if somebody is None:
        return None
    leaf["pl"][0]["kref"] = f"{somebody}/{leaf['pl'][0]['kref'].partition('/')[2]}"
    return tape.lay_down(index, rule=True)


def spell_otherwise(tape: Tape) -> Hint | None:
    """The same event in other bytes."""
    index = tape.pick()
    if index is None:
        return None
    body = tape.original.bodies[index]
    tape.spelled[index] = body.replace(b'"v":1', b'"v": 1')
    return tape.lay_down(index, rule=True)


def say_true_for_one(tape: Tape) -> Hint | None:
    """A value that equals the right one in some languages."""
    index = tape.pick()
    if index is None:
        return None
    tape.leaves[index]["v"] = True
    return tape.lay_down(index, rule=True)


def say_more(tape: Tape) -> Hint | None:
    """A member that no event has."""
    index = tape.pick()
    if index is None:
        return None
    tape.leaves[index]["data"]["remark"] = "x"
    return tape.lay_down(index, rule=True)


def review_ones_own(tape: Tape) -> Hint | None:
    """The requester in the reviewer's place."""
    index = tape.pick("hold.review", fits=lambda leaf: leaf["principal"] is not None)
    if index is None:
        return None
    tape.leaves[index]["actor"] = tape.leaves[index]["principal"]
    return tape.lay_down(index, rule=True)


def ask_for_fewer_reviews(tape: Tape) -> Hint | None:
    """The filing is softer than the decision was."""
    index = tape.pick("hold.filed", fits=lambda leaf: leaf["data"]["thresholds"][0]["approve"] > 1)
    if index is None:
        return None
    tape.leaves[index]["data"]["thresholds"][0]["approve"] = 1
    return tape.lay_down(index, rule=True)


def send_other_bytes(tape: Tape) -> Hint | None:
    """What left is not what was approved."""
    index = tape.pick("backend.intent", fits=lambda leaf: "hold" in leaf["data"])
    if index is None:
        return None
    entry = tape.leaves[index]["pl"][0]
    entry["commit"] = entry["commit"][::-1]
    return tape.lay_down(index, rule=True)


def send_what_was_denied(tape: Tape) -> Hint | None:
    """The decision of an exchange that was sent becomes a denial, or the other way round."""
    index = tape.pick(
        "policy.decision",
        fits=lambda leaf: (
            any(
                other["type"] == "backend.intent" and other["exchange"] == leaf["exchange"]
                for other in tape.leaves
            )
            and leaf["data"]["effect"] == "allow"
        ),
    )
    if index is None:
        return None
    tape.leaves[index]["data"]["effect"] = "deny"
    return tape.lay_down(index, rule=True)


def deliver_what_was_denied(tape: Tape) -> Hint | None:
    """The answer of a hold that nobody approved."""
    index = tape.pick("hold.settled", fits=lambda leaf: leaf["data"]["state"] != "approved")
    if index is None:
        return None
    settled = tape.leaves[index]
    data = {"hold": settled["data"]["hold"]}
    told = {**settled, "id": uuid7(), "type": "hold.delivered", "data": data}
    tape.leaves.insert(index + 1, told)
    return tape.lay_down(index + 1, rule=True)


def _of_answer(leaf: Leaf) -> bool:
    return bool(leaf["data"]["stage"] != "request")


def give_out_other_bytes(tape: Tape) -> Hint | None:
    """The answer that was given out is not the one that was approved."""
    index = tape.pick("hold.released")
    if index is None:
        return None
    entry = tape.leaves[index]["pl"][0]
    entry["commit"] = entry["commit"][::-1]
    return tape.lay_down(index, rule=True)


def give_out_twice(tape: Tape) -> Hint | None:
    """One approval, two answers."""
    index = tape.pick("hold.released")
    if index is None:
        return None
    again = {**orjson.loads(orjson.dumps(tape.leaves[index])), "id": uuid7()}
    tape.leaves.insert(index + 1, again)
    return tape.lay_down(index + 1, rule=True)


def give_out_what_was_denied(tape: Tape) -> Hint | None:
    """The answer of a hold that nobody approved."""
    held = {
        leaf["data"]["hold"]: leaf
        for leaf in tape.leaves
        if leaf["type"] == "hold.filed" and _of_answer(leaf)
    }
    index = tape.pick(
        "hold.settled",
        fits=lambda leaf: leaf["data"]["state"] != "approved" and leaf["data"]["hold"] in held,
    )
    if index is None:
        return None
    settled = tape.leaves[index]
    filed = held[settled["data"]["hold"]]
    data = {name: filed["data"][name] for name in ("hold", "version", "binding", "stage")}
    answer = {**next(p for p in filed["pl"] if p["name"] == "outgoing"), "name": "answer"}
    told = {**settled, "id": uuid7(), "type": "hold.released", "data": data, "pl": [answer]}
    tape.leaves.insert(index + 1, told)
    return tape.lay_down(index + 1, rule=True)


def give_out_before_it_is_approved(tape: Tape) -> Hint | None:
    """The approval came after the answer was out."""
    index = tape.pick("hold.released")
    if index is None:
        return None
    name = tape.leaves[index]["data"]["hold"]
    settled = next(
        i
        for i, leaf in enumerate(tape.leaves)
        if leaf["type"] == "hold.settled" and leaf["data"]["hold"] == name
    )
    if settled < tape.low:
        return None
    tape.leaves.insert(settled, tape.leaves.pop(index))
    return tape.lay_down(settled, rule=True)


def deliver_what_was_not_given_out(tape: Tape) -> Hint | None:
    """Nothing says that the answer left, but it arrived."""
    delivered = {leaf["data"]["hold"] for leaf in tape.leaves if leaf["type"] == "hold.delivered"}
    index = tape.pick("hold.released", fits=lambda leaf: leaf["data"]["hold"] in delivered)
    if index is None:
        return None
    del tape.leaves[index]
    return tape.lay_down(index, rule=True)


def call_it_released(tape: Tape) -> Hint | None:
    """An answer that waited for people did not."""
    index = tape.pick("backend.outcome", fits=lambda leaf: leaf["data"]["status"] == "held")
    if index is None:
        return None
    tape.leaves[index]["data"]["status"] = "released"
    return tape.lay_down(index, rule=True)


def foresee_more_than_was_asked(tape: Tape) -> Hint | None:
    """The decision wanted more people than the hold of the answer asked."""
    index = tape.pick(
        "policy.decision", fits=lambda leaf: bool(leaf["data"]["obligations"].get("hold_later"))
    )
    if index is None:
        return None
    tape.leaves[index]["data"]["obligations"]["hold_later"][0]["thresholds"][0]["approve"] += 1
    return tape.lay_down(index, rule=True)


def release_what_was_denied(tape: Tape) -> Hint | None:
    """Policy denied the answer that was held; people were asked all the same."""
    index = tape.pick(
        "policy.decision",
        fits=lambda leaf: (
            _of_answer(leaf)
            and tape.leaves[leaf["n"] + 1]["type"] in {"backend.outcome", "hold.released"}
        ),
    )
    if index is None:
        return None
    tape.leaves[index]["data"]["effect"] = "deny"
    return tape.lay_down(index, rule=True)


def skip_an_index(tape: Tape) -> Hint | None:
    """A number that no event has."""
    index = tape.pick()
    if index is None:
        return None
    tape.number()
    leaf = {**tape.leaves[index], "n": index + 1}
    tape.spelled[index] = orjson.dumps(leaf, option=orjson.OPT_SORT_KEYS)
    return tape.lay_down(index, rule=True)


# -- fitting: signed again, and within the rules


def _edit(tape: Tape, index: int | None, change: Callable[[Leaf], object]) -> Hint | None:
    if index is None:
        return None
    change(tape.leaves[index])
    return tape.lay_down(index)


def edit_a_reason(tape: Tape) -> Hint | None:
    """Why policy decided so."""
    index = tape.pick("policy.decision")
    return _edit(tape, index, lambda leaf: leaf["data"]["reasons"][0].update(msg="as agreed"))


def edit_a_model(tape: Tape) -> Hint | None:
    """Which model was asked for."""
    index = tape.pick("request.received")
    return _edit(tape, index, lambda leaf: leaf["data"].update(model="local-and-harmless"))


def back_date(tape: Tape) -> Hint | None:
    """An event that happened earlier than it did."""
    index, by_us = tape.pick(), tape.random.randrange(1, 3_600_000_000)
    return _edit(tape, index, lambda leaf: leaf.update(ts=leaf["ts"] - by_us))


def edit_an_outcome(tape: Tape) -> Hint | None:
    """What was released was not, or the other way round."""
    # Of an answer that was held more is told than its outcome.
    index = tape.pick(
        *("backend.outcome", "outcome.late"), fits=lambda leaf: leaf["data"]["status"] != "held"
    )

    def change(leaf: Leaf) -> None:
        released = leaf["data"]["status"] == "released"
        leaf["data"]["status"] = "failed" if released else "released"

    return _edit(tape, index, change)


def delete_a_reading(tape: Tape) -> Hint | None:
    """Nobody looked."""
    index = tape.pick("log.read", "record.read")
    if index is None:
        return None
    del tape.leaves[index]
    return tape.lay_down(index)


def delete_an_appeal(tape: Tape) -> Hint | None:
    """Nobody disagreed."""
    index = tape.pick("exchange.appealed")
    if index is None:
        return None
    tape.drop_content(tape.leaves[index]["pl"][0])
    del tape.leaves[index]
    return tape.lay_down(index)


def delete_a_refusal(tape: Tape) -> Hint | None:
    """Nobody tried to get in."""
    index = tape.pick("credential.refused")
    if index is None:
        return None
    del tape.leaves[index]
    return tape.lay_down(index)


def delete_an_exchange(tape: Tape) -> Hint | None:
    """It was never asked, with everything that came of it."""
    indices = tape.pick_exchange()
    if indices is None:
        return None
    for index in reversed(indices):
        for entry in tape.leaves[index]["pl"]:
            if "ct" in entry:
                tape.drop_content(entry)
        del tape.leaves[index]
    return tape.lay_down(indices[0])


def make_up_an_exchange(tape: Tape) -> Hint | None:
    """Somebody asked what they never did; with content, well sealed."""
    behind = tape.pick("session.opened")
    model = next((leaf for leaf in tape.leaves if leaf["type"] == "backend.intent"), None)
    if behind is None or model is None:
        return None
    forged = _forged(tape, tape.leaves[behind], model)
    if forged is None:
        return None
    tape.leaves[behind + 1 : behind + 1] = forged
    return tape.lay_down(behind + 1) if behind + 1 < tape.high else None


def _forged(tape: Tape, opened: Leaf, model: Leaf) -> list[Leaf] | None:
    """A whole exchange of somebody, written by the writer that wrote `opened`."""
    who = tape.pseudonym()
    exchange = uuid7()
    pattern = [tape.leaves[i] for i in tape.events_of(model["exchange"])]
    kinds = ("request.received", "policy.decision", "backend.intent", "backend.outcome")
    forged: list[Leaf] = []
    for kind in kinds:
        like = next((leaf for leaf in pattern if leaf["type"] == kind), None)
        if like is None:
            return None
        leaf = orjson.loads(orjson.dumps(like))
        leaf.update(id=uuid7(), exchange=exchange, principal=who, pl=[])
        leaf.update(boot=opened["boot"], ts=opened["ts"])
        forged.append(leaf)
    asked, decided, sent, done = forged
    decided["data"].update(effect="allow", obligations={})
    sent["data"]["session"] = opened["data"]["session"]
    for name in ("hold", "version", "binding"):
        sent["data"].pop(name, None)
    done["data"].update(intent=sent["id"], status="released")
    prompt = tape.content(asked, "prompt", b"I confess")
    if prompt is None:
        return None
    asked["pl"] = [prompt]
    outgoing = tape.content(sent, "outgoing", b"I confess")
    sent["pl"] = [] if outgoing is None else [outgoing]
    return forged


def blame_another(tape: Tape) -> Hint | None:
    """A whole exchange in somebody else's name."""
    indices = tape.pick_exchange(
        lambda leaves: (
            all(leaf["principal"] is not None for leaf in leaves)
            and len({leaf["principal"] for leaf in leaves}) == 1
        )
    )
    if indices is None:
        return None
    leaves = [tape.leaves[index] for index in indices]
    involved = {leaf[member] for leaf in leaves for member in ("principal", "actor")}
    somebody = tape.pseudonym(*involved)
    if somebody is None:
        return None
    for leaf in leaves:
        if leaf["actor"] == leaf["principal"]:
            leaf["actor"] = somebody
        leaf["principal"] = somebody
        for entry in leaf["pl"]:
            entry["kref"] = f"{somebody}/{entry['kref'].partition('/')[2]}"
    return tape.lay_down(indices[0])


def rewrite_a_prompt(tape: Tape) -> Hint | None:
    """Other words, sealed and committed to with the right keys."""
    index = tape.pick("request.received")
    if index is None:
        return None
    leaf = tape.leaves[index]
    instead = tape.content(leaf, "prompt", b"something harmless")
    if instead is None:
        return None
    tape.drop_content(leaf["pl"][0])
    leaf["pl"] = [instead]
    return tape.lay_down(index)


def lose_content(tape: Tape) -> Hint | None:
    """As if it had never been kept."""
    index = tape.pick("request.received", "backend.outcome", fits=lambda leaf: bool(leaf["pl"]))
    if index is None:
        return None
    tape.drop_content(tape.leaves[index]["pl"][0])
    return tape.lay_down(index)


def exchange_two_contents(tape: Tape) -> Hint | None:
    """Two requests of one person have each other's words."""
    one, other = tape.pick("request.received"), tape.pick("request.received")
    if one is None or other is None:
        return None
    leaves = [tape.leaves[one], tape.leaves[other]]
    if one == other or leaves[0]["pl"][0]["kref"] != leaves[1]["pl"][0]["kref"]:
        return None
    leaves[0]["pl"], leaves[1]["pl"] = leaves[1]["pl"], leaves[0]["pl"]
    return tape.lay_down(min(one, other))


def _of_hold(state: str, need: int) -> Callable[[list[Leaf]], bool]:
    """Exchanges with a hold that ended so, and that asked for so many reviews at least."""

    def fits(leaves: list[Leaf]) -> bool:
        return any(
            leaf["type"] == "hold.settled" and leaf["data"]["state"] == state for leaf in leaves
        ) and any(
            leaf["type"] == "hold.filed" and leaf["data"]["thresholds"][0]["approve"] >= need
            for leaf in leaves
        )

    return fits


def _chosen(tape: Tape, indices: Sequence[int], kind: str) -> list[int]:
    return [index for index in indices if tape.leaves[index]["type"] == kind]


def name_another_reviewer(tape: Tape) -> Hint | None:
    """Somebody else approved, who never saw it."""
    indices = tape.pick_exchange(_of_hold("approved", 1))
    if indices is None:
        return None
    reviews = _chosen(tape, indices, "hold.review")
    index = tape.random.choice(reviews)
    leaves = [tape.leaves[i] for i in indices]
    involved = {leaf[member] for leaf in leaves for member in ("principal", "actor")}
    somebody = f"p-{tape.random.getrandbits(64):016x}"
    if index >= tape.high or somebody in involved:
        return None
    tape.leaves[index]["actor"] = somebody
    return tape.lay_down(index)


def approve_what_was_denied(tape: Tape) -> Hint | None:
    """The one who denied it approved it."""

    def one_review(leaves: list[Leaf]) -> bool:
        filed = [leaf for leaf in leaves if leaf["type"] == "hold.filed"]
        return _of_hold("denied", 1)(leaves) and all(
            leaf["data"]["thresholds"][0]["approve"] == 1 for leaf in filed
        )

    indices = tape.pick_exchange(one_review)
    if indices is None:
        return None
    [review], [settled] = (_chosen(tape, indices, kind) for kind in ("hold.review", "hold.settled"))
    if review >= tape.high:
        return None
    tape.leaves[review]["data"]["decision"] = "approve"
    tape.leaves[settled]["data"]["state"] = "approved"
    return tape.lay_down(review)


def need_one_review_less(tape: Tape) -> Hint | None:
    """Policy asked for fewer people, and one of those who approved was never there."""
    indices = tape.pick_exchange(_of_hold("approved", 2))
    if indices is None:
        return None
    for index in indices:
        data = tape.leaves[index]["data"]
        if tape.leaves[index]["type"] == "policy.decision":
            asked = data["obligations"]
            for terms in (*filter(None, [asked.get("hold")]), *asked.get("hold_later", ())):
                terms["thresholds"][0]["approve"] -= 1
        if tape.leaves[index]["type"] == "hold.filed":
            data["thresholds"][0]["approve"] -= 1
    gone = _chosen(tape, indices, "hold.review")[-1]
    for index in indices:
        if tape.leaves[index]["type"] == "hold.settled":
            tape.leaves[index]["data"]["reviews"].remove(tape.leaves[gone]["id"])
    tape.drop_content(tape.leaves[gone]["pl"][0])
    first = _chosen(tape, indices, "policy.decision")[0]
    del tape.leaves[gone]
    return tape.lay_down(first) if first < tape.high else None


def allow_what_was_denied(tape: Tape) -> Hint | None:
    """Policy let it pass, and something else must have stopped it."""
    index = tape.pick("policy.decision", fits=lambda leaf: leaf["data"]["effect"] == "deny")
    return _edit(tape, index, lambda leaf: leaf["data"].update(effect="allow"))


def turn_two_events_round(tape: Tape) -> Hint | None:
    """Decided before it was asked."""
    index = tape.pick(
        "request.received",
        fits=lambda leaf: tape.leaves[leaf["n"] + 1]["type"] == "policy.decision",
    )
    if index is None or index + 1 >= tape.high:
        return None
    leaves = tape.leaves
    leaves[index], leaves[index + 1] = leaves[index + 1], leaves[index]
    return tape.lay_down(index)


def cut_the_end(tape: Tape) -> Hint | None:
    """The ledger ends earlier than it did."""
    index = tape.pick(fits=lambda leaf: leaf["n"] > 0)
    if index is None:
        return None
    del tape.leaves[index:]
    return tape.lay_down(index)


def fork(tape: Tape) -> Hint | None:
    """Another history from some event on: what others saw is gone, something else is there."""
    behind = tape.pick("session.opened")
    model = next((leaf for leaf in tape.leaves if leaf["type"] == "backend.intent"), None)
    if behind is None or model is None or behind + 1 >= tape.high:
        return None
    forged: list[Leaf] = []
    for _ in range(tape.random.randrange(1, 60)):
        forged += _forged(tape, tape.leaves[behind], model) or []
    if not forged:
        return None
    tape.leaves[behind + 1 :] = forged
    return tape.lay_down(behind + 1)


def add_a_key(tape: Tape) -> Hint | None:
    """A key was made for somebody, long ago."""
    index = tape.pick("key.created")
    if index is None or index + 1 >= tape.high:
        return None
    again = {**tape.leaves[index], "id": uuid7(), "data": {"key": uuid7()}}
    tape.leaves.insert(index + 1, again)
    return tape.lay_down(index + 1)


def delete_a_disclosure(tape: Tape) -> Hint | None:
    """Nobody was given content; those whose content it was can still see that it was read."""
    index = tape.pick("audit.disclosed")
    if index is None:
        return None
    for entry in tape.leaves[index]["pl"]:
        tape.drop_content(entry)
    del tape.leaves[index]
    return tape.lay_down(index)


BREAKING: tuple[Change, ...] = (
    delete_a_review, delete_an_outcome, join_two_boots, answer_twice, repeat_an_event,
    show_the_content_of_another, move_content_to_another_key, spell_otherwise, say_true_for_one,
    say_more, review_ones_own, ask_for_fewer_reviews, send_other_bytes, send_what_was_denied,
    deliver_what_was_denied, skip_an_index, forge_an_erasure_done, erase_under_hold,
    release_a_hold_alone, disclose_without_the_duty, appoint_nobody, rotate_with_one_key,
    forge_a_retention_done, give_out_other_bytes, give_out_twice, give_out_what_was_denied,
    give_out_before_it_is_approved, deliver_what_was_not_given_out, call_it_released,
    foresee_more_than_was_asked, release_what_was_denied, answer_before_their_turn,
    answer_at_another_step, ask_all_at_once,
)  # fmt: skip
FITTING: tuple[Change, ...] = (
    edit_a_reason, edit_a_model, back_date, edit_an_outcome, delete_a_reading, delete_an_appeal,
    delete_a_refusal, delete_an_exchange, make_up_an_exchange, blame_another, rewrite_a_prompt,
    lose_content, exchange_two_contents, name_another_reviewer, approve_what_was_denied,
    need_one_review_less, allow_what_was_denied, turn_two_events_round, cut_the_end, fork,
    add_a_key, delete_a_disclosure,
)  # fmt: skip
