"""Values for tests of holds: people, an exchange, a decision, and a desk that has all parts."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any

import orjson
from redis.asyncio import Redis

from sekisho.adapters.redis_holds import RedisHoldStore, connect
from sekisho.holding import rebuild
from sekisho.holding.file import Filing
from sekisho.holding.justification import justify
from sekisho.holding.review import review
from sekisho.model import evidence
from sekisho.model.care import Care
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Reason, Threshold
from sekisho.model.exchange import Exchange
from sekisho.model.facts import Facts
from sekisho.model.hold import HoldLimits, HoldView
from sekisho.model.ids import uuid7
from sekisho.model.office import Office
from sekisho.model.outgoing import Outgoing
from sekisho.model.principal import Principal, Role
from sekisho.ports import Ledger

WHY = "The client asked for it by Friday."
JOIN_KEY = b"join" * 8
CANARY = "canary-7f3a-the-salary-list"
ONE_REVIEW = (Threshold("reviewer", approve=1, deny=1),)
TWO_REVIEWS = (Threshold("reviewer", approve=2, deny=1),)
# Haste is tested where it is meant; elsewhere one reviewer decides as fast as a test can ask.
HASTE = Care(dwell_s=0, decisions_warn=10**6, decisions_max=10**6)
LIMITS = HoldLimits(lease_s=5, finish_s=0.2, keep_answer_s=600, care=HASTE)


class SystemClock:
    """The wall clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1000


def person(name: str, *roles: Role, groups: tuple[str, ...] = ("sales",)) -> Principal:
    """Someone with roles beside employee."""
    return Principal(name, frozenset({Role.EMPLOYEE, *roles}), frozenset(groups), credential="k-1")


STAFF = person("staff-7")
REVIEWER = person("reviewer-1", Role.REVIEWER)
REVIEWER_2 = person("reviewer-2", Role.REVIEWER)
STRANGER = person("staff-8")
ROBOT = Principal("robot-1", frozenset({Role.EMPLOYEE}), frozenset({"sales"}), owner="reviewer-1")


def exchange(
    text: str = CANARY, *, key: str | None = None, retry: int = 0, stream: bool = False
) -> Exchange:
    """A chat request."""
    parsed = {"model": "gpt-x", "messages": [{"role": "user", "content": text}], "stream": stream}
    return Exchange(
        id=uuid7(),
        received_us=0,
        endpoint="chat.completions",
        body=orjson.dumps(parsed),
        parsed=parsed,
        client_ip="127.0.0.1",
        idempotency_key=key,
        retry_count=retry,
    )


def outgoing(
    asked: Exchange, principal: Principal, terms: HoldTerms, *, justify: bool = False
) -> Outgoing:
    """What would leave for it, with the events that come before.

    Without thresholds the rules allow it, if only a reason is given or its client does not wait.
    """
    alone = (justify or asked.background) and not terms.thresholds
    decision = Decision(
        Effect.ALLOW if alone else Effect.HOLD,
        (Reason("held", "Salaries are looked at by a person first.", "sekisho.hold.salary"),),
        "sha256:00ff",
        Obligations(hold=None if alone else terms, justify=justify),
    )
    document: dict[str, Any] = {"stage": "request", "exchange": asked.id}
    return Outgoing(
        exchange=asked.id,
        principal=principal.id,
        backend="demo",
        model=asked.model,
        endpoint=asked.endpoint,
        path="/v1/chat/completions",
        body=asked.body,
        stream=asked.stream,
        facts=Facts(document, "demo", ()),
        decision=decision,
        before=(
            evidence.received(asked, principal, asked.body),
            evidence.decided(asked.id, principal.id, "request", decision, orjson.dumps(document)),
        ),
    )


@dataclass
class Desk:
    """One worker's parts."""

    store: RedisHoldStore
    ledger: Ledger
    filing: Filing
    limits: HoldLimits

    async def file(
        self,
        text: str = CANARY,
        *,
        principal: Principal = STAFF,
        thresholds: tuple[Threshold, ...] = ONE_REVIEW,
        ttl_s: float = 600,
        risk: int = 10,
        key: str | None = None,
        retry: int = 0,
        justify: bool = False,
        stage: str = "request",
        background: bool = False,
    ) -> HoldView:
        """File a hold for a chat request with this text; its bytes stand for what is held."""
        asked = replace(exchange(text, key=key, retry=retry), background=background)
        terms = HoldTerms(stage, thresholds, 600, risk)
        leaving = outgoing(asked, principal, terms, justify=justify)
        terms = replace(terms, ttl_s=ttl_s)  # type: ignore[arg-type]  # a test has no minute to wait
        return await self.filing.file(leaving, terms, asked, principal)

    async def approve(self, view: HoldView, reviewer: Principal = REVIEWER) -> HoldView:
        """An approving review."""
        return await self.review(view, reviewer, "approve")

    async def review(
        self, view: HoldView, reviewer: Principal, decision: str, reason: str = "looked at"
    ) -> HoldView:
        """A review with the hold's own binding."""
        return await review(
            self.store,
            self.ledger,
            reviewer,
            view.hold.id,
            decision=decision,
            binding=view.hold.binding,
            reason=reason,
        )

    async def justify(
        self, view: HoldView, who: Principal = STAFF, reason: str = WHY, **bound: Any
    ) -> HoldView:
        """Say why; by default as whoever asked."""
        return await justify(self.store, self.ledger, who, view.hold.id, reason=reason, **bound)

    async def close(self) -> None:
        await self.filing.drain()
        await self.store.close()


def open_desk(
    url: str, ledger: Ledger, limits: HoldLimits = LIMITS, client: Redis | None = None
) -> Desk:
    """A worker at this store and ledger."""

    async def reapply(store: RedisHoldStore) -> None:
        await rebuild.reapply(store, ledger)

    store = RedisHoldStore(client or connect(url), ledger.exchange_keys, limits, reapply)
    store.open()
    filing = Filing(store, ledger, SystemClock(), limits, office=Office(), join_key=JOIN_KEY)
    return Desk(store, ledger, filing, limits)


async def until(condition: Any, timeout_s: float = 5.0) -> None:
    """Wait for an awaitable condition to hold; fails loudly when it does not."""
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.02)
