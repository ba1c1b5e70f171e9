"""The straight line with a ledger in memory and scripted rules and backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from sekisho.content.scan import Scanner
from sekisho.errors import NotAuthenticated, SekishoError
from sekisho.holding.break_glass import BreakGlass
from sekisho.holding.file import Filing
from sekisho.holding.granting import Granting
from sekisho.holding.outbox import Outbox
from sekisho.model.assistant import NO_ASSISTANTS, Assistants
from sekisho.model.catalog import Backend, Catalog
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Reason
from sekisho.model.hold import Pace
from sekisho.model.office import Office
from sekisho.model.principal import Principal, Shown
from sekisho.parts import Limits, Parts
from sekisho.pipeline import Pipeline
from sekisho.ports import HoldStore
from sekisho.releasing.sampling import Sampling
from sekisho.stages.receive import RawRequest
from sekisho.telemetry import Metrics
from sekisho.unsettled import Unsettled
from support.holds import JOIN_KEY, LIMITS, ONE_REVIEW, STAFF, SystemClock
from support.memory_ledger import MemoryLedger
from support.switch import Switch
from support.unlimited import Unlimited

KEY = "key-staff"
ANSWER = b'{"choices":[{"finish_reason":"stop","message":{"content":"hi"}}]}'
CHAT_BODY = b'{"model":"gpt-x","messages":[{"role":"user","content":"hello"}]}'


CATALOG = Catalog((Backend("demo", ("gpt-x", "gpt-y", "gpt-z*"), "external"),))


def decision(effect: Effect, **obligations: Any) -> Decision:
    """An answer of the rules with one reason."""
    asked = Obligations(**obligations)
    return Decision(effect, (Reason("r", "Because.", "rule.a"),), "sha256:0", asked)


ALLOW = decision(Effect.ALLOW)
ALLOWED_LATER = decision(Effect.ALLOW)
DENY = decision(Effect.DENY)
HOLD = decision(Effect.HOLD, hold=HoldTerms("request", ONE_REVIEW, 600, 10))


def chat(body: bytes = CHAT_BODY) -> RawRequest:
    """A chat request as the web layer hands it over."""
    return RawRequest("chat.completions", body, "127.0.0.1", None, 0)


class People:
    """Satisfies `sekisho.ports.Directory`: one employee with one key, and some who have left."""

    def __init__(self) -> None:
        self.gone: set[str] = set()

    async def find(self, shown: Shown) -> Principal:
        if shown.secret != KEY:
            raise NotAuthenticated("This API key is not known.", cause="unknown")
        return STAFF

    async def may_ask(self, principal: str) -> bool:
        return principal not in self.gone


@dataclass
class Rules:
    """Satisfies `sekisho.ports.PolicyEngine`: says what it is told to say, at later stages what
    `later` says of a stage or of a tool (`tool_call:<name>`), else that it is allowed.
    """

    says: Decision | SekishoError = ALLOW
    later: dict[str, Decision | SekishoError] = field(default_factory=dict)
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    revision: str = "sha256:0"

    async def decide(self, document: Mapping[str, Any]) -> Decision:
        self.asked.append(document)
        if self.gate is not None:
            await self.gate.wait()
        says = self._about(document)
        if isinstance(says, SekishoError):
            raise says
        return says

    def _about(self, document: Mapping[str, Any]) -> Decision | SekishoError:
        stage = document["stage"]
        if stage == "request":
            return self.says
        tool = document["tool"]
        named = f"{stage}:{tool['name']}" if tool else stage
        return self.later.get(named, self.later.get(stage, ALLOWED_LATER))


@dataclass
class Reply:
    """Satisfies `sekisho.ports.BackendReply` with given chunks."""

    parts: Sequence[bytes]
    status: int
    headers: Mapping[str, str]
    closed: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part

    async def close(self) -> None:
        self.closed = True


@dataclass
class ScriptedBackend:
    """Satisfies `sekisho.ports.Backend`; `fails` are raised one a call, then it answers, not
    before `gate` is open.
    """

    fails: list[SekishoError] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    went: list[str] = field(default_factory=list)
    parts: Sequence[bytes] = (ANSWER,)
    content_type: str = "application/json"
    on_send: Callable[[], None] | None = None
    gate: asyncio.Event | None = None

    async def send(self, backend: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        self.sent.append(body)
        self.went.append(backend)
        if self.on_send is not None:
            self.on_send()
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise self.fails.pop(0)
        return Reply(self.parts, 200, {"content-type": self.content_type})


@dataclass
class Lists:
    """Satisfies `sekisho.ports.ModelLists`."""

    heard: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def names(self) -> Mapping[str, Sequence[str]]:
        return self.heard


class NoHolds:
    """Satisfies the part of `sekisho.ports.HoldStore` that is asked where nothing is held."""

    async def lately(self, reviewers: Sequence[str]) -> Mapping[str, Pace]:
        return dict.fromkeys(reviewers, Pace(7, 60))

    async def waits(self, join: str) -> str:
        return ""


@dataclass
class Line:
    """A pipeline and what it was built from. Without a store of holds nothing can be held."""

    holds: HoldStore | None = None
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    rules: Rules = field(default_factory=Rules)
    backend: ScriptedBackend = field(default_factory=ScriptedBackend)
    metrics: Metrics = field(default_factory=Metrics)
    limiter: Unlimited = field(default_factory=Unlimited)
    people: People = field(default_factory=People)
    lists: Lists = field(default_factory=Lists)
    catalog: Catalog = CATALOG
    assistants: Assistants = NO_ASSISTANTS
    outbox: Outbox | None = None
    channels: frozenset[str] = frozenset()
    switch: Switch = field(default_factory=Switch)
    granting: Granting | None = None
    sampling: Sampling | None = None
    session: str = "s1"
    silent_s_max: float = 45
    glass: BreakGlass | None = None

    def __post_init__(self) -> None:
        self.unsettled = Unsettled(self.ledger)
        store = cast("HoldStore", self.holds or NoHolds())
        self.pipeline = Pipeline(
            Parts(
                clock=SystemClock(),
                directory=self.people,
                limiter=self.limiter,
                engine=self.rules,
                scanner=Scanner(),
                office=Office(),
                assistants=lambda: self.assistants,
                catalog=self.catalog,
                ledger=self.ledger,
                backend=self.backend,
                path_of=lambda *_: "/v1/chat/completions",
                lists=self.lists,
                holds=store,
                halts=self.switch,
                filing=Filing(
                    store, self.ledger, SystemClock(), LIMITS, office=Office(), join_key=JOIN_KEY
                ),
                lease_s=5,
                unsettled=self.unsettled,
                session=self.session,
                limits=Limits(64, 100_000, self.silent_s_max),
                metrics=self.metrics,
                outbox=self.outbox,
                granting=self.granting,
                sampling=self.sampling,
                glass=self.glass,
                channels=self.channels,
            )
        )

    def data(self, kind: str) -> list[Mapping[str, Any]]:
        """The data of all events of a type."""
        return [event.data for event in self.ledger.events if event.type == kind]

    def counted(self, sample: str) -> bool:
        """Whether /metrics would show this line."""
        return f"{sample}\n" in self.metrics.render()[0].decode()

    def stored_prompt(self) -> Any:
        """What the ledger keeps of the request, parsed."""
        (payload,) = self.ledger.events[0].payloads
        return None if payload.stored is None else orjson.loads(payload.stored)
