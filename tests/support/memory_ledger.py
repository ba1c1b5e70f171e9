"""A ledger in memory with the rules of the real one that holds rely on, and faults on demand.

Idempotent by event id; a batch is taken whole or not at all; one outcome a version, one review a
person (delegate and seat are one), no approval without its reviews, no second intent, few appeals:
as `sekisho_audit.rules` has it. Sums and history are made by auditd's own modules, with ids where
auditd has pseudonyms. A fault comes in both forms: before anything took effect, and after it did
but the reply was lost.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.model.break_glass import Opening
from sekisho.model.grants import Grant
from sekisho.model.halts import Halt
from sekisho.ports import ExchangeKeys, ExchangePage, LedgerHold, Used
from sekisho_audit import exchanges, thresholds
from sekisho_audit.events import Appended, Event, check_data, check_payload_names
from sekisho_audit.rules import APPEALS_MAX
from sekisho_audit.usage import NotKept, Sums


@dataclass
class _Filed:
    event: Event
    index: int
    reviews: list[tuple[Event, int, int]] = field(default_factory=list)
    settled: tuple[Event, int] | None = None
    intent: Event | None = None
    outcome: str | None = None
    justified: tuple[Event, int] | None = None


def _outgoing(event: Event) -> bytes | None:
    return next((one.exact for one in event.payloads if one.name == "outgoing"), None)


_ABOUT_HOLDS = {"hold.review", "hold.justified", "hold.settled", "backend.intent"}


class MemoryLedger:
    """Satisfies `sekisho.ports.Ledger`."""

    origin = "ledger.example/test"

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.holds: dict[str, _Filed] = {}
        self.granted: list[Grant] = []
        self.opened: list[Opening] = []
        self.down = False
        self.lose_before = 0  # so many appends fail before taking effect
        self.lose_after = 0  # so many appends take effect and their reply is lost
        self.now_us: Callable[[], int] = lambda: time.time_ns() // 1000
        self.behind = 0  # so many of the last events the history has not read yet
        self._places: dict[str, int] = {}
        self._leaves: list[dict[str, Any]] = []
        self._sums = Sums()

    def types(self, hold: str | None = None) -> list[str]:
        """Types of all events, or of those that name a hold."""
        return [e.type for e in self.events if hold is None or e.data.get("hold") == hold]

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        if self.down or self.lose_before > 0:
            self.lose_before -= not self.down
            raise LedgerUnavailable("the ledger is away")
        for event in events:
            check_data(event.type, event.data)
            check_payload_names(event.type, [p.name for p in event.payloads])
        taken = []
        fresh: list[Event] = []
        for event in events:
            duplicate = event.id in self._places
            if not duplicate:
                self._check(event, fresh)
                self._places[event.id] = len(self.events) + len(fresh)
                fresh.append(event)
            taken.append(Appended(self._places[event.id], "00", {}, duplicate))
        for event in fresh:
            leaf = self._leaf(event)
            self._leaves.append(leaf)
            self._sums.apply(leaf)
            self._apply(event, len(self.events))
            self.events.append(event)
        if self.lose_after > 0:
            self.lose_after -= 1
            raise LedgerUnavailable("the reply of the ledger was lost")
        return taken

    async def exchange_keys(self, principal: str, exchange: str) -> ExchangeKeys:
        if self.down:
            raise LedgerUnavailable("the ledger is away")
        secret = f"{principal}|{exchange}".encode()
        return ExchangeKeys(
            content=hmac.digest(b"content", secret, hashlib.sha256),
            commit=hmac.digest(b"commit", secret, hashlib.sha256),
        )

    async def open_holds(self) -> Sequence[LedgerHold]:
        if self.down:
            raise LedgerUnavailable("the ledger is away")
        return [_shown(hold, filed) for hold, filed in sorted(self.holds.items())]

    async def halts(self) -> tuple[Sequence[Halt], int]:
        if self.down:
            raise LedgerUnavailable("the ledger is away")
        return [], len(self.events)

    async def grants(self) -> Sequence[Grant]:
        if self.down:
            raise LedgerUnavailable("the ledger is away")
        return list(self.granted)

    async def openings(self) -> Sequence[Opening]:
        if self.down:
            raise LedgerUnavailable("the ledger is away")
        return list(self.opened)

    async def used(self, asked: Sequence[tuple[str, str, str]]) -> Used:
        if self.down:
            raise LedgerUnavailable("the ledger is away")
        try:
            sums = [self._sums.of(*question) for question in asked]
        except NotKept as error:
            raise LedgerRefused(str(error), code="bad_request") from error
        return Used(len(self.events), sums)

    async def exchanges(self, principal: str, before: str, limit: int) -> ExchangePage:
        documents = self._documents()
        own = [
            (first, document)
            for (_, owner), (first, document) in reversed(documents.items())
            if owner == principal and (not before or first < int(before))
        ]
        after = str(own[limit - 1][0]) if len(own) > limit else ""
        size = len(self.events)
        return ExchangePage([d for _, d in own[:limit]], after, size - self.behind, size)

    async def exchange(self, principal: str, exchange: str) -> Mapping[str, Any] | None:
        found = self._documents().get((exchange, principal))
        size = len(self.events)
        return {**found[1], "indexed": size - self.behind, "size": size} if found else None

    async def appealed(self, exchange: str) -> Mapping[str, Any] | None:
        documents = self._documents().items()
        return next((d for (x, _), (_, d) in documents if x == exchange and d["appeals"]), None)

    async def appeal_reasons(self, exchange: str, read: int) -> Mapping[str, str | None]:
        if self.down:
            raise LedgerUnavailable("the ledger is away")
        noted = self.events[read]
        if (noted.type, noted.exchange, noted.data.get("part")) != (
            "record.read",
            exchange,
            "appeal",
        ):
            raise LedgerRefused("this reading is not on record", code="unread")
        return {
            event.id: event.payloads[0].exact.decode()
            for event in self.events
            if event.type == "exchange.appealed" and event.exchange == exchange
        }

    def _documents(self) -> dict[tuple[str, str], tuple[int, dict[str, Any]]]:
        """Documents by exchange and principal, in the order in which they began."""
        if self.down:
            raise LedgerUnavailable("the ledger is away")
        grown: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
        for leaf in self._leaves[: len(self._leaves) - self.behind]:
            if leaf["exchange"] is None or leaf["principal"] is None:
                continue
            key = (leaf["exchange"], leaf["principal"])
            _, document = grown.setdefault(key, (leaf["n"], exchanges.begin(leaf)))
            exchanges.grow(document, leaf, f"{leaf['n']:064x}")
        for _, document in grown.values():
            exchanges.named(document, self.origin, lambda name: name)
        return grown

    def _leaf(self, event: Event) -> dict[str, Any]:
        return {
            "id": event.id,
            "n": len(self.events),
            "ts": self.now_us(),
            "type": event.type,
            "exchange": event.exchange,
            "principal": event.principal,
            "actor": event.actor,
            "data": deepcopy(dict(event.data)),
        }

    def _check(self, event: Event, fresh: Sequence[Event]) -> None:
        try:
            self._judge(event, fresh)
        except LedgerRefused:
            for other in fresh:
                del self._places[other.id]
            raise

    def _judge(self, event: Event, fresh: Sequence[Event]) -> None:
        if event.type == "exchange.appealed":
            self._judge_appeal(event, fresh)
        name = event.data.get("hold")
        if name is None or event.type not in _ABOUT_HOLDS:
            return
        filed = self.holds.get(name)
        if filed is None:
            raise LedgerRefused("no such hold", code="unknown_hold")
        if event.type == "backend.intent":
            _judge_intent(filed)
            return
        if filed.settled is not None:
            raise LedgerRefused("settled before", code="hold_settled")
        self._judge_answer(filed, event, fresh)

    def _judge_answer(self, filed: _Filed, event: Event, fresh: Sequence[Event]) -> None:
        reviews = [e for e, _, _ in filed.reviews] + [e for e in fresh if e.type == "hold.review"]
        said = filed.justified is not None or any(e.type == "hold.justified" for e in fresh)
        unjustified = filed.event.data.get("justify", False) and not said
        if event.type == "hold.justified":
            _judge_justification(filed, event)
        elif event.type == "hold.review":
            _judge_review(filed, event, reviews)
            if unjustified and event.data["decision"] == "approve":
                raise LedgerRefused("no reason yet", code="unjustified_review")
        elif event.data["state"] == "approved":
            asked = filed.event.data.get("thresholds", ())
            if unjustified:
                raise LedgerRefused("no reason", code="unjustified_approval")
            if thresholds.missing(asked, [{"data": e.data} for e in reviews]) is not None:
                raise LedgerRefused("reviews are missing", code="unreviewed_approval")

    def _judge_appeal(self, event: Event, fresh: Sequence[Event]) -> None:
        before = [
            e
            for e in (*self.events, *fresh)
            if e.type == event.type and e.exchange == event.exchange
        ]
        if len(before) >= APPEALS_MAX:
            raise LedgerRefused("appealed too often", code="too_many_appeals")

    def _apply(self, event: Event, index: int) -> None:
        name = event.data.get("hold", "")
        if event.type in {"hold.filed", "hold.seeded"}:
            before = self.holds.get(name)
            same = before is not None and _outgoing(before.event) == _outgoing(event)
            why = before.justified if before is not None and same else None
            self.holds[name] = _Filed(event, index, justified=why)
        elif event.type == "hold.review":
            self.holds[name].reviews.append((event, index, self.now_us()))
        elif event.type == "hold.justified":
            self.holds[name].justified = (event, self.now_us())
        elif event.type == "hold.settled":
            self.holds[name].settled = (event, index)
        elif event.type == "backend.intent" and name:
            self.holds[name].intent = event
        elif event.type == "backend.outcome":
            for filed in self.holds.values():
                if filed.intent is not None and filed.intent.id == event.data["intent"]:
                    filed.outcome = event.data["status"]


def _judge_intent(filed: _Filed) -> None:
    if filed.intent is not None:
        raise LedgerRefused("used before", code="duplicate_intent")
    if filed.settled is None or filed.settled[0].data["state"] != "approved":
        raise LedgerRefused("not approved", code="unapproved_intent")


def _people(event: Event) -> set[str | None]:
    return {event.actor, event.data.get("person") or event.actor}


def _judge_justification(filed: _Filed, event: Event) -> None:
    if not filed.event.data.get("justify", False):
        raise LedgerRefused("no reason was asked for", code="unasked_justification")
    if event.actor not in {filed.event.principal, filed.event.data.get("person")}:
        raise LedgerRefused("somebody else's", code="foreign_justification")
    if filed.justified is not None:
        raise LedgerRefused("given before", code="second_justification")


def _judge_review(filed: _Filed, event: Event, reviews: Sequence[Event]) -> None:
    if any(_people(event) & _people(e) for e in reviews):
        raise LedgerRefused("reviewed before", code="second_review")
    if _people(event) & {filed.event.principal, filed.event.data.get("person")}:
        raise LedgerRefused("own request", code="self_review")
    before = [{"data": e.data} for e in reviews]
    turn = thresholds.out_of_turn(
        filed.event.data.get("thresholds", ()), before, {"data": event.data}
    )
    if turn is not None:
        raise LedgerRefused(turn, code="review_out_of_turn")


def _shown(hold: str, filed: _Filed) -> LedgerHold:
    record = next(p.stored for p in filed.event.payloads if p.name == "hold")
    return LedgerHold(
        hold=hold,
        filed_index=filed.index,
        record=record or b"",
        reviews=tuple(_review(*review) for review in filed.reviews),
        settled={**filed.settled[0].data, "id": filed.settled[0].id} if filed.settled else None,
        settled_index=filed.settled[1] if filed.settled else None,
        intent=filed.intent is not None,
        outcome=filed.outcome,
        justified=_justified(*filed.justified) if filed.justified else None,
    )


def _justified(event: Event, at_us: int) -> dict[str, Any]:
    return {
        **event.data,
        "id": event.id,
        "at_us": at_us,
        "person": event.actor,
        "reason": event.payloads[0].exact.decode(),
    }


def _review(event: Event, index: int, at_us: int) -> dict[str, Any]:
    return {
        **event.data,
        "id": event.id,
        "index": index,
        "at_us": at_us,
        "reviewer": event.actor,
        "person": event.data.get("person") or event.actor,
        "reason": event.payloads[0].exact.decode(),
    }
