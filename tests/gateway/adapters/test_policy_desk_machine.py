"""No sequence of calls puts rules in force by a human being who wrote them.

Keys, service accounts, owners, roles and delegations change at random in a real registry, between
drafts, activations and rollbacks at a real desk with a real store. The test keeps its own book of
whose hand holds which key. Checks of rules are left out: they know nothing of persons.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sekisho.adapters import policy_desk, registry_keys, registry_links, registry_policies
from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.ledger_desk import Append
from sekisho.adapters.policy_check import TestReport, TestResult
from sekisho.adapters.policy_desk import PolicyDesk
from sekisho.adapters.policy_store import PolicyStore
from sekisho.adapters.registry_keys import KeyTerms
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.adapters.sql_registry import Change, Registry, now_us
from sekisho.errors import SekishoError
from sekisho.model.principal import Principal, Role
from sekisho_audit.events import Event, check_data
from support.revisions import DENY_ALL, Rules, empty_report

PEPPER = bytes(32)
HOUR_US = 3_600_000_000
HUMANS = [f"staff-{n}" for n in range(4)]
SERVICES = ["svc-0", "svc-1"]
GREEN = TestReport((TestResult("a_test.rego", "test_a", passed=True, output=""),), (), 100.0)


@dataclass(frozen=True)
class Key:
    """A key and the human being whose hand holds it."""

    secret: str
    human: str


class Desk(RuleBasedStateMachine):
    """Random changes of who is who, between the steps of revisions' lives."""

    written: Sequence[Path] = ()

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.keys: list[Key] = []
        self.wrote: dict[str, set[str]] = {}  # revision -> human beings who put it in
        self.events: list[Event] = []

    @initialize()
    def open(self) -> None:
        path = Path(self.folder.name) / "registry.sqlite"
        self.registry = Registry.open(path)
        both = {Role.POLICY_AUTHOR, Role.POLICY_ACTIVATOR}
        with self.registry.change() as change:
            for name in HUMANS:
                change.put_principal(name, kind="person", owner=None)
                change.set_roles(name, both)
                made = registry_keys.create(change, name, PEPPER, KeyTerms())
                self.keys.append(Key(made.plaintext, name))
        self.directory = SqlDirectory(path, PEPPER)
        self.runner.run(self.directory.refresh())
        store = PolicyStore(Path(self.folder.name) / "policies")
        self.desk = PolicyDesk(store, lambda: self.registry, self.evidence, self.written[0])

    @contextmanager
    def evidence(self) -> Iterator[Append]:
        yield self.events.extend

    def change(self, change: Callable[[Change], object]) -> None:
        with suppress(SekishoError), self.registry.change() as open_change:
            change(open_change)
        self.runner.run(self.directory.refresh())

    def who(self, key: Key) -> Principal | None:
        try:
            return self.directory.by_key(key.secret)
        except SekishoError:
            return None

    def lenders(self, human: str) -> set[str]:
        """Whom this human being stands in for now, by the registry's own rows."""
        with self.registry.reading() as look:
            return {
                row.principal
                for row in registry_links.lendings(look)
                if row.delegate == human and row.ended_us is None
            }

    @rule(human=st.sampled_from(HUMANS), service=st.none() | st.sampled_from(SERVICES))
    def make_key(self, human: str, service: str | None) -> None:
        def make(change: Change) -> None:
            if service is not None and change.find(service) is None:
                change.put_principal(service, kind="service", owner=human)
            if service is not None and change.get(service).owner != human:
                return
            made = registry_keys.create(change, service or human, PEPPER, KeyTerms())
            self.keys.append(Key(made.plaintext, human))

        self.change(make)

    @rule(service=st.sampled_from(SERVICES), human=st.sampled_from(HUMANS))
    def hand_over(self, service: str, human: str) -> None:
        self.change(lambda change: change.set_owner(service, human))

    @rule(
        name=st.sampled_from([*HUMANS, *SERVICES]),
        roles=st.frozensets(st.sampled_from([Role.POLICY_AUTHOR, Role.POLICY_ACTIVATOR])),
    )
    def grant(self, name: str, roles: frozenset[Role]) -> None:
        self.change(lambda change: change.set_roles(name, roles))

    @rule(lender=st.sampled_from(HUMANS), delegate=st.sampled_from(HUMANS))
    def lend(self, lender: str, delegate: str) -> None:
        now, role = now_us(), Role.POLICY_ACTIVATOR
        self.change(
            lambda change: registry_links.lend(
                change, lender, delegate, role, from_us=now, until_us=now + HOUR_US
            )
        )

    @rule(data=st.data(), number=st.integers(1, 2))
    def draft(self, data: st.DataObject, number: int) -> None:
        """One, or several who put the same files in."""
        some = data.draw(st.lists(st.sampled_from(self.keys), min_size=1, max_size=3))
        for key in some:
            principal = self.who(key)
            if principal is not None:
                with suppress(SekishoError):
                    row = self.desk.draft(principal, self.written[number])
                    self.wrote.setdefault(row.revision, set()).add(key.human)

    @precondition(lambda self: self.wrote)
    @rule(data=st.data())
    def everybody_activates(self, data: st.DataObject) -> None:
        """All at the desk, in any order: what one may not do, another key may not."""
        revision = data.draw(st.sampled_from(sorted(self.wrote)))
        for key in data.draw(st.permutations(self.keys)):
            principal = self.who(key)
            if principal is None:
                continue
            with suppress(SekishoError):
                row, _ = self.desk.bundle(revision)
                made = empty_report(revision, self.desk.active().revision, row.contents)
                self.desk.record_replay(principal, revision, made)
            with suppress(SekishoError):
                self.judge(key, self.desk.activate(principal, revision).revision)

    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.keys))
        principal = self.who(key)
        if principal is not None:
            with suppress(SekishoError):
                self.judge(key, self.desk.rollback(principal).revision)

    def judge(self, key: Key, revision: str) -> None:
        names = {key.human} | self.lenders(key.human)
        assert not names & self.wrote.get(revision, set()), "an author put their own rules in force"
        with self.registry.reading() as look:
            active = registry_policies.in_force(look).active
        assert active is not None
        assert active.revision == revision

    def teardown(self) -> None:
        for event in self.events:
            check_data(event.type, event.data)
        if hasattr(self, "registry"):
            self.registry.close()
        self.runner.close()
        self.folder.cleanup()


def test_no_author_activates_by_any_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with another key, through an account, as a delegate, or after others did the same."""
    rules = Rules(tmp_path)
    Desk.written = [
        rules.write(),
        *(rules.write(packs__team__x=DENY_ALL.replace("closed", word)) for word in ("a", "b")),
    ]
    monkeypatch.setattr(policy_desk, "read_bundle", lru_cache(read_bundle))
    monkeypatch.setattr(policy_desk, "check_bundle", lambda _: [])
    monkeypatch.setattr(policy_desk, "test_bundle", lambda _: GREEN)
    run_state_machine_as_test(
        Desk,
        settings=settings(
            max_examples=10,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
