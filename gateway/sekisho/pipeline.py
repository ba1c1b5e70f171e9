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
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Literal

import orjson

from sekisho.clearance import Clearance
from sekisho.dispatch import Dispatch, Progress
from sekisho.errors import (
    BadRequest,
    DeniedByPolicy,
    InternalFault,
    LimitsUnavailable,
    SekishoError,
)
from sekisho.holding.file import asker_of
from sekisho.model import evidence
from sekisho.model.break_glass import Need, need
from sekisho.model.decision import Decision, Effect, HoldTerms
from sekisho.model.exchange import Exchange
from sekisho.model.facts import Facts
from sekisho.model.grants import Asking, Wanted, rules_of
from sekisho.model.halts import Reach
from sekisho.model.hold import HoldView, Pace
from sekisho.model.ids import uuid7
from sekisho.model.limits import Estimate
from sekisho.model.outgoing import Outgoing
from sekisho.model.principal import Principal, Shown
from sekisho.obligations import pin_route
from sekisho.parts import Parts
from sekisho.ports import Charge
from sekisho.releasing.gathering import Gathering, within
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole, told_before
from sekisho.resume import Resume
from sekisho.revise import Revise
from sekisho.stages.clear import Held, clear, clear_granted
from sekisho.stages.describe import describe, spender_of
from sekisho.stages.drafts import check_drafts, open_drafts
from sekisho.stages.foretell import Known, foretell
from sekisho.stages.guard import reads_whole
from sekisho.stages.identify import identify, may_ask, within_credential
from sekisho.stages.prepare import prepare
from sekisho.stages.receive import RawRequest, receive
from sekisho_audit.events import Event

BACKGROUND = HoldTerms(stage="request", thresholds=(), ttl_s=3600, risk=0)
"""On which terms a request is kept that nobody has to answer and no client waits for: it starts at
once; after an hour of outage nobody wants it any more."""


class Pipeline:
    """One per worker; keeps no state of any exchange."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._dispatch = Dispatch(parts)
        self._resume = Resume(parts, self._dispatch)
        self.revise = Revise(parts, self._dispatch).revise

    async def identify(self, shown: Shown) -> Principal:
        """Who asks, known from the request's head alone: a stranger's body is never read."""
        return await identify(shown, self._parts.directory)

    async def handle(
        self, principal: Principal, raw: RawRequest
    ) -> Whole | Stream | Gathering | HoldView:
        """Take one request along the line: an answer, one under way, or a hold to wait for.

        Raises the SekishoError that ended it, recorded, with its exchange id.
        """
        exchange = await self._receive(raw, principal)
        progress = Progress("describe", (evidence.received(exchange, principal, None),))
        async with self._refusals(exchange.id, principal.id, progress):
            cleared = await self._clear(exchange, principal, progress)
            if isinstance(cleared, Held):
                progress.stage = "hold"
                return await self._filed(cleared, exchange, principal)
            outgoing = cleared.outgoing
            charge = None
            if not reads_whole(outgoing.decision):
                charge = await self._charged(cleared)
        if charge is not None:
            with _named(exchange.id):
                asker = asker_of(exchange, principal, outgoing)
                return await self._dispatch.send(cleared, charge, asker)
        whole = self._whole(exchange, principal, cleared, progress)
        if not outgoing.stream:
            return await whole
        told = {"x-sekisho-exchange": exchange.id, **told_before(cleared)}
        return await within(whole, self._parts.limits.silent_s_max, told)

    @asynccontextmanager
    async def _refusals(
        self, exchange: str, principal: str, progress: Progress
    ) -> AsyncIterator[None]:
        """What ends it here is recorded before it is said."""
        try:
            yield
        except SekishoError as error:
            error.exchange = exchange
            await self._dispatch.refuse(exchange, principal, progress, error)
            raise
        except asyncio.CancelledError:
            self._parts.unsettled.add(evidence.cancelled(exchange, principal, progress.stage))
            raise
        except Exception as error:
            # Whatever broke here is our fault, and an outcome with its own event like any other.
            fault = InternalFault()
            fault.exchange = exchange
            await self._dispatch.refuse(exchange, principal, progress, fault)
            raise fault from error

    async def _filed(self, held: Held, exchange: Exchange, principal: Principal) -> HoldView:
        """The hold that stands for the request."""
        view = await self._parts.filing.file(held.outgoing, held.terms, exchange, principal)
        if view.hold.exchange == exchange.id:  # else it joined one that was counted
            self._parts.metrics.hold_entered("pending")
        return view

    async def _whole(
        self, exchange: Exchange, principal: Principal, cleared: Clearance, progress: Progress
    ) -> Whole | HoldView:
        """Sent, and read to its end; an equal request that is under way is waited for first."""
        filing = self._parts.filing
        async with self._refusals(exchange.id, principal.id, progress):
            place = await filing.expect(exchange, principal, patient=cleared.outgoing.stream)
            if isinstance(place, HoldView):
                return place
            try:
                charge = await self._charged(cleared)
            except BaseException:
                await filing.give_up(place)
                raise
        with _named(exchange.id):
            try:
                asker = asker_of(exchange, principal, cleared.outgoing)
                return await self._dispatch.send_whole(cleared, charge, asker, place)
            finally:
                await filing.give_up(place)

    async def _charged(self, cleared: Clearance) -> Charge:
        """What it may use, set aside; then whoever the rules want told is told, and not before:
        limits bound that, too.
        """
        charge = await self._dispatch.charge(cleared)
        outgoing = cleared.outgoing
        try:
            await self._dispatch.tell(outgoing.exchange, "request", outgoing.decision)
        except BaseException:
            charge.settle(None, None)
            raise
        return charge

    async def check(self, principal: Principal, raw: RawRequest, language: str = "en") -> bytes:
        """What would happen to this request, as JSON; nothing is sent and no content kept.

        It is recorded and counts as a request, so that nobody tries the rules unseen or without
        end. Raises as `handle`, but for a deny by the rules, which is an answer here.
        """
        exchange = await self._receive(raw, principal)
        progress = Progress("describe", (evidence.received(exchange, principal, None),))
        try:
            within_credential(principal, exchange.asked)
            await self._admit(exchange, principal)
            facts = await self._describe(exchange, principal)
            progress.stage = "decide"
            decision = await self._dispatch.decide(facts)
            document = orjson.dumps(facts.document)
            decided = evidence.decided(exchange.id, principal.id, "request", decision, document)
            progress.before = (*progress.before, decided)
            progress.stage = "check"
            made = self._made(exchange, principal, facts, decision, progress.before)
            if isinstance(made, Outgoing):
                await self._count(made)
            known = await self._known(decision, principal, made)
            told = foretell(exchange.id, facts, decision, made, known, language=language)
            event = evidence.checked(exchange.id, principal.id, told["effect"])
            await self._parts.ledger.append([*progress.before, event])
        except SekishoError as error:
            error.exchange = exchange.id
            await self._dispatch.refuse(exchange.id, principal.id, progress, error)
            raise
        return orjson.dumps(told)

    async def _known(
        self, decision: Decision, principal: Principal, made: Outgoing | DeniedByPolicy
    ) -> Known:
        """What a check tells beside what the rules say. Uses nothing up."""
        lately = await self._lately(decision)
        if isinstance(made, DeniedByPolicy) or decision.effect is Effect.DENY:
            return Known(lately)
        counted = decision.obligations.drafts_max is not None
        waiting = await open_drafts(principal, self._parts.ledger) if counted else ()
        return Known(lately, self._answered_by(made, principal), len(waiting))

    def _answered_by(
        self, outgoing: Outgoing, principal: Principal
    ) -> Literal["grant", "break_glass"] | None:
        """What would answer in place of people; as `_granted`, which also records it."""
        terms, parts = outgoing.decision.obligations.hold, self._parts
        wanted = None if terms is None else _wanted(Held(outgoing, terms))
        if terms is None or wanted is None:
            return None
        asking = Asking(principal.id, principal.person, principal.groups)
        if parts.granting is not None and parts.granting.would_answer(asking, wanted):
            return "grant"
        needed = _needed(Held(outgoing, terms))
        if parts.glass is not None and needed is not None:
            return "break_glass" if parts.glass.would_answer(asking, needed) else None
        return None

    async def _lately(self, decision: Decision) -> Mapping[str, Pace]:
        asked = decision.obligations
        terms = [*([asked.hold] if asked.hold else []), *asked.hold_later]
        reviewers = {one.reviewers for each in terms for one in each.thresholds}
        return await self._parts.holds.lately(sorted(reviewers)) if reviewers else {}

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
        """Claim an approved hold and finish it; nothing if another worker did. See resume.py."""
        await self._resume.resume(hold_id)

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
            progress = Progress("receive", ())
            await self._dispatch.refuse(error.exchange, principal.id, progress, error)
            raise

    async def _clear(
        self, exchange: Exchange, principal: Principal, progress: Progress
    ) -> Clearance | Held:
        """The middle of the line: describe, decide, prepare, clear."""
        within_credential(principal, exchange.asked)
        await self._admit(exchange, principal)
        facts = await self._describe(exchange, principal)
        progress.stage = "decide"
        decision = await self._dispatch.decide(facts)
        progress.stage = "prepare"
        level = decision.obligations.log_level
        stored = await self._dispatch.kept.request(
            exchange.body, exchange.parsed, facts.found, level
        )
        document = orjson.dumps(facts.document)
        progress.before = (
            evidence.received(exchange, principal, stored),
            evidence.decided(exchange.id, principal.id, "request", decision, document),
        )
        outgoing = self._prepare(exchange, principal, facts, decision, progress.before)
        progress.stage = "clear"
        if decision.effect is not Effect.DENY:
            await check_drafts(decision, principal, self._parts.ledger)
        try:
            cleared = clear(outgoing)
        except DeniedByPolicy:
            with suppress(LimitsUnavailable):  # what is denied is denied, counted or not
                await self._count(outgoing, forced=True)
            await self._dispatch.tell(exchange.id, "request", decision)
            raise
        if exchange.background and not isinstance(cleared, Held):
            cleared = Held(outgoing, BACKGROUND)
        elif isinstance(cleared, Held) and not exchange.background:
            cleared = await self._granted(cleared, exchange, principal)
        if isinstance(cleared, Held):
            await self._count(outgoing)
            await self._dispatch.tell(exchange.id, "request", decision)
        return cleared

    async def _granted(
        self, held: Held, exchange: Exchange, principal: Principal
    ) -> Clearance | Held:
        """What is held, or a clearance where people agreed to it in advance, or whoever asks opened
        it in an emergency. What people have before them already is theirs to answer: else it would
        be sent twice. Raises LedgerUnavailable, HoldStoreUnavailable.
        """
        granting, wanted = self._parts.granting, _wanted(held)
        if wanted is None or await self._parts.filing.waits(exchange, principal):
            return held
        *before, _ = held.outgoing.before
        asking = Asking(principal.id, principal.person, principal.groups)
        if granting is not None and await granting.answer(asking, [wanted], before):
            return clear_granted(held)
        opening = await self._opened(held, asking)
        return clear_granted(held, opening) if opening else held

    async def _opened(self, held: Held, asking: Asking) -> str:
        """The opening that lets it go on; "" where there is none."""
        glass, outgoing = self._parts.glass, held.outgoing
        *before, _ = outgoing.before
        asked = _needed(held)
        if glass is None or asked is None:
            return ""
        return await glass.answer(asking, outgoing.backend, [asked], before)

    async def _admit(self, exchange: Exchange, principal: Principal) -> None:
        """Raises Halted before anything is looked at that an operator stopped, or HaltUnknown."""
        backend = self._parts.catalog.backend_for(exchange.model)
        to = backend.id if backend else ""
        assistant = exchange.asked if exchange.assistant else ""
        reach = Reach(principal.groups, exchange.model, to, assistant=assistant)
        await self._parts.halts.check(reach)

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
            halt=parts.halts.standing.everything,
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

    def _routed(self, facts: Facts, decision: Decision, model: str) -> Facts:
        """The facts with the backend that policy sends this to. Raises DeniedByPolicy."""
        route = decision.obligations.route
        if route is None:
            return facts
        backend = pin_route.apply(route, model, facts.backend, self._parts.catalog)
        return replace(facts, backend=backend)


def _wanted(held: Held) -> Wanted | None:
    """What a grant would have to answer; None if none can."""
    outgoing, asked = held.outgoing, held.outgoing.decision
    rules = rules_of(asked, evidence.REASONS_MAX)
    if rules is None or asked.effect is not Effect.HOLD or asked.obligations.justify:
        return None
    return Wanted(outgoing.before[-1], "request", outgoing.backend, held.terms, rules)


def _needed(held: Held) -> Need | None:
    """What an opening would have to answer; None if none can."""
    decided, asked = held.outgoing.before[-1], held.outgoing.decision
    return need(decided, "request", asked, (), evidence.REASONS_MAX)


@contextmanager
def _named(exchange: str) -> Iterator[None]:
    """What goes wrong says of which exchange."""
    try:
        yield
    except SekishoError as error:
        error.exchange = exchange
        raise
