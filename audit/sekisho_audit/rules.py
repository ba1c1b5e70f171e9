"""What may follow what: boots, sessions, intents, outcomes, holds and reviews.

One `Book` reads the leaves in order. The writer uses it to refuse an event that would break a rule,
the verifier to report one that did, so a ledger the writer accepts is one the verifier accepts.
The book knows only leaves: pseudonyms, commitments, ids; never content.

A request is accepted whole or not at all: `begin`, several `apply`, then `commit` or `roll_back`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sekisho_audit import thresholds

Leaf = Mapping[str, Any]
# How many finished exchanges the writer remembers (about 150 bytes each); the verifier keeps all.
MEMORY_EVENTS = 200_000
# A decision taken in time may reach the ledger a little late: the store's clock is not ours, and a
# worker that dies is followed by another one. What comes later still counts as silence.
APPROVAL_LATE_US = 60 * 1_000_000
# Somebody who was not heard after five appeals will not be by a sixth; bounds what is kept.
APPEALS_MAX = 5
_ABSENT = object()


class RuleBroken(ValueError):
    """An event that may not stand where it stands; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Decided:
    """What policy last said about an exchange at the stage `request`, and whether it ever asked for
    people there: a later word of policy does not take that back.
    """

    effect: str
    must_hold: bool


@dataclass(frozen=True, slots=True)
class Intent:
    """An intent without an outcome."""

    session: str
    exchange: str
    hold: str | None
    principal: str | None
    index: int


@dataclass(frozen=True, slots=True)
class Filed:
    """A hold in its latest version, with everything that happened to it."""

    hold: str
    leaf: Leaf
    reviews: tuple[Leaf, ...] = ()
    settled: Leaf | None = None
    intent: str | None = None
    outcome: str | None = None

    @property
    def data(self) -> Leaf:
        """The data of the filing event."""
        return self.leaf["data"]  # type: ignore[no-any-return]

    @property
    def approved(self) -> bool:
        """Whether people have let it pass."""
        return self.settled is not None and self.settled["data"]["state"] == "approved"

    def touched_us(self) -> int:
        """When its time ends or last something happened, whichever is later."""
        settled = self.settled["ts"] if self.settled else 0
        return max(int(self.data["expires_us"]), int(settled))


def commit_of(leaf: Leaf, name: str) -> str | None:
    """The commitment to payload `name` of a leaf."""
    for entry in leaf["pl"]:
        if entry["name"] == name:
            return str(entry["commit"])
    return None


def requesters(leaf: Leaf) -> frozenset[str]:
    """The pseudonyms that stand for whoever asked: principal, and the person behind it."""
    return frozenset(filter(None, (leaf["principal"], leaf["data"].get("person"))))


def reviewer(leaf: Leaf) -> str:
    """The pseudonym of the person who reviewed."""
    return str(leaf["data"].get("person") or leaf["actor"])


class Book:
    """State of the ledger after some prefix, as far as rules need it."""

    def __init__(self, memory: int | None = None) -> None:
        self._memory = memory
        self._undo: list[tuple[dict[str, Any], str, Any]] = []
        self.writer: dict[str, Any] = {"boot": None, "down": False}
        self.sessions: dict[str, bool] = {}
        self.intents: dict[str, Intent] = {}
        self.closed: dict[str, str] = {}
        self.decided: dict[str, Decided] = {}
        self.holds: dict[str, Filed] = {}
        self.held: dict[str, str] = {}
        self.appeals: dict[str, int] = {}

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
        if self._memory is not None:
            for where in (self.closed, self.decided, self.appeals):
                while len(where) > self._memory:
                    del where[next(iter(where))]

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
            if self.held.get(filed.leaf["exchange"]) == key:
                del self.held[filed.leaf["exchange"]]

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
        rule = _RULES.get(kind)
        if rule is not None:
            rule(self, leaf)

    def _boot(self, leaf: Leaf) -> None:
        if leaf["data"]["boot"] != leaf["boot"] or leaf["boot"] == self.writer["boot"]:
            raise RuleBroken("wrong_boot", "a boot must announce itself, with a new name")
        if leaf["data"]["last"] != leaf["n"] - 1:
            raise RuleBroken("wrong_boot", "the boot names another last index than there is")
        self._put(self.writer, "boot", leaf["boot"])
        self._put(self.writer, "down", value=False)

    def _shutdown(self, _leaf: Leaf) -> None:
        if self.intents:
            raise RuleBroken("open_intents", f"a clean stop with {len(self.intents)} open intents")
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
        data = leaf["data"]
        if data["stage"] == "request":
            asked = data["obligations"].get("hold") or {}
            stage = asked.get("stage", "request") if isinstance(asked, dict) else "request"
            before = self.decided.get(leaf["exchange"])
            must_hold = (data["effect"] == "hold" and stage == "request") or (
                before is not None and before.must_hold
            )
            self._put(self.decided, leaf["exchange"], Decided(data["effect"], must_hold))

    def _intent(self, leaf: Leaf) -> None:
        data = leaf["data"]
        if data["session"] not in self.sessions:
            raise RuleBroken("unknown_session", "the intent names a session that is not open")
        if leaf["id"] in self.intents or leaf["id"] in self.closed:
            raise RuleBroken("duplicate_intent", "two intents with one id")
        decided = self.decided.get(leaf["exchange"])
        filed = self._approved_hold(leaf) if "hold" in data else None
        if decided is None and filed is None:
            raise RuleBroken("undecided_intent", "no policy decision precedes the intent")
        if decided is not None and decided.effect == "deny":
            raise RuleBroken("denied_intent", "policy had denied this exchange")
        must_hold = leaf["exchange"] in self.held or (decided is not None and decided.must_hold)
        if must_hold and filed is None:
            raise RuleBroken("unapproved_intent", "policy asked for a hold; the intent names none")
        if filed is not None:
            self._put(self.holds, filed.hold, replace(filed, intent=leaf["id"]))
        intent = Intent(
            data["session"], leaf["exchange"], data.get("hold"), leaf["principal"], leaf["n"]
        )
        self._put(self.intents, leaf["id"], intent)

    def _approved_hold(self, leaf: Leaf) -> Filed:
        data = leaf["data"]
        filed = self.holds.get(data["hold"])
        if filed is None:
            raise RuleBroken("unapproved_intent", "the intent names a hold that was not filed")
        if filed.intent is not None:
            raise RuleBroken("duplicate_intent", "this approval was used before")
        same = (
            filed.approved
            and filed.data["stage"] == "request"
            and filed.leaf["exchange"] == leaf["exchange"]
            and filed.leaf["principal"] == leaf["principal"]
            and all(filed.data[k] == data.get(k) for k in ("version", "binding", "backend"))
            and commit_of(filed.leaf, "outgoing") == commit_of(leaf, "outgoing")
        )
        if not same:
            raise RuleBroken(
                "unapproved_intent",
                "the hold is not approved for exactly this exchange, backend, version and bytes",
            )
        return filed

    def _outcome(self, leaf: Leaf) -> None:
        key = leaf["data"]["intent"]
        intent = self.intents.get(key)
        if intent is None:
            if key in self.closed:
                raise RuleBroken("second_outcome", "the intent has an outcome already")
            raise RuleBroken("unknown_intent", "the outcome belongs to no intent")
        if intent.exchange != leaf["exchange"]:
            raise RuleBroken("unknown_intent", "intent and outcome are of different exchanges")
        self._drop(self.intents, key)
        self._put(self.closed, key, intent.exchange)
        filed = self.holds.get(intent.hold) if intent.hold else None
        if filed is not None and filed.intent == key:
            status = leaf["data"]["status"]
            self._put(self.holds, filed.hold, replace(filed, outcome=status))

    def _late(self, leaf: Leaf) -> None:
        key = leaf["data"]["intent"]
        if self.closed.get(key) != leaf["exchange"]:
            raise RuleBroken("unknown_intent", "a late outcome needs an intent that was closed")

    def _cut(self, leaf: Leaf) -> None:
        key = leaf["data"]["intent"]
        if key not in self.intents and key not in self.closed:
            raise RuleBroken("unknown_intent", "the event names an intent that is not there")

    def _filed(self, leaf: Leaf) -> None:
        data = leaf["data"]
        before = self.holds.get(data["hold"])
        if before is not None:
            if before.leaf["exchange"] != leaf["exchange"] or before.intent:
                raise RuleBroken("hold_taken", "the hold belongs to another exchange or was used")
            if data["version"] <= before.data["version"]:
                raise RuleBroken("stale_hold", "a hold is filed again only with a higher version")
        if leaf["exchange"] not in self.decided:
            raise RuleBroken("undecided_hold", "no policy decision precedes the hold")
        self._put(self.holds, data["hold"], Filed(data["hold"], leaf))
        if data["stage"] == "request":
            self._put(self.held, leaf["exchange"], data["hold"])

    def _current(self, leaf: Leaf) -> Filed:
        data = leaf["data"]
        filed = self.holds.get(data["hold"])
        if filed is None or filed.leaf["exchange"] != leaf["exchange"]:
            raise RuleBroken("unknown_hold", "no such hold was filed for this exchange")
        if any(filed.data[key] != data[key] for key in ("version", "binding")):
            raise RuleBroken("stale_review", "the hold has another version or binding")
        if filed.settled is not None:
            raise RuleBroken("hold_settled", "the hold has its outcome already")
        return filed

    def _review(self, leaf: Leaf) -> None:
        filed = self._current(leaf)
        people = thresholds.people(leaf)
        if people & requesters(filed.leaf):
            raise RuleBroken("self_review", "nobody reviews their own request")
        if any(people & thresholds.people(other) for other in filed.reviews):
            raise RuleBroken("second_review", "this person has reviewed this version already")
        self._put(self.holds, filed.hold, replace(filed, reviews=(*filed.reviews, leaf)))

    def _settled(self, leaf: Leaf) -> None:
        filed = self._current(leaf)
        counted = frozenset(leaf["data"]["reviews"])
        if not counted <= {item["id"] for item in filed.reviews}:
            raise RuleBroken("unknown_review", "the outcome cites a review that is not there")
        if leaf["data"]["state"] == "approved":
            _check_approval(filed, leaf, counted)
        self._put(self.holds, filed.hold, replace(filed, settled=leaf))

    def _delivered(self, leaf: Leaf) -> None:
        filed = self.holds.get(leaf["data"]["hold"])
        if filed is None or filed.leaf["exchange"] != leaf["exchange"]:
            raise RuleBroken("unknown_hold", "no such hold was filed for this exchange")

    def _appealed(self, leaf: Leaf) -> None:
        count = self.appeals.get(leaf["exchange"], 0)
        if count >= APPEALS_MAX:
            raise RuleBroken("too_many_appeals", f"an exchange has at most {APPEALS_MAX} appeals")
        self._put(self.appeals, leaf["exchange"], count + 1)


def _check_approval(filed: Filed, leaf: Leaf, counted: frozenset[str]) -> None:
    asked = filed.data["thresholds"]
    denied = thresholds.objection(asked, filed.reviews)
    if denied:
        raise RuleBroken("denied_approval", denied)
    missing = thresholds.missing(asked, [item for item in filed.reviews if item["id"] in counted])
    if missing:
        raise RuleBroken("unreviewed_approval", missing)
    if leaf["ts"] > filed.data["expires_us"] + APPROVAL_LATE_US:
        raise RuleBroken("late_approval", "the time to approve this hold was over")


_RULES = {
    "audit.shutdown": Book._shutdown,  # noqa: SLF001 - the table belongs to the class
    "session.opened": Book._session_opened,  # noqa: SLF001
    "session.closed": Book._session_closed,  # noqa: SLF001
    "policy.decision": Book._decision,  # noqa: SLF001
    "backend.intent": Book._intent,  # noqa: SLF001
    "backend.outcome": Book._outcome,  # noqa: SLF001
    "outcome.late": Book._late,  # noqa: SLF001
    "delivery.cut": Book._cut,  # noqa: SLF001
    "hold.filed": Book._filed,  # noqa: SLF001
    "hold.review": Book._review,  # noqa: SLF001
    "hold.settled": Book._settled,  # noqa: SLF001
    "hold.delivered": Book._delivered,  # noqa: SLF001
    "exchange.appealed": Book._appealed,  # noqa: SLF001
}
