"""Ledgers to try things on: events as the gateway writes them, and a real auditd to kill."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sekisho.model.ids import uuid7
from sekisho_audit.events import Event, Payload
from sekisho_audit.ledger import Ledger, Limits

ORIGIN = "ledger.example/test"
CANARY = b"canary-7731: the merger is called Blue Heron"
STAFF = "staff-7@ledger.example"
REVIEWER = "reviewer-1@ledger.example"
READY_S = 30.0


def received(exchange: str, body: bytes = CANARY, principal: str = STAFF) -> Event:
    """A request was read."""
    data = {
        "endpoint": "chat.completions",
        "model": "small",
        "stream": False,
        "credential": "k-1",
        "bytes": len(body),
    }
    payloads = (Payload("prompt", body, body),)
    return Event(uuid7(), "request.received", exchange, principal, data, payloads=payloads)


def decision(exchange: str, effect: str = "allow", **obligations: Any) -> Event:
    """Policy answered."""
    data = {
        "stage": "request",
        "effect": effect,
        "reasons": [{"code": "ok", "rule": "sekisho.default", "msg": "fine"}],
        "rules": ["sekisho.default"],
        "revision": "sha256:0",
        "engine": "opa",
        "obligations": obligations,
        "took_us": 12,
        "memo": False,
    }
    return Event(uuid7(), "policy.decision", exchange, STAFF, data)


def intent(exchange: str, session: str, body: bytes = CANARY, **more: Any) -> Event:
    """Bytes are about to leave."""
    data = {
        "session": session,
        "attempt": 1,
        "backend": "local",
        "model": "small",
        "path": "/chat/completions",
        "bytes": len(body),
        "revision": "sha256:0",
        **more,
    }
    payloads = (Payload("outgoing", body),)
    return Event(uuid7(), "backend.intent", exchange, STAFF, data, payloads=payloads)


def outcome(of: Event, status: str = "released", body: bytes = CANARY) -> Event:
    """What became of an intent."""
    data = {"intent": of.id, "status": status, "bytes": len(body)}
    payloads = (Payload("answer", body, body),)
    return Event(uuid7(), "backend.outcome", of.exchange, STAFF, data, payloads=payloads)


@dataclass
class HeldExchange:
    """The events of one held exchange, each made when it is asked for."""

    exchange: str = field(default_factory=uuid7)
    hold: str = field(default_factory=uuid7)
    body: bytes = CANARY
    version: int = 1
    binding: str = "b" * 64
    approve: int = 1
    expires_us: int = 4_000_000_000_000_000
    person: str | None = None
    second: str = ""

    @property
    def reviewers(self) -> list[dict[str, Any]]:
        """Who is asked: some reviewers, and after them one of the group `second`, if it is told."""
        first = {"reviewers": "reviewer", "approve": self.approve, "deny": 1}
        then = {"reviewers": self.second, "approve": 1, "deny": 1, "step": 2}
        return [first, then] if self.second else [first]

    def filing(self) -> list[Event]:
        """Received, decided and filed."""
        data: dict[str, Any] = {
            "hold": self.hold,
            "version": self.version,
            "stage": "request",
            "binding": self.binding,
            "expires_us": self.expires_us,
            "thresholds": self.reviewers,
            "backend": "local",
            "model": "small",
            "revision": "sha256:0",
            "risk": 50,
        }
        if self.person:
            data["person"] = self.person
        payloads = (
            Payload("hold", b"record:" + self.body, b"record:" + self.body),
            Payload("outgoing", self.body),
        )
        filed = Event(uuid7(), "hold.filed", self.exchange, STAFF, data, payloads=payloads)
        held = decision(self.exchange, "hold", hold={"stage": "request", "ttl_s": 60, "risk": 50})
        return [received(self.exchange, self.body), held, filed]

    def review(self, reviewer: str = REVIEWER, answer: str = "approve", **more: Any) -> Event:
        """One person answered."""
        data = {
            "hold": self.hold,
            "version": self.version,
            "decision": answer,
            "binding": self.binding,
            **more,
        }
        reason = b"reason: " + CANARY
        payloads = (Payload("reason", reason, reason),)
        return Event(
            uuid7(), "hold.review", self.exchange, STAFF, data, actor=reviewer, payloads=payloads
        )

    def settled(self, reviews: Sequence[Event], state: str = "approved", **more: Any) -> Event:
        """The hold has its outcome."""
        data = {
            "hold": self.hold,
            "version": self.version,
            "state": state,
            "binding": self.binding,
            "reviews": [item.id for item in reviews],
            **more,
        }
        return Event(uuid7(), "hold.settled", self.exchange, STAFF, data)

    def intent(self, session: str, **more: Any) -> Event:
        """The approved bytes are about to leave."""
        named = {"hold": self.hold, "version": self.version, "binding": self.binding, **more}
        return intent(self.exchange, session, self.body, **named)

    def delivered(self) -> Event:
        """The answer reached its requester."""
        return Event(uuid7(), "hold.delivered", self.exchange, STAFF, {"hold": self.hold})


@dataclass
class HeldAnswer(HeldExchange):
    """The events of an exchange whose answer waits for people, because of the request or of a tool
    call in the answer.
    """

    stage: str = "response"
    answer: bytes = b"the answer: " + CANARY
    who: str = STAFF
    sent: Event | None = None

    @property
    def terms(self) -> dict[str, Any]:
        """What policy asks for at the stage of the hold."""
        thresholds = [{"reviewers": "reviewer", "approve": self.approve, "deny": 1}]
        return {"stage": self.stage, "ttl_s": 60, "risk": 50, "thresholds": thresholds}

    def asked(self, session: str) -> list[Event]:
        """Received, decided and sent."""
        foreseen = [self.terms] if self.stage == "response" else []
        decided = decision(self.exchange, hold_later=foreseen)
        self.sent = intent(self.exchange, session, self.body)
        return self._of(received(self.exchange, self.body), decided, self.sent)

    def judged(self, effect: str = "allow", stage: str = "", **obligations: Any) -> Event:
        """Policy answered about the answer or a tool call."""
        about = decision(self.exchange, effect, **obligations)
        named = {"stage": stage or self.stage}
        if named["stage"] == "tool_call":
            named["tool"] = "send_mail"
        [event] = self._of(replace(about, data={**about.data, **named}))
        return event

    def outcome(self, status: str = "held") -> Event:
        """What became of the intent."""
        if self.sent is None:
            raise RuntimeError("nothing was sent")
        [event] = self._of(outcome(self.sent, status, self.answer))
        return event

    def waiting(self) -> list[Event]:
        """Policy spoke about the answer; it is held and filed."""
        if self.stage == "response":
            spoken = [self.judged(stage="tool_call"), self.judged()]
        else:
            spoken = [self.judged("hold", hold=self.terms)]
        return [*spoken, self.outcome(), self.filed()]

    def filed(self) -> Event:
        """The hold of the answer."""
        filed = self.filing()[-1]
        payloads = (filed.payloads[0], Payload("outgoing", self.answer))
        data = {**filed.data, "stage": self.stage}
        [event] = self._of(replace(filed, data=data, payloads=payloads))
        return event

    def released(self, answer: bytes | None = None, **more: Any) -> Event:
        """What was approved, or something else, is about to be given out."""
        named = {"hold": self.hold, "version": self.version, "binding": self.binding}
        payloads = (Payload("answer", self.answer if answer is None else answer),)
        data = {**named, "stage": self.stage, **more}
        return Event(uuid7(), "hold.released", self.exchange, self.who, data, payloads=payloads)

    def _of(self, *events: Event) -> list[Event]:
        return [replace(event, principal=self.who) for event in events]


def open_ledger(home: Path, **limits: Any) -> Ledger:
    """The ledger in `home`, with its keys beside it."""
    return Ledger.open(home / "data" / "ledger", home / "keys", ORIGIN, limits=Limits(**limits))


def run_exchange(ledger: Ledger, session: str, body: bytes = CANARY) -> Event:
    """A whole exchange; returns its intent."""
    exchange = uuid7()
    sent = intent(exchange, session, body)
    ledger.append_batch([received(exchange, body), decision(exchange), sent])
    ledger.append_batch([outcome(sent, body=body)])
    return sent


def run_held_exchange(ledger: Ledger, session: str) -> HeldExchange:
    """A whole held exchange, approved and delivered."""
    held = HeldExchange()
    ledger.append_batch(held.filing())
    review = held.review()
    ledger.append_batch([review, held.settled([review])])
    sent = held.intent(session)
    ledger.append_batch([sent])
    ledger.append_batch([outcome(sent), held.delivered()])
    return held


def run_held_answer(ledger: Ledger, session: str, stage: str = "response") -> HeldAnswer:
    """A whole exchange whose answer was held, approved, released and delivered."""
    held = HeldAnswer(stage=stage)
    ledger.append_batch(held.asked(session))
    ledger.append_batch(held.waiting())
    review = held.review()
    ledger.append_batch([review, held.settled([review])])
    ledger.append_batch([held.judged(), held.released()])
    ledger.append_batch([held.delivered()])
    return held


def small_ledger(home: Path, **limits: Any) -> Path:
    """A ledger with every ordinary event, stopped cleanly; returns its directory."""
    ledger = open_ledger(home, **limits)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    run_held_exchange(ledger, "s-1")
    ledger.close()
    return ledger.directory


class Auditd:
    """A real auditd in a process of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.socket = str(home / "a.sock")
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The running process."""
        if self._process is None:
            raise RuntimeError("auditd was not started")
        return self._process

    @property
    def ledger(self) -> Path:
        """Its ledger directory."""
        return self.home / "data" / "ledger"

    async def start(self) -> None:
        """Start it and wait until it accepts."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sekisho_audit.auditd",
            *("--ledger", str(self.ledger), "--keys", str(self.home / "keys")),
            *("--socket", self.socket, "--origin", ORIGIN),
            *self._arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        if self._process.stdout is None:
            raise RuntimeError("no pipe")
        line = await asyncio.wait_for(self._process.stdout.readline(), READY_S)
        if line != b"ready\n":
            _, problem = await self._process.communicate()
            raise RuntimeError(f"auditd did not start: {problem.decode()}")

    async def end(self, *, kill: bool = False) -> tuple[int, str]:
        """Stop it, or kill it; returns exit code and what it said."""
        if self.process.returncode is None:
            if kill:
                self.process.kill()
            else:
                self.process.terminate()
        _, said = await self.process.communicate()
        return self.process.returncode or 0, said.decode()
