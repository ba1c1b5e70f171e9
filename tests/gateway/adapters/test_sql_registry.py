from __future__ import annotations

import multiprocessing
import sqlite3
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.adapters.registry_keys import KeyTerms, create, listed
from sekisho.adapters.registry_links import lend, link, links
from sekisho.adapters.registry_schema import RegistryUnusable
from sekisho.adapters.sql_registry import Registry, now_us
from sekisho.errors import BadRequest, Conflict, Forbidden, SekishoError
from sekisho.model.duties import APART
from sekisho.model.principal import Role

PEPPER = bytes(32)
SOURCES = ["local", "issuer:corp", "scim", "lend"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.sqlite"


@pytest.fixture
def registry(path: Path) -> Iterator[Registry]:
    one = Registry.open(path)
    yield one
    one.close()


def add(registry: Registry, *names: str) -> None:
    with registry.change() as change:
        for name in names:
            change.put_principal(name, kind="person", owner=None)


def key_of(registry: Registry, name: str) -> str:
    with registry.change() as change:
        return create(change, name, PEPPER, KeyTerms()).plaintext


def keys(registry: Registry) -> list[str]:
    with registry.reading() as look:
        return [row.id for row in listed(look)]


def revision(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT revision FROM registry_revision").fetchone()[0])


def test_the_plaintext_of_a_key_is_nowhere_on_disk(registry: Registry, path: Path) -> None:
    """A stolen copy of the registry has no key in it, also not in the write-ahead log."""
    add(registry, "staff-7")
    secret = key_of(registry, "staff-7").split("-")[3].encode()
    assert not any(secret in file.read_bytes() for file in path.parent.iterdir())


def test_a_failed_block_keeps_nothing(registry: Registry, path: Path) -> None:
    """The ledger is written inside the block: without evidence there is no change."""
    add(registry, "staff-7")
    before = revision(path)

    def without_evidence() -> None:
        with registry.change() as change:
            create(change, "staff-7", PEPPER, KeyTerms())
            raise LookupError

    with pytest.raises(LookupError):
        without_evidence()
    assert keys(registry) == []
    assert revision(path) == before


def test_each_change_grows_the_revision_and_reading_does_not(
    registry: Registry, path: Path
) -> None:
    """Workers renew their copy exactly when there is something new."""
    add(registry, "staff-7")
    once = revision(path)
    key_of(registry, "staff-7")
    assert revision(path) == once + 1
    registry.principals()
    keys(registry)
    assert revision(path) == once + 1


def test_a_principal_keeps_its_kind_and_owner(registry: Registry) -> None:
    """A person cannot be turned into someone's service account, or the reverse."""
    add(registry, "staff-7", "staff-8")
    with registry.change() as change:
        change.put_principal("bot", kind="service", owner="staff-7")
        change.put_principal("bot", kind="service", owner="staff-7")
    for kind, owner in (("person", None), ("service", "staff-8")):
        with pytest.raises(Conflict), registry.change() as change:
            change.put_principal("bot", kind=kind, owner=owner)


@pytest.mark.parametrize(
    ("kind", "owner"),
    [("service", None), ("service", "absent"), ("service", "bot"), ("person", "staff-7")],
)
def test_every_service_account_has_a_person_behind_it(
    registry: Registry, kind: str, owner: str | None
) -> None:
    """Otherwise nobody would be compared when two people are needed."""
    add(registry, "staff-7")
    with registry.change() as change:
        change.put_principal("bot", kind="service", owner="staff-7")
    with pytest.raises(BadRequest), registry.change() as change:
        change.put_principal("new", kind=kind, owner=owner)


@pytest.mark.parametrize(
    "name", ["", "Staff-7", "staff 7", "staff-7\n", "ｓtaff-7", "-x", "a" * 129, "../x", "a/b"]
)
def test_two_spellings_are_never_two_people(registry: Registry, name: str) -> None:
    """Ids have one form; capitals, full-width letters and spaces are refused."""
    with pytest.raises(BadRequest), registry.change() as change:
        change.put_principal(name, kind="person", owner=None)


def test_a_service_account_cannot_review(registry: Registry) -> None:
    """Roles that answer for something belong to persons."""
    add(registry, "staff-7")
    with registry.change() as change:
        change.put_principal("bot", kind="service", owner="staff-7")
        change.set_roles("bot", {Role.EMPLOYEE})
    with pytest.raises(Forbidden), registry.change() as change:
        change.set_roles("bot", {Role.EMPLOYEE, Role.REVIEWER})


NAMES = st.sampled_from(["staff-1", "staff-2", "staff-3", "bot"])


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(NAMES, st.frozensets(st.sampled_from(Role)), NAMES, st.sampled_from(SOURCES)),
        max_size=10,
    )
)
def test_no_sequence_of_grants_ends_in_a_forbidden_combination(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, frozenset[Role], str, str]],
) -> None:
    """Whoever grants or lends whatever in whatever order, what one person can be respects the
    duties: over all sources together, with what is lent, also what is lent for later.
    """
    registry = Registry.open(tmp_path_factory.mktemp("registry") / "registry.sqlite")
    add(registry, "staff-1", "staff-2", "staff-3")
    with registry.change() as change:
        change.put_principal("bot", kind="service", owner="staff-1")
    for name, roles, other, source in steps:
        try:
            with registry.change() as change:
                if source == "lend":
                    later = now_us() + 3_600_000_000
                    for role in roles:
                        lend(change, name, other, role, from_us=later, until_us=2 * later)
                else:
                    change.set_roles(name, roles, source)
        except SekishoError:
            continue
    with registry.reading() as look:
        for row in look.principals():
            held = look.every_role(row.id)
            assert not any({a, b} <= held for a, b in combinations(APART, 2))
            assert row.kind == "person" or held <= {Role.EMPLOYEE}
    registry.close()


def test_sources_do_not_take_one_anothers_roles(registry: Registry) -> None:
    """What an issuer no longer says goes; what an operator granted stays."""
    add(registry, "staff-7")
    with registry.change() as change:
        change.set_roles("staff-7", {Role.EMPLOYEE})
        change.set_roles("staff-7", {Role.EMPLOYEE, Role.REVIEWER}, "issuer:corp")
        change.set_groups("staff-7", {"sales"}, "scim")
    with registry.change() as change:
        row = change.set_roles("staff-7", set(), "issuer:corp")
    assert (("employee",), ("sales",)) == (row.roles, row.groups)
    with registry.reading() as look:
        assert look.given("staff-7", "scim") == (frozenset(), frozenset({"sales"}))


def test_two_sources_together_make_no_forbidden_person(registry: Registry) -> None:
    """An operator cannot become an auditor because an issuer says so."""
    add(registry, "staff-7")
    with registry.change() as change:
        change.set_roles("staff-7", {Role.OPERATOR})
    with pytest.raises(Forbidden) as caught, registry.change() as change:
        change.set_roles("staff-7", {Role.AUDITOR}, "issuer:corp")
    assert caught.value.code == "duties_conflict"
    assert registry.principals()[0].roles == ("operator",)


def test_who_has_left_never_comes_back(registry: Registry) -> None:
    """Neither in person nor as somebody else of that name; nothing is left that opens a door."""
    add(registry, "staff-7", "staff-8")
    key_of(registry, "staff-7")
    with registry.change() as change:
        change.set_roles("staff-7", {Role.REVIEWER})
        change.leave("staff-7")
    row = registry.principals()[0]
    assert (row.disabled, row.roles, row.left_us is not None) == (True, (), True)
    attempts = [
        lambda change: change.put_principal("staff-7", kind="person", owner=None),
        lambda change: change.set_disabled("staff-7", False),
        lambda change: change.set_roles("staff-7", {Role.EMPLOYEE}),
        lambda change: change.set_groups("staff-7", {"sales"}),
        lambda change: create(change, "staff-7", PEPPER, KeyTerms()),
    ]
    for attempt in attempts:
        with pytest.raises(Conflict) as caught, registry.change() as change:
            attempt(change)
        assert caught.value.code == "principal_left"
    with registry.change() as change:
        assert change.leave("staff-7") == row


def test_a_service_account_can_be_handed_on(registry: Registry) -> None:
    """When its owner leaves, another person answers for it; nobody else can be made to."""
    add(registry, "staff-7", "staff-8")
    with registry.change() as change:
        change.put_principal("bot", kind="service", owner="staff-7")
        assert change.set_owner("bot", "staff-8").owner == "staff-8"
    for name, owner in (("staff-7", "staff-8"), ("bot", "bot"), ("bot", "absent")):
        with pytest.raises(BadRequest), registry.change() as change:
            change.set_owner(name, owner)


def _make_keys(path: Path, count: int) -> None:
    registry = Registry.open(path)
    for _ in range(count):
        key_of(registry, "staff-7")
    registry.close()


def test_two_commands_at_once_both_succeed(registry: Registry, path: Path) -> None:
    """Writers wait for one another instead of losing a change or failing half way."""
    add(registry, "staff-7")
    start = multiprocessing.get_context("spawn")
    others = [start.Process(target=_make_keys, args=(path, 5)) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert [other.exitcode for other in others] == [0, 0]
    assert len(keys(registry)) == 10


def test_a_locked_or_broken_file_is_an_error_of_ours(path: Path) -> None:
    """What stands in the message is the cause, never a statement with its values."""
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(RegistryUnusable, match="not a database"):
        Registry.open(path)


def test_times_are_in_microseconds(registry: Registry) -> None:
    """Creation times are wall time, as everywhere."""
    before_us = time.time_ns() // 1000
    add(registry, "staff-7")
    assert before_us <= registry.principals()[0].created_us <= time.time_ns() // 1000


def test_a_handed_over_account_takes_no_old_keys_along(registry: Registry) -> None:
    """They are in the former owner's hands: rules would see one person, the keyboard another."""
    add(registry, "staff-7", "staff-8")
    with registry.change() as change:
        change.put_principal("bot", kind="service", owner="staff-7")
        change.set_roles("bot", {Role.EMPLOYEE})
        link(change, "certificate", "cn:bot", "bot")
    old = key_of(registry, "bot")
    with registry.change() as change:
        change.set_owner("bot", "staff-7")
        assert [row.revoked_us for row in listed(change, "bot")] == [None]
        change.set_owner("bot", "staff-8")
        assert [row.revoked_us is None for row in listed(change, "bot")] == [False]
        assert links(change, "bot") == []
    assert old


@pytest.mark.parametrize("role", list(Role))
def test_no_group_has_the_name_of_a_role(registry: Registry, role: Role) -> None:
    """Whoever may name groups must not make reviewers."""
    add(registry, "staff-7")
    with pytest.raises(BadRequest, match="role"), registry.change() as change:
        change.set_groups("staff-7", {"sales", role.value}, "scim")
