"""What may follow what: boots, sessions, intents, outcomes, holds and reviews.

One `Book` reads the leaves in order. The writer uses it to refuse an event that would break a rule,
the verifier to report one that did, so a ledger the writer accepts is one the verifier accepts.
The book knows only leaves: pseudonyms, commitments, ids; never content.

A request is accepted whole or not at all: `begin`, several `apply`, then `commit` or `roll_back`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import islice, product
from typing import Any

from sekisho_audit import answer_rules, hold_rules
from sekisho_audit.break_glass_rules import BREAK_GLASS_EVENTS, BreakGlassRules
from sekisho_audit.draft_rules import DraftRules
from sekisho_audit.grant_rules import GRANT_EVENTS, GrantRules
from sekisho_audit.halt_rules import HALT_EVENTS, HaltRules
from sekisho_audit.officer_rules import OFFICER_EVENTS, OfficerRules
from sekisho_audit.retention import LEAVES_DAYS_MIN
from sekisho_audit.sample_rules import GIVEN_MAX, HELD, SAMPLE_EVENTS, SampleRules
from sekisho_audit.standing import (
    LATER_STAGES,
    Answer,
    Decided,
    Filed,
    Intent,
    Leaf,
    RuleBroken,
    behind_later,
    holds_asked,
    ruled_later,
    stage_of,
)

# How many finished exchanges the writer remembers (about 150 bytes each); the verifier keeps all.
MEMORY_EVENTS = 200_000
# Somebody who was not heard after five appeals will not be by a sixth; bounds what is kept.
APPEALS_MAX = 5
DAY_US = 86_400 * 1_000_000
_ABSENT = object()
# Nothing stands about such answers any more once they were given out.
_ONLY_CALLS = tuple(
    Answer(calls=calls, granted=calls and granted, opened=opened)
    for calls, granted, opened in product((False, True), repeat=3)
    if calls or opened
)


def forget_oldest(
    where: dict[str, Any], memory: int, needed: Callable[[], Collection[str]] = tuple
) -> None:
    """Forget the oldest entries when a quarter more than `memory` are kept, but none `needed`.

    Many at once: the first key of a dict is found by walking over all that were removed before it.
    """
    excess = len(where) - memory
    if excess > memory // 4:
        spared = needed()
        for key in list(islice(where, excess)):
            if key not in spared:
                del where[key]


class Book:
    """State of the ledger after some prefix, as far as rules need it."""

    def __init__(self, memory: int | None = None) -> None:
        self._memory = memory
        self._undo: list[tuple[dict[str, Any], str, Any]] = []
        # `cut`: bytes that the boot just before says were cut, and nobody has named yet.
        self.writer: dict[str, Any] = {"boot": None, "down": False, "cut": None}
        self.boots: dict[str, int] = {}
        self.sessions: dict[str, bool] = {}
        self.intents: dict[str, Intent] = {}
        self.closed: dict[str, str] = {}
        self.decided: dict[str, Decided] = {}
        self.answers: dict[str, Answer] = {}
        self.holds: dict[str, Filed] = {}
        self.held: dict[str, str] = {}
        self.held_answers: dict[str, str] = {}
        self.appeals: dict[str, int] = {}
        self.officers = OfficerRules(self._put, self._drop)
        self.halts = HaltRules(self._put, self._drop)
        self.grants = GrantRules(self._put, self._drop)
        self.drafts = DraftRules(self._put, self._drop)
        self.samples = SampleRules(self._put, self._drop)
        self.break_glass = BreakGlassRules(self._put, self._drop)
        self.pruned: dict[str, int] = {"size": 0}

    # -- changing, with a way back

    def _put(self, where: dict[str, Any], key: str, value: object) -> None:
        self._undo.append((where, key, where.get(key, _ABSENT)))
        where[key] = value

    def _drop(self, where: dict[str, Any], key: str) -> None:
        self._undo.append((where, key, where.pop(key)))

    def begin(self) -> None:
        """Start a request."""
        self._undo.clear()

    def commit(self) -> None:
        """Keep what was applied since `begin`, and forget the oldest beyond the memory."""
        self._undo.clear()
        memory = self._memory
        if memory is None:
            return
        grants, glass, samples = self.grants, self.break_glass, self.samples
        few = min(memory, GIVEN_MAX)
        for most, kept in (
            (memory, (self.closed, self.decided, self.appeals, self.drafts.wanted)),
            (memory, (grants.cleared, grants.named, glass.cleared, glass.named)),
            (few, (samples.given, samples.passed, samples.opened)),
        ):
            for where in kept:
                if len(where) > most:  # asked here, since it is asked for each request
                    forget_oldest(where, most)
        if len(self.answers) > memory:
            forget_oldest(self.answers, memory, self._under_way)

    def _under_way(self) -> set[str]:
        """Exchanges that may still be answered."""
        return {intent.exchange for intent in self.intents.values()} | self.held_answers.keys()

    def roll_back(self) -> None:
        """Undo what was applied since `begin`."""
        for where, key, before in reversed(self._undo):
            if before is _ABSENT:
                where.pop(key, None)
            else:
                where[key] = before
        self._undo.clear()

    def forget_holds(self, before_us: int) -> None:
        """Forget holds whose time ended before `before_us`; an intent for one is then refused."""
        old = [
            key
            for key, filed in self.holds.items()
            if filed.touched_us() < before_us and (not filed.intent or filed.outcome)
        ]
        for key in old:
            filed = self.holds.pop(key)
            for where in (self.held, self.held_answers):
                if where.get(filed.leaf["exchange"]) == key:
                    del where[filed.leaf["exchange"]]

    # -- one event after the other

    def apply(self, leaf: Leaf) -> None:
        """Take the next leaf. Raises RuleBroken and changes nothing if it may not stand here."""
        kind = leaf["type"]
        if kind == "audit.boot":
            self._boot(leaf)
            return
        if leaf["boot"] != self.writer["boot"]:
            raise RuleBroken("wrong_boot", "the event belongs to no boot that was announced")
        if self.writer["down"]:
            raise RuleBroken("after_shutdown", "an event after the writer had stopped")
        if self.officers.erased:
            self.officers.check_name(leaf)
        rule = _RULES.get(kind)
        if rule is not None:
            rule(self, leaf)
        if self.writer["cut"] is not None and kind != "audit.recovered":
            self._put(self.writer, "cut", None)

    def _boot(self, leaf: Leaf) -> None:
        data = leaf["data"]
        if data["boot"] != leaf["boot"] or leaf["boot"] in self.boots:
            raise RuleBroken("wrong_boot", "a boot must announce itself, with a new name")
        if data["last"] != leaf["n"] - 1:
            raise RuleBroken("wrong_boot", "the boot names another last index than there is")
        self._put(self.boots, leaf["boot"], leaf["n"])
        self._put(self.writer, "boot", leaf["boot"])
        self._put(self.writer, "down", value=False)
        self._put(self.writer, "cut", data["cut"])

    def unfiled(self) -> list[str]:
        """Exchanges whose answer waits for people, and no hold was filed for it."""
        return [
            exchange
            for exchange, answer in self.answers.items()
            if answer.held is not None and exchange not in self.held_answers
        ]

    def check_request(self, leaves: Sequence[Leaf]) -> None:
        """What a request to the writer must hold as a whole; nobody can tell it later."""
        for leaf in leaves:
            held = leaf["type"] == "backend.outcome" and leaf["data"]["status"] == "held"
            if held and leaf["exchange"] not in self.held_answers:
                raise RuleBroken("unfiled_hold", "an answer waits, and nobody is asked about it")

    def _recovered(self, leaf: Leaf) -> None:
        left, taken = self.writer["cut"], leaf["data"]["bytes"]
        # A segment of no bytes, left by a kill before its first line, is removed and told too.
        if left is None or not 0 <= taken <= left:
            raise RuleBroken("wrong_boot", "the boot before tells of no such cut")
        self._put(self.writer, "cut", left - taken)

    def _shutdown(self, leaf: Leaf) -> None:
        if leaf["data"]["boot"] != leaf["boot"]:
            raise RuleBroken("wrong_boot", "a stop names its own boot")
        if self.intents:
            raise RuleBroken("open_intents", f"a clean stop with {len(self.intents)} open intents")
        if self.sessions:
            raise RuleBroken("open_sessions", f"a clean stop with {len(self.sessions)} sessions")
        self._put(self.writer, "down", value=True)

    def _session_opened(self, leaf: Leaf) -> None:
        session = leaf["data"]["session"]
        if session in self.sessions:
            raise RuleBroken("session_open", "the session is open already")
        self._put(self.sessions, session, value=True)

    def _session_closed(self, leaf: Leaf) -> None:
        session = leaf["data"]["session"]
        if session not in self.sessions:
            raise RuleBroken("unknown_session", "a session was closed that is not open")
        still = self.open_intents(session)
        if still:
            raise RuleBroken("open_intents", f"a session was closed with {len(still)} open intents")
        self._drop(self.sessions, session)

    def open_intents(self, session: str) -> dict[str, Intent]:
        """Intents of a session that have no outcome yet."""
        return {key: item for key, item in self.intents.items() if item.session == session}

    def _decision(self, leaf: Leaf) -> None:
        data, exchange = leaf["data"], leaf["exchange"]
        stage, answer = stage_of(data), self.answers.get(exchange)
        if "tool" in data and data["stage"] != "tool_call":
            raise RuleBroken("bad_decision", "a function is named where no tool call is decided")
        granted = self._is_answered(leaf, answer)
        behind = behind_later(data) if self.break_glass.opened_for(leaf) else {}
        if stage != "request":
            now = (answer or Answer()).judge(data, granted=granted, behind=behind)
            self._put(self.answers, exchange, now)
            return
        self.drafts.decide(leaf)
        asked, before = holds_asked(data), self.decided.get(exchange)
        held = stage in asked and not granted
        self._put(self.decided, exchange, Decided.after(before, data, held=held))
        if not asked.keys().isdisjoint(LATER_STAGES):
            foreseen = (answer or Answer()).foresee(asked, ruled_later(data), behind)
            self._put(self.answers, exchange, foreseen)

    def _granted(self, leaf: Leaf, answer: Answer | None) -> bool:
        use = self.grants.named.get(leaf["id"])
        if use is None or not self.grants.answers(leaf, answer):
            return False
        self.samples.let_pass(leaf["exchange"], use.grant.persons)
        return True

    def _is_answered(self, leaf: Leaf, answer: Answer | None) -> bool:
        """Whether something stands before this decision that answers it in place of people."""
        granted = bool(self.grants.named) and self._granted(leaf, answer)
        opened = bool(self.break_glass.named) and self._opened(leaf, answer)
        if granted and opened:
            raise RuleBroken("second_use", "a decision is answered once")
        return granted or opened

    def _opened(self, leaf: Leaf, answer: Answer | None) -> bool:
        use = self.break_glass.named.get(leaf["id"])
        if use is None or not self.break_glass.answers(leaf, answer):
            return False
        self.samples.let_go(leaf["exchange"], use.leaf["data"]["opening"])
        return True

    def _intent(self, leaf: Leaf) -> None:
        data = leaf["data"]
        if data["session"] not in self.sessions:
            raise RuleBroken("unknown_session", "the intent names a session that is not open")
        if leaf["id"] in self.intents or leaf["id"] in self.closed:
            raise RuleBroken("duplicate_intent", "two intents with one id")
        if self.halts.standing:
            self.halts.check_intent(leaf)
        decided = self.decided.get(leaf["exchange"])
        filed = None
        if "hold" in data:
            filed = hold_rules.check_use(leaf, self.holds.get(data["hold"]), decided)
        self._check_decided(leaf, decided, filed)
        hold_rules.check_justified(decided, filed)
        self.drafts.check_intent(leaf)
        if filed is None:
            self.grants.check_intent(leaf)
            self.break_glass.check_intent(leaf)
        else:
            self._put(self.holds, filed.hold, replace(filed, intent=leaf["id"]))
        intent = Intent(
            data["session"], leaf["exchange"], data.get("hold"), leaf["principal"], leaf["n"]
        )
        answer = self.answers.get(leaf["exchange"])
        if answer is not None and answer.judged and not self._is_pending(leaf["exchange"]):
            self._put(self.answers, leaf["exchange"], answer.begin())
        self._put(self.intents, leaf["id"], intent)

    def _is_pending(self, exchange: str) -> bool:
        """Whether an answer of the exchange is on its way, or has a hold."""
        if exchange in self.held_answers:
            return True
        return any(intent.exchange == exchange for intent in self.intents.values())

    def _check_decided(self, leaf: Leaf, decided: Decided | None, filed: Filed | None) -> None:
        if decided is None:
            if filed is None:
                raise RuleBroken("undecided_intent", "no policy decision precedes the intent")
        elif decided.effect == "deny":
            raise RuleBroken("denied_intent", "policy had denied this exchange")
        elif decided.revision != leaf["data"].get("revision"):
            raise RuleBroken("undecided_intent", "the intent names another policy than decided it")
        must_hold = leaf["exchange"] in self.held or (decided is not None and decided.must_hold)
        if must_hold and filed is None:
            raise RuleBroken("unapproved_intent", "policy asked for a hold; the intent names none")

    def _outcome(self, leaf: Leaf) -> None:
        key = leaf["data"]["intent"]
        intent = self.intents.get(key)
        if intent is None:
            if key in self.closed:
                raise RuleBroken("second_outcome", "the intent has an outcome already")
            raise RuleBroken("unknown_intent", "the outcome belongs to no intent")
        if intent.exchange != leaf["exchange"]:
            raise RuleBroken("unknown_intent", "intent and outcome are of different exchanges")
        self._answered(leaf, intent.principal)
        self.drafts.end(intent.exchange, intent.principal, leaf["data"])
        self._drop(self.intents, key)
        self._put(self.closed, key, intent.exchange)
        if leaf["data"]["status"] != HELD:
            self.samples.give(intent.principal, leaf)
        filed = self.holds.get(intent.hold) if intent.hold else None
        if filed is not None and filed.intent == key:
            status = leaf["data"]["status"]
            self._put(self.holds, filed.hold, replace(filed, outcome=status))

    def _answered(self, leaf: Leaf, principal: str | None) -> None:
        exchange = leaf["exchange"]
        answer = self.answers.get(exchange)
        answer_rules.check_outcome(leaf["data"], answer, self.held_answers.get(exchange))
        if leaf["data"]["status"] == "held":
            now = replace(answer or Answer(), held=leaf["data"]["intent"], principal=principal)
            self._put(self.answers, exchange, now)
        elif answer in _ONLY_CALLS:
            self._drop(self.answers, exchange)

    def _late(self, leaf: Leaf) -> None:
        key = leaf["data"]["intent"]
        if self.closed.get(key) != leaf["exchange"]:
            raise RuleBroken("unknown_intent", "a late outcome needs an intent that was closed")
        exchange = leaf["exchange"]
        hold = self.held_answers.get(exchange)
        answer_rules.check_outcome(leaf["data"], self.answers.get(exchange), hold)

    def _cut(self, leaf: Leaf) -> None:
        key = leaf["data"]["intent"]
        if key not in self.intents and key not in self.closed:
            raise RuleBroken("unknown_intent", "the event names an intent that is not there")

    def _filed(self, leaf: Leaf) -> None:
        data, exchange = leaf["data"], leaf["exchange"]
        before = self.holds.get(data["hold"])
        if data["stage"] == "request":
            held, decided = self.held, self.decided.get(exchange)
            if decided is None:
                raise RuleBroken("undecided_hold", "no policy decision precedes the hold")
            hold_rules.check_filing(leaf, before, decided)
        else:
            held, answer = self.held_answers, self.answers.get(exchange)
            answer_rules.check_filing(leaf, before, answer, held.get(exchange))
        self._put(self.holds, data["hold"], Filed.again(leaf, before))
        self._put(held, exchange, data["hold"])

    def _seeded(self, leaf: Leaf) -> None:
        hold, exchange = leaf["data"]["hold"], leaf["exchange"]
        asked = self.held.get(exchange) or self.held_answers.get(exchange)
        hold_rules.check_seeding(leaf, self.holds.get(hold), asked)
        self._put(self.holds, hold, Filed(hold, leaf))
        self._put(self.held, exchange, hold)

    def _current(self, leaf: Leaf) -> Filed:
        return hold_rules.current(leaf, self.holds.get(leaf["data"]["hold"]))

    def _review(self, leaf: Leaf) -> None:
        filed = self._current(leaf)
        hold_rules.check_review(leaf, filed)
        self._put(self.holds, filed.hold, replace(filed, reviews=(*filed.reviews, leaf)))

    def _justified(self, leaf: Leaf) -> None:
        filed = self._current(leaf)
        hold_rules.check_justification(leaf, filed)
        self._put(self.holds, filed.hold, replace(filed, justified=leaf))

    def _settled(self, leaf: Leaf) -> None:
        filed = self._current(leaf)
        hold_rules.check_settlement(leaf, filed)
        self._put(self.holds, filed.hold, replace(filed, settled=leaf))

    def _released(self, leaf: Leaf) -> None:
        known, answer = self.holds.get(leaf["data"]["hold"]), self.answers.get(leaf["exchange"])
        filed = answer_rules.check_released(leaf, known, answer)
        self._put(self.holds, filed.hold, replace(filed, intent=leaf["id"], outcome="released"))
        self.drafts.release(leaf)
        self.samples.give(filed.leaf["principal"], leaf)

    def _delivered(self, leaf: Leaf) -> None:
        later = self.holds.get(self.held_answers.get(leaf["exchange"], ""))
        answer_rules.check_delivery(leaf, self.holds.get(leaf["data"]["hold"]), later)

    def _appealed(self, leaf: Leaf) -> None:
        count = self.appeals.get(leaf["exchange"], 0)
        if count >= APPEALS_MAX:
            raise RuleBroken("too_many_appeals", f"an exchange has at most {APPEALS_MAX} appeals")
        self._put(self.appeals, leaf["exchange"], count + 1)

    def _draft(self, leaf: Leaf) -> None:
        self.drafts.answer(leaf)

    def _officer(self, leaf: Leaf) -> None:
        self.officers.take(leaf)
        if leaf["type"] == "erasure.begun":
            self.samples.erase(leaf["data"]["person"])

    def _halt(self, leaf: Leaf) -> None:
        self.halts.take(leaf)
        if leaf["type"] == "halt.set":
            self.grants.stop(leaf)
            self.break_glass.stop(leaf)

    def _grant(self, leaf: Leaf) -> None:
        self.grants.take(leaf)

    def _drawn(self, leaf: Leaf) -> None:
        named = (where.get(leaf["exchange"], "") for where in (self.held, self.held_answers))
        self.samples.draw(leaf, [self.holds[one] for one in named if one in self.holds])

    def _sample(self, leaf: Leaf) -> None:
        self.samples.take(leaf)

    def _read(self, leaf: Leaf) -> None:
        if "sample" in leaf["data"]:
            self.samples.read(leaf)

    def _break_glass(self, leaf: Leaf) -> None:
        if leaf["type"] == "break_glass.opened" and self.halts.stops_all:
            raise RuleBroken("halted_opening", "everything is stopped, in an emergency too")
        self.break_glass.take(leaf)

    def _pruned(self, leaf: Leaf) -> None:
        self.officers.take(leaf)
        data = leaf["data"]
        size, days = data["size"], data["days"]
        if not self.pruned["size"] < size <= leaf["n"]:
            raise RuleBroken("bad_pruning", "a pruning removes leaves, and none that follow it")
        if days < LEAVES_DAYS_MIN:
            raise RuleBroken("bad_pruning", f"leaves are kept for {LEAVES_DAYS_MIN} days at least")
        if not data["newest_us"] + days * DAY_US <= data["counted_us"] <= leaf["ts"]:
            raise RuleBroken("bad_pruning", "the leaves that are pruned are not old enough")
        self._put(self.pruned, "size", size)


_RULES = {
    "audit.pruned": Book._pruned,  # noqa: SLF001
    "audit.recovered": Book._recovered,  # noqa: SLF001
    "audit.shutdown": Book._shutdown,  # noqa: SLF001 - the table belongs to the class
    "session.opened": Book._session_opened,  # noqa: SLF001
    "session.closed": Book._session_closed,  # noqa: SLF001
    "policy.decision": Book._decision,  # noqa: SLF001
    "backend.intent": Book._intent,  # noqa: SLF001
    "backend.outcome": Book._outcome,  # noqa: SLF001
    "outcome.late": Book._late,  # noqa: SLF001
    "delivery.cut": Book._cut,  # noqa: SLF001
    "hold.filed": Book._filed,  # noqa: SLF001
    "hold.seeded": Book._seeded,  # noqa: SLF001
    "hold.review": Book._review,  # noqa: SLF001
    "hold.justified": Book._justified,  # noqa: SLF001
    "hold.settled": Book._settled,  # noqa: SLF001
    "hold.released": Book._released,  # noqa: SLF001
    "hold.delivered": Book._delivered,  # noqa: SLF001
    "exchange.appealed": Book._appealed,  # noqa: SLF001
    "draft.answered": Book._draft,  # noqa: SLF001
    **dict.fromkeys(OFFICER_EVENTS, Book._officer),  # noqa: SLF001
    **dict.fromkeys(HALT_EVENTS, Book._halt),  # noqa: SLF001
    **dict.fromkeys(GRANT_EVENTS, Book._grant),  # noqa: SLF001
    "sample.drawn": Book._drawn,  # noqa: SLF001
    "record.read": Book._read,  # noqa: SLF001
    **dict.fromkeys(SAMPLE_EVENTS, Book._sample),  # noqa: SLF001
    **dict.fromkeys(BREAK_GLASS_EVENTS, Book._break_glass),  # noqa: SLF001
}
