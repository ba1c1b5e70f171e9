"""Draws exchanges for review after the fact, once something of their answer was given out.

    begin    when it is sent: the exchange's key is asked for while the backend works
    beside   when the outcome is written: a drawn exchange says so in the same batch
    follow   after that, in the background: what could not be said yet is said, content is kept

Nothing here is ever waited for by whoever gets the answer, and nothing here can fail it. The key
alone decides (`sekisho_audit.sample_draw`): no client, operator or worker has a say in it. What
break-glass let go on is drawn in any case, whatever the settings say (docs/adr/0036).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import structlog

from sekisho.errors import LedgerRefused, LedgerUnavailable, SekishoError
from sekisho.holding import names
from sekisho.model import evidence
from sekisho.model.hold import Hold
from sekisho.model.outgoing import Outgoing
from sekisho.model.samples import Content, SampleBook, SampleStore, Terms, Undrawn
from sekisho.ports import ExchangeKeys, Ledger
from sekisho_audit.events import Event
from sekisho_audit.sample_draw import WHOLE, is_drawn

TASKS_MAX = 4_096  # as many as outcomes may wait to be told
HELD_BYTES_MAX = 32 * 1024 * 1024  # of contents, while the ledger or the store is away
PAUSE_S = 0.5
TRIES_MAX = 1_200  # ten minutes; an outage longer than that is an operator's to look into
TERMS_PAUSE_S = 2.0
_NOT_YET = "ungiven_draw"  # the outcome is told after an outage, too, and comes first
_NO_TERMS = "unknown_terms"  # another ledger than before: the terms are told again

_log = structlog.get_logger("sekisho.samples")
T = TypeVar("T")

Writing = asyncio.Future[tuple[int, bool]]
"""An outcome on its way: its place in the ledger, and whether the draw stands beside it."""


@dataclass(frozen=True, slots=True)
class About:
    """What is said of a sample: who stands behind it, how risky it is, which rules spoke."""

    person: str
    risk: int
    rules: tuple[str, ...]


def about(outgoing: Outgoing, person: str) -> About:
    """As the decision has it: the highest risk of the holds that it asks for, 0 if none."""
    decision = outgoing.decision
    asked = decision.obligations
    terms = [*([asked.hold] if asked.hold else []), *asked.hold_later]
    rules = dict.fromkeys(reason.rule for reason in decision.reasons[: evidence.REASONS_MAX])
    return About(person, max((one.risk for one in terms), default=0), tuple(rules))


def about_hold(hold: Hold) -> About:
    """As the hold has it that people approved."""
    return About(hold.person, hold.risk, hold.rules[: evidence.REASONS_MAX])


@dataclass(frozen=True, slots=True)
class _Exchange:
    id: str
    principal: str
    backend: str
    model: str
    request: bytes


class Draw:
    """Of one exchange; `beside` first, then `follow` once. With no `share` it is drawn only if an
    opening lets it go on, and its key is asked for only then.
    """

    def __init__(self, sampling: Sampling, exchange: _Exchange, said: About, share: int) -> None:
        self._sampling = sampling
        self.exchange = exchange
        self.said = said
        self.share = share
        self.opening = ""
        self._terms = sampling.terms_event
        self._keys: asyncio.Future[ExchangeKeys] | None = None
        if share:
            self._ask_key()

    def let_go(self, opening: str) -> None:
        """Break-glass answered something of it in place of people: the first such opening counts,
        as in the ledger.
        """
        if opening and not self.opening:
            self.share, self.opening = WHOLE, opening
            if self._keys is None:
                self._ask_key()

    def _ask_key(self) -> None:
        asked = self._sampling.keys_of(self.exchange.principal, self.exchange.id)
        self._keys = asyncio.ensure_future(asked)
        self._keys.add_done_callback(_collect)

    def beside(self) -> tuple[Event, ...]:
        """The draw, for the batch of the outcome; nothing if it is not drawn, or the key is not
        there yet.
        """
        keys = self._known()
        there = keys is not None and self._terms and self.drawn(keys)
        return (self.event(keys),) if keys is not None and there else ()

    def follow(self, given: bytes, writing: Writing | None = None) -> None:
        """`given` was given out of what may be drawn (`open`). The outcome is being written with
        what `beside` told, or without it; `writing` says which.
        """
        self._sampling.finish(self, given, writing)

    @property
    def open(self) -> bool:
        """Whether it may be drawn, as far as is known by now."""
        if not self.share:
            return False
        keys = self._known()
        return keys is None or self.drawn(keys)

    async def keys(self) -> ExchangeKeys:
        """The exchange's keys. Raises LedgerUnavailable, LedgerRefused."""
        known = self._keys
        if known is not None and (not known.done() or not known.exception()):
            return await asyncio.shield(known)
        return await self._sampling.keys_of(self.exchange.principal, self.exchange.id)

    def drawn(self, keys: ExchangeKeys) -> bool:
        """Whether it is drawn."""
        return is_drawn(keys.commit, self.exchange.id, self.share)

    def event(self, keys: ExchangeKeys) -> Event:
        """The draw, as the ledger has it: once for an exchange, whoever tells it how often."""
        exchange, said = self.exchange, self.said
        behind = {} if said.person == exchange.principal else {"person": said.person}
        why = {"opening": self.opening} if self.opening else {}
        return Event(
            id=evidence.keyed_id(keys.commit, "sample", exchange.id),
            type="sample.drawn",
            exchange=exchange.id,
            principal=exchange.principal,
            data={
                "terms": self._terms,
                "per_10000": self.share,
                "risk": said.risk,
                "backend": exchange.backend,
                "model": exchange.model,
                "rules": list(said.rules),
                **behind,
                **why,
            },
        )

    async def on_record(self) -> None:
        """Have the terms that it is drawn on in the ledger. Raises LedgerUnavailable,
        LedgerRefused.
        """
        self._terms = self._terms or await self._sampling.needed_terms()

    def _known(self) -> ExchangeKeys | None:
        keys = self._keys
        done = keys is not None and keys.done() and not keys.cancelled()
        return keys.result() if keys is not None and done and not keys.exception() else None


class Sampling:
    """One a worker. `run` as a task makes the terms known; before that nothing is drawn."""

    def __init__(
        self,
        ledger: Ledger,
        book: SampleBook,
        store: SampleStore,
        terms: Terms,
        *,
        content_bytes_max: int,
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._store = store
        self._terms = terms
        self._bytes_max = content_bytes_max
        self._tasks: set[asyncio.Task[None]] = set()
        self._held_bytes = 0
        self._untold = asyncio.Event()
        self._untold.set()
        self._needed = False
        self.keys_of = ledger.exchange_keys
        self.terms_event = ""

    async def run(self) -> None:
        """Put the terms on record where they are not, until cancelled."""
        while True:
            await self._untold.wait()
            try:
                await self.agree()
                self._untold.clear()
            except SekishoError as error:
                _log.warning("the terms of drawing are not on record", code=error.code)
                await asyncio.sleep(TERMS_PAUSE_S)

    async def agree(self) -> None:
        """Know under which event these terms stand. Raises LedgerUnavailable, LedgerRefused."""
        known = await self._book.samples()
        if known.terms_event and known.terms == self._terms:
            self.terms_event = known.terms_event
            return
        if not (known.terms_event or self._terms.on or self._needed):
            return
        said = asdict(self._terms)
        told = names.sample_terms(known.terms_event, self.origin, *map(str, said.values()))
        await self._ledger.append([Event(told, "sample.terms", None, None, said)])
        self.terms_event = told

    async def needed_terms(self) -> str:
        """The event of the terms, which is told by now although they draw nothing by themselves.
        Raises LedgerUnavailable, LedgerRefused.
        """
        self._needed = True
        if not self.terms_event:
            await self.agree()
        return self.terms_event

    @property
    def origin(self) -> str:
        """The name of the ledger."""
        return self._ledger.origin

    def begin(self, outgoing: Outgoing, said: About, opening: str = "") -> Draw:
        """The draw of an exchange that is about to be sent; `opening` let it go on, if any."""
        about_it = (outgoing.exchange, outgoing.principal, outgoing.backend, outgoing.model)
        draw = Draw(self, _Exchange(*about_it, outgoing.body), said, self._share(said))
        draw.let_go(opening)
        return draw

    def released(self, hold: Hold) -> None:
        """An answer that people approved is given out. What was asked is not there any more."""
        said = about_hold(hold)
        about_it = (hold.exchange, hold.principal, hold.backend, hold.model)
        draw = Draw(self, _Exchange(*about_it, b""), said, self._share(said))
        draw.let_go(hold.opening)
        if draw.open:
            draw.follow(hold.outgoing)

    async def make_up(self, lost: Undrawn, backend: str, model: str, said: About) -> bool:
        """Tell a draw that nobody told, if it is one: the key says so, and the terms at that risk.
        Its content is gone. Raises LedgerUnavailable, LedgerRefused.
        """
        about_it = (lost.exchange, lost.principal, backend, model)
        draw = Draw(self, _Exchange(*about_it, b""), said, self._share(said))
        draw.let_go(lost.opening)
        if not draw.share:
            return False
        keys = await draw.keys()
        if not draw.drawn(keys):
            return False
        await draw.on_record()
        event = draw.event(keys)
        await self._ledger.append([event, _kept(keys, event, "none")])
        return True

    def _share(self, said: About) -> int:
        """Before the terms are on record nothing is drawn by them."""
        return self._terms.share(said.risk) if self.terms_event else 0

    def finish(self, draw: Draw, given: bytes, writing: Writing | None) -> None:
        """Say what is not said yet, and keep the content; nobody waits for it."""
        if len(self._tasks) >= TASKS_MAX:
            _log.error("too many draws wait to be told; one is lost", exchange=draw.exchange.id)
            return
        content = self._content(draw.exchange.request, given)
        size = len(content.request) + len(content.answer)
        held = size if self._held_bytes + size <= HELD_BYTES_MAX else 0
        self._held_bytes += held
        draw.exchange = replace(draw.exchange, request=b"")  # however long this takes
        kept = content if held else None
        task = asyncio.create_task(self._finish(draw, kept, writing))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._done(done, held))

    async def drain(self) -> None:
        """Wait for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _finish(self, draw: Draw, content: Content | None, writing: Writing | None) -> None:
        told = writing is not None and await _took_effect(writing)
        keys = await self._patiently(draw.keys)
        if keys is None or not draw.drawn(keys):
            return
        if not told and not await self._told(draw, keys):
            return
        event = draw.event(keys)
        await self._tell(_kept(keys, event, await self._keep(event.id, draw.exchange, content)))

    async def _keep(self, sample: str, exchange: _Exchange, content: Content | None) -> str:
        if content is None:
            return "none"
        try:
            kept = await self._store.keep(sample, exchange.principal, exchange.id, content)
        except SekishoError as error:
            _log.warning("the content of a sample is not kept", code=error.code)
            return "none"
        return ("cut" if content.cut else "whole") if kept else "none"

    async def _told(self, draw: Draw, keys: ExchangeKeys) -> bool:
        async def append() -> Sequence[Any]:
            await draw.on_record()
            return await self._ledger.append([draw.event(keys)])

        return await self._patiently(append) is not None

    async def _tell(self, event: Event) -> bool:
        async def append() -> Sequence[Any]:
            return await self._ledger.append([event])

        return await self._patiently(append) is not None

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """What the ledger answers, though it may be away for a while; None if it will not."""
        for _ in range(TRIES_MAX):
            try:
                return await ask()
            except LedgerUnavailable:
                pass
            except LedgerRefused as error:
                if error.code == _NO_TERMS:
                    self.terms_event = ""
                    self._untold.set()
                if error.code != _NOT_YET:
                    _log.warning("a draw is not on record", code=error.code)
                    return None
            await asyncio.sleep(PAUSE_S)
        return None

    def _content(self, request: bytes, given: bytes) -> Content:
        bound = self._bytes_max
        cut = max(len(request), len(given)) > bound or not request
        return Content(request[:bound], given[:bound], cut)

    def _done(self, task: asyncio.Task[None], held: int) -> None:
        self._tasks.discard(task)
        self._held_bytes -= held
        if not task.cancelled() and task.exception() is not None:
            _log.error("a draw broke", error=type(task.exception()).__name__)


def _kept(keys: ExchangeKeys, drawn: Event, became: str) -> Event:
    """What became of the content of a sample; once, whoever tells it."""
    kept_id = evidence.keyed_id(keys.commit, "sample-kept", drawn.id)
    data = {"sample": drawn.id, "content": became}
    return Event(kept_id, "sample.kept", drawn.exchange, drawn.principal, data)


async def _took_effect(writing: Writing) -> bool:
    await asyncio.wait({writing})
    failed = writing.cancelled() or writing.exception() is not None
    return not failed and writing.result()[1]


def _collect(keys: asyncio.Future[ExchangeKeys]) -> None:
    """Nobody may ask for them any more."""
    if not keys.cancelled():
        keys.exception()
