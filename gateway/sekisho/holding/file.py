"""Files a hold: an exchange that policy wants answered by people is kept until they have.

    reserve   claim the join pointer, so that equal requests at the same time make one hold
    append    received, decision and hold with its bytes become durable, as one batch
    file      the live store keeps it, reviewers see it

A crash after `reserve` leaves a reservation, after `append` a hold that only the ledger knows; the
sweep finds both by the reservation and drops or restores the hold. Once reserved, filing goes on
even if the client leaves: what may be in the ledger must come to be in the store.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac

import orjson

from sekisho.errors import DeniedByPolicy, HoldStoreUnavailable
from sekisho.holding import binding, evidence, names
from sekisho.model.decision import Effect, HoldTerms
from sekisho.model.exchange import Exchange
from sekisho.model.hold import Hold, HoldLimits, HoldState, HoldView
from sekisho.model.outgoing import Outgoing
from sekisho.model.principal import Principal
from sekisho.ports import Clock, HoldStore, Ledger, Reservation

_APPEAR_S = 1.5  # a hold being filed by another worker appears in this time, or we say 503
_APPEAR_POLL_S = 0.05
_JOIN_CONTEXT = b"sekisho-join-v1\0"


class Filing:
    """What filing needs; one a worker. `join_key` is the same on all workers and never stored."""

    def __init__(
        self, store: HoldStore, ledger: Ledger, clock: Clock, limits: HoldLimits, join_key: bytes
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._limits = limits
        self._join_key = join_key
        self._under_way: set[asyncio.Task[None]] = set()

    async def file(
        self, outgoing: Outgoing, terms: HoldTerms, exchange: Exchange, principal: Principal
    ) -> HoldView:
        """The hold that stands for this request: a new one, or the one it joins.

        Raises Mismatch, LedgerUnavailable or HoldStoreUnavailable; nothing has left then, and the
        same request sent again joins whatever was filed.
        """
        keys = await self._ledger.exchange_keys(principal.id, exchange.id)
        hold = binding.bind(self._build(outgoing, terms, exchange, principal), keys.commit)
        join, body = self._digests(exchange, principal)
        reservation = await self._reserve(hold, join, body, self._rejoin_s(exchange))
        if reservation.standing == "mine":
            task = asyncio.create_task(self._keep(hold, outgoing, join))
            self._under_way.add(task)
            task.add_done_callback(self._done)
            await asyncio.shield(task)
        view = await self._store.get(reservation.hold)
        if view is None:
            message = "The hold this request belongs to has just been removed. Send it again."
            raise HoldStoreUnavailable(message)
        return view

    async def drain(self) -> None:
        """Wait for filings whose clients have gone; for a clean stop."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _keep(self, hold: Hold, outgoing: Outgoing, join: str) -> None:
        await self._ledger.append([*outgoing.before, evidence.filed(hold)])
        await self._store.file(hold, join)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # the client that would have been told may have gone

    async def _reserve(self, hold: Hold, join: str, body: str, rejoin_s: float) -> Reservation:
        """A reservation of ours, or a hold that is there. Waits for one that is being filed."""
        filing = False
        try:
            async with asyncio.timeout(_APPEAR_S):
                while True:
                    reservation = await self._store.reserve(hold, join, body, rejoin_s)
                    if reservation.standing != "filing":
                        return reservation
                    filing = True
                    await asyncio.sleep(_APPEAR_POLL_S)
        except TimeoutError as error:
            if not filing:
                message = "Holds cannot be kept just now, so nothing was sent. Try again later."
                raise HoldStoreUnavailable(message) from error
            message = "An equal request is being kept for review just now. Try again in a moment."
            raise HoldStoreUnavailable(message, code="hold_filing") from error

    def _build(
        self, outgoing: Outgoing, terms: HoldTerms, exchange: Exchange, principal: Principal
    ) -> Hold:
        decision = outgoing.decision
        alone = decision.effect is Effect.ALLOW and decision.obligations.justify
        if (not terms.thresholds and not alone) or terms.ttl_s <= 0:
            message = "Policy asks for a review without saying by whom or how long. Tell an admin."
            raise DeniedByPolicy(message, code="policy_malformed")
        now_us = self._clock.now_us()
        ttl_s = min(terms.ttl_s, self._limits.ttl_s_max)
        return Hold(
            id=names.new_hold_id(),
            exchange=exchange.id,
            version=1,
            stage=terms.stage,
            principal=principal.id,
            person=principal.person,
            groups=tuple(sorted(principal.groups)),
            roles=tuple(sorted(role.value for role in principal.roles)),
            endpoint=outgoing.endpoint,
            path=outgoing.path,
            model=outgoing.model,
            backend=outgoing.backend,
            stream=outgoing.stream,
            revision=decision.revision,
            rules=tuple(reason.rule for reason in decision.reasons),
            reasons=tuple(reason.msg for reason in decision.reasons),
            thresholds=terms.thresholds,
            risk=terms.risk,
            created_us=now_us,
            expires_us=now_us + int(ttl_s * 1_000_000),
            wait_until_us=now_us + int(self._limits.wait_total_s * 1_000_000),
            binding="",
            outgoing=outgoing.body,
            facts=orjson.dumps(outgoing.facts.document),
            received_event=outgoing.before[0].id if outgoing.before else "",
            log_level=decision.obligations.log_level,
            justify=decision.obligations.justify,
        )

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
        body = self._keyed(b"body", exchange.endpoint.encode(), canonical)
        asked = body if exchange.idempotency_key is None else exchange.idempotency_key
        kind = b"body" if exchange.idempotency_key is None else b"key"
        return self._keyed(b"join", kind, principal.id.encode(), asked.encode()), body

    def _keyed(self, *parts: bytes) -> str:
        framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._join_key, _JOIN_CONTEXT + framed, hashlib.sha256).hex()


def is_open(view: HoldView) -> bool:
    """Whether people may still answer."""
    return view.state in {HoldState.PENDING, HoldState.DECIDING}
