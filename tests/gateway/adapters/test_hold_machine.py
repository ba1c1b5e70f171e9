"""The hold store against a small reference model: any order of calls, by anyone, at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sekisho.errors import Conflict, Forbidden, NotFound
from sekisho.holding import rebuild
from sekisho.holding.review import withdraw
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldState, HoldView, StoredAnswer
from sekisho.model.principal import Principal, Role
from support.holds import STAFF, STRANGER, Desk, open_desk, person
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

pytestmark = pytest.mark.long

REVIEWERS = [person(f"reviewer-{n}", Role.REVIEWER) for n in range(3)]
ANYONE = [*REVIEWERS, STAFF, STRANGER]
WORKERS = ["w-1", "w-2"]
REFUSED = (Conflict, Forbidden, NotFound)


@dataclass
class Model:
    """What a hold must be, in so many words."""

    needed: int
    state: str = "pending"
    reviews: dict[str, str] = field(default_factory=dict)
    claimant: str | None = None
    sent: int = 0
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
        self.reviews[who.id] = decision
        approvals = list(self.reviews.values()).count("approve")
        if decision == "deny":
            self.state = "denied"
        elif approvals >= self.needed:
            self.state = "approved"
        return True

    def claim(self, worker: str) -> bool:
        if self.state == "dispatching" and self.claimant == worker:
            return True
        if self.state != "approved":
            return False
        self.state, self.claimant, self.sent = "dispatching", worker, self.sent + 1
        return True

    def end(self, worker: str, state: str) -> bool:
        if self.claimant != worker:
            return False
        if self.state == "dispatching":
            self.state = state
            return True
        return self.state == state or (state == "ready" and self.state == "delivered")

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

    @rule(
        target=holds,
        needed=st.sampled_from([0, 1, 2]),
        justify=st.booleans(),
        worker=st.sampled_from([0, 1]),
    )
    def file(self, needed: int, justify: bool, worker: int) -> str:
        needed = needed if justify else max(needed, 1)  # somebody is asked for something
        thresholds = (Threshold("reviewer", needed, 1),) if needed else ()
        text = f"request {len(self.models)}"
        work = self.desks[worker].file(text, thresholds=thresholds, justify=justify)
        view = self.run(work)
        self.models[view.hold.id] = Model(needed, justify=justify)
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
        who=st.sampled_from([*ANYONE, STAFF, STAFF]),
        reason=st.sampled_from(["one reason", "another reason"]),
        worker=st.sampled_from([0, 1]),
    )
    def justify(self, hold: str, who: Principal, reason: str, worker: int) -> None:
        expected = self.models[hold].why(who, reason)
        work = self.desks[worker].justify(self.views[hold], who, reason)
        assert self._allowed(work) is expected

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

    @invariant()
    def the_store_agrees(self) -> None:
        for hold, model in self.models.items():
            view = self.run(self.desks[0].store.get(hold))
            assert view.state == model.state
            assert {one.person: one.decision for one in view.reviews} == model.reviews
            assert (view.justification and view.justification.reason) == model.reason
            assert model.sent <= 1
            assert not model.sent or not model.justify or model.reason is not None

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


def test_the_store_behaves_like_the_model(machine_valkey: Valkey) -> None:
    """Whatever is called in whatever order, store, ledger and model agree after each step."""
    HoldMachine.url = machine_valkey.url
    run_state_machine_as_test(
        HoldMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
