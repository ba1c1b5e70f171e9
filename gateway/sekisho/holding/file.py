"""Files a hold: an exchange that policy wants answered by people is kept until they have.

    reserve   claim the join pointer, so that equal requests at the same time make one hold
    append    received, decision and hold with its bytes become durable, as one batch
    file      the live store keeps it, reviewers see it

An answer that policy wants people to see first is filed the same way, in one batch with the outcome
`held`. Where that is known before the request leaves, its place is claimed then (`expect`), so that
an equal request waits for this one instead of being sent as well.

A crash after `reserve` leaves a reservation, after `append` a hold that only the ledger knows; the
sweep finds both by the reservation and drops or restores the hold. Once reserved, filing goes on
even if the client leaves: what may be in the ledger must come to be in the store.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import orjson

from sekisho.errors import (
    Conflict,
    DeniedByPolicy,
    HoldStoreUnavailable,
    SekishoError,
    Unavailable,
)
from sekisho.holding import binding, evidence, names, settle
from sekisho.holding.terms import times
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.exchange import Exchange
from sekisho.model.hold import Hold, HoldLimits, HoldState, HoldView, Place
from sekisho.model.office import Office
from sekisho.model.outgoing import Outgoing
from sekisho.model.principal import Principal
from sekisho.model.verdict import Asked, Verdict
from sekisho.ports import Clock, HoldStore, Ledger, Reservation
from sekisho_audit.events import Event

_APPEAR_S = 1.5  # a hold being filed by another worker appears in this time, or we say 503
_APPEAR_POLL_S = 0.05
_EXPECTED_BYTES = 65_536  # most answers; for a full store nothing is sent in vain
_EXPECTED_S = 30.0  # a place whose worker died is given up after this and the sweep's time
_CLAIM_AGAIN_S = 10.0
_JOIN_CONTEXT = b"sekisho-join-v1\0"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who stands behind a hold, and until when clients wait for it (None: from now on)."""

    exchange: str
    principal: str
    person: str
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    received_event: str
    wait_until_us: int | None = None


@dataclass(frozen=True, slots=True)
class HeldAnswer:
    """An answer that people have to see first. `content` are the bytes they would release.

    `settle` records the outcome `held` in one batch with the events it is given as `after`;
    `abandon` gives the outcome `failed` if none was given. `opening` let the request go on, if any.
    """

    verdict: Verdict
    content: bytes
    settle: Callable[..., Awaitable[None]]
    abandon: Callable[[str], None]
    opening: str = ""


class Filing:
    """What filing needs; one a worker. `join_key` is the same on all workers and never stored."""

    def __init__(
        self,
        store: HoldStore,
        ledger: Ledger,
        clock: Clock,
        limits: HoldLimits,
        *,
        office: Office,
        join_key: bytes,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._limits = limits
        self._office = office
        self._join_key = join_key
        self._under_way: set[asyncio.Task[None]] = set()
        self._claiming: dict[str, asyncio.Task[None]] = {}

    async def file(
        self, outgoing: Outgoing, terms: HoldTerms, exchange: Exchange, principal: Principal
    ) -> HoldView:
        """The hold that stands for this request: a new one, or the one it joins.

        Raises Mismatch, LedgerUnavailable or HoldStoreUnavailable; nothing has left then, and the
        same request sent again joins whatever was filed.
        """
        decision = outgoing.decision
        alone = decision.effect is Effect.ALLOW and (
            decision.obligations.justify or exchange.background
        )
        if not terms.thresholds and not alone:
            raise _nobody_asked()
        place = self._place(exchange, principal)
        hold = replace(
            self._build(outgoing, terms, asker_of(exchange, principal, outgoing), place.hold),
            rules=tuple(reason.rule for reason in decision.reasons),
            reasons=tuple(reason.msg for reason in decision.reasons),
            outgoing=outgoing.body,
            facts=orjson.dumps(outgoing.facts.document),
            justify=decision.obligations.justify,
            notify=decision.obligations.notify if decision.effect is Effect.HOLD else (),
            background=exchange.background,
        )
        hold = await self._bound(hold)
        reservation = await self._reserve(place, hold.content_bytes)
        if reservation.standing == "mine":
            before = outgoing.before
            await self._keep(place, hold, lambda filed: self._ledger.append([*before, filed]))
        view = await self._filed(reservation.hold)
        if view.hold.starts_alone and view.state is HoldState.PENDING:
            start = settle.start(view.hold, self._ledger.origin)
            with suppress(Unavailable, Conflict):  # it is kept: a sweep starts it
                view = await settle.decide(self._store, self._ledger, view.hold, start)
        return view

    async def expect(
        self, exchange: Exchange, principal: Principal, *, patient: bool = False
    ) -> Place | HoldView:
        """Before a request leaves whose answer may be held: the place of that hold, or the hold of
        an equal request that is there already. Waits while an equal request is under way: one hop,
        or as long as clients wait at all if it is `patient`.

        Raises Mismatch, HoldStoreUnavailable. Whoever gets a place files or gives it up.
        """
        place = self._place(exchange, principal)
        wait_s = self._limits.wait_total_s if patient else self._limits.hop_wait_s
        reservation = await self._reserve(
            place, _EXPECTED_BYTES, wait_s=wait_s, expected_s=_EXPECTED_S
        )
        if reservation.standing == "mine":
            self._claiming[place.hold] = asyncio.create_task(self._claim_again(place))
            return place
        return await self._filed(reservation.hold)

    async def waits(self, exchange: Exchange, principal: Principal) -> bool:
        """Whether people have an equal request before them. Raises HoldStoreUnavailable."""
        join, _ = self._digests(exchange, principal)
        return bool(await self._store.waits(join))

    async def _claim_again(self, place: Place) -> None:
        """A backend may take minutes, and a claim of a dead worker must not."""
        while True:
            await asyncio.sleep(_CLAIM_AGAIN_S)
            with suppress(SekishoError):  # whoever has it then, the answer is filed all the same
                await self._store.reserve(place, _EXPECTED_BYTES, _EXPECTED_S)

    async def give_up(self, place: Place) -> None:
        """There is nothing to hold after all, or it was filed."""
        claiming = self._claiming.pop(place.hold, None)
        if claiming is None:
            return
        claiming.cancel()
        with suppress(HoldStoreUnavailable):  # the sweep finds it
            await self._store.drop(place.hold, place.join)

    async def file_answer(
        self, outgoing: Outgoing, held: HeldAnswer, asker: Asker, place: Place
    ) -> HoldView:
        """The hold of an answer, in its `place`; its outcome is `held` then.

        Raises LedgerUnavailable, LedgerRefused or HoldStoreUnavailable; the answer is given to
        nobody then, and the outcome says so.
        """
        verdict = held.verdict
        if verdict.terms is None or not verdict.terms.thresholds:
            held.abandon("policy_malformed")
            raise _nobody_asked()
        reasons = [
            reason
            for one in (outgoing.decision, *(each.decision for each in verdict.asked))
            for reason in one.reasons
        ]
        hold = replace(
            self._build(outgoing, verdict.terms, asker, place.hold),
            rules=tuple(dict.fromkeys(reason.rule for reason in reasons)),
            reasons=tuple(dict.fromkeys(reason.msg for reason in reasons)),
            outgoing=held.content,
            opening=held.opening,
            notify=tuple(dict.fromkeys(name for one in verdict.asked for name in _named(one))),
            facts=orjson.dumps([one.document for one in verdict.asked]),
        )
        try:
            hold = await self._bound(hold)
            reservation = await self._reserve(place, hold.content_bytes)
            if reservation.standing != "mine":
                # Our claim was lost; this answer is there all the same.
                place = replace(place, join=self._keyed(b"answer", asker.exchange.encode()))
                await self._reserve(place, hold.content_bytes)
        except SekishoError as error:
            held.abandon(error.code)
            raise
        except asyncio.CancelledError:
            held.abandon("cancelled")
            raise
        finally:
            if claiming := self._claiming.pop(place.hold, None):
                claiming.cancel()
        await self._keep(place, hold, lambda filed: held.settle(after=(filed,)))
        return await self._filed(hold.id)

    def place_after(self, hold: Hold) -> Place:
        """The place of the answer to a request that was held itself: asked for again, that request
        leads to it.
        """
        join = self._keyed(b"answer", hold.id.encode())
        return Place(names.answer_hold(hold.id), join, join)

    def place_alone(self, asker: Asker) -> Place:
        """A place that nothing leads to but its id: nobody expected this hold."""
        join = self._keyed(b"alone", asker.exchange.encode())
        return Place(names.new_hold_id(), join, join)

    async def drain(self) -> None:
        """Wait for filings whose clients have gone; for a clean stop."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _keep(
        self, place: Place, hold: Hold, record: Callable[[Event], Awaitable[object]]
    ) -> None:
        """The ledger first, then the store; both go on if the client leaves."""

        async def both() -> None:
            await record(evidence.filed(hold))
            await self._store.file(hold, place.join)

        task = asyncio.create_task(both())
        self._under_way.add(task)
        task.add_done_callback(self._done)
        await asyncio.shield(task)

    async def _filed(self, hold_id: str) -> HoldView:
        view = await self._store.get(hold_id)
        if view is None:
            message = "The hold this request belongs to has just been removed. Send it again."
            raise HoldStoreUnavailable(message)
        return view

    async def _bound(self, hold: Hold) -> Hold:
        keys = await self._ledger.exchange_keys(hold.principal, hold.exchange)
        return binding.bind(hold, keys.commit)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # the client that would have been told may have gone

    async def _reserve(
        self, place: Place, size: int, *, wait_s: float = _APPEAR_S, expected_s: float = 0
    ) -> Reservation:
        """A reservation of ours, or a hold that is there. Waits for one that is being filed."""
        filing = False
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    reservation = await self._store.reserve(place, size, expected_s)
                    if reservation.standing != "filing":
                        return reservation
                    filing = True
                    await asyncio.sleep(_APPEAR_POLL_S)
        except TimeoutError as error:
            if not filing:
                message = "Holds cannot be kept just now, so nothing was sent. Try again later."
                raise HoldStoreUnavailable(message) from error
            message = "An equal request is under way just now. Try again in a moment."
            raise HoldStoreUnavailable(message, code="hold_filing") from error

    def _build(self, outgoing: Outgoing, terms: HoldTerms, asker: Asker, hold_id: str) -> Hold:
        """A hold on these terms, without what is held."""
        if terms.ttl_s <= 0:
            raise _nobody_asked()
        terms = replace(terms, ttl_s=min(terms.ttl_s, self._limits.ttl_s_max))
        now_us = self._clock.now_us()
        wait_until_us = now_us + int(self._limits.wait_total_s * 1_000_000)
        return Hold(
            id=hold_id,
            exchange=asker.exchange,
            version=1,
            stage=terms.stage,
            principal=asker.principal,
            person=asker.person,
            groups=asker.groups,
            roles=asker.roles,
            endpoint=outgoing.endpoint,
            path=outgoing.path,
            model=outgoing.model,
            backend=outgoing.backend,
            stream=outgoing.stream,
            revision=outgoing.decision.revision,
            rules=(),
            reasons=(),
            thresholds=terms.thresholds,
            risk=terms.risk,
            created_us=now_us,
            wait_until_us=asker.wait_until_us or wait_until_us,
            binding="",
            outgoing=b"",
            facts=b"",
            received_event=asker.received_event,
            log_level=outgoing.decision.obligations.log_level,
            **times(terms, now_us, self._office),
        )

    def _place(self, exchange: Exchange, principal: Principal) -> Place:
        join, body = self._digests(exchange, principal)
        rejoin_s = self._rejoin_s(exchange)
        return Place(names.new_hold_id(), join, body, rejoin_s, sharer=principal.id)

    def _rejoin_s(self, exchange: Exchange) -> float:
        """How long after its end a hold is still joined: a client that names its request with an
        Idempotency-Key, or says that it retries, gets the same outcome; others ask anew.
        """
        if exchange.idempotency_key is not None:
            return self._limits.keep_answer_s
        return self._limits.retry_join_s if exchange.retry_count > 0 else 0

    def _digests(self, exchange: Exchange, principal: Principal) -> tuple[str, str]:
        """The name of the join pointer, and the digest of the body alone."""
        canonical = orjson.dumps(exchange.parsed, option=orjson.OPT_SORT_KEYS)
        waits = b"" if exchange.background else b"waits"
        body = self._keyed(b"body", exchange.endpoint.encode(), waits, canonical)
        asked = body if exchange.idempotency_key is None else exchange.idempotency_key
        kind = b"body" if exchange.idempotency_key is None else b"key"
        return self._keyed(b"join", kind, principal.id.encode(), asked.encode()), body

    def _keyed(self, *parts: bytes) -> str:
        framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._join_key, _JOIN_CONTEXT + framed, hashlib.sha256).hex()


def _named(asked: Asked) -> tuple[str, ...]:
    """The channels that rules want told of what is held here."""
    decision = asked.decision
    return decision.obligations.notify if decision.effect is Effect.HOLD else ()


def asker_of(exchange: Exchange, principal: Principal, outgoing: Outgoing) -> Asker:
    """Who asks, of a request that has just come."""
    return Asker(
        exchange=exchange.id,
        principal=principal.id,
        person=principal.person,
        groups=tuple(sorted(principal.groups)),
        roles=tuple(sorted(role.value for role in principal.roles)),
        received_event=outgoing.before[0].id if outgoing.before else "",
    )


def asker_again(hold: Hold) -> Asker:
    """Who asked what was held: clients that waited for the request wait no longer for this."""
    return Asker(
        exchange=hold.exchange,
        principal=hold.principal,
        person=hold.person,
        groups=hold.groups,
        roles=hold.roles,
        received_event=hold.received_event,
        wait_until_us=hold.wait_until_us,
    )


def _nobody_asked() -> DeniedByPolicy:
    message = "Policy asks for a review without saying by whom or how long. Tell an admin."
    return DeniedByPolicy(message, code="policy_malformed")


def is_open(view: HoldView) -> bool:
    """Whether people may still answer."""
    return view.state in {HoldState.PENDING, HoldState.DECIDING}
