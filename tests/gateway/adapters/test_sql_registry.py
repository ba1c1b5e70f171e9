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

from sekisho.adapters.registry_schema import RegistryUnusable
from sekisho.adapters.sql_registry import KEYS_LIVE_MAX, Registry
from sekisho.errors import BadRequest, Conflict, Forbidden, NotFound, SekishoError
from sekisho.model.duties import APART
from sekisho.model.principal import Role

PEPPER = bytes(32)


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
        return change.create_key(name, PEPPER, label="", expires_us=None).plaintext


def revision(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT revision FROM registry_revision").fetchone()[0])


def test_a_key_is_listed_without_anything_that_opens_the_door(registry: Registry) -> None:
    """The list has id, owner and times; neither plaintext nor hash is in it or in its repr."""
    add(registry, "staff-7")
    plaintext = key_of(registry, "staff-7")
    (row,) = registry.keys()
    assert row.principal == "staff-7"
    assert plaintext.split("-")[3] not in repr(row)


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
            change.create_key("staff-7", PEPPER, label="", expires_us=None)
            raise LookupError

    with pytest.raises(LookupError):
        without_evidence()
    assert registry.keys() == []
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
    registry.keys()
    assert revision(path) == once + 1


def test_revoking_is_final_and_repeatable(registry: Registry) -> None:
    """The second revocation keeps the time of the first; an unknown id is said."""
    add(registry, "staff-7")
    key_of(registry, "staff-7")
    key = registry.keys()[0].id
    with registry.change() as change:
        first = change.revoke_key(key)
    with registry.change() as change:
        assert change.revoke_key(key) == first
    with pytest.raises(NotFound), registry.change() as change:
        change.revoke_key("absent00")


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


def test_live_keys_are_bounded(registry: Registry) -> None:
    """Revoked keys do not count; the bound names the way out."""
    add(registry, "staff-7")
    for _ in range(KEYS_LIVE_MAX):
        key_of(registry, "staff-7")
    with pytest.raises(Conflict, match="Revoke one"):
        key_of(registry, "staff-7")
    with registry.change() as change:
        change.revoke_key(registry.keys()[0].id)
    key_of(registry, "staff-7")


def test_a_key_that_has_expired_or_is_oddly_labelled_is_not_made(registry: Registry) -> None:
    """Labels are shown in terminals, so control characters are refused."""
    add(registry, "staff-7")
    for label, expires_us in (("", 1), ("\x1b[31m", None), ("x" * 101, None)):
        with pytest.raises(BadRequest), registry.change() as change:
            change.create_key("staff-7", PEPPER, label=label, expires_us=expires_us)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["staff-1", "staff-2", "bot"]), st.frozensets(st.sampled_from(Role))
        ),
        max_size=8,
    )
)
def test_no_sequence_of_grants_ends_in_a_forbidden_combination(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, frozenset[Role]]]
) -> None:
    """Whatever is granted in whatever order, the stored roles respect the duties."""
    registry = Registry.open(tmp_path_factory.mktemp("registry") / "registry.sqlite")
    add(registry, "staff-1", "staff-2")
    with registry.change() as change:
        change.put_principal("bot", kind="service", owner="staff-1")
    for name, roles in steps:
        try:
            with registry.change() as change:
                change.set_roles(name, roles)
        except SekishoError:
            continue
    for row in registry.principals():
        held = {Role(role) for role in row.roles}
        assert not any({a, b} <= held for a, b in combinations(APART, 2))
        assert row.kind == "person" or held <= {Role.EMPLOYEE}
    registry.close()


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
    assert len(registry.keys()) == 10


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
