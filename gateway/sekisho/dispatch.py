"""The second half of the line, in which both entries end: record, forward, release.

    cleared bytes -> charge -> intent durable -> sent once -> answer judged -> given back, or held

Also what both halves share: how the rules are asked, and how a refusal is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

from sekisho.clearance import Clearance, Recorded
from sekisho.content.kept import Kept
from sekisho.errors import (
    BackendFailed,
    BudgetExhausted,
    Halted,
    HaltUnknown,
    HoldStoreUnavailable,
    LedgerRefused,
    LimitReached,
    SekishoError,
    Unavailable,
)
from sekisho.holding.file import Asker, HeldAnswer
from sekisho.holding.moments import decided
from sekisho.model import evidence
from sekisho.model.decision import Decision, Effect
from sekisho.model.facts import Facts
from sekisho.model.grants import Asking
from sekisho.model.halts import Reach
from sekisho.model.hold import HoldView, Place
from sekisho.model.outgoing import Outgoing
from sekisho.obligations import notify
from sekisho.parts import Parts
from sekisho.ports import BackendReply, Charge
from sekisho.releasing.outcome import Outcome, cause_of
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Answer, Whole
from sekisho.releasing.sampling import About, about
from sekisho.stages.decide import decide
from sekisho.stages.describe import spender_of
from sekisho.stages.drafts import outstanding
from sekisho.stages.forward import forward
from sekisho.stages.guard import Guard
from sekisho.stages.record import record
from sekisho.stages.release import gather, release
from sekisho_audit.events import Event

HALTED_INTENT = "halted_intent"  # auditd's word for what a switch stops
OPEN_DRAFTS = "drafts_outstanding"  # and for who has to say first what became of earlier answers
APPROVED_WAIT_S = 90  # for room under a limit: a minute that is full, and some


@dataclass(slots=True)
class Progress:
    """How far an exchange came: what a refusal has to be recorded with."""

    stage: str
    before: tuple[Event, ...]


class Dispatch:
    """One per worker; keeps no state of any exchange."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.kept = Kept(parts.scanner)

    async def decide(self, facts: Facts) -> Decision:
        """Ask the rules, and note how long they took. Raises PolicyUnavailable."""
        began_s = perf_counter()
        try:
            return await decide(facts, self._parts.engine, self._parts.channels)
        finally:
            stage = facts.document["stage"]
            self._parts.metrics.decision_took(stage, perf_counter() - began_s)

    def guard(self, outgoing: Outgoing, asker: Asker | None = None) -> Guard:
        """What judges the answer to `outgoing`. Grants and openings answer what is held of it for
        `asker`; for nobody where people are at it already.
        """

        async def ask(facts: Facts) -> Decision:
            decision = await self.decide(facts)
            stage, known = facts.document["stage"], outgoing.decision.obligations.notify
            await self.tell(outgoing.exchange, stage, decision, known)
            return decision

        parts, granted, opened = self._parts, None, None
        if asker is not None:
            asking = Asking(asker.principal, asker.person, asker.groups)
            if parts.granting is not None:
                granted = partial(parts.granting.answer, asking)
            if parts.glass is not None:
                opened = partial(parts.glass.answer, asking, outgoing.backend)
        return Guard(outgoing, parts.scanner, ask, parts.halts, granted, opened=opened)

    async def tell(
        self, exchange: str, stage: str, decision: Decision, known: Sequence[str] = ()
    ) -> None:
        """Carry out `notify`: the channels but those `known` are told. A hold tells of itself.

        Raises Unavailable (`not_told`, or of the store) if that cannot be promised; about a deny
        nothing is raised: it stands, told or not.
        """
        outbox, denied = self._parts.outbox, decision.effect is Effect.DENY
        names = notify.apply(decision, self._parts.channels, known)
        if not names or outbox is None:
            return
        told = decided(exchange, stage, decision, names, self._parts.clock.now_us())
        try:
            if await outbox.post(told) and not denied:
                message = (
                    "A rule wants people to be told of this, and too much waits to be told. "
                    "Nothing was let through. Try again later."
                )
                raise Unavailable(message, code="not_told")
        except HoldStoreUnavailable:
            if not denied:
                raise

    async def send(
        self, cleared: Clearance, charge: Charge, asker: Asker
    ) -> Whole | Stream | HoldView:
        """Send once and give back the answer as it comes, or the hold that keeps it for people."""
        said = about(cleared.outgoing, asker.person)
        answer, outcome = await self._dispatch(cleared, charge, said)
        return await release(
            answer,
            outcome,
            self.kept.answer,
            judge=self.guard(cleared.outgoing, asker),
            hold=partial(self._hold, cleared, asker, None),
            answer_bytes_max=self._parts.limits.answer_bytes_max,
        )

    async def send_whole(
        self,
        cleared: Clearance,
        charge: Charge,
        asker: Asker,
        place: Place,
        said: About | None = None,
    ) -> Whole | HoldView:
        """As `send`, of an answer that is read to its end first: nobody may be waiting for it, or
        nobody may see it before. `place` is where it is held, `said` what a draw of it says, if
        not what the decision says.
        """
        said = said or about(cleared.outgoing, asker.person)
        answer, outcome = await self._dispatch(cleared, charge, said)
        return await gather(
            answer,
            outcome,
            self.kept.answer,
            judge=self.guard(cleared.outgoing, asker),
            hold=partial(self._hold, cleared, asker, place),
            answer_bytes_max=self._parts.limits.answer_bytes_max,
        )

    async def _hold(
        self, cleared: Clearance, asker: Asker, place: Place | None, held: HeldAnswer
    ) -> HoldView:
        filing = self._parts.filing
        place = place or filing.place_alone(asker)
        told = replace(held, opening=cleared.opening)
        try:
            view = await filing.file_answer(cleared.outgoing, told, asker, place)
        except Exception:
            held.abandon("internal_fault")  # unless an outcome was given
            raise
        self._parts.metrics.hold_entered("pending")
        return view

    async def charge(self, cleared: Clearance, *, forced: bool = False) -> Charge:
        """Set aside what this exchange may use of its limits; refused if it is not there."""
        outgoing = cleared.outgoing
        spender = spender_of(outgoing.facts)
        return await self._parts.limiter.reserve(spender, outgoing.estimate, forced=forced)

    async def charge_patiently(self, cleared: Clearance) -> Charge:
        """As `charge`, but a full minute or full places are waited out for what people approved:
        their work is not thrown away for it. The lease is renewed meanwhile.
        """
        waited_s = 0
        while True:
            try:
                return await self.charge(cleared)
            except BudgetExhausted:
                raise
            except LimitReached as error:
                if error.retry_after_s is None:
                    raise
                waited_s += error.retry_after_s
                if waited_s > APPROVED_WAIT_S:
                    raise
                await asyncio.sleep(error.retry_after_s)

    async def _forward(self, recorded: Recorded) -> BackendReply:
        began_s = perf_counter()
        try:
            return await forward(recorded, self._parts.backend)
        finally:
            backend = recorded.clearance.outgoing.backend
            self._parts.metrics.backend_took(backend, perf_counter() - began_s)

    async def _dispatch(
        self, cleared: Clearance, charge: Charge, said: About
    ) -> tuple[Answer, Outcome]:
        """Record and forward; once more, as another intent, if a kept-alive connection was dead.

        An approval is good for one sending, and so is a grant: a second attempt is not for these.
        """
        try:
            return await self._attempt(cleared, charge, said, 1)
        except BackendFailed as error:
            answered = cleared.approval is not None or cleared.granted
            if error.code != "backend_disconnected" or answered:
                raise
        return await self._attempt(cleared, await self.charge(cleared, forced=True), said, 2)

    async def _attempt(
        self, cleared: Clearance, charge: Charge, said: About, attempt: int
    ) -> tuple[Answer, Outcome]:
        parts = self._parts
        later = parts.unsettled.add
        recorded = None
        try:
            await parts.halts.check(Reach.of(cleared.outgoing))
            recorded = await record(
                cleared,
                parts.ledger,
                session=parts.session,
                later=later,
                charged=charge.reserved,
                attempt=attempt,
            )
        except (LedgerRefused, Halted, HaltUnknown) as error:
            # Refused as one batch: what was received and decided is on record all the same.
            outgoing, why = cleared.outgoing, _said(error)
            before = outgoing.before if attempt == 1 else ()
            progress = Progress("record", before)
            await self.refuse(outgoing.exchange, outgoing.principal, progress, why)
            raise why from error
        finally:
            if recorded is None:
                charge.settle(None, None)
        sampling = parts.sampling
        draw = None
        if sampling is not None:
            draw = sampling.begin(cleared.outgoing, said, cleared.opening)
        outcome = Outcome(recorded, parts.ledger, later, charge, draw)
        try:
            return Answer(recorded, await self._forward(recorded)), outcome
        except BackendFailed as error:
            await outcome.settle("failed", {"cause": error.code})
            raise
        except asyncio.CancelledError as gone:
            await outcome.settle("cancelled", {"cause": cause_of(gone)})
            raise

    async def refuse(
        self, exchange: str, principal: str, progress: Progress, error: SekishoError
    ) -> None:
        """Record that it ended here. Raises LedgerUnavailable: then that is what is said."""
        refused = evidence.refused(exchange, principal, error.code, error.status, progress.stage)
        await self._parts.ledger.append([*progress.before, refused])


def _said(error: LedgerRefused | Halted | HaltUnknown) -> SekishoError:
    """The refusal as it is told: a switch that the ledger knew first is a switch."""
    if error.code == OPEN_DRAFTS:
        return outstanding()
    if error.code != HALTED_INTENT:
        return error
    return Halted("An operator has just stopped this. Nothing was sent; ask an operator why.")
