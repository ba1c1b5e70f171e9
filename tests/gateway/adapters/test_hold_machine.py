"""The hold store against a small reference model: any order of calls, by anyone, at any time.

A planted fault in a script, in a step or in the ledger must be noticed within the same examples.
docs/explain/holds.md says what else there is about the states.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sekisho.adapters.redis_holds import HOLDS
from sekisho.adapters.redis_scripts import GatedScripts
from sekisho.errors import Conflict, Forbidden, LedgerRefused, LedgerUnavailable, NotFound
from sekisho.holding import evidence as hold_evidence
from sekisho.holding import rebuild, settle
from sekisho.holding.review import withdraw
from sekisho.model import evidence, steps
from sekisho.model.decision import HoldTerms, Threshold
from sekisho.model.hold import HoldState, HoldView, StoredAnswer
from sekisho.model.outgoing import Approval
from sekisho.model.principal import Principal, Role
from support import memory_ledger
from support.holds import STAFF, STRANGER, Desk, exchange, open_desk, outgoing, person
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

pytestmark = pytest.mark.long

REVIEWERS = [
    person(f"reviewer-{n}", Role.REVIEWER, groups=groups)
    for n, groups in enumerate([("first",), ("first",), ()])
]
IN_ORDER = (Threshold("first", 1, 1), Threshold("reviewer", 1, 1, 2))
ANYONE = [*REVIEWERS, STAFF, STRANGER]
WORKERS = ["w-1", "w-2"]
HOLDS_MAX = 2  # the steps of a run are better spent on what becomes of them
REFUSED = (Conflict, Forbidden, NotFound)


@dataclass
class Model:
    """What a hold must be, in so many words."""

    needed: int
    ordered: bool = False
    state: str = "pending"
    reviews: dict[str, str] = field(default_factory=dict)
    claimant: str | None = None
    claimed: int = 0
    intended: bool = False
    stage: str = "request"
    justify: bool = False
    reason: str | None = None

    def why(self, who: Principal, reason: str) -> bool:
        """Whether the reason is taken; the same one said again is, at any time."""
        if who is not STAFF or not self.justify:
            return False
        if self.reason is not None:
            return self.reason == reason
        if self.state != "pending":
            return False
        self.reason = reason
        if self.needed == 0:
            self.state = "approved"
        return True

    def review(self, who: Principal, decision: str) -> bool:
        """Whether the review is taken; a repeated one is."""
        if who not in REVIEWERS or self.needed == 0:
            return False
        if self.reviews.get(who.id) == decision:
            return True
        if self.state != "pending" or who.id in self.reviews:
            return False
        if decision == "approve" and self.justify and self.reason is None:
            return False
        if self.step == 1 and self.ordered and "first" not in who.groups:
            return False
        self.reviews[who.id] = decision
        approvals = list(self.reviews.values()).count("approve")
        if decision == "deny":
            self.state = "denied"
        elif approvals >= self.needed:
            self.state = "approved"
        return True

    @property
    def step(self) -> int:
        """The one that is open: one approval each fills it."""
        return 2 if self.ordered and "approve" in self.reviews.values() else 1

    def claim(self, worker: str) -> bool:
        if self.state == "dispatching" and self.claimant == worker:
            return True
        if self.state != "approved":
            return False
        self.state, self.claimant, self.claimed = "dispatching", worker, self.claimed + 1
        return True

    def end(self, worker: str, state: str) -> bool:
        if self.claimant != worker:
            return False
        if self.state == "dispatching":
            self.state = state
            return True
        return self.state == state or (state == "ready" and self.state == "delivered")

    def over(self) -> bool:
        """The lease is over; whether that changed anything."""
        if self.state != "dispatching":
            return False
        self.state, self.claimant = (
            ("unknown", self.claimant)
            if self.stage == "request"
            else (
                "approved",
                None,
            )
        )
        return True

    def apply(self) -> None:
        """An approval whose intent the ledger has is never used again."""
        if self.state == "approved" and self.intended:
            self.state, self.claimant = "unknown", None

    def wipe(self) -> None:
        """All that is left is what the ledger has."""
        if self.state in {"pending", "denied", "withdrawn"}:
            return
        self.state = "unknown" if self.intended else "approved"
        self.claimant, self.claimed = None, 0

    def move(self, before: str, after: str) -> bool:
        if self.state != before:
            return False
        self.state = after
        return True


class HoldMachine(RuleBasedStateMachine):
    """Two workers at one store and one ledger; the store is wiped now and then."""

    url = ""
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.models: dict[str, Model] = {}
        self.views: dict[str, HoldView] = {}

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        with redis.Redis.from_url(self.url) as raw:
            raw.flushall()
        self.ledger = MemoryLedger()
        self.run(self._open())

    async def _open(self) -> None:
        self.desks: list[Desk] = [open_desk(self.url, self.ledger) for _ in range(2)]

    def teardown(self) -> None:
        for desk in getattr(self, "desks", []):
            self.run(desk.close())
        self.runner.close()

    @precondition(lambda self: len(self.models) < HOLDS_MAX)
    @rule(
        target=holds,
        needed=st.sampled_from([0, 1, 2]),
        justify=st.booleans(),
        ordered=st.sampled_from([True, False, False]),
        stage=st.sampled_from(["request", "request", "response"]),
        worker=st.sampled_from([0, 1]),
    )
    def file(self, needed: int, justify: bool, ordered: bool, stage: str, worker: int) -> str:
        needed = needed if justify else max(needed, 1)  # somebody is asked for something
        needed = len(IN_ORDER) if ordered else needed
        thresholds = (Threshold("reviewer", needed, 1),) if needed else ()
        thresholds = IN_ORDER if ordered else thresholds
        text = f"request {len(self.models)}"
        work = self.desks[worker].file(text, thresholds=thresholds, justify=justify, stage=stage)
        view = self.run(work)
        self.models[view.hold.id] = Model(needed, ordered, justify=justify, stage=stage)
        self.views[view.hold.id] = view
        return str(view.hold.id)

    @rule(
        hold=holds,
        who=st.sampled_from(ANYONE),
        decision=st.sampled_from(["approve", "deny"]),
        worker=st.sampled_from([0, 1]),
    )
    def review(self, hold: str, who: Principal, decision: str, worker: int) -> None:
        expected = self.models[hold].review(who, decision)
        assert self._allowed(self.desks[worker].review(self.views[hold], who, decision)) is expected

    @rule(
        hold=holds,
        who=st.sampled_from(REVIEWERS),
        decision=st.sampled_from(["approve", "deny"]),
        lost=st.sampled_from(["lose_before", "lose_after"]),
    )
    def review_while_the_ledger_fails(
        self, hold: str, who: Principal, decision: str, lost: str
    ) -> None:
        """Before the ledger took it, or after: it is under way, nobody can use it, and another
        worker finishes it.
        """
        model = self.models[hold]
        if model.state != "pending" or who.id in model.reviews or not model.review(who, decision):
            return
        setattr(self.ledger, lost, 1)
        taken = False
        try:
            self.run(self.desks[0].review(self.views[hold], who, decision))
            taken = True
        except LedgerUnavailable:
            pass
        assert not taken, "the reviewer was told yes, and the ledger has nothing"
        view = self.run(self.desks[1].store.get(hold))
        assert view.state == "deciding"
        assert self.run(self.desks[1].store.claim(hold, "early")) is None
        self.run(settle.finish(self.desks[1].store, self.ledger, view, view.proposal))

    @rule(
        hold=holds,
        who=st.sampled_from([*ANYONE, STAFF, STAFF]),
        reason=st.sampled_from(["one reason", "another reason"]),
        worker=st.sampled_from([0, 1]),
    )
    def justify(self, hold: str, who: Principal, reason: str, worker: int) -> None:
        expected = self.models[hold].why(who, reason)
        work = self.desks[worker].justify(self.views[hold], who, reason)
        assert self._allowed(work) is expected

    @rule(hold=holds, worker=st.sampled_from(WORKERS))
    def approve_and_claim(self, hold: str, worker: str) -> None:
        """The way to what is behind it."""
        self.justify(hold, STAFF, "one reason", 0)
        for who in REVIEWERS[:2]:
            self.review(hold, who, "approve", 1)
        self.claim(hold, worker)

    @rule(hold=holds)
    def approve_once(self, hold: str) -> None:
        """The way to the second step, where there is one."""
        self.justify(hold, STAFF, "one reason", 0)
        self.review(hold, REVIEWERS[0], "approve", 1)

    @rule(hold=holds, who=st.sampled_from(ANYONE))
    def withdraw(self, hold: str, who: Principal) -> None:
        model = self.models[hold]
        repeated = model.state == "withdrawn"
        expected = who is STAFF and (repeated or model.move("pending", "withdrawn"))
        work = withdraw(self.desks[0].store, self.ledger, who, hold)
        assert self._allowed(work) is expected

    @rule(hold=holds, worker=st.sampled_from(WORKERS))
    def claim(self, hold: str, worker: str) -> None:
        expected = self.models[hold].claim(worker)
        found = self.run(self.desks[0].store.claim(hold, worker))
        assert (found is not None) is expected
        if found is not None:
            assert found == self.views[hold].hold

    @rule(hold=holds)
    def intend(self, hold: str) -> None:
        """The ledger takes one intent for an approval, whoever brings it."""
        model, held = self.models[hold], self.views[hold].hold
        if held.stage != "request":
            return
        asked = exchange("the same bytes")
        terms = HoldTerms("request", held.thresholds, 600, 10)
        leaving = outgoing(asked, STAFF, terms)
        approval = Approval(held.id, held.version, held.binding)
        event = evidence.intent(leaving, "session", 1, approval)
        approved = model.state not in {"pending", "denied", "withdrawn"}
        expected = approved and not model.intended
        try:
            self.run(self.ledger.append([event]))
        except LedgerRefused:
            assert not expected
        else:
            assert expected
            model.intended = True

    @rule(hold=holds)
    def end_the_lease(self, hold: str) -> None:
        """As time would; then a sweep comes by."""
        with redis.Redis.from_url(self.url) as raw:
            if raw.hexists(HOLDS + hold, "lease_us"):
                raw.hset(HOLDS + hold, "lease_us", "1")
        expected = self.models[hold].over()
        assert self.run(self.desks[0].store.lose(hold)) is expected

    @rule()
    def wipe(self) -> None:
        """Valkey comes back with nothing, not even its scripts."""
        with redis.Redis.from_url(self.url) as raw:
            raw.flushall()
            raw.script_flush()
        for model in self.models.values():
            model.wipe()

    @rule(hold=holds, worker=st.sampled_from(WORKERS))
    def finish(self, hold: str, worker: str) -> None:
        answer = StoredAnswer(200, "", b"x")
        expected = self.models[hold].end(worker, "ready")
        assert self.run(self.desks[1].store.finish(hold, worker, answer)) is expected

    @rule(hold=holds, worker=st.sampled_from(WORKERS))
    def fail(self, hold: str, worker: str) -> None:
        expected = self.models[hold].end(worker, "failed")
        assert self.run(self.desks[1].store.fail(hold, worker, "x")) is expected

    @rule(hold=holds)
    def deliver(self, hold: str) -> None:
        expected = self.models[hold].move("ready", "delivered")
        assert self.run(self.desks[0].store.deliver(hold)) is expected

    @rule(hold=holds)
    def disturb(self, hold: str) -> None:
        """What a sweep may try too early, and applying the ledger, change nothing."""
        store = self.desks[0].store
        assert not self.run(store.lose(hold))
        assert not self.run(store.forget(hold))
        self.run(rebuild.reapply(store, self.ledger))
        for model in self.models.values():
            model.apply()

    @invariant()
    def the_store_agrees(self) -> None:
        for hold, model in self.models.items():
            view = self.run(self.desks[0].store.get(hold))
            assert view is not None
            assert view.state == model.state
            assert {one.person: one.decision for one in view.reviews} == model.reviews
            assert (view.justification and view.justification.reason) == model.reason
            assert model.claimed <= 1 or model.stage != "request"
            assert not model.claimed or not model.justify or model.reason is not None

    @invariant()
    def the_queue_agrees(self) -> None:
        """Whose turn it is, of what waits."""
        if not self.models:
            return
        told = {one.id: one.open_step for one in self.run(self.desks[1].store.list_open(9))}
        assert told == {
            hold: model.step for hold, model in self.models.items() if model.state == "pending"
        }

    @invariant()
    def the_ledger_agrees(self) -> None:
        for hold, model in self.models.items():
            settled = self.ledger.holds[hold].settled
            outcome = None if settled is None else settled[0].data["state"]
            if model.state in {"pending", "denied", "withdrawn"}:
                assert outcome == (None if model.state == "pending" else model.state)
            else:
                assert outcome == HoldState.APPROVED

    def _allowed(self, work: Coroutine[Any, Any, Any]) -> bool:
        try:
            self.run(work)
        except REFUSED:
            return False
        return True


@pytest.fixture(scope="module")
def machine_valkey() -> Iterator[Valkey]:
    valkey = Valkey()
    valkey.start()
    yield valkey
    valkey.close()


def machine(url: str, **more: Any) -> None:
    """Run the machine against this Valkey; raises what it finds."""
    HoldMachine.url = url
    run_state_machine_as_test(
        HoldMachine,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            **more,
        ),
    )


def test_the_store_behaves_like_the_model(machine_valkey: Valkey) -> None:
    """Whatever is called in whatever order, store, ledger and model agree after each step."""
    machine(machine_valkey.url)


Patch = Callable[[pytest.MonkeyPatch], None]


def script(name: str, right: bytes, wrong: bytes) -> Patch:
    """One of the store's scripts with one thing changed."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        known = GatedScripts.sources[name]
        assert known.count(right) == 1
        changed = {**GatedScripts.sources, name: known.replace(right, wrong)}
        monkeypatch.setattr(GatedScripts, "sources", changed)

    return patch


async def _published_first(store: Any, ledger: Any, view: HoldView, proposal: Any) -> None:
    reviews = (*view.reviews, proposal.review) if proposal.review else view.reviews
    justified = proposal.justification is not None or view.justification is not None
    state = settle._outcome(view.hold, proposal, reviews, justified=justified)
    await store.settle(proposal, view.hold, state, ledger.origin, 0)
    events = [hold_evidence.reviewed(view.hold, proposal.review)] if proposal.review else []
    await ledger.append(events)


async def _without_the_ledger(store: Any, ledger: Any, view: HoldView, proposal: Any) -> None:
    try:
        await _finish(store, ledger, view, proposal)
    except LedgerUnavailable:
        reviews = (*view.reviews, proposal.review)
        justified = view.justification is not None
        state = settle._outcome(view.hold, proposal, reviews, justified=justified)
        await store.settle(proposal, view.hold, state, ledger.origin, 0)


async def _nothing_applied(_: Any, __: Any) -> int:
    return 0


_finish = settle.finish

FAULTS: dict[str, Patch] = {
    "decide without compare-and-set": script(
        "propose", b"if not anew and state ~= 'pending' then", b"if false then"
    ),
    "dispatch without claim": script("claim", b"state ~= 'approved'", b"false"),
    "anybody finishes": script("finish", b"claimant ~= ARGV[3]", b"false"),
    "fail open": lambda patch: patch.setattr(settle, "finish", _without_the_ledger),
    "release before the ledger has it": lambda patch: patch.setattr(
        settle, "finish", _published_first
    ),
    "second intent for one approval": lambda patch: patch.setattr(
        memory_ledger, "_judge_intent", lambda _: None
    ),
    "crash after claim without lease": script("lose", b"field('state') ~= 'dispatching'", b"true"),
    "a lost claim to send is given to another": script(
        "lose", b"stage == 'response'", b"stage ~= ''"
    ),
    "a restored store forgets the decision": script("restore", b"goal = SAID", b"goal = 'pending'"),
    "a step opens and nobody notes it": script("settle", b"'open_step', ARGV[14]", b"'was', '1'"),
    "a restored store begins with the first step": script(
        "restore", b"'open_step', ARGV[16]", b"'open_step', '1'"
    ),
    "whoever is asked second answers first": lambda patch: patch.setattr(
        steps, "at", lambda thresholds, _: tuple(thresholds)
    ),
    "a restarted store is believed at once": lambda patch: patch.setattr(
        rebuild, "reapply", _nothing_applied
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_noticed(
    machine_valkey: Valkey, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Within as many examples as the right code stands."""
    FAULTS[fault](monkeypatch)
    with pytest.raises(AssertionError):
        machine(
            machine_valkey.url,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            database=None,
            derandomize=True,
        )
