"""One exchange at the stage release, with a reply and a ledger that do as they are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sekisho.clearance import Clearance, Recorded
from sekisho.content.scan import Scanner
from sekisho.errors import LedgerUnavailable
from sekisho.holding.file import HeldAnswer
from sekisho.model.decision import Decision, Effect, Obligations
from sekisho.model.facts import Facts
from sekisho.model.hold import HoldView
from sekisho.model.limits import Estimate, Spender
from sekisho.model.outgoing import Outgoing
from sekisho.ports import Ledger
from sekisho.releasing.outcome import Outcome
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Answer, Whole
from sekisho.stages.guard import Guard
from sekisho.stages.release import release
from sekisho_audit.events import Appended, Event
from support.switch import Switch
from support.unlimited import BookedCharge

STREAM_HEADERS = {"content-type": "text/event-stream", "set-cookie": "a=b", "x-request-id": "r1"}
JSON_HEADERS = {"content-type": "application/json", "set-cookie": "s=1", "server": "x"}
SPENDER = Spender("staff-7", frozenset(), "m", "b")
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
NOTHING_ASKED = Obligations()
LABELLED = Obligations(label_output=True)


@dataclass
class FakeReply:
    """A reply whose chunks and end are given."""

    parts: Sequence[bytes | Exception]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: dict(STREAM_HEADERS))
    closed: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            await asyncio.sleep(0)
            yield part

    async def close(self) -> None:
        self.closed = True


@dataclass
class Notebook:
    """A ledger that remembers, and fails when told to: before or after taking effect."""

    events: list[Event] = field(default_factory=list)
    fail_before: bool = False
    fail_after: bool = False
    origin: str = "test"

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        await asyncio.sleep(0)
        if self.fail_before:
            raise LedgerUnavailable("down")
        self.events += events
        if self.fail_after:
            raise LedgerUnavailable("lost")
        return [Appended(len(self.events), "", {}) for _ in events]

    @property
    def statuses(self) -> list[str]:
        return [e.data["status"] for e in self.events if e.type == "backend.outcome"]


class Case:
    """One exchange at the stage release."""

    def __init__(
        self,
        reply: FakeReply,
        *,
        stream: bool = True,
        asked: bytes = b"{}",
        obligations: Obligations = NOTHING_ASKED,
    ) -> None:
        decision = Decision(Effect.ALLOW, (), "sha256:0", obligations)
        facts = Facts({"principal": {"groups": ["sales"]}, "request": {}, "context": {}}, "b", ())
        outgoing = Outgoing(
            "x1", "staff-7", "b", "m", "chat.completions", "/p", asked, stream, facts, decision, ()
        )
        self.reply = reply
        self.switch = Switch()
        self.ledger = Notebook()
        self.later: list[Event] = []
        self.answer = Answer(Recorded(Clearance(outgoing, None), "i1", 0), reply)
        self.charge = BookedCharge(SPENDER, Estimate(10, 100), forced=False)
        ledger = cast("Ledger", self.ledger)
        self.outcome = Outcome(self.answer.recorded, ledger, self.later.append, self.charge)

    async def run(self, bytes_max: int = 10_000) -> Whole | Stream:
        async def keep(answer: Any, level: str) -> bytes | None:
            return json.dumps(answer).encode()

        async def hold(held: HeldAnswer) -> HoldView:
            raise AssertionError("nobody asked for a hold")

        async def allow(facts: Facts) -> Decision:
            return Decision(Effect.ALLOW, (), "sha256:0", NOTHING_ASKED)

        outgoing = self.answer.recorded.clearance.outgoing
        answer = await release(
            self.answer,
            self.outcome,
            keep,
            judge=Guard(outgoing, Scanner(), allow, self.switch),
            hold=hold,
            answer_bytes_max=bytes_max,
        )
        assert isinstance(answer, (Whole, Stream))
        return answer

    async def pieces(self, bytes_max: int = 10_000) -> bytes:
        stream = await self.run(bytes_max)
        assert isinstance(stream, Stream)
        return b"".join([piece async for piece in stream.pieces])


def whole(status: int = 200, **members: Any) -> FakeReply:
    """A whole answer of the backend."""
    message = {
        "message": {
            "content": "four",
            "tool_calls": [{"function": {"name": "n", "arguments": "{}"}}],
        }
    }
    body = json.dumps({"choices": [message], **members}).encode()
    return FakeReply([body], status, {"content-type": "application/json"})


def outcomes(case: Case) -> list[Any]:
    """What the outcome says was used, and what the charge was settled with: the same."""
    (event,) = [
        event for event in (*case.ledger.events, *case.later) if event.type == "backend.outcome"
    ]
    ((used, _),) = case.charge.settled
    assert used == event.data["charged"]
    return [event.data["status"], event.data["charged"]["tokens"]]
