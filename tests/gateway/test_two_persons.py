"""No sequence of calls lets one human being do both halves of a pair.

People, service accounts, keys, roles, owners and delegations are changed at random, in a real
registry; requests and reviews go through the real directory and a real hold store. The test keeps
its own book of which human being holds which key, and at the end compares what was let through with
that book alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sekisho.adapters import registry_keys, registry_links
from sekisho.adapters.registry_keys import KeyTerms
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.adapters.sql_registry import Change, Registry, now_us
from sekisho.errors import Forbidden, NotAuthenticated, SekishoError
from sekisho.holding.review import withdraw
from sekisho.model.decision import Threshold
from sekisho.model.duties import APART, may_activate, may_confirm
from sekisho.model.hold import HoldState, HoldView
from sekisho.model.principal import Principal, Role
from support.holds import Desk, open_desk
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

pytestmark = pytest.mark.long

PEPPER = bytes(32)
HOUR_US = 3_600_000_000
HUMANS = [f"staff-{n}" for n in range(4)]
FIRST = HUMANS[:2]  # reviewers from the beginning, so that most runs have reviews in them
AT_FIRST = {Role.EMPLOYEE, Role.REVIEWER, Role.POLICY_ACTIVATOR}
SERVICES = [f"svc-{n}" for n in range(2)]
THRESHOLDS = [
    (Threshold("reviewer", 1, 1),),
    (Threshold("reviewer", 2, 1),),
    (Threshold("reviewer", 1, 1), Threshold("sales", 1, 1)),
    (Threshold("reviewer", 1, 1), Threshold("reviewer", 1, 1, 2)),
    (Threshold("sales", 1, 1), Threshold("reviewer", 1, 1, 2)),
]
ROLES = st.frozensets(st.sampled_from(Role), max_size=4)


@dataclass(frozen=True)
class Key:
    """A key and the human being whose hand holds it."""

    secret: str
    human: str


class TwoPersons(RuleBasedStateMachine):
    """Random changes of who is who, between random halves of pairs."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.keys: list[Key] = []
        self.asked: dict[str, str] = {}  # hold -> the human being who asked
        self.views: dict[str, HoldView] = {}
        self.answered: dict[str, list[tuple[str, str]]] = {}  # hold -> (human, what was said)
        self.halves: list[tuple[str, frozenset[str]]] = []  # authors and proposers, as recorded

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        with redis.Redis.from_url(self.url) as raw:
            raw.flushall()
        path = Path(self.folder.name) / "registry.sqlite"
        self.registry = Registry.open(path)
        with self.registry.change() as change:
            for name in HUMANS:
                change.put_principal(name, kind="person", owner=None)
                change.set_groups(name, {"sales"})
                change.set_roles(name, AT_FIRST if name in FIRST else set())
                made = registry_keys.create(change, name, PEPPER, KeyTerms())
                self.keys.append(Key(made.plaintext, name))
        self.directory = SqlDirectory(path, PEPPER)

        async def open_all() -> Desk:
            await self.directory.refresh()
            return open_desk(self.url, MemoryLedger())

        self.desk: Desk = self.run(open_all())

    def change(self, change: Callable[[Change], object]) -> None:
        """One change of the registry, if it is allowed; every worker then sees it."""
        with suppress(SekishoError), self.registry.change() as open_change:
            change(open_change)
        self.run(self.directory.refresh())

    def who(self, key: Key) -> Principal | None:
        try:
            return self.directory.by_key(key.secret)
        except SekishoError:
            return None

    @rule(human=st.sampled_from(HUMANS), service=st.none() | st.sampled_from(SERVICES))
    def make_key(self, human: str, service: str | None) -> None:
        def make(change: Change) -> None:
            if service is not None:
                known = change.find(service)
                if known is None:
                    change.put_principal(service, kind="service", owner=human)
                    change.set_roles(service, {Role.EMPLOYEE})
                elif known.owner != human:
                    return  # whoever answers for it is given its keys
            made = registry_keys.create(change, service or human, PEPPER, KeyTerms())
            self.keys.append(Key(made.plaintext, human))

        self.change(make)

    @rule(human=st.sampled_from(HUMANS), roles=ROLES, source=st.sampled_from(["local", "scim"]))
    def grant(self, human: str, roles: frozenset[Role], source: str) -> None:
        self.change(lambda change: change.set_roles(human, roles, source))

    @rule(service=st.sampled_from(SERVICES), human=st.sampled_from(HUMANS))
    def hand_over(self, service: str, human: str) -> None:
        self.change(lambda change: change.set_owner(service, human))

    @rule(human=st.sampled_from(HUMANS), disabled=st.booleans())
    def shut(self, human: str, disabled: bool) -> None:
        self.change(lambda change: change.set_disabled(human, disabled))

    @rule(
        lender=st.sampled_from([*FIRST, *FIRST, *HUMANS]),
        delegate=st.sampled_from(HUMANS),
        role=st.sampled_from([Role.REVIEWER, Role.REVIEWER, Role.POLICY_ACTIVATOR]),
    )
    def lend(self, lender: str, delegate: str, role: Role) -> None:
        now = now_us()
        self.change(
            lambda change: registry_links.lend(
                change, lender, delegate, role, from_us=now, until_us=now + HOUR_US
            )
        )

    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        with self.registry.reading() as look:
            rows = registry_links.lendings(look)
        if rows:
            row = data.draw(st.sampled_from(rows))
            self.change(lambda change: registry_links.end_lending(change, row.id))

    @rule(data=st.data(), thresholds=st.sampled_from(THRESHOLDS))
    def ask(self, data: st.DataObject, thresholds: tuple[Threshold, ...]) -> None:
        key = data.draw(st.sampled_from(self.keys))
        principal = self.who(key)
        if principal is None:
            return
        text = f"request {len(self.asked)}"
        view = self.run(self.desk.file(text, principal=principal, thresholds=thresholds))
        self.asked[view.hold.id] = key.human
        self.views[view.hold.id] = view

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), decision=st.sampled_from(["approve", "approve", "approve", "deny"]))
    def review(self, data: st.DataObject, decision: str) -> None:
        hold = data.draw(st.sampled_from(sorted(self.asked)))
        self.answer(hold, data.draw(st.sampled_from(self.keys)), decision)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def everybody_tries(self, data: st.DataObject) -> None:
        """All at the door of one hold, in any order: what one may not do, another key may not."""
        hold = data.draw(st.sampled_from(sorted(self.asked)))
        for key in data.draw(st.permutations(self.keys)):
            self.answer(hold, key, "approve")

    def answer(self, hold: str, key: Key, decision: str) -> None:
        principal = self.who(key)
        if principal is None:
            return
        view = self.run(self.desk.store.get(hold))
        try:
            after = self.run(self.desk.review(view, principal, decision))
        except SekishoError:
            return
        if len(after.reviews) > len(view.reviews):
            names = frozenset({key.human, after.reviews[-1].person}) | self.lenders(key.human)
            self.answered.setdefault(hold, []).append((key.human, decision))
            assert self.asked[hold] not in names, "in the name of whoever asked"

    def lenders(self, human: str) -> frozenset[str]:
        """Whom this human being stands in for now, by the registry's own rows."""
        with self.registry.reading() as look:
            roles = {row.id: row.roles for row in look.principals() if not row.disabled}
            return frozenset(
                row.principal
                for row in registry_links.lendings(look)
                if row.delegate == human
                and row.ended_us is None
                and row.role in roles.get(row.principal, ())
            )

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def take_request_back(self, data: st.DataObject) -> None:
        hold = data.draw(st.sampled_from(sorted(self.asked)))
        key = data.draw(st.sampled_from(self.keys))
        principal = self.who(key)
        if principal is None:
            return
        with suppress(SekishoError):
            self.run(withdraw(self.desk.store, self.desk.ledger, principal, hold))
            assert key.human == self.asked[hold], "only who asked takes a request back"

    @rule(data=st.data())
    def first_half(self, data: st.DataObject) -> None:
        """Somebody writes rules, or proposes something."""
        key = data.draw(st.sampled_from(self.keys))
        principal = self.who(key)
        if principal is not None:
            self.halves.append((key.human, frozenset({principal.id, principal.person})))

    @precondition(lambda self: self.halves)
    @rule(data=st.data(), pair=st.sampled_from([may_activate, may_confirm]))
    def second_half(
        self, data: st.DataObject, pair: Callable[[Principal, frozenset[str]], None]
    ) -> None:
        """Somebody puts them in force, or confirms it."""
        key = data.draw(st.sampled_from(self.keys))
        human, recorded = data.draw(st.sampled_from(self.halves))
        principal = self.who(key)
        if principal is None:
            return
        with suppress(SekishoError):
            pair(principal, recorded)
            names = self.lenders(key.human) | {key.human}
            assert human not in names, "one human being did both halves"

    @invariant()
    def nobody_reviewed_their_own(self) -> None:
        for hold, answers in self.answered.items():
            humans = [human for human, _ in answers]
            assert self.asked[hold] not in humans
            assert len(set(humans)) == len(humans), "one human being answered twice"

    @invariant()
    def nobody_has_roles_that_check_one_another(self) -> None:
        for key in self.keys:
            principal = self.who(key)
            assert principal is None or len(APART & principal.roles) <= 1

    def teardown(self) -> None:
        """Each approval has as many different human beings as its thresholds ask for."""
        if hasattr(self, "desk"):
            self.run(self._look_at_approvals())
            self.run(self.desk.close())
            self.registry.close()
        self.runner.close()
        self.folder.cleanup()

    async def _look_at_approvals(self) -> None:
        for hold, view in self.views.items():
            now = await self.desk.store.get(hold)
            assert now is not None
            if now.state is HoldState.APPROVED:
                approved = {human for human, said in self.answered[hold] if said == "approve"}
                assert len(approved) >= sum(one.approve for one in view.hold.thresholds)
                seats = [review.person for review in now.reviews]
                assert len(set(seats)) == len(seats)


def test_no_sequence_of_calls_lets_one_person_do_both_halves(server: Valkey) -> None:
    """Requester and reviewer, author and activator, proposer and confirmer are never one."""
    TwoPersons.url = server.url
    run_state_machine_as_test(
        TwoPersons,
        settings=settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


async def test_a_handed_over_account_makes_no_second_person(tmp_path: Path, desk: Desk) -> None:
    """Its former owner, with the old key still in hand, cannot ask with it and review alone."""
    path = tmp_path / "registry.sqlite"
    registry = Registry.open(path)
    with registry.change() as change:
        for name in HUMANS[:2]:
            change.put_principal(name, kind="person", owner=None)
            change.set_roles(name, AT_FIRST)
        change.put_principal("svc-0", kind="service", owner=HUMANS[0])
        change.set_roles("svc-0", {Role.EMPLOYEE})
        old = registry_keys.create(change, "svc-0", PEPPER, KeyTerms()).plaintext
        own = registry_keys.create(change, HUMANS[0], PEPPER, KeyTerms()).plaintext
    directory = SqlDirectory(path, PEPPER)
    await directory.refresh()
    before = await desk.file("before", principal=directory.by_key(old))
    with registry.change() as change:
        change.set_owner("svc-0", HUMANS[1])
    await directory.refresh()

    with pytest.raises(NotAuthenticated):
        directory.by_key(old)
    with pytest.raises(Forbidden):
        await desk.approve(before, directory.by_key(own))
    registry.close()
