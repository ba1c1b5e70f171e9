"""The way back onto the line for what people had to answer, once they approved.

    request   asked again with the approval, sent once, its answer kept for who asked, or held
    answer    asked again with the approval, recorded as released, kept for who asked

Whichever worker wins the claim does it, whether or not a client still waits. The rules are asked
again: a newer deny wins, and if they want more reviews than there are, people are asked anew, about
another version of the hold. Whatever ends it is kept with the hold, and recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import orjson

from sekisho.dispatch import Dispatch, Progress
from sekisho.errors import (
    DeniedByPolicy,
    HoldStoreUnavailable,
    LedgerRefused,
    SekishoError,
    Unavailable,
)
from sekisho.holding import anew
from sekisho.holding import evidence as hold_evidence
from sekisho.holding.file import asker_again
from sekisho.holding.keep import keep
from sekisho.holding.tally import approvers
from sekisho.model import evidence
from sekisho.model.decision import Decision, HoldTerms
from sekisho.model.facts import Facts
from sekisho.model.halts import Reach
from sekisho.model.hold import ANSWER_HELD, Hold, HoldView, StoredAnswer
from sekisho.model.ids import uuid7
from sekisho.model.office import training
from sekisho.model.outgoing import Outgoing
from sekisho.model.verdict import Asked
from sekisho.parts import Parts
from sekisho.releasing.sampling import about_hold
from sekisho.stages.clear import Held, clear_approved
from sekisho.stages.describe import spender_of, standing_facts
from sekisho.stages.prepare import unchanged
from sekisho_audit.events import Event


class Resume:
    """One per worker; keeps no state of any exchange."""

    def __init__(self, parts: Parts, dispatch: Dispatch) -> None:
        self._parts = parts
        self._dispatch = dispatch

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
            if hold.stage == "request":
                answer = await self._send_approved(hold, claim)
            else:
                answer = await self._release_approved(hold, claim)
        except Unavailable as error:
            if hold.stage == "request":
                await holds.fail(hold_id, claim, error.code)
            # An answer is still there: when the lease is over it is tried again.
        except SekishoError as error:
            await holds.fail(hold_id, claim, error.code)
        else:
            if answer is not None:
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

    async def _send_approved(self, hold: Hold, claim: str) -> StoredAnswer | None:
        """What came of sending it; None if people are asked anew instead."""
        parts = self._parts
        progress = Progress("decide", ())
        try:
            await self._still_here(hold)
            view = await parts.holds.get(hold.id)
            approved_by = approvers(view.reviews) if view else []
            facts = await self._now(hold, orjson.loads(hold.facts), approved_by)
            decision = await self._dispatch.decide(facts)
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
        except SekishoError as error:
            await self._dispatch.refuse(hold.exchange, hold.principal, progress, error)
            raise
        if isinstance(cleared, Held):
            await self._ask_anew(hold, claim, cleared.terms, [decision], progress)
            return None
        try:
            charge = await self._dispatch.charge_patiently(cleared)
        except SekishoError as error:
            await self._dispatch.refuse(hold.exchange, hold.principal, progress, error)
            raise
        asker, place = asker_again(hold), parts.filing.place_after(hold)
        sent = self._dispatch.send_whole(cleared, charge, asker, place, about_hold(hold))
        return _stored(await sent)

    async def _release_approved(self, hold: Hold, claim: str) -> StoredAnswer | None:
        """The answer that people approved, once the ledger has that it is released; None if people
        are asked anew instead.
        """
        parts = self._parts
        progress = Progress("release", ())
        try:
            await parts.halts.check(Reach.of_hold(hold))
            await self._still_here(hold)
            view = await parts.holds.get(hold.id)
            approved_by = approvers(view.reviews) if view else []
            decided: list[Event] = []
            said: list[Decision] = []
            for document in orjson.loads(hold.facts):
                facts = await self._now(hold, document, approved_by)
                decision = await self._dispatch.decide(facts)
                tool = document["tool"]["name"] if document["tool"] else None
                question = Asked(document["stage"], tool, facts.document, decision)
                decided.append(evidence.asked(hold.exchange, hold.principal, question))
                progress.before = tuple(decided)
                said.append(decision)
            more = anew.more_asked(said, hold, len(approved_by))
            await parts.halts.check(Reach.of_hold(hold))
        except SekishoError as error:
            await self._dispatch.refuse(hold.exchange, hold.principal, progress, error)
            raise
        if more is not None:
            await self._ask_anew(hold, claim, more, said, progress)
            return None
        await parts.ledger.append([*decided, hold_evidence.released(hold)])
        if parts.sampling is not None:
            parts.sampling.released(hold)
        return StoredAnswer(HTTPStatus.OK, "application/json", hold.outgoing)

    async def _ask_anew(
        self,
        hold: Hold,
        claim: str,
        terms: HoldTerms,
        decisions: Sequence[Decision],
        progress: Progress,
    ) -> None:
        """What people approved is not enough by now: they are asked about another version."""
        parts = self._parts
        now_us, office = parts.clock.now_us(), parts.office
        version = anew.next_version(hold, terms, decisions, now_us, office)
        await parts.ledger.append(progress.before)
        try:
            await anew.ask(parts.holds, parts.ledger, hold, claim, version)
        except LedgerRefused as error:
            await self._dispatch.refuse(hold.exchange, hold.principal, progress, error)
            raise
        parts.metrics.hold_entered("pending")

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

    async def _now(self, hold: Hold, document: dict[str, Any], approved_by: Sequence[str]) -> Facts:
        """The facts as they are now: approved, at this time, with what is left of the limits."""
        if hold.thresholds:  # a reason alone is nobody's approval
            document["approval"] = {"state": "approved", "by": list(approved_by)}
        context = document["context"]
        now_us, asker = self._parts.clock.now_us(), document["principal"]
        context |= self._parts.office.facts(now_us)
        context["halt"] = self._parts.halts.standing.everything
        asker["training"] = training(asker["training_until"], now_us)
        facts = Facts(document=document, backend=hold.backend, found=())
        standing = await self._parts.limiter.standing(spender_of(facts))
        context["spend"], context["limits"] = standing_facts(standing)
        return facts


def _stored(answer: Any) -> StoredAnswer:
    """What is kept of an answer with the hold of its request; of a held one, that it is."""
    if isinstance(answer, HoldView):
        return StoredAnswer(HTTPStatus.SEE_OTHER, ANSWER_HELD, answer.hold.id.encode())
    return StoredAnswer(answer.status, answer.headers["content-type"], answer.body)
