"""guard: what of an answer may be given back; the rules are asked before anybody sees it.

    tool call   each one the answer proposes is asked about, at stage `tool_call`
    answer      asked about at stage `response` where the request's decision wants it read whole
    people      the terms that the request's decision set for later stages hold in any case
    grants      what people agreed to in advance answers calls in their place
    break-glass what whoever asked opened in an emergency answers calls and the answer

Only an answer that was read whole can be held or masked. In a stream under way a call that needs a
person is withheld like one that is denied: who asked is told how to get it reviewed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from sekisho.content.scan import Scan, Scanner
from sekisho.content.tool_calls import ToolCall, proposed
from sekisho.errors import Halted, Unavailable
from sekisho.holding.denial import said
from sekisho.holding.terms import together
from sekisho.model import evidence
from sekisho.model.break_glass import Need, need
from sekisho.model.decision import Decision, Effect, HoldTerms
from sekisho.model.facts import Facts
from sekisho.model.grants import Wanted, rules_of
from sekisho.model.halts import Halt, Halts, Reach, halted
from sekisho.model.outgoing import Outgoing
from sekisho.model.verdict import UNTOUCHED, Asked, Verdict
from sekisho.obligations import redact, review_response
from sekisho_audit.events import Event

ARGUMENTS_BYTES_MAX = 16_384  # of one call, as rules see them; the contract's word
CALLS_MAX = 64  # in one answer; clients run them one after another
SCAN_INLINE_BYTES_MAX = 32_768  # beyond it other requests would feel the wait
MALFORMED = "tool_call_malformed"
DENIED = "tool_call_denied"
UNREVIEWED = "tool_call_unreviewed"
ANSWER_DENIED = "answer_denied"

_log = logging.getLogger(__name__)

Granted = Callable[[Sequence[Wanted]], Awaitable[bool]]
"""Whether standing grants answer all of these, recorded; raises LedgerUnavailable."""

Opened = Callable[[Sequence[Need]], Awaitable[str]]
"""The opening that answers all of these, recorded, or ""; raises LedgerUnavailable."""

Ask = Callable[[Facts], Awaitable[Decision]]
"""From the facts of a later stage to the decision; raises PolicyUnavailable."""


def reads_whole(decision: Decision) -> bool:
    """Whether the answer must be there to its end before anything of it is shown."""
    return review_response.apply(decision.obligations)


class Guard:
    """Judges the one answer to `outgoing`."""

    def __init__(
        self,
        outgoing: Outgoing,
        scanner: Scanner,
        ask: Ask,
        halts: Halts,
        granted: Granted | None = None,
        *,
        opened: Opened | None = None,
    ) -> None:
        self._outgoing = outgoing
        self._scanner = scanner
        self._ask = ask
        self._halts = halts
        self._granted = granted
        self._opened = opened
        self._reach = Reach.of(outgoing)

    async def go_on(self) -> None:
        """Whether more of this answer may be given out. Raises Halted, HaltUnknown."""
        await self._halts.check(self._reach)

    @property
    def reads_whole(self) -> bool:
        """Whether the request's decision wants the answer read whole."""
        return reads_whole(self._outgoing.decision)

    async def whole(self, completion: Any) -> Verdict:
        """About an answer that nobody has seen. Raises PolicyUnavailable, or Unavailable if it
        cannot be looked through.
        """
        return await self._judge(completion, seen=False)

    async def calls_of(self, completion: Any) -> Verdict:
        """About the tool calls of a stream whose text is on its way: they can only be withheld."""
        if not proposed(completion):  # something stood in the place of a call
            return Verdict(Effect.DENY, cause=MALFORMED, notice=_malformed(()))
        return await self._judge(completion, seen=True)

    def events(self, verdict: Verdict) -> list[Event]:
        """What was decided, for the record."""
        outgoing = self._outgoing
        fresh = verdict.asked[verdict.recorded :]
        return [evidence.asked(outgoing.exchange, outgoing.principal, one) for one in fresh]

    async def _judge(self, completion: Any, *, seen: bool) -> Verdict:
        calls = proposed(completion)
        ask_answer = self.reads_whole and not seen
        if not calls and not ask_answer:
            return UNTOUCHED
        if len(calls) > CALLS_MAX or any(call.arguments is None for call in calls):
            return Verdict(Effect.DENY, cause=MALFORMED, notice=_malformed(calls))
        standing = self._halts.standing
        stopped = [one for one in (standing.named("tool", call.name) for call in calls) if one]
        if stopped:
            return Verdict(Effect.DENY, cause=Halted.code, notice=_stopped(stopped))
        asked = [await self._about_call(call) for call in calls]
        denied = [one for one in asked if one.decision.effect is Effect.DENY]
        if denied:
            return Verdict(Effect.DENY, tuple(asked), cause=DENIED, notice=_notice(denied))
        rewritten = None
        if ask_answer:
            answer, rewritten = await self._about_answer(completion)
            asked.append(answer)
            if answer.decision.effect is Effect.DENY:
                refused = answer.decision
                return Verdict(Effect.DENY, tuple(asked), cause=ANSWER_DENIED, refused=refused)
        verdict = Verdict(Effect.ALLOW, tuple(asked), rewritten=rewritten)
        terms = together(self._terms(asked, called=bool(calls)))
        return verdict if terms is None else await self._held(verdict, terms, calls, seen=seen)

    async def _held(
        self, verdict: Verdict, terms: HoldTerms, calls: Sequence[ToolCall], *, seen: bool
    ) -> Verdict:
        """Rules want people to answer; `verdict` is what stands if somebody did before."""
        asked = verdict.asked
        if terms.stage == "tool_call" and await self._is_granted(calls, asked):
            return replace(verdict, recorded=len(calls))
        if opening := await self._is_opened(asked):
            return replace(verdict, recorded=len(asked), opening=opening)
        if seen:
            return Verdict(Effect.DENY, asked, cause=UNREVIEWED, notice=_unreviewed(calls))
        return replace(verdict, effect=Effect.HOLD, terms=terms)

    async def _is_granted(self, calls: Sequence[ToolCall], asked: Sequence[Asked]) -> bool:
        """Whether people agreed before to each of these calls, and the ledger has that by now."""
        if self._granted is None:
            return False
        wanted = [self._wanted(call, one) for call, one in zip(calls, asked, strict=False)]
        each = [one for one in wanted if one is not None]
        return len(each) == len(wanted) and await self._granted(each)

    async def _is_opened(self, asked: Sequence[Asked]) -> str:
        """The opening that lets all of it go on, in the ledger by now; "" if there is none."""
        if self._opened is None:
            return ""
        outgoing, needs = self._outgoing, list[Need]()
        foreseen = list(outgoing.decision.obligations.hold_later)
        for one in asked:
            whole = one.document["tool"] is None or one.document["tool"]["whole"]
            event = evidence.asked(outgoing.exchange, outgoing.principal, one)
            terms = [each for each in foreseen if each.stage == one.stage]
            found = need(event, one.stage, one.decision, terms, evidence.REASONS_MAX)
            if found is None or not whole:
                return ""
            needs.append(found)
            foreseen += one.decision.obligations.hold_later
        return await self._opened(needs)

    def _wanted(self, call: ToolCall, asked: Asked) -> Wanted | None:
        """What a grant would have to answer about one call; None if none can."""
        outgoing, decision = self._outgoing, asked.decision
        foreseen = [
            one for one in outgoing.decision.obligations.hold_later if one.stage == "tool_call"
        ]
        rules = rules_of(decision, evidence.REASONS_MAX)
        terms, now = list(foreseen), decision.obligations.hold
        if decision.effect is Effect.HOLD and now is not None:
            terms.append(now)
        else:
            rules = frozenset()
        whole, told = together(terms), all(one.rules for one in foreseen)
        if whole is None or rules is None or not told or not asked.document["tool"]["whole"]:
            return None
        return Wanted(
            event=evidence.asked(outgoing.exchange, outgoing.principal, asked),
            stage=asked.stage,
            backend=outgoing.backend,
            terms=whole,
            rules=rules | frozenset(rule for one in foreseen for rule in one.rules),
            tool=call.name,
            arguments=call.written(),
        )

    def _terms(self, asked: Sequence[Asked], *, called: bool) -> list[HoldTerms]:
        """Every term on which this answer is held, whoever set it and when."""
        promised = [self._outgoing.decision, *(one.decision for one in asked)]
        later = [terms for decision in promised for terms in decision.obligations.hold_later]
        now = [one.decision for one in asked if one.decision.effect is Effect.HOLD]
        return [
            *(terms for terms in later if called or terms.stage != "tool_call"),
            *(decision.obligations.hold for decision in now if decision.obligations.hold),
        ]

    async def _about_call(self, call: ToolCall) -> Asked:
        arguments = call.arguments or {}
        scan = await self._scan({"name": call.name, "arguments": arguments})
        whole = len(orjson.dumps(arguments)) <= ARGUMENTS_BYTES_MAX
        tool = {"name": call.name, "arguments": dict(arguments) if whole else {}, "whole": whole}
        return await self._asked("tool_call", scan, tool)

    async def _about_answer(self, completion: Mapping[str, Any]) -> tuple[Asked, Any]:
        """What the rules say of the answer, and the answer as they want it masked, or None."""
        choices_alone = {"choices": completion.get("choices")}
        scan = await self._scan(choices_alone)
        asked = await self._asked("response", scan, None)
        masked = redact.apply(choices_alone, asked.decision.obligations.redact, scan.found)
        if masked is None:
            return asked, None
        # Log probabilities spell the text token by token, masked or not.
        choices = [{k: v for k, v in one.items() if k != "logprobs"} for one in masked["choices"]]
        return asked, {**completion, "choices": choices}

    async def _asked(self, stage: str, scan: Scan, tool: Mapping[str, Any] | None) -> Asked:
        facts = self._outgoing.facts
        content = {"tool": tool, "content": scan.facts(scan.labels)}
        approval = {"state": "none", "by": []}  # of the request, not of what came back
        context = {**facts.document["context"], "halt": self._halts.standing.everything}
        now = {"stage": stage, "approval": approval, "context": context}
        document = {**facts.document, **now, **content}
        decision = await self._ask(replace(facts, document=document, found=scan.found))
        return Asked(stage, tool["name"] if tool else None, document, decision)

    async def _scan(self, content: Any) -> Scan:
        try:
            if len(orjson.dumps(content)) > SCAN_INLINE_BYTES_MAX:
                return await asyncio.to_thread(self._scanner.scan, content)
            return self._scanner.scan(content)
        except Exception as error:  # noqa: BLE001 - whatever broke, the answer was not looked through
            # No traceback in the log and none attached: it could quote the text.
            exchange = self._outgoing.exchange
            _log.error("scanner failed on the answer of %s: %s", exchange, type(error).__name__)
            message = "The answer could not be looked through, so it is withheld. Tell an operator."
            raise Unavailable(message, code="scanner_failed") from None


def _notice(denied: Sequence[Asked]) -> str:
    """What the person reads in place of the calls; the model never wrote it."""
    return "\n".join(f"[{one.tool}: not allowed. {said(one.decision.reasons)}]" for one in denied)


def _stopped(halts: Sequence[Halt]) -> str:
    """An operator stopped these tools; the reason is told, as everywhere."""
    return "\n".join(f"[{halted(one).message}]" for one in dict.fromkeys(halts))


def _malformed(calls: Sequence[ToolCall]) -> str:
    if len(calls) > CALLS_MAX:
        return f"[The model proposed more than {CALLS_MAX} tool calls at once. None was given on.]"
    bad = {call.name for call in calls if call.arguments is None}
    names = ", ".join(sorted(bad)) or "a tool"
    return (
        f"[The model proposed a call of {names} with arguments that are not one JSON object. "
        "No call was given on. Ask again.]"
    )


def _unreviewed(calls: Sequence[ToolCall]) -> str:
    names = ", ".join(sorted({call.name for call in calls}))
    return (
        f"[A person has to approve the call of {names} first, and an answer that is already on "
        "its way cannot wait for one. Ask again without streaming, or tell an operator that the "
        "rules should have such answers read whole (review_response).]"
    )
