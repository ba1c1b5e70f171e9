"""The straight line of a request, and the way back onto it for one that people had to answer.

    identify -> receive -> describe -> decide -> prepare -> clear -> record -> forward -> release

`handle` takes a request along the whole line or leaves it with the people who must answer (`clear`
wants a hold). `resume` is called by whichever worker wins the claim of an approved hold, whether or
not a client still waits; it enters at `decide` with the stored bytes. A refusal anywhere is
recorded before it is said; what cannot be recorded is refused. `identify` is asked from the head of
the request, before its body is read, so that strangers cost nothing (docs/adr/0004).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import perf_counter

import orjson

from sekisho.clearance import Clearance, Recorded
from sekisho.content.kept import Kept
from sekisho.errors import (
    BackendFailed,
    BadRequest,
    BudgetExhausted,
    DeniedByPolicy,
    HoldStoreUnavailable,
    InternalFault,
    LedgerRefused,
    LimitReached,
    LimitsUnavailable,
    SekishoError,
)
from sekisho.holding.keep import keep
from sekisho.holding.tally import approvers
from sekisho.model import evidence
from sekisho.model.decision import Decision, Effect
from sekisho.model.exchange import Exchange
from sekisho.model.facts import Facts
from sekisho.model.hold import Hold, HoldView, Pace, StoredAnswer
from sekisho.model.ids import uuid7
from sekisho.model.limits import Estimate
from sekisho.model.office import training
from sekisho.model.outgoing import Outgoing
from sekisho.model.principal import Principal, Shown
from sekisho.obligations import pin_route
from sekisho.parts import Parts
from sekisho.ports import BackendReply, Charge
from sekisho.stages.clear import Held, clear, clear_approved
from sekisho.stages.decide import decide
from sekisho.stages.describe import describe, spender_of, standing_facts
from sekisho.stages.foretell import foretell
from sekisho.stages.forward import forward
from sekisho.stages.identify import identify, may_ask, within_credential
from sekisho.stages.prepare import prepare, unchanged
from sekisho.stages.receive import RawRequest, receive
from sekisho.stages.record import record
from sekisho.stages.release import (
    Answer,
    Outcome,
    Stream,
    Whole,
    cause_of,
    gather,
    release,
)
from sekisho_audit.events import Event

APPROVED_WAIT_S = 90  # for room under a limit: a minute that is full, and some


@dataclass(slots=True)
class _Progress:
    """How far an exchange came: what a refusal has to be recorded with."""

    stage: str
    before: tuple[Event, ...]


class Pipeline:
    """One per worker; keeps no state of any exchange."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._kept = Kept(parts.scanner)

    async def identify(self, shown: Shown) -> Principal:
        """Who asks, known from the request's head alone: a stranger's body is never read."""
        return await identify(shown, self._parts.directory)

    async def handle(self, principal: Principal, raw: RawRequest) -> Whole | Stream | HoldView:
        """Take one request along the line: an answer, one under way, or a hold to wait for.

        Raises the SekishoError that ended it, recorded, with its exchange id.
        """
        exchange = await self._receive(raw, principal)
        progress = _Progress("describe", (evidence.received(exchange, principal, None),))
        try:
            cleared = await self._clear(exchange, principal, progress)
            if isinstance(cleared, Held):
                progress.stage = "hold"
                filing = self._parts.filing
                view = await filing.file(cleared.outgoing, cleared.terms, exchange, principal)
                if view.hold.exchange == exchange.id:  # else it joined one that was counted
                    self._parts.metrics.hold_entered("pending")
                return view
            charge = await self._charge(cleared)
        except SekishoError as error:
            error.exchange = exchange.id
            await self._refuse(exchange.id, principal.id, progress, error)
            raise
        except asyncio.CancelledError:
            gone = evidence.cancelled(exchange.id, principal.id, progress.stage)
            self._parts.unsettled.add(gone)
            raise
        except Exception as error:
            # Whatever broke here is our fault, and an outcome with its own event like any other.
            fault = InternalFault()
            fault.exchange = exchange.id
            await self._refuse(exchange.id, principal.id, progress, fault)
            raise fault from error
        try:
            answer, outcome = await self._dispatch(cleared, charge)
            limit = self._parts.limits.answer_bytes_max
            return await release(answer, outcome, self._kept.answer, answer_bytes_max=limit)
        except SekishoError as error:
            error.exchange = exchange.id
            raise

    async def check(self, principal: Principal, raw: RawRequest, language: str = "en") -> bytes:
        """What would happen to this request, as JSON; nothing is sent and no content kept.

        It is recorded and counts as a request, so that nobody tries the rules unseen or without
        end. Raises as `handle`, but for a deny by the rules, which is an answer here.
        """
        exchange = await self._receive(raw, principal)
        progress = _Progress("describe", (evidence.received(exchange, principal, None),))
        try:
            within_credential(principal, exchange.asked)
            facts = await self._describe(exchange, principal)
            progress.stage = "decide"
            decision = await self._decide(facts)
            document = orjson.dumps(facts.document)
            decided = evidence.decided(exchange.id, principal.id, "request", decision, document)
            progress.before = (*progress.before, decided)
            progress.stage = "check"
            made = self._made(exchange, principal, facts, decision, progress.before)
            if isinstance(made, Outgoing):
                await self._count(made)
            lately = await self._lately(decision)
            told = foretell(exchange.id, facts, decision, made, lately, language=language)
            event = evidence.checked(exchange.id, principal.id, told["effect"])
            await self._parts.ledger.append([*progress.before, event])
        except SekishoError as error:
            error.exchange = exchange.id
            await self._refuse(exchange.id, principal.id, progress, error)
            raise
        return orjson.dumps(told)

    async def _lately(self, decision: Decision) -> Mapping[str, Pace]:
        terms = decision.obligations.hold
        if terms is None:
            return {}
        return await self._parts.holds.lately([one.reviewers for one in terms.thresholds])

    def _made(
        self,
        exchange: Exchange,
        principal: Principal,
        facts: Facts,
        decision: Decision,
        before: tuple[Event, ...],
    ) -> Outgoing | DeniedByPolicy:
        try:
            return self._prepare(exchange, principal, facts, decision, before)
        except DeniedByPolicy as error:
            return error

    async def resume(self, hold_id: str) -> None:
        """Claim an approved hold, send it once, keep its answer; nothing if another worker did.

        The rules are asked again with the approval: a newer deny wins. Whatever ends it is kept
        with the hold for whoever asks, and recorded.
        """
        holds = self._parts.holds
        claim = f"{self._parts.session}-{uuid7()}"
        hold = await holds.claim(hold_id, claim)
        if hold is None:
            return
        lease = asyncio.create_task(self._renew(hold_id, claim))
        try:
            whole = await self._send_approved(hold)
        except SekishoError as error:
            await holds.fail(hold_id, claim, error.code)
        else:
            answer = StoredAnswer(whole.status, whole.headers["content-type"], whole.body)
            await keep(holds, hold_id, claim, answer, within_s=self._parts.lease_s)
        finally:
            lease.cancel()

    async def _renew(self, hold_id: str, claim: str) -> None:
        """Keep the lease while this worker lives; a lost one ends the hold as unknown."""
        alive = True
        while alive:
            await asyncio.sleep(self._parts.lease_s / 3)
            with suppress(HoldStoreUnavailable):  # it may be back before the lease is over
                alive = await self._parts.holds.renew(hold_id, claim)

    async def _send_approved(self, hold: Hold) -> Whole:
        parts = self._parts
        progress = _Progress("decide", ())
        try:
            await self._still_here(hold)
            view = await parts.holds.get(hold.id)
            approved_by = approvers(view.reviews) if view else []
            facts = await self._with_approval(hold, approved_by)
            decision = await self._decide(facts)
            document = orjson.dumps(facts.document)
            progress.before = (
                evidence.decided(hold.exchange, hold.principal, "request", decision, document),
            )
            progress.stage = "clear"
            facts = await self._found_again(facts, decision, hold.outgoing)
            outgoing = Outgoing(
                exchange=hold.exchange,
                principal=hold.principal,
                backend=hold.backend,
                model=hold.model,
                endpoint=hold.endpoint,
                path=parts.path_of(hold.backend, hold.endpoint),
                body=hold.outgoing,
                stream=hold.stream,
                facts=facts,
                decision=decision,
                before=progress.before,
            )
            why = view is not None and view.justification is not None
            ready = unchanged(outgoing, parts.catalog)
            cleared = clear_approved(ready, hold, len(approved_by), justified=why)
            charge = await self._charge_patiently(cleared)
        except SekishoError as error:
            await self._refuse(hold.exchange, hold.principal, progress, error)
            raise
        answer, outcome = await self._dispatch(cleared, charge)
        limit = parts.limits.answer_bytes_max
        return await gather(answer, outcome, self._kept.answer, answer_bytes_max=limit)

    async def _found_again(self, facts: Facts, decision: Decision, body: bytes) -> Facts:
        """The facts with what stands in the approved bytes, if policy wants something masked."""
        if not decision.obligations.redact:
            return facts
        scan = await asyncio.to_thread(self._parts.scanner.scan, orjson.loads(body))
        return replace(facts, found=scan.found)

    async def _still_here(self, hold: Hold) -> None:
        """Raises DeniedByPolicy (`policy_principal_gone`) if who asked may not ask any more."""
        if not await self._parts.directory.may_ask(hold.principal):
            message = "Whoever asked this may not ask any more, so it was not sent."
            raise DeniedByPolicy(message, code="policy_principal_gone")

    async def _charge_patiently(self, cleared: Clearance) -> Charge:
        """As `_charge`, but a full minute or full places are waited out for what people approved:
        their work is not thrown away for it. The lease is renewed meanwhile.
        """
        waited_s = 0
        while True:
            try:
                return await self._charge(cleared)
            except BudgetExhausted:
                raise
            except LimitReached as error:
                if error.retry_after_s is None:
                    raise
                waited_s += error.retry_after_s
                if waited_s > APPROVED_WAIT_S:
                    raise
                await asyncio.sleep(error.retry_after_s)

    async def _with_approval(self, hold: Hold, approved_by: Sequence[str]) -> Facts:
        """The facts as they are now: approved, at this time, with what is left of the limits."""
        document = orjson.loads(hold.facts)
        if hold.thresholds:  # a reason alone is nobody's approval
            document["approval"] = {"state": "approved", "by": list(approved_by)}
        context = document["context"]
        now_us, asker = self._parts.clock.now_us(), document["principal"]
        context |= self._parts.office.facts(now_us)
        asker["training"] = training(asker["training_until"], now_us)
        facts = Facts(document=document, backend=hold.backend, found=())
        standing = await self._parts.limiter.standing(spender_of(facts))
        context["spend"], context["limits"] = standing_facts(standing)
        return facts

    async def models(self, principal: Principal) -> bytes:
        """The models that may be named with this credential, in the shape of `GET /v1/models`."""
        listed = self._parts.catalog.listed(await self._parts.lists.names())
        assistants = self._parts.assistants().for_groups(principal.groups)
        listed |= dict.fromkeys(assistants, "sekisho")
        data = [
            {"id": model, "object": "model", "created": 0, "owned_by": backend}
            for model, backend in listed.items()
            if may_ask(principal, model)
        ]
        return orjson.dumps({"object": "list", "data": data})

    async def _receive(self, raw: RawRequest, principal: Principal) -> Exchange:
        parts = self._parts
        try:
            return receive(
                raw,
                depth_max=parts.limits.json_depth_max,
                now_us=parts.clock.now_us(),
                assistants=parts.assistants(),
            )
        except BadRequest as error:
            error.exchange = uuid7()
            progress = _Progress("receive", ())
            await self._refuse(error.exchange, principal.id, progress, error)
            raise

    async def _clear(
        self, exchange: Exchange, principal: Principal, progress: _Progress
    ) -> Clearance | Held:
        """The middle of the line: describe, decide, prepare, clear."""
        within_credential(principal, exchange.asked)
        facts = await self._describe(exchange, principal)
        progress.stage = "decide"
        decision = await self._decide(facts)
        progress.stage = "prepare"
        level = decision.obligations.log_level
        stored = await self._kept.request(exchange.body, exchange.parsed, facts.found, level)
        document = orjson.dumps(facts.document)
        progress.before = (
            evidence.received(exchange, principal, stored),
            evidence.decided(exchange.id, principal.id, "request", decision, document),
        )
        outgoing = self._prepare(exchange, principal, facts, decision, progress.before)
        progress.stage = "clear"
        try:
            cleared = clear(outgoing)
        except DeniedByPolicy:
            with suppress(LimitsUnavailable):  # what is denied is denied, counted or not
                await self._count(outgoing, forced=True)
            raise
        if isinstance(cleared, Held):
            await self._count(outgoing)
        return cleared

    async def _describe(self, exchange: Exchange, principal: Principal) -> Facts:
        parts = self._parts
        return await describe(
            exchange,
            principal,
            parts.catalog,
            parts.scanner,
            limiter=parts.limiter,
            now_us=parts.clock.now_us(),
            office=parts.office,
        )

    def _prepare(
        self,
        exchange: Exchange,
        principal: Principal,
        facts: Facts,
        decision: Decision,
        before: tuple[Event, ...],
    ) -> Outgoing:
        if decision.effect is not Effect.DENY:
            facts = self._routed(facts, decision, exchange.model)
        to = facts.backend
        path = self._parts.path_of(to, exchange.endpoint) if to else ""
        return prepare(exchange, principal, facts, decision, path=path, before=before)

    async def _count(self, outgoing: Outgoing, *, forced: bool = False) -> None:
        """Count a request that does not leave now, so that limits on requests bound what people
        are asked to review and what is tried against the rules.
        """
        if outgoing.backend:
            spender = spender_of(outgoing.facts)
            limiter = self._parts.limiter
            charge = await limiter.reserve(spender, Estimate(0, 0), forced=forced)
            charge.settle({"tokens": 0, "spend_micros": 0}, None)

    async def _decide(self, facts: Facts) -> Decision:
        began_s = perf_counter()
        try:
            return await decide(facts, self._parts.engine)
        finally:
            self._parts.metrics.decision_took("request", perf_counter() - began_s)

    def _routed(self, facts: Facts, decision: Decision, model: str) -> Facts:
        """The facts with the backend that policy sends this to. Raises DeniedByPolicy."""
        route = decision.obligations.route
        if route is None:
            return facts
        backend = pin_route.apply(route, model, facts.backend, self._parts.catalog)
        return replace(facts, backend=backend)

    async def _forward(self, recorded: Recorded) -> BackendReply:
        began_s = perf_counter()
        try:
            return await forward(recorded, self._parts.backend)
        finally:
            backend = recorded.clearance.outgoing.backend
            self._parts.metrics.backend_took(backend, perf_counter() - began_s)

    async def _charge(self, cleared: Clearance, *, forced: bool = False) -> Charge:
        """Set aside what this exchange may use of its limits; refused if it is not there."""
        outgoing = cleared.outgoing
        spender = spender_of(outgoing.facts)
        return await self._parts.limiter.reserve(spender, outgoing.estimate, forced=forced)

    async def _dispatch(self, cleared: Clearance, charge: Charge) -> tuple[Answer, Outcome]:
        """Record and forward; once more, as another intent, if a kept-alive connection was dead.

        An approval is good for one sending, so a held exchange gets no second attempt.
        """
        try:
            return await self._attempt(cleared, charge, 1)
        except BackendFailed as error:
            if error.code != "backend_disconnected" or cleared.approval is not None:
                raise
        return await self._attempt(cleared, await self._charge(cleared, forced=True), 2)

    async def _attempt(
        self, cleared: Clearance, charge: Charge, attempt: int
    ) -> tuple[Answer, Outcome]:
        parts = self._parts
        later = parts.unsettled.add
        recorded = None
        try:
            recorded = await record(
                cleared,
                parts.ledger,
                session=parts.session,
                later=later,
                charged=charge.reserved,
                attempt=attempt,
            )
        except LedgerRefused as error:
            # Refused as one batch: what was received and decided is on record all the same.
            outgoing = cleared.outgoing
            before = outgoing.before if attempt == 1 else ()
            progress = _Progress("record", before)
            await self._refuse(outgoing.exchange, outgoing.principal, progress, error)
            raise
        finally:
            if recorded is None:
                charge.settle(None, None)
        outcome = Outcome(recorded, parts.ledger, later, charge)
        try:
            return Answer(recorded, await self._forward(recorded)), outcome
        except BackendFailed as error:
            await outcome.settle("failed", {"cause": error.code})
            raise
        except asyncio.CancelledError as gone:
            await outcome.settle("cancelled", {"cause": cause_of(gone)})
            raise

    async def _refuse(
        self, exchange: str, principal: str, progress: _Progress, error: SekishoError
    ) -> None:
        refused = evidence.refused(exchange, principal, error.code, error.status, progress.stage)
        await self._parts.ledger.append([*progress.before, refused])
