"""A reviewer changes tool calls: a new version, judged by the rules and reviewed anew."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest
import redis

from sekisho.adapters.redis_holds import HOLDS
from sekisho.errors import (
    BadRequest,
    Conflict,
    DeniedByPolicy,
    Forbidden,
    LedgerRefused,
    LedgerUnavailable,
    NotFound,
)
from sekisho.holding import rebuild, settle
from sekisho.model.decision import Effect, HoldTerms, Threshold
from sekisho.model.hold import HoldState, HoldView
from sekisho.model.principal import Role
from sekisho.model.steps import open_step_of
from sekisho.revise import Edit
from support.holds import (
    ONE_REVIEW,
    REVIEWER,
    REVIEWER_2,
    STAFF,
    STRANGER,
    TWO_REVIEWS,
    Desk,
    person,
)
from support.line import Line, chat, decision
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

TERMS = HoldTerms("tool_call", ONE_REVIEW, 600, 10)
CALLS = {
    "id": "c",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "I write.",
                "tool_calls": [
                    {"id": "t0", "function": {"name": "crm.write", "arguments": '{"to": "all"}'}},
                    {"id": "t1", "function": {"name": "kb.find", "arguments": "{}"}},
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
}
NARROWER = {0: '{"to": "customer 7"}'}


@pytest.fixture
def line(desk: Desk, ledger: MemoryLedger) -> Line:
    """A line whose backend proposes two calls."""
    line = Line(holds=desk.store, ledger=ledger)
    line.rules.says = decision(Effect.ALLOW, hold_later=(TERMS,))
    line.backend.parts = (orjson.dumps(CALLS),)
    return line


async def held(line: Line) -> HoldView:
    """Both calls wait."""
    view = await line.pipeline.handle(STAFF, chat())
    assert isinstance(view, HoldView)
    return view


async def edit(
    line: Line, view: HoldView, changes: Any = NARROWER, who: Any = REVIEWER, **bound: Any
) -> HoldView:
    """Change the calls as somebody."""
    read = bound.get("step", open_step_of(view))
    said = Edit(changes, bound.get("binding", view.hold.binding), bound.get("version"), read)
    return await line.pipeline.revise(who, view.hold.id, said)


def calls_of(view: HoldView) -> list[tuple[str, str]]:
    """Name and arguments of each call that is held."""
    message = orjson.loads(view.hold.outgoing)["choices"][0]["message"]
    return [(c["function"]["name"], c["function"]["arguments"]) for c in message["tool_calls"]]


async def test_an_edit_is_a_new_version_that_somebody_else_approves(line: Line, desk: Desk) -> None:
    """What is released is what was edited; the rules saw it; the ledger says who wrote it."""
    first = await held(line)

    second = await edit(line, first)

    assert (2, "reviewer-1", HoldState.PENDING) == (
        second.hold.version, second.hold.editor, second.state,
    )  # fmt: skip
    assert second.hold.binding != first.hold.binding
    assert [("crm.write", NARROWER[0]), ("kb.find", "{}")] == calls_of(second)
    asked = line.rules.asked[-3]
    assert {"to": "customer 7"} == asked["tool"]["arguments"]
    filed = line.data("hold.filed")[-1]
    assert (2, "reviewer-1", False) == (filed["version"], filed["editor"], filed["narrowed"])
    with pytest.raises(Forbidden) as caught:
        await desk.approve(second)
    assert "self_approval" == caught.value.code
    await desk.approve(second, REVIEWER_2)
    await line.pipeline.resume(second.hold.id)
    answer = await desk.store.answer(second.hold.id)
    assert answer is not None
    assert second.hold.outgoing == answer.body
    assert second.hold.binding == line.data("hold.released")[0]["binding"]


async def test_a_version_has_what_the_one_before_held(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the next reviewer to compare; not all versions, and not what is very large."""
    first = await held(line)
    second = await edit(line, first)
    assert (first.hold.before, second.hold.before) == (b"", first.hold.outgoing)

    monkeypatch.setattr("sekisho.revise.BEFORE_BYTES_MAX", 10)
    assert (await edit(line, second, {1: None}, REVIEWER_2)).hold.before == b""


@pytest.mark.parametrize("narrower", [REVIEWER, REVIEWER_2])
async def test_own_words_stay_own_words_in_a_later_version(
    line: Line, desk: Desk, narrower: Any
) -> None:
    """Who wrote into it cannot approve that after they, or somebody else, took something out."""
    third = await edit(line, await edit(line, await held(line)), {1: None}, narrower)
    assert third.hold.narrowed

    with pytest.raises(Forbidden) as caught:
        await desk.approve(third)
    assert "self_approval" == caught.value.code
    await desk.approve(third, REVIEWER_2)
    await line.pipeline.resume(third.hold.id)
    assert await desk.store.answer(third.hold.id) is not None


async def test_who_only_takes_calls_out_may_approve_the_rest(line: Line, desk: Desk) -> None:
    """Partial approval: they wrote nothing."""
    second = await edit(line, await held(line), {0: None})

    assert second.hold.narrowed
    assert [("kb.find", "{}")] == calls_of(second)
    assert "crm.write" in orjson.loads(second.hold.outgoing)["choices"][0]["message"]["content"]
    await desk.approve(second)
    await line.pipeline.resume(second.hold.id)
    assert await desk.store.answer(second.hold.id) is not None


async def test_reviews_of_the_version_before_count_nothing(line: Line, desk: Desk) -> None:
    """Neither in the store nor in the ledger; who gave one gives it again."""
    two = replace(TERMS, thresholds=TWO_REVIEWS)
    line.rules.says = decision(Effect.ALLOW, hold_later=(two,))
    first = await held(line)
    await desk.approve(first, REVIEWER_2)

    second = await edit(line, first, {0: None})

    assert () == second.reviews
    with pytest.raises(Conflict) as caught:
        await desk.approve(first)
    assert "binding_mismatch" == caught.value.code
    await desk.approve(second, REVIEWER_2)
    assert HoldState.APPROVED is (await desk.approve(second)).state


@pytest.mark.parametrize(
    ("who", "error"),
    [
        (STAFF, Forbidden),
        (STRANGER, NotFound),
        (person("staff-7", Role.REVIEWER), Forbidden),
    ],
)
async def test_nobody_else_edits(line: Line, who: Any, error: type[Exception]) -> None:
    """Who asked least of all: it would be a request that nobody judged."""
    with pytest.raises(error):
        await edit(line, await held(line), who=who)
    assert 1 == len(line.data("hold.filed"))


@pytest.mark.parametrize(
    "changes",
    [{}, {2: "{}"}, {-1: "{}"}, {0: None, 1: None}, {0: '{"to": "all"}'}, {0: "{"}, {0: "[1]"}],
    ids=["none", "no such call", "before the first", "all out", "the same", "broken", "a list"],
)
async def test_what_is_no_edit_is_refused(line: Line, changes: Any) -> None:
    """And the hold stays as it was."""
    view = await held(line)
    with pytest.raises(BadRequest):
        await edit(line, view, changes)
    assert 1 == len(line.data("hold.filed"))


@pytest.mark.parametrize("bound", [{"binding": "0" * 64}, {"version": 2}])
async def test_an_edit_is_of_what_was_shown(line: Line, bound: Any) -> None:
    """As a review is."""
    with pytest.raises(Conflict) as caught:
        await edit(line, await held(line), **bound)
    assert "binding_mismatch" == caught.value.code


async def test_what_the_rules_deny_is_not_filed_and_harms_nothing(line: Line, desk: Desk) -> None:
    """The version before can still be approved."""
    view = await held(line)
    line.rules.later["tool_call:crm.write"] = decision(Effect.DENY)
    decided = len(line.data("policy.decision"))

    with pytest.raises(DeniedByPolicy, match=r"rule\.a"):
        await edit(line, view)

    assert decided == len(line.data("policy.decision"))
    line.rules.later.clear()
    assert HoldState.APPROVED is (await desk.approve(view)).state


async def test_a_version_asks_for_no_less_and_for_what_the_rules_want_of_it(line: Line) -> None:
    """More reviews now, or what was asked before."""
    view = await held(line)
    more = HoldTerms("tool_call", TWO_REVIEWS, 60, 90)
    line.rules.later["tool_call"] = decision(Effect.HOLD, hold=more)

    second = await edit(line, view)
    line.rules.later.clear()
    third = await edit(line, second, {0: '{"to": "nobody"}'}, REVIEWER_2)

    assert (TWO_REVIEWS, 90) == (second.hold.thresholds, second.hold.risk)
    assert (TWO_REVIEWS, 90, 3) == (third.hold.thresholds, third.hold.risk, third.hold.version)
    assert second.hold.expires_us == view.hold.expires_us


async def test_a_decided_hold_is_edited_no_more(line: Line, desk: Desk) -> None:
    """Nor one whose review is on its way."""
    view = await held(line)
    await desk.review(view, REVIEWER, "deny")
    with pytest.raises(Conflict) as caught:
        await edit(line, view)
    assert "already_decided" == caught.value.code


async def test_a_held_request_has_no_calls_to_edit(line: Line, desk: Desk) -> None:
    """What leaves is not changed by a reviewer here."""
    view = await desk.file()
    with pytest.raises(BadRequest, match="no tool call"):
        await edit(line, view)


async def test_two_who_edit_at_once_make_one_version(line: Line) -> None:
    """The other is told to read it again."""
    view = await held(line)

    ends = await asyncio.gather(
        edit(line, view),
        edit(line, view, {0: '{"to": "nobody"}'}, REVIEWER_2),
        return_exceptions=True,
    )

    assert 1 == sum(isinstance(end, HoldView) for end in ends)
    assert [1, 2] == [one["version"] for one in line.data("hold.filed")]


@pytest.mark.parametrize("lost", ["lose_before", "lose_after"])
async def test_an_edit_whose_writing_was_lost_is_finished(
    line: Line, desk: Desk, lost: str
) -> None:
    """By asking again, or by the sweep: one version, either way."""
    view = await held(line)
    append = line.ledger.append

    async def losing(events: Any) -> Any:
        if events[0].type == "hold.filed":
            setattr(line.ledger, lost, 1)
        return await append(events)

    line.ledger.append = losing  # type: ignore[method-assign]
    with pytest.raises(LedgerUnavailable):
        await edit(line, view)
    line.ledger.append = append  # type: ignore[method-assign]

    under_way = await desk.store.get(view.hold.id)
    assert under_way is not None
    assert under_way.proposal is not None
    await settle.finish(desk.store, line.ledger, under_way, under_way.proposal)

    after = await desk.store.get(view.hold.id)
    assert after is not None
    assert (2, HoldState.PENDING) == (after.hold.version, after.state)
    assert [1, 2] == [one["version"] for one in line.data("hold.filed")]


@pytest.mark.parametrize("gone", ["all", "the edit"])
async def test_a_store_that_lost_it_has_the_last_version_from_the_ledger(
    line: Line, desk: Desk, valkey: Valkey, gone: str
) -> None:
    """The hold itself, or only that it was edited."""
    first = await held(line)
    with redis.Redis.from_url(valkey.url) as client:
        before = client.dump(HOLDS + first.hold.id)
        second = await edit(line, first)
        client.delete(HOLDS + first.hold.id)
        if gone == "the edit":
            client.restore(HOLDS + first.hold.id, 0, before)

    assert await rebuild.restore_one(desk.store, line.ledger, first.hold.id)

    after = await desk.store.get(first.hold.id)
    assert after is not None
    assert (second.hold, HoldState.PENDING) == (after.hold, after.state)
    assert HoldState.APPROVED is (await desk.approve(second, REVIEWER_2)).state


async def test_bytes_are_counted_for_the_version_that_is_kept(
    line: Line, desk: Desk, valkey: Valkey
) -> None:
    """Whatever was edited before, nothing is left of it when all is forgotten."""
    view = await held(line)
    long = await edit(line, view, {0: '{"to": "%s"}' % ("x" * 5000)})
    await edit(line, long, {0: '{"to": "y"}'}, REVIEWER_2)
    after = await desk.store.get(view.hold.id)
    assert after is not None

    with redis.Redis.from_url(valkey.url) as client:
        counted = int(client.get("{sekisho-holds}:bytes") or 0)

    assert after.hold.content_bytes == counted


async def test_the_ledger_refuses_what_the_gateway_would_not_ask(line: Line, desk: Desk) -> None:
    """An editor's own approval, past the gateway's checks."""
    second = await edit(line, await held(line))
    forged = replace(second.hold, editor="", narrowed=False)
    with pytest.raises((Forbidden, Conflict, LedgerRefused)):
        await desk.approve(replace(second, hold=forged))
    assert not line.data("hold.released")


async def test_an_edit_begins_with_the_first_step_again(line: Line, desk: Desk) -> None:
    """Only who is asked now changes anything; what was said at all steps is void then."""
    asked = (Threshold("security", 1, 1), Threshold("reviewer", 1, 1, 2))
    line.rules.says = decision(Effect.ALLOW, hold_later=(replace(TERMS, thresholds=asked),))
    first, second = (person(f"officer-{n}", groups=("security",)) for n in (1, 2))
    view = await held(line)
    with pytest.raises(Conflict) as caught:
        await edit(line, view)
    assert caught.value.code == "not_your_turn"
    await desk.approve(view, first)
    with pytest.raises(Conflict):
        await edit(line, view, who=second)
    edited = await edit(line, await desk.store.get(view.hold.id) or view)
    assert (edited.hold.thresholds, open_step_of(edited), edited.reviews) == (asked, 1, ())
    with pytest.raises(Conflict) as caught:
        await desk.approve(edited, REVIEWER_2)
    assert caught.value.code == "not_your_turn"
    await desk.approve(edited, first)
    with pytest.raises(Forbidden) as own:
        await desk.approve(edited, REVIEWER)
    assert own.value.code == "self_approval"
    assert (await desk.approve(edited, REVIEWER_2)).state is HoldState.APPROVED


IN_ORDER = (Threshold("security", 1, 1), Threshold("reviewer", 1, 1, 2))
FIRST, FIRST_2 = (person(f"officer-{n}", groups=("security",)) for n in (1, 2))


async def held_in_order(line: Line) -> HoldView:
    """Both calls wait for security, then for a reviewer."""
    line.rules.says = decision(Effect.ALLOW, hold_later=(replace(TERMS, thresholds=IN_ORDER),))
    return await held(line)


async def test_nobody_voids_reviews_that_they_have_not_read(line: Line, desk: Desk) -> None:
    """Also who is asked at both steps: what they read was the first."""
    both = person("both-1", Role.REVIEWER, groups=("security",))
    view = await held_in_order(line)
    await desk.approve(view, FIRST)

    with pytest.raises(Conflict, match="Read it again") as caught:
        await edit(line, view, who=both)

    assert caught.value.code == "not_your_turn"
    now = await desk.store.get(view.hold.id)
    assert now is not None
    assert (now.hold.version, len(now.reviews)) == (1, 1)
    edited = await edit(line, now, who=both)
    assert line.data("hold.filed")[-1]["step"] == edited.hold.edit_step == 2


async def test_an_edit_loses_against_the_review_that_fills_its_step(line: Line, desk: Desk) -> None:
    """While the rules were asked about it another worker took that review: the store sees it."""
    view = await held_in_order(line)
    line.rules.gate = asyncio.Event()
    asked = len(line.rules.asked)
    editing = asyncio.create_task(edit(line, view, who=FIRST_2))
    async with asyncio.timeout(5):
        while len(line.rules.asked) == asked:
            await asyncio.sleep(0.001)
    await desk.approve(view, FIRST)
    line.rules.gate.set()

    with pytest.raises(Conflict) as caught:
        await editing
    assert caught.value.code == "not_your_turn"
    now = await desk.store.get(view.hold.id)
    assert now is not None
    assert (now.hold.version, open_step_of(now), len(now.reviews)) == (1, 2, 1)


async def test_what_the_ledger_knows_of_steps_wins(
    line: Line, desk: Desk, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step set back in Valkey lets an edit through the store, and the ledger refuses it: the
    hold goes on with its reviews.
    """
    view = await held_in_order(line)
    await desk.approve(view, FIRST)
    with redis.Redis.from_url(valkey.url) as client:
        client.hset(HOLDS + view.hold.id, "open_step", "1")
    append = line.ledger.append

    async def strict(events: Any) -> Any:
        if events[0].type == "hold.filed":
            raise LedgerRefused("no", code="edit_out_of_turn")
        return await append(events)

    monkeypatch.setattr(line.ledger, "append", strict)
    monkeypatch.setattr("sekisho.revise.steps.open_step_of", lambda _: 1)
    monkeypatch.setattr("sekisho.revise.check_duties", lambda *_: None)
    with pytest.raises(Conflict) as caught:
        await edit(line, view, who=FIRST_2, step=1)

    assert caught.value.code == "already_decided"
    monkeypatch.undo()
    now = await desk.store.get(view.hold.id)
    assert now is not None
    assert (now.state, now.hold.version, open_step_of(now)) == (HoldState.PENDING, 1, 2)
    assert (await desk.approve(now)).state is HoldState.APPROVED


async def test_a_version_is_relieved_when_the_one_before_would_have_been(line: Line) -> None:
    """An edit gains those who relieve no time and loses them none; the ledger has the moment."""
    relieved = HoldTerms("tool_call", (Threshold("reviewer", 1, 1, relief=("head",)),), 600, 10)
    line.rules.says = decision(Effect.ALLOW, hold_later=(relieved,))
    first = await held(line)
    second = await edit(line, first)
    assert first.hold.relief_us > 0
    assert second.hold.relief_us == first.hold.relief_us
    assert second.hold.thresholds == relieved.thresholds
    assert [one["relief_us"] for one in line.data("hold.filed")] == [first.hold.relief_us] * 2


async def test_a_version_gains_no_relief_that_it_has_no_moment_for(line: Line) -> None:
    """Rules may ask others about the edit; who relieves these was told of no time."""
    relieved = HoldTerms("tool_call", (Threshold("legal", 1, 1, relief=("head",)),), 600, 10)
    first = await held(line)
    line.rules.later["tool_call"] = decision(Effect.HOLD, hold=relieved)
    second = await edit(line, first)
    assert [(one.reviewers, one.relief) for one in second.hold.thresholds] == [
        ("legal", ()),
        ("reviewer", ()),
    ]
    assert (first.hold.relief_us, second.hold.relief_us) == (0, 0)
