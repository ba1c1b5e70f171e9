"""Ledgers with a life of their own: a real writer, random people, and what goes wrong.

Everything is drawn from one `random.Random`, so a seed tells the whole story again but for ids,
times and salts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from sekisho.model.ids import uuid7
from sekisho_audit import erasure
from sekisho_audit.errors import Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.keyring import Keyring
from sekisho_audit.ledger import Ledger, Limits
from sekisho_audit.officers import DUTIES, TWO_AT_FIRST
from support.ledgers import (
    ORIGIN,
    HeldAnswer,
    HeldExchange,
    decision,
    intent,
    outcome,
    received,
)


def drawn(*seed: object) -> Random:
    """What a seed tells."""
    return Random("-".join(map(str, seed)))  # noqa: S311 - no secret, and the same each time


STAFF = [f"staff-{number}@ledger.example" for number in range(5)]
OFFICERS = ("officer-1@ledger.example", "officer-2@ledger.example")
REVIEWERS = [f"reviewer-{number}@ledger.example" for number in range(6)]
DENIED = {"code": "no", "rule": "sekisho.default", "msg": "not this"}


@dataclass
class Story:
    """A ledger in `home` and what happens to it; `notes` are checkpoints that somebody kept."""

    home: Path
    random: Random
    segment_bytes: int = 40_000
    notes: list[bytes] = field(default_factory=list)
    seeds: list[bytes] = field(default_factory=list)
    session: str = ""
    _ledger: Ledger | None = None
    _sessions: int = 0

    @property
    def directory(self) -> Path:
        """The ledger's directory."""
        return self.home / "data" / "ledger"

    @property
    def ledger(self) -> Ledger:
        """The open writer."""
        if self._ledger is None:
            raise RuntimeError("nobody writes this ledger")
        return self._ledger

    def boot(self) -> None:
        """A writer starts; it closes what its predecessor left open, and a worker comes."""
        limits = Limits(segment_bytes=self.segment_bytes)
        self._ledger = Ledger.open(self.directory, self.home / "keys", ORIGIN, limits=limits)
        for session in sorted(self._ledger.sessions):
            self._ledger.close_session(session, "lost")
        self.open_session()
        if not self.seeds:
            self._appoint()
            self.seeds.append((self.home / "keys" / "signing.key").read_bytes())

    def open_session(self) -> None:
        """Another worker comes."""
        self._sessions += 1
        self.session = f"s-{self._sessions}"
        self.ledger.open_session(self.session, self._sessions)

    def keep(self) -> None:
        """Somebody outside keeps a checkpoint."""
        self.ledger.write_checkpoint()
        self.notes.append(self.ledger.note())

    def stop(self) -> None:
        """The writer stops cleanly."""
        self.ledger.close()
        self._ledger = None

    def crash(self) -> None:
        """The writer is killed, perhaps within a record."""
        ledger = self.ledger
        for opened in (ledger.files, ledger._keyring):
            opened.close()
        ledger._lock.release()
        self._ledger = None
        if self.random.random() < 0.7:
            part = self.random.choice(["events", "payloads"])
            last = max((self.directory / part).iterdir())
            with last.open("ab") as file:
                file.write(self.random.randbytes(self.random.randrange(1, 60)))

    def restart(self) -> None:
        """A new boot, after a clean stop or a crash; sometimes somebody was erased meanwhile."""
        if self.random.random() < 0.5:
            self.stop()
        else:
            self.crash()
        if self.random.random() < 0.3:
            ring = Keyring(
                self.home / "keys" / "principals.keys", (self.home / "keys" / "kek").read_bytes()
            )
            ring.erase(self.random.choice(STAFF))
            ring.close()
        self.boot()

    # -- exchanges

    def go_on(self) -> None:
        """One thing happens."""
        held = (*[self.hold] * 3, self.hold_answer, self.hold_in_order)
        often = (*[self.ask] * 6, *[self.refuse] * 2, *held)
        rare = (self.fail, self.retry, self.lose, self.look, self.administer, self.swap_worker)
        officers = (self.keep_for_a_court, self.disclose, self.erase)
        happens: Sequence[Callable[[], object]] = (*often, *rare, *officers)
        self.random.choice(happens)()

    def everything(self) -> None:
        """Each thing happens, so that there is something of each to change."""
        for happens in (self.ask, self.lose, self.look, self.administer):
            happens()
        for end, need in (("approved", 2), ("denied", 1), ("expired", 1)):
            self.hold(end, need)
        for end, need in (("approved", 2), ("denied", 1)):
            self.hold_answer(end, need)
        self.hold_in_order()
        for _ in range(3):  # half of them appeal
            self.refuse()
        for happens in (self.keep_for_a_court, self.release, self.keep_for_a_court, self.disclose):
            happens()
        while not self.erase():
            self.ask()
        self.change_keys()

    def body(self) -> bytes:
        """Some text that nobody said before."""
        return f"text {self.random.getrandbits(64):x}".encode() * self.random.randrange(1, 6)

    def write(self, *events: Event) -> None:
        """Append as one batch."""
        self.ledger.append_batch(events)

    def ask(self) -> None:
        """An ordinary exchange; sometimes its answer does not arrive whole, or comes late."""
        sent = self._send()
        self.write(self._answer(sent))
        if self.random.random() < 0.15:
            self.write(self._about(sent, "delivery.cut", intent=sent.id, cause="client_gone"))
        if self.random.random() < 0.1:
            self.write(self._answer(sent))  # becomes outcome.late

    def _send(self) -> Event:
        exchange, who, body = uuid7(), self.random.choice(STAFF), self.body()
        sent = replace(intent(exchange, self.session, body), principal=who)
        decided = replace(decision(exchange), principal=who)
        self.write(received(exchange, body, who), decided, sent)
        return sent

    def _answer(self, sent: Event, status: str = "released") -> Event:
        return replace(outcome(sent, status, self.body()), principal=sent.principal)

    def _about(self, other: Event, kind: str, actor: str | None = None, **data: Any) -> Event:
        return Event(uuid7(), kind, other.exchange, other.principal, data, actor=actor)

    def refuse(self) -> None:
        """Policy says no; sometimes whoever asked appeals."""
        exchange, who, body = uuid7(), self.random.choice(STAFF), self.body()
        asked = received(exchange, body, who)
        denied = decision(exchange, "deny")
        denied = replace(denied, principal=who, data={**denied.data, "reasons": [DENIED]})
        told = {"code": "policy_denied", "status": 403, "stage": "clear"}
        refused = Event(uuid7(), "exchange.refused", exchange, who, told)
        self.write(asked, denied, refused)
        if self.random.random() < 0.5:
            appeal = uuid7()
            why = Payload("reason", b"please: " + body, b"please: " + body)
            data = {"appeal": appeal}
            self.write(
                Event(appeal, "exchange.appealed", exchange, who, data, actor=who, payloads=(why,))
            )

    def fail(self) -> None:
        """The backend breaks, or the client goes."""
        status = self.random.choice(["failed", "cancelled", "stopped"])
        self.write(replace(self._answer(self._send(), status), payloads=()))

    def retry(self) -> None:
        """A dead connection, and another attempt."""
        first = self._send()
        data = {**first.data, "attempt": 2}
        second = replace(first, id=uuid7(), data=data)
        self.write(replace(self._answer(first, "failed"), payloads=()))
        self.write(second)
        self.write(self._answer(second))

    def lose(self) -> None:
        """A worker dies with a request on its way."""
        self._send()
        self.ledger.close_session(self.session, "lost")
        self.open_session()

    def swap_worker(self) -> None:
        """A worker ends, another comes."""
        self.ledger.close_session(self.session, "ended")
        self.open_session()

    def look(self) -> None:
        """An auditor reads."""
        size = self.ledger.size
        data = {"first": 0, "count": min(size, 256)}
        self.write(Event(uuid7(), "log.read", None, None, data, actor="auditor-1"))

    def administer(self) -> None:
        """Somebody gets a key, somebody else is not let in."""
        who = self.random.choice(STAFF)
        made = Event(uuid7(), "key.created", None, who, {"key": uuid7()}, actor="admin-1")
        source = Payload("source", b"192.0.2.7", b"192.0.2.7")
        odd = {"cause": "unknown_key", "count": self.random.randrange(1, 9)}
        refused = Event(uuid7(), "credential.refused", None, None, odd, payloads=(source,))
        self.write(made, refused)

    # -- officers and keys

    def _appoint(self) -> None:
        """Two officers, who must act together where it matters most."""
        office = {"credential": "0" * 16, "duties": list(DUTIES), "removed": False}
        made = [Event(uuid7(), "officer.changed", None, name, office) for name in OFFICERS]
        two = Event(uuid7(), "officer.paired", None, None, {"duties": list(TWO_AT_FIRST)})
        self.ledger.record_all([*made, two])

    def _act(self, kind: str, exchange: str | None, words: Sequence[str], **data: Any) -> Event:
        said = tuple(Payload(name, self.body(), b"sealed " + self.body()) for name in words)
        data["second"] = OFFICERS[1]
        return Event(uuid7(), kind, exchange, None, data, OFFICERS[0], said)

    def keep_for_a_court(self) -> None:
        """What somebody asked must be kept."""
        known = [one for one in STAFF if self.ledger.pseudonym_of(one) is not None]
        if known:
            person = self.random.choice(known)
            act = self._act("legal_hold.set", None, ["authority"], person=person)
            self.ledger.record_all([act])

    def release(self) -> None:
        """A legal hold ends."""
        hold = self.random.choice(sorted(self.ledger.custody.holds))
        self.ledger.record_all([self._act("legal_hold.released", None, ["authority"], hold=hold)])

    def disclose(self) -> None:
        """Officers are given content, and whoever it is of can see that."""
        sent = self._send()
        exchange, index = sent.exchange, self.ledger.size - 1
        told = {"first": index, "last": index, "payloads": 1, "exchanges": 1, "keys": False}
        act = self._act("audit.disclosed", exchange, ["purpose", "ticket"], **told)
        read = {"purpose": "audit", "part": "content"}
        seen = Event(uuid7(), "record.read", exchange, sent.principal, read, OFFICERS[0])
        self.ledger.record_all([act, seen])
        self.write(self._answer(sent))

    def erase(self) -> bool:
        """Somebody is erased, if a court does not want what they wrote; tells whether."""
        who, said = self.random.choice(STAFF), self._act("x", None, ["purpose", "ticket"]).payloads
        try:
            begun = erasure.begin(self.ledger, who, OFFICERS, said)
        except Refused:
            return False
        keys = erasure.destroy(self.ledger, begun)
        erasure.finish(self.ledger, begun, keys=len(keys), rows=0)
        return True

    def change_keys(self) -> None:
        """From now on another key signs."""
        self.ledger.rotate_key()
        self.seeds.append((self.home / "keys" / "signing.key").read_bytes())

    # -- holds

    def hold(self, end: str | None = None, need: int | None = None) -> None:
        """People are asked: they approve, deny, or say nothing."""
        who, need = self.random.choice(STAFF), need or self.random.randrange(1, 4)
        held = HeldExchange(body=self.body(), approve=need)
        thresholds = [{"reviewers": "reviewer", "approve": need, "deny": 1}]
        terms = {"stage": "request", "ttl_s": 60, "risk": 50, "thresholds": thresholds}
        asked, _, filed = held.filing()
        decided = decision(held.exchange, "hold", hold=terms)
        self.write(*(replace(event, principal=who) for event in (asked, decided, filed)))
        people = self.random.sample(REVIEWERS, need)
        end = end or self.random.choice(["approved"] * 4 + ["denied", "expired", "withdrawn"])
        if end == "approved":
            self._approve(held, who, people)
            return
        reviews = []
        if end == "denied":
            reviews = [replace(held.review(people[0], "deny"), principal=who)]
            self.write(*reviews)
        self.write(replace(held.settled(reviews, end), principal=who))

    def _approve(self, held: HeldExchange, who: str, people: Sequence[str]) -> None:
        reviews = []
        for reviewer in people:
            look = {"purpose": "review", "part": "outgoing", "hold": held.hold}
            review = replace(held.review(reviewer), principal=who)
            self.write(self._about(review, "record.read", actor=reviewer, **look), review)
            reviews.append(review)
        self.write(replace(held.settled(reviews), principal=who))
        decided = replace(decision(held.exchange), principal=who)
        sent = replace(held.intent(self.session), principal=who)
        self.write(decided, sent)
        self.write(self._answer(sent), replace(held.delivered(), principal=who))

    def hold_in_order(self) -> None:
        """People are asked one after the other, and approve."""
        who, held = self.random.choice(STAFF), HeldExchange(body=self.body())
        groups = ["team-lead", "compliance", "legal"][: self.random.randrange(2, 4)]
        steps: list[dict[str, Any]] = [
            {},
            *({"step": number} for number in range(2, len(groups) + 1)),
        ]
        thresholds = [
            {"reviewers": group, "approve": 1, "deny": 1, **step}
            for group, step in zip(groups, steps, strict=True)
        ]
        terms = {"stage": "request", "ttl_s": 60, "risk": 50, "thresholds": thresholds}
        asked, _, filed = held.filing()
        filed = replace(filed, data={**filed.data, "thresholds": thresholds})
        decided = decision(held.exchange, "hold", hold=terms)
        self.write(*(replace(event, principal=who) for event in (asked, decided, filed)))
        reviews = []
        people = self.random.sample(REVIEWERS, len(groups))
        for reviewer, group, step in zip(people, groups, steps, strict=True):
            review = replace(held.review(reviewer, counts_for=[group], **step), principal=who)
            self.write(review)
            reviews.append(review)
        self.write(replace(held.settled(reviews), principal=who))

    def hold_answer(self, end: str | None = None, need: int | None = None) -> None:
        """An answer waits for people: they let it pass, deny it, or say nothing."""
        who, need = self.random.choice(STAFF), need or self.random.randrange(1, 3)
        stage = self.random.choice(["tool_call", "response"])
        held = HeldAnswer(body=self.body(), approve=need, stage=stage, answer=self.body(), who=who)
        self.write(*held.asked(self.session))
        self.write(*held.waiting())
        end = end or self.random.choice(["approved"] * 2 + ["denied", "expired"])
        reviews = []
        if end != "expired":
            people = self.random.sample(REVIEWERS, need if end == "approved" else 1)
            said = "approve" if end == "approved" else "deny"
            reviews = [replace(held.review(one, said), principal=who) for one in people]
            self.write(*reviews)
        self.write(replace(held.settled(reviews, end), principal=who))
        if end == "approved":
            self.write(held.judged(), held.released())
            self.write(replace(held.delivered(), principal=who))
