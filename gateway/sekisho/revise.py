"""A reviewer changes the tool calls of a held answer: a new version, which is reviewed anew.

    new arguments   somebody else has to approve what the reviewer wrote
    taken out       the reviewer may approve what is left: they wrote nothing into it

The rules are asked about each new version before it is filed: what they deny is not filed, and what
they want more reviews for is asked of more people. No version asks for fewer than the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from sekisho.content.tool_calls import changed, proposed
from sekisho.dispatch import Dispatch
from sekisho.errors import BadRequest, Conflict, DeniedByPolicy, Halted
from sekisho.holding import binding, names, settle
from sekisho.holding.denial import said
from sekisho.holding.review import check_duties, find
from sekisho.holding.terms import asked_anew, unrelieved
from sekisho.model import steps
from sekisho.model.decision import FIRST_STEP, Decision, Effect, Obligations
from sekisho.model.facts import Facts
from sekisho.model.hold import WAITING, Hold, HoldView, Proposal, ProposalKind
from sekisho.model.outgoing import Outgoing
from sekisho.model.principal import Principal
from sekisho.model.verdict import Verdict
from sekisho.parts import Parts
from sekisho.stages.guard import Guard

BEFORE_BYTES_MAX = 1_048_576  # what a reviewer compares; twice an answer of any size is too much


@dataclass(frozen=True, slots=True)
class Edit:
    """What a reviewer wants changed: by the place of a call in what was shown, its new arguments as
    text, or None to take it out. `binding`, `version` and the open `step` are those of what was
    shown: a new version voids the reviews of the one before, and nobody voids unseen ones.
    """

    changes: Mapping[int, str | None]
    binding: str
    version: int | None = None
    step: int = FIRST_STEP


class Revise:
    """One per worker; keeps no state of any hold."""

    def __init__(self, parts: Parts, dispatch: Dispatch) -> None:
        self._parts = parts
        self._dispatch = dispatch

    async def revise(self, editor: Principal, hold_id: str, edit: Edit) -> HoldView:
        """File the new version and return the hold as it is then.

        Raises NotFound, Forbidden, BadRequest, Conflict, DeniedByPolicy, or Unavailable: it may
        then be filed, and asking for the same again is safe.
        """
        store, ledger = self._parts.holds, self._parts.ledger
        view = await find(store, editor, hold_id)
        hold = view.hold
        check_duties(editor, view)
        if edit.binding != hold.binding or edit.version not in {None, hold.version}:
            message = "The hold is not what you were shown any more. Read it again before you edit."
            raise Conflict(message, code="binding_mismatch")
        if edit.step != steps.open_step_of(view) and view.state in WAITING:
            message = "Another step is open than you were shown. Read it again before you edit."
            raise Conflict(message, code="not_your_turn")
        after = _changed(hold, edit)
        guard = self._dispatch.guard(_asked_before(hold))
        verdict = await _judged(guard, after)
        keys = await ledger.exchange_keys(hold.principal, hold.exchange)
        revised = binding.bind(_version_of(hold, editor, edit, after, verdict), keys.commit)
        await ledger.append(guard.events(verdict))
        proposal = Proposal(
            id=names.decision_id(hold.id, hold.version, "edit", editor.id, revised.binding),
            hold=hold.id,
            version=hold.version,
            kind=ProposalKind.EDIT,
            binding=hold.binding,
            actor=editor.id,
            origin=ledger.origin,
            revised=revised,
        )
        return await settle.decide(store, ledger, hold, proposal)


async def _judged(guard: Guard, after: Mapping[str, Any]) -> Verdict:
    """What the rules say of the new version, about each call in it and about the whole."""
    verdict = await guard.whole(after)
    if verdict.cause == Halted.code:
        raise Halted(verdict.notice.strip("[]"))
    if verdict.effect is Effect.DENY:
        denials = [one.decision for one in verdict.asked if one.decision.effect is Effect.DENY]
        reasons = [reason for decision in denials for reason in decision.reasons]
        if not reasons:
            why = verdict.notice.strip("[]")
            raise BadRequest(why, param="calls", code="tool_call_malformed")
        message = f"The rules do not allow this version: {said(reasons)}"
        raise DeniedByPolicy(message, code="edit_denied")
    return verdict


def _changed(hold: Hold, edit: Edit) -> dict[str, Any]:
    """The answer with these changes. Raises BadRequest for what cannot be changed so."""
    before = orjson.loads(hold.outgoing)
    calls = proposed(before) if hold.stage != "request" else ()
    if not calls:
        raise BadRequest("There is no tool call in this hold; approve or deny it as it is.")
    if not edit.changes or not set(edit.changes) <= set(range(len(calls))):
        message = f"calls must name some of the {len(calls)} calls by their place, from 0 on."
        raise BadRequest(message, param="calls")
    if len(edit.changes) == len(calls) and _only_takes_out(edit):
        raise BadRequest("To take out every call is to deny it: deny it, and say why.")
    after = changed(before, edit.changes)
    if after == before:
        raise BadRequest("Nothing would change.", param="calls")
    return after


def _only_takes_out(edit: Edit) -> bool:
    return all(arguments is None for arguments in edit.changes.values())


def _asked_before(hold: Hold) -> Outgoing:
    """What the guard has to know of the request: its facts, and whether rules see the answer."""
    documents = orjson.loads(hold.facts)
    whole = any(document["stage"] == "response" for document in documents)
    asked = Obligations(review_response=whole, log_level=hold.log_level)
    return Outgoing(
        exchange=hold.exchange,
        principal=hold.principal,
        backend=hold.backend,
        model=hold.model,
        endpoint=hold.endpoint,
        path=hold.path,
        body=b"",
        stream=hold.stream,
        facts=Facts(documents[0], hold.backend, ()),
        decision=Decision(Effect.ALLOW, (), hold.revision, asked),
        before=(),
    )


def _version_of(
    hold: Hold, editor: Principal, edit: Edit, after: Mapping[str, Any], verdict: Verdict
) -> Hold:
    """The next version, not yet bound. It asks for all that this one asked for, and more if the
    rules want more. Its time goes on, so nobody relieves who had no moment in it so far.
    """
    terms = asked_anew(hold, [verdict.terms] if verdict.terms else [])
    thresholds = terms.thresholds if hold.relief_us else unrelieved(terms.thresholds)
    narrowed = _only_takes_out(edit)
    return replace(
        hold,
        version=hold.version + 1,
        stage=terms.stage,
        thresholds=thresholds,
        relief_us=hold.relief_us if any(one.relief for one in thresholds) else 0,
        risk=terms.risk,
        outgoing=orjson.dumps(verdict.rewritten or after),
        facts=orjson.dumps([one.document for one in verdict.asked]),
        editor=editor.id,
        narrowed=narrowed,
        edit_step=edit.step,
        writers=hold.writers if narrowed else tuple(sorted({*hold.writers, editor.id})),
        before=hold.outgoing if len(hold.outgoing) <= BEFORE_BYTES_MAX else b"",
        binding="",
    )
