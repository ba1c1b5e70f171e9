"""The queue of a reviewer as it changes: server-sent events, made from what is read.

    event: reset     what was sent before does not count; all of the queue follows
    event: hold      a card of the queue, new or changed
    event: gone      {"id": …}: decided, over, or not this reviewer's any more
    event: current   ends each burst; its id is that of the queue as sent so far

Hints only make it look sooner: it reads again every few seconds in any case, so a lost hint costs
moments. Whoever comes back with the last id gets nothing if nothing changed, and else everything;
nothing is ever missed and no history is kept. Who listens is looked up again before each burst, so
a revoked key or a lost role ends what it sees.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from time import monotonic

import orjson

from sekisho.errors import Overloaded, SekishoError, Unavailable
from sekisho.holding.queue import SCANNED_MAX
from sekisho.holding.review import may_review
from sekisho.model.care import Claim
from sekisho.model.hold import HoldCard
from sekisho.model.principal import Principal, Scope
from sekisho.ports import HoldStore
from sekisho.web.approvals_schema import summary

COMMENT_S = 10.0  # proxies cut what is silent for a minute, and some much sooner
LOOK_S = 2.0
BURST_S = 0.2  # many changes at once are one look
LISTEN_S = 300.0  # then the client comes back, as it must be able to in any case
EACH_MAX = 4  # a person's tabs and terminals
ANY_HOLD = ""

_Cards = tuple[Sequence[HoldCard], Mapping[str, Claim]]


class LiveQueue:
    """What all listeners of a worker share: their number, and one reading of the store."""

    def __init__(self, listeners_max: int = 100) -> None:
        self._max = listeners_max
        self._listening: Counter[str] = Counter()
        self._reading: asyncio.Task[_Cards] | None = None
        self._read_at_s = -LOOK_S

    def take(self, principal: str) -> None:
        """A place to listen, to be given back. Raises Overloaded (`too_many_listeners`)."""
        if self._listening.total() >= self._max or self._listening[principal] >= EACH_MAX:
            message = "Too many are listening to the queue here. Close one, or read the list."
            raise Overloaded(message, code="too_many_listeners")
        self._listening[principal] += 1

    def give_back(self, principal: str) -> None:
        """The end of listening."""
        self._listening[principal] -= 1
        if not self._listening[principal]:
            del self._listening[principal]

    async def cards(self, store: HoldStore) -> _Cards:
        """All open holds and who looks at which, at most BURST_S old, read once for everybody."""
        task = self._reading
        if task is None or (task.done() and monotonic() - self._read_at_s > BURST_S):
            self._read_at_s = monotonic()
            task = self._reading = asyncio.create_task(_read(store))
        return await asyncio.shield(task)


async def _read(store: HoldStore) -> _Cards:
    cards = await store.list_open(SCANNED_MAX)
    return cards, await store.desk.claims([card.id for card in cards])


async def events(
    live: LiveQueue,
    store: HoldStore,
    who: Callable[[], Awaitable[Principal]],
    last_id: str,
    listen_s: float = LISTEN_S,
) -> AsyncIterator[bytes]:
    """The frames for one listener, who is asked for by `who` before each burst."""
    sent: dict[str, bytes] | None = None
    spoke_s, until_s = monotonic(), monotonic() + listen_s
    yield b": the queue of who asks\n\n"
    while monotonic() < until_s:
        try:
            frames, sent = _burst(await _now(live, store, await who()), sent, last_id)
        except Unavailable:
            frames = [b": the queue cannot be read at the moment\n\n"]
        except SekishoError:
            return  # not let in any more; coming back it is told why
        if not frames and monotonic() - spoke_s >= COMMENT_S:
            frames = [b": still here\n\n"]
        for frame in frames:
            spoke_s = monotonic()
            yield frame
        await store.woken(ANY_HOLD, LOOK_S)
        await asyncio.sleep(BURST_S)


async def _now(live: LiveQueue, store: HoldStore, listener: Principal) -> dict[str, bytes]:
    """The cards this listener may review, as they are sent, by id."""
    if Scope.REVIEW not in listener.scopes:
        return {}
    cards, claims = await live.cards(store)
    return {
        card.id: summary(card, listener, claims.get(card.id)).model_dump_json().encode()
        for card in cards
        if may_review(listener, card)
    }


def _burst(
    now: dict[str, bytes], sent: dict[str, bytes] | None, last_id: str
) -> tuple[list[bytes], dict[str, bytes]]:
    """What has to be said so that the listener has `now`; the last frame bears its id."""
    if sent is None and last_id == _id(now):
        return [], now
    frames = [_frame("reset", b"{}")] if sent is None else []
    before = sent or {}
    frames += [_frame("gone", orjson.dumps({"id": one})) for one in before if one not in now]
    frames += [_frame("hold", card) for one, card in now.items() if before.get(one) != card]
    if frames:
        size = orjson.dumps({"holds": len(now)})
        frames.append(f"id: {_id(now)}\n".encode() + _frame("current", size))
    return frames, now


def _frame(event: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event.encode(), data)


def _id(cards: Mapping[str, bytes]) -> str:
    return hashlib.sha256(b"\n".join(cards[one] for one in sorted(cards))).hexdigest()[:32]
