"""Samples for tests: a line that draws, people who judge, on a real auditd and a real Valkey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.auditd_socket import LedgerLimits
from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_samples import RedisSampleStore
from sekisho.errors import LedgerUnavailable
from sekisho.holding.sample_desk import SampleDesk
from sekisho.model.principal import Principal, Role
from sekisho.model.samples import Sample, Terms
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole
from sekisho.releasing.sampling import Sampling
from support.holds import STAFF, SystemClock, person
from support.line import CHAT_BODY, Line, chat
from support.memory_ledger import MemoryLedger

ONE = person("reviewer-1", Role.REVIEWER)
TWO = person("reviewer-2", Role.REVIEWER)
THREE = person("reviewer-3", Role.REVIEWER)
FOUR = person("reviewer-4", Role.REVIEWER)
AUDITOR = person("auditor-1", Role.AUDITOR, groups=())
ALL = Terms(10_000, 10_000)
STREAM_BODY = CHAT_BODY[:-1] + b',"stream":true}'
BYTES_MAX = 4_096


@dataclass
class Clock:
    """Satisfies `sekisho.ports.Clock`, ahead of the real one by so much."""

    ahead_us: int = 0

    def now_us(self) -> int:
        return SystemClock().now_us() + self.ahead_us


@dataclass
class Table:
    """One worker's part in it, and a line that goes through it."""

    ledger: AuditdLedger
    store: RedisSampleStore
    sampling: Sampling
    desk: SampleDesk
    line: Line
    clock: Clock

    async def answered(self, body: bytes = CHAT_BODY, principal: Principal = STAFF) -> bytes:
        """A request along the line; what was given out."""
        answer = await self.line.pipeline.handle(principal, chat(body))
        if isinstance(answer, Stream):
            said = b"".join([piece async for piece in answer.pieces])
        else:
            assert isinstance(answer, Whole)
            said = answer.body
        await self.sampling.drain()
        return said

    async def standing(self) -> list[Sample]:
        return list((await self.ledger.samples()).samples)

    async def sample(self, principal: Principal = STAFF) -> Sample:
        """An exchange that was drawn."""
        await self.answered(principal=principal)
        return (await self.standing())[-1]

    async def judge(self, who: Principal, sample: Sample, verdict: str = "fine") -> str:
        """Somebody looks and judges; the outcome, "" while there is none."""
        await self.desk.show(who, sample.id)
        return (await self.desk.judge(who, sample.id, verdict, "because")).outcome

    async def close(self) -> None:
        await self.sampling.drain()
        await self.store.close()
        await self.ledger.close()


async def open_table(
    socket: str,
    redis_url: str,
    terms: Terms = ALL,
    *,
    session: str = "s1",
    total_bytes_max: int = 1_000_000,
    reviewers: str = "reviewer",
) -> Table:
    """A worker whose terms are on record."""
    ledger = AuditdLedger(
        socket, session=session, limits=LedgerLimits(append_deadline_s=2.0), keys_ahead=terms.on
    )
    await ledger.start()
    store = RedisSampleStore(
        connect(redis_url),
        ledger.exchange_keys,
        keep_days=terms.keep_days,
        total_bytes_max=total_bytes_max,
    )
    sampling = Sampling(ledger, ledger, store, terms, content_bytes_max=BYTES_MAX)
    await sampling.agree()
    clock = Clock()
    desk = SampleDesk(ledger, ledger, store, clock, reviewers=reviewers)
    line = Line(ledger=cast("MemoryLedger", ledger), sampling=sampling, session=session)
    return Table(ledger, store, sampling, desk, line, clock)


class Faulty:
    """A ledger in front of another one whose appends of one type fail, before or after."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.before: set[str] = set()
        self.after: set[str] = set()
        self.appended: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def append(self, events: Any) -> Any:
        kinds = [event.type for event in events]
        self._fail(self.before, kinds)
        places = await self._ledger.append(events)
        self.appended += kinds
        self._fail(self.after, kinds)
        return places

    def _fail(self, wanted: set[str], kinds: list[str]) -> None:
        hit = wanted.intersection(kinds)
        if hit:
            wanted -= hit
            raise LedgerUnavailable("the ledger is away")
