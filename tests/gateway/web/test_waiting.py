"""What a client sees of a hold in each of its states."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import orjson
import pytest

from sekisho.errors import Halted, HaltUnknown, NotFound
from sekisho.holding import names
from sekisho.model.hold import (
    ANSWER_HELD,
    Hold,
    HoldLimits,
    HoldState,
    HoldView,
    Justification,
    StoredAnswer,
)
from sekisho.model.principal import Principal, Role
from sekisho.ports import HoldStore
from sekisho.web.dialects import CHAT, RESPONSES
from sekisho.web.waiting import Reply, Waiting
from support.holds import ONE_REVIEW
from support.memory_ledger import MemoryLedger
from support.switch import Switch, halt

NOW_US = 1_000_000_000
HOLD_ID = names.new_hold_id()
ROLES = frozenset({Role.EMPLOYEE})
PEOPLE = {
    "key-staff": Principal("staff-7", ROLES, frozenset()),
    "key-owner": Principal("staff-9", ROLES, frozenset()),
    "key-stranger": Principal("staff-8", ROLES, frozenset()),
    "key-reviewer": Principal("reviewer-1", ROLES | {Role.REVIEWER}, frozenset()),
}
STREAMED = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n'


def _hold(*, stream: bool, wait_s: float) -> Hold:
    return Hold(
        id=HOLD_ID, exchange="x1", version=1, stage="request", principal="staff-7",
        person="staff-9", groups=(), roles=(), endpoint="chat.completions", model="m",
        backend="b", stream=stream, revision="r", rules=("rule.a",), reasons=("Because.",),
        thresholds=ONE_REVIEW, risk=10, created_us=0, expires_us=NOW_US * 2,
        wait_until_us=NOW_US + int(wait_s * 1_000_000), binding="b" * 64, outgoing=b"{}",
        facts=b"{}", received_event="e",
    )  # fmt: skip


class Store:
    """As much of a store of holds as waiting asks; one hold."""

    def __init__(self, state: HoldState, *, stream: bool, wait_s: float, reason: str) -> None:
        self.view = HoldView(_hold(stream=stream, wait_s=wait_s), state, (), reason)
        self.hops_left = 2
        self.kept: StoredAnswer | None = None
        self.asked: list[str] = []
        self.then: HoldView | None = None  # the hold of the answer to a held request

    async def get(self, hold_id: str) -> HoldView | None:
        self.asked.append(hold_id)
        if self.then is not None and hold_id == self.then.hold.id:
            return self.then
        return self.view if hold_id == HOLD_ID else None

    async def state(self, hold_id: str) -> str | None:
        return self.view.state.value

    async def woken(self, hold_id: str, timeout_s: float) -> None:
        """As if a hint had come at once."""

    async def hop(self, hold_id: str) -> bool:
        self.hops_left -= 1
        return self.hops_left >= 0

    async def answer(self, hold_id: str) -> StoredAnswer | None:
        return self.kept

    async def deliver(self, hold_id: str) -> bool:
        return True

    async def now_us(self) -> int:
        return NOW_US


class Clock:
    def now_us(self) -> int:
        return NOW_US


class Room:
    """The waiting room around one hold."""

    def __init__(
        self,
        state: HoldState,
        *,
        stream: bool = False,
        wait_s: float = 60,
        reason: str = "",
        justify: bool = False,
        reviewed: bool = False,
    ) -> None:
        self.store = Store(state, stream=stream, wait_s=wait_s, reason=reason)
        self.ledger = MemoryLedger()
        if justify:
            thresholds = ONE_REVIEW if reviewed else ()
            hold = replace(self.store.view.hold, justify=True, thresholds=thresholds)
            self.store.view = replace(self.store.view, hold=hold)
        self.switch = Switch()
        self.launched: list[str] = []
        self.waiting = Waiting(
            cast("HoldStore", self.store),
            self.ledger,
            Clock(),
            limits=HoldLimits(hop_wait_s=0.01),
            public_url="https://gate.example/",
            launch=self.launched.append,
            halts=self.switch,
        )

    def speaks(self, endpoint: str) -> None:
        """Have it asked by another API."""
        view = self.store.view
        self.store.view = replace(view, hold=replace(view.hold, endpoint=endpoint))

    async def hop(self, key: str = "key-staff") -> Reply:
        return await self.waiting.hop(HOLD_ID, PEOPLE[key])

    async def retrieve(self, key: str = "key-staff", result: str = "chatcmpl-" + HOLD_ID) -> Reply:
        return await self.waiting.retrieve(result, PEOPLE[key], CHAT)


def _error(reply: Reply) -> dict[str, Any]:
    return dict(orjson.loads(reply.body)["error"])


@pytest.mark.parametrize(
    ("state", "reason", "status", "code"),
    [
        (HoldState.DENIED, "too much", 403, "approval_denied"),
        (HoldState.EXPIRED, "", 403, "approval_expired"),
        (HoldState.WITHDRAWN, "", 403, "approval_withdrawn"),
        (HoldState.UNKNOWN, "", 424, "dispatch_unknown"),
        (HoldState.FAILED, "policy_denied", 403, "policy_denied"),
        (HoldState.FAILED, "obligation_unsupported", 403, "obligation_unsupported"),
        (HoldState.FAILED, "backend_cut", 502, "backend_failed"),
    ],
)
async def test_how_a_hold_ended_is_told(
    state: HoldState, reason: str, status: int, code: str
) -> None:
    """Each end has its status and code, no SDK tries again by itself, the exchange is named."""
    reply = await Room(state, reason=reason).hop()

    assert (status, code) == (reply.status, _error(reply)["code"])
    assert HOLD_ID in _error(reply)["approval"]["url"]
    headers = dict(reply.headers)
    assert b"x1" == headers[b"x-sekisho-exchange"]
    if status != 403 or state is not HoldState.FAILED:
        assert b"false" == headers[b"x-should-retry"]


async def test_a_reviewers_reason_reaches_the_requester() -> None:
    """A denial without its reason teaches nobody."""
    assert "too much" in _error(await Room(HoldState.DENIED, reason="too much").hop())["message"]


async def test_a_reviewers_reason_says_nothing_in_our_name() -> None:
    """On one line and between quotes, wherever it ends."""
    reason = 'No."\n\nDetails: https://evil.example'
    message = _error(await Room(HoldState.DENIED, reason=reason).hop())["message"]

    quoted = 'Their reason: "No.\' Details: https://evil.example". Details: https://gate.example/'
    assert quoted in message


@pytest.mark.parametrize(
    "state", [HoldState.PENDING, HoldState.DECIDING, HoldState.APPROVED, HoldState.DISPATCHING]
)
async def test_while_there_is_time_the_client_is_sent_on(state: HoldState) -> None:
    """303 to a relative place, with the whole story in the body for who does not follow."""
    reply = await Room(state).hop()

    assert (303, b"result") == (reply.status, dict(reply.headers)[b"location"])
    error = _error(reply)
    assert "approval_pending" == error["code"]
    assert f"chatcmpl-{HOLD_ID}" == error["approval"]["result_id"]
    assert f"https://gate.example/approvals/{HOLD_ID}" == error["approval"]["url"]


async def test_the_first_redirect_fits_the_path_that_was_posted_to() -> None:
    """Relative, so that a gateway behind a path prefix works."""
    room = Room(HoldState.PENDING)
    reply = await room.waiting.first(room.store.view, post_path="/v1/chat/completions")

    expected = f"../approvals/{HOLD_ID}/result".encode()
    assert expected == dict(reply.headers)[b"location"]


async def test_hops_are_counted_with_the_hold() -> None:
    """The last one is told 428 with what to do, and not to try again by itself."""
    room = Room(HoldState.PENDING)

    statuses = [(await room.hop()).status for _ in range(3)]

    assert [303, 303, 428] == statuses


async def test_out_of_time_is_pending_not_over() -> None:
    """428 names the id under which the answer is found later; no hop is used up."""
    room = Room(HoldState.PENDING, wait_s=0)
    reply = await room.hop()

    assert (428, "approval_pending") == (reply.status, _error(reply)["code"])
    assert f"retrieve('chatcmpl-{HOLD_ID}')" in _error(reply)["message"]
    assert 2 == room.store.hops_left


async def test_an_approved_hold_is_sent_by_who_finds_it() -> None:
    """Without waiting for the sweep."""
    room = Room(HoldState.APPROVED)
    await room.hop()

    assert [HOLD_ID] == room.launched


@pytest.mark.parametrize("stream", [True, False])
async def test_the_answer_comes_in_the_form_that_was_asked_for(stream: bool) -> None:
    """A stored stream is replayed as a stream, or put together for who asked for JSON."""
    room = Room(HoldState.READY, stream=stream)
    room.store.kept = StoredAnswer(200, "text/event-stream", STREAMED)
    reply = await room.hop()

    assert 200 == reply.status
    if stream:
        assert STREAMED == reply.body
    else:
        assert "hi" == orjson.loads(reply.body)["choices"][0]["message"]["content"]
    assert b"no-store" == dict(reply.headers)[b"cache-control"]
    assert ["hold.delivered"] == room.ledger.types()


async def test_retrieve_always_answers_in_json() -> None:
    """`client.chat.completions.retrieve(id)` reads no stream."""
    room = Room(HoldState.DELIVERED, stream=True)
    room.store.kept = StoredAnswer(200, "text/event-stream", STREAMED)
    reply = await room.retrieve()

    assert b"application/json" == dict(reply.headers)[b"content-type"]
    assert "hi" == orjson.loads(reply.body)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_of_the_responses_api_gets_a_response(stream: bool) -> None:
    """In the form it asked for, under the id it was told, whatever the backend sent."""
    room = Room(HoldState.READY, stream=stream)
    room.speaks("responses")
    room.store.kept = StoredAnswer(200, "text/event-stream", STREAMED)

    followed = await room.hop()
    retrieved = await room.waiting.retrieve("resp_" + HOLD_ID, PEOPLE["key-staff"], RESPONSES)

    said = orjson.loads(retrieved.body)
    assert (said["object"], said["id"]) == ("response", "resp_" + HOLD_ID)
    assert said["output"][0]["content"][0]["text"] == "hi"
    if stream:
        assert dict(followed.headers)[b"content-type"] == b"text/event-stream"
        assert followed.body.startswith(b"event: response.created\n")
    else:
        assert followed.body == retrieved.body


async def test_a_client_of_the_responses_api_is_told_its_own_call() -> None:
    """How the answer is fetched later, in its SDK."""
    room = Room(HoldState.PENDING)
    room.speaks("responses")

    error = _error(await room.hop())

    assert f"client.responses.retrieve('resp_{HOLD_ID}')" in error["message"]
    assert error["approval"]["result_id"] == "resp_" + HOLD_ID
    assert error["approval"]["result_url"].endswith("/v1/responses/resp_" + HOLD_ID)


async def test_retrieve_does_not_wait() -> None:
    """It says at once how the hold stands."""
    assert 428 == (await Room(HoldState.PENDING).retrieve()).status


@pytest.mark.parametrize("key", ["key-staff", "key-owner"])
async def test_requester_and_owner_may_read(key: str) -> None:
    """A service account's owner answers for it, so sees what it gets."""
    assert 303 == (await Room(HoldState.PENDING).hop(key)).status


@pytest.mark.parametrize("key", ["key-stranger", "key-reviewer"])
async def test_for_anyone_else_it_is_not_there(key: str) -> None:
    """Not even for its reviewers: they see the request, not the requester's answer."""
    room = Room(HoldState.READY)
    room.store.kept = StoredAnswer(200, "application/json", b"{}")

    for asked in (room.hop(key), room.retrieve(key)):
        with pytest.raises(NotFound) as caught:
            await asked
        assert HOLD_ID not in caught.value.message
    refused = [event for event in room.ledger.events if event.type == "hold.refused"]
    assert [(one.actor, one.data["act"]) for one in refused] == [(PEOPLE[key].id, "read")]


@pytest.mark.parametrize("result", ["hold_x", "chatcmpl-", "chatcmpl-nothing", ""])
async def test_an_odd_result_id_is_not_there(result: str) -> None:
    """Unknown and malformed look the same."""
    with pytest.raises(NotFound):
        await Room(HoldState.READY).retrieve(result=result)


@pytest.mark.parametrize("reviewed", [False, True])
async def test_whoever_must_say_why_is_told_at_once(reviewed: bool) -> None:
    """No wait, no redirect, no hop: 428 with the rules' words, what to do and where."""
    room = Room(HoldState.PENDING, justify=True, reviewed=reviewed)
    for reply in (
        await room.waiting.first(room.store.view, "/v1/chat/completions"),
        await room.hop(),
        await room.retrieve(),
    ):
        error = _error(reply)
        assert (428, "justification_required") == (reply.status, error["code"])
        assert (b"x-should-retry", b"false") in reply.headers
        for said in (
            "Because. Say why",
            "reviewers are asked" if reviewed else "it is sent",
            f"https://gate.example/approvals/{HOLD_ID}",
            f"sekisho hold justify {HOLD_ID} --reason",
            f"https://gate.example/v1/approvals/{HOLD_ID}/justification",
            f"retrieve('chatcmpl-{HOLD_ID}')",
        ):
            assert said in error["message"]
        approval = error["approval"]
        assert (HOLD_ID, "pending") == (approval["id"], approval["status"])
        assert approval["result_id"] == "chatcmpl-" + HOLD_ID
        assert approval["justification_url"].endswith(f"/v1/approvals/{HOLD_ID}/justification")
    assert 2 == room.store.hops_left


async def test_when_it_was_said_reviewers_are_waited_for() -> None:
    """As for any hold, and for as long from then as from a filing."""
    room = Room(HoldState.PENDING, justify=True, reviewed=True, wait_s=-1000)
    said = Justification("j", HOLD_ID, 1, "staff-7", "for the audit", "b" * 64, NOW_US)
    room.store.view = replace(room.store.view, justification=said)
    reply = await room.hop()
    assert (303, "approval_pending") == (reply.status, _error(reply)["code"])
    assert "justification_url" not in _error(reply)["approval"]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (HoldState.PENDING, "is queued"),
        (HoldState.DISPATCHING, "is being sent"),
        (HoldState.EXPIRED, "There was no room for"),
        (HoldState.UNKNOWN, "was queued and may have been sent"),
        (HoldState.FAILED, "It was queued, then failed"),
    ],
)
async def test_nobody_is_said_to_have_approved_what_nobody_was_asked(
    state: HoldState, said: str
) -> None:
    """What goes on by itself was queued."""
    room = Room(state, reason="backend_cut" if state is HoldState.FAILED else "", wait_s=0)
    hold = replace(room.store.view.hold, background=True, thresholds=(), justify=False)
    room.store.view = replace(room.store.view, hold=hold)
    message = _error(await room.hop())["message"]
    assert said in message
    assert "review" not in message
    assert "approved" not in message


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("request", "This request has been approved and is being sent"),
        (
            "tool_call",
            "The tool calls in the answer to this request have been approved and are being given",
        ),
    ],
)
async def test_what_was_approved_is_not_said_to_wait_for_a_reviewer(stage: str, said: str) -> None:
    """Between the approval and the answer."""
    room = Room(HoldState.DISPATCHING, wait_s=0)
    room.store.view = replace(room.store.view, hold=replace(room.store.view.hold, stage=stage))
    message = _error(await room.hop())["message"]
    assert message.startswith(said)


async def test_who_waits_once_more_is_told_why() -> None:
    """The rules wanted more reviews than there were."""
    room = Room(HoldState.PENDING, wait_s=0)
    hold = replace(room.store.view.hold, version=2, asked_anew=True)
    room.store.view = replace(room.store.view, hold=hold)
    assert "so it is reviewed once more" in _error(await room.hop())["message"]


async def test_nobody_else_is_asked_why() -> None:
    room = Room(HoldState.PENDING, justify=True)
    with pytest.raises(NotFound):
        await room.hop("key-stranger")


CALLING = {
    "id": "c",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "tool_calls": [{"id": "t", "function": {"name": "pay", "arguments": "{}"}}],
            },
            "finish_reason": "tool_calls",
        }
    ],
}


def _of_stage(room: Room, stage: str) -> Room:
    hold = replace(room.store.view.hold, stage=stage, outgoing=orjson.dumps(CALLING))
    room.store.view = replace(room.store.view, hold=hold)
    return room


@pytest.mark.parametrize("state", [HoldState.DENIED, HoldState.EXPIRED])
async def test_tool_calls_that_nobody_approved_become_a_text(state: HoldState) -> None:
    """An agent's run ends with the reason, in the form it asked for; no call is left in it."""
    room = _of_stage(Room(state, reason="too much"), "tool_call")

    reply = await room.hop()

    assert 200 == reply.status
    (choice,) = orjson.loads(reply.body)["choices"]
    assert "stop" == choice["finish_reason"]
    assert "too much" in choice["message"]["content"]
    assert b"tool_calls" not in reply.body
    assert b"pay" not in reply.body
    assert not room.ledger.types()

    streamed = await _of_stage(Room(state, stream=True), "tool_call").hop()
    assert (b"content-type", b"text/event-stream") in streamed.headers
    assert streamed.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("state", "reason", "status", "code", "said"),
    [
        (HoldState.DENIED, "too much", 403, "approval_denied", "the answer to this request"),
        (HoldState.EXPIRED, "", 403, "approval_expired", "not given out"),
        (HoldState.FAILED, "policy_changed", 403, "policy_changed", "not given out"),
        (HoldState.PENDING, "", 428, "approval_pending", "The answer to this request is waiting"),
    ],
)
async def test_how_a_held_answer_stands_is_told(
    state: HoldState, reason: str, status: int, code: str, said: str
) -> None:
    """In words about the answer: the request was sent."""
    room = _of_stage(Room(state, reason=reason, wait_s=0), "response")

    reply = await room.hop()

    assert (status, code) == (reply.status, _error(reply)["code"])
    assert said in _error(reply)["message"]
    assert "not sent" not in _error(reply)["message"]


async def test_a_released_answer_comes_as_a_stream_to_who_wanted_one() -> None:
    """It was read whole and reviewed as one."""
    room = _of_stage(Room(HoldState.READY, stream=True), "response")
    room.store.kept = StoredAnswer(200, "application/json", orjson.dumps(CALLING))

    reply = await room.hop()

    assert reply.body.endswith(b"data: [DONE]\n\n")
    retrieved = await room.retrieve()
    assert CALLING == orjson.loads(retrieved.body)


@pytest.mark.parametrize("state", [HoldState.READY, HoldState.UNKNOWN, HoldState.FAILED])
async def test_a_held_request_leads_to_its_held_answer(state: HoldState) -> None:
    """Whichever of the two a client asks for, also if the worker that sent it died meanwhile."""
    room = Room(state, wait_s=0)
    room.store.kept = StoredAnswer(303, ANSWER_HELD, b"")
    later = replace(room.store.view.hold, id=names.answer_hold(HOLD_ID), stage="response")
    room.store.then = HoldView(later, HoldState.PENDING, ())

    for reply in (await room.hop(), await room.retrieve()):
        assert 428 == reply.status
        assert later.id == _error(reply)["approval"]["id"]
    assert not room.ledger.types()


async def test_a_marker_is_nobodys_answer() -> None:
    """If the hold it leads to is gone, there is nothing to give and nothing is recorded."""
    room = Room(HoldState.READY)
    room.store.kept = StoredAnswer(303, ANSWER_HELD, b"")

    with pytest.raises(NotFound):
        await room.hop()

    assert not room.ledger.types()


@pytest.mark.parametrize(
    "state", [HoldState.PENDING, HoldState.APPROVED, HoldState.READY, HoldState.DELIVERED]
)
async def test_what_is_stopped_is_neither_waited_for_nor_given_out(state: HoldState) -> None:
    """On every way: the redirect, and what the client fetches later."""
    room = Room(state)
    room.store.kept = StoredAnswer(200, "application/json", b"{}")
    room.switch.set(halt("backend", "b"))

    for ask in (room.hop, room.retrieve):
        with pytest.raises(Halted) as caught:
            await ask()
        assert caught.value.exchange == "x1"
    assert not room.ledger.types()
    assert not room.launched


async def test_a_switch_ends_a_wait_that_has_begun() -> None:
    """The client learns it now, and is not sent round once more."""
    room = Room(HoldState.PENDING)
    room.switch.set(halt(), after=1)

    with pytest.raises(Halted):
        await room.hop()

    assert room.store.hops_left == 2


@pytest.mark.parametrize("state", [HoldState.DENIED, HoldState.EXPIRED, HoldState.WITHDRAWN])
async def test_how_a_hold_ended_is_told_all_the_same(state: HoldState) -> None:
    """Nothing goes on by it."""
    room = Room(state)
    room.switch.set(halt())

    assert (await room.hop()).status == 403


async def test_a_worker_that_does_not_hear_gives_nothing_out() -> None:
    """It may have been stopped."""
    room = Room(HoldState.READY)
    room.switch.unheard = True

    with pytest.raises(HaltUnknown):
        await room.hop()
    assert not room.ledger.types()


async def test_what_was_stopped_on_its_way_says_so() -> None:
    """403 with the code of the switch, though people had approved it."""
    room = Room(HoldState.FAILED, reason="halted")

    reply = await room.hop()

    assert (reply.status, _error(reply)["code"]) == (403, "halted")
    assert (b"x-should-retry", b"false") in reply.headers
