"""The registry read in slices, and the quick look at what was taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.adapters import registry_reading
from sekisho.adapters.registry_keys import KeyTerms, create, revoke
from sekisho.adapters.registry_reading import load, revision_of, taken_away
from sekisho.adapters.sql_registry import Registry, now_us
from sekisho.model.principal import Role

PEPPER = bytes(32)
HOUR_US = 3_600_000_000


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    one = Registry.open(tmp_path / "registry.sqlite")
    with one.change() as change:
        for name in ("staff-7", "staff-8"):
            change.put_principal(name, kind="person", owner=None)
        change.put_principal("svc-batch", kind="service", owner="staff-7")
    yield one
    one.close()


def key_of(registry: Registry, name: str) -> str:
    with registry.change() as change:
        return create(change, name, PEPPER, KeyTerms()).plaintext


def test_tables_larger_than_a_slice_are_read_whole(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row once, also when rows between are left out."""
    names = [f"staff-{number}" for number in range(20, 33)]
    with registry.change() as change:
        for name in names:
            change.put_principal(name, kind="person", owner=None)
            change.set_roles(name, {Role.EMPLOYEE})
        change.set_disabled("staff-25", True)
    keys = [key_of(registry, name).split("-")[2] for name in names]
    with registry.change() as change:
        revoke(change, keys[0])
    for size in (1, 3, 100):
        monkeypatch.setattr(registry_reading, "SLICE", size)
        with registry.reading() as look:
            copy = load(look._connection, 1)
        people = {"staff-7", "staff-8", "svc-batch", *names} - {"staff-25"}
        assert (set(copy.principals), set(copy.keys)) == (people, set(keys[1:]))


def test_only_what_was_taken_away_lately_is_looked_at(registry: Registry) -> None:
    """A quick look does not grow with history; who is shut out is always in it."""
    old = key_of(registry, "staff-7").split("-")[2]
    with registry.change() as change:
        revoke(change, old)
        change.set_disabled("staff-8", True)
    later = now_us() + 1
    with registry.reading() as look:
        gone = taken_away(look._connection, later)
        recent = taken_away(look._connection, later - HOUR_US)
        revision = revision_of(look._connection)
    assert (gone.keys, gone.principals) == (frozenset(), frozenset({"staff-8"}))
    assert recent.keys == {old}
    assert "staff-8" in recent.sessions_from_us
    assert revision > 0
