"""A line that draws exchanges for review after the fact, in memory, with faults on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sekisho.errors import LedgerRefused, LedgerUnavailable, Unavailable
from sekisho.model.hold import HoldView
from sekisho.model.samples import Content, Sample, Standing, Terms, Undrawn
from sekisho.ports import ExchangeKeys
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole
from sekisho.releasing.sampling import Sampling
from sekisho_audit.events import Appended, Event
from support.calls import STREAM_BODY
from support.holds import STAFF, Desk
from support.line import CHAT_BODY, Line, chat
from support.memory_ledger import MemoryLedger

CHUNKS = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"one"}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"two"}}]}\n\n',
    b"data: [DONE]\n\n",
)
ALL = Terms(10_000, 10_000)
ONCE = frozenset({"bad_draw"})  # refused once, where the next may stand


@dataclass
class Shelf:
    """Satisfies `SampleStore` in memory, with faults on demand."""

    contents: dict[str, Content] = field(default_factory=dict)
    room: bool = True
    down: bool = False
    lose_after: bool = False

    async def keep(self, sample: str, principal: str, exchange: str, content: Content) -> bool:
        if self.down:
            raise Unavailable("away", code="sample_store_unavailable")
        if self.room:
            self.contents[sample] = content
        if self.lose_after:
            raise Unavailable("the reply was lost", code="sample_store_unavailable")
        return self.room

    async def get(self, sample: Sample) -> Content | None:
        return self.contents.get(sample.id)

    async def drop(self, sample: str) -> None:
        self.contents.pop(sample, None)


class SampleLedger(MemoryLedger):
    """The one in memory, as far as draws go: faults by type of event, and keys that can be late."""

    def __init__(self) -> None:
        super().__init__()
        self.known = Standing()
        self.refuses: dict[str, str] = {}
        self.fails: list[str] = []
        self.loses: list[str] = []
        self.keys_asked = 0
        self.keys_gate: asyncio.Event | None = None
        self.keys_fail = 0
        self.let_go: dict[str, str] = {}  # what an opening let go on, by exchange

    async def undrawn(self, after: int) -> tuple[Sequence[Undrawn], int]:
        """Every outcome without a draw, as if all of them were old."""
        drawn = {one.exchange for one in self.events if one.type == "sample.drawn"}
        ended = [
            (n, str(one.exchange))
            for n, one in enumerate(self.events)
            if one.type == "backend.outcome" and one.exchange not in drawn and n > after
        ]
        found = [Undrawn(one, STAFF.id, self.let_go.get(one, "")) for _, one in ended]
        return found, ended[-1][0] if ended else after

    async def samples(self) -> Standing:
        if self.down:
            raise LedgerUnavailable("away")
        return self.known

    async def exchange_keys(self, principal: str, exchange: str) -> ExchangeKeys:
        self.keys_asked += 1
        if self.keys_gate is not None:
            await self.keys_gate.wait()
        if self.keys_fail > 0:
            self.keys_fail -= 1
            raise LedgerUnavailable("away")
        return await super().exchange_keys(principal, exchange)

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        for event in events:
            if event.type in self.refuses:
                code = self.refuses[event.type]
                if code in ONCE:
                    del self.refuses[event.type]
                raise LedgerRefused("no", code=code)
            if event.type in self.fails:
                self.fails.remove(event.type)
                raise LedgerUnavailable("away")
        places = await super().append(events)
        for event in events:
            if event.type in self.loses:
                self.loses.remove(event.type)
                raise LedgerUnavailable("the reply was lost")
        return places


@dataclass
class Case:
    """A line that draws."""

    line: Line
    ledger: SampleLedger
    shelf: Shelf
    sampling: Sampling

    async def ask(self, body: bytes = CHAT_BODY, principal: Any = STAFF) -> Whole | HoldView:
        answer = await self.line.pipeline.handle(principal, chat(body))
        assert isinstance(answer, Whole | HoldView)
        await self.sampling.drain()
        return answer

    async def stream(self) -> Stream:
        self.line.backend.parts, self.line.backend.content_type = CHUNKS, "text/event-stream"
        stream = await self.line.pipeline.handle(STAFF, chat(STREAM_BODY))
        assert isinstance(stream, Stream)
        return stream

    def types(self) -> list[str]:
        return [one.type for one in self.ledger.events]

    def drawn(self) -> Event:
        [event] = [one for one in self.ledger.events if one.type == "sample.drawn"]
        return event


async def made(terms: Terms = ALL, desk: Desk | None = None) -> Case:
    """A worker whose terms are on record."""
    ledger, shelf = SampleLedger(), Shelf()
    sampling = Sampling(ledger, ledger, shelf, terms, content_bytes_max=64)
    await sampling.agree()
    holds = desk.store if desk else None
    return Case(Line(holds=holds, ledger=ledger, sampling=sampling), ledger, shelf, sampling)
