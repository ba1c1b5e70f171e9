"""What was taken away counts before the whole copy is there, and only until then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from sekisho.adapters import registry_copy
from sekisho.adapters.registry_copy import Copy, load, revision_of, taken_away
from sekisho.adapters.registry_keys import KeyTerms, create, revoke
from sekisho.adapters.registry_links import end_lending, lend, link, unlink
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.adapters.sql_registry import Change, Registry, now_us
from sekisho.errors import NotAuthenticated
from sekisho.model.principal import Role

PEPPER = bytes(32)
HOUR_US = 3_600_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.sqlite"


@pytest.fixture
def registry(path: Path) -> Iterator[Registry]:
    one = Registry.open(path)
    with one.change() as change:
        for name in ("staff-7", "staff-8"):
            change.put_principal(name, kind="person", owner=None)
            change.set_roles(name, {Role.EMPLOYEE, Role.REVIEWER} if name == "staff-7" else set())
            change.set_groups(name, {"sales", "all"})
        change.put_principal("svc-batch", kind="service", owner="staff-7")
        link(change, "corp", "s-1", "staff-7")
    yield one
    one.close()


class Gate:
    """Holds back whole copies until it is opened; counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        self.open.set()
        self.loads = 0
        monkeypatch.setattr(registry_copy, "load", self._load)

    def _load(self, connection: Connection, revision: int) -> Copy:
        self.loads += 1
        made = load(connection, revision)
        self.reached.set()
        assert self.open.wait(20)
        return made


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


class Held:
    """A directory whose next whole copy is held back after a change."""

    def __init__(self, directory: SqlDirectory, gate: Gate, registry: Registry) -> None:
        self.directory = directory
        self._gate = gate
        self._registry = registry

    async def change(self, change: Callable[[Change], object]) -> asyncio.Task[None]:
        """Make the change; returns the refresh that waits for the whole copy."""
        with self._registry.change() as open_change:
            change(open_change)
        self._gate.open.clear()
        self._gate.reached.clear()
        waiting = asyncio.create_task(self.directory.refresh())
        assert await asyncio.to_thread(self._gate.reached.wait, 20)
        return waiting

    async def let_go(self, waiting: asyncio.Task[None]) -> None:
        self._gate.open.set()
        await waiting


@pytest.fixture
async def held(path: Path, registry: Registry, gate: Gate) -> Held:
    directory = SqlDirectory(path, PEPPER)
    await directory.refresh()
    return Held(directory, gate, registry)


def key_of(registry: Registry, name: str) -> str:
    with registry.change() as change:
        return create(change, name, PEPPER, KeyTerms()).plaintext


async def test_a_revoked_key_is_refused_before_the_whole_copy_is_made(
    held: Held, registry: Registry
) -> None:
    """With its sessions; other keys of the same principal go on."""
    key, other = key_of(registry, "staff-7"), key_of(registry, "staff-7")
    name = key.split("-")[2]
    await held.directory.refresh()
    waiting = await held.change(lambda change: revoke(change, name))
    with pytest.raises(NotAuthenticated):
        held.directory.by_key(key)
    with pytest.raises(NotAuthenticated):
        held.directory.by_session("staff-7", name, now_us())
    assert held.directory.by_key(other)
    await held.let_go(waiting)
    with pytest.raises(NotAuthenticated):
        held.directory.by_key(key)


@pytest.mark.parametrize("how", ["disabled", "left"])
async def test_who_is_shut_out_is_refused_at_once_with_what_they_own(
    held: Held, registry: Registry, how: str
) -> None:
    """Keys, service accounts, sessions, what waits for people; and let in again by the copy."""
    keys = [key_of(registry, "staff-7"), key_of(registry, "svc-batch")]
    await held.directory.refresh()
    begun_us = now_us()

    def shut(change: Change) -> None:
        if how == "left":
            change.leave("staff-7")
        else:
            change.set_disabled("staff-7", True)

    waiting = await held.change(shut)
    for key in keys:
        with pytest.raises(NotAuthenticated):
            held.directory.by_key(key)
    assert not held.directory.may_ask("staff-7")
    with pytest.raises(NotAuthenticated):
        held.directory.by_session("staff-7", "oidc:corp", begun_us)
    await held.let_go(waiting)
    if how == "disabled":
        with registry.change() as change:
            change.set_disabled("staff-7", False)
        await held.directory.refresh()
        assert [held.directory.by_key(key).person for key in keys] == ["staff-7"] * 2


async def test_links_and_lent_roles_end_at_once(held: Held, registry: Registry) -> None:
    """An identity that was unlinked means nobody; a delegate has what was taken back no more."""
    key, now = key_of(registry, "staff-8"), now_us()
    with registry.change() as change:
        row = lend(change, "staff-7", "staff-8", Role.REVIEWER, from_us=now, until_us=now + HOUR_US)
    await held.directory.refresh()
    assert Role.REVIEWER in held.directory.by_key(key).roles

    def take_back(change: Change) -> None:
        end_lending(change, row.id)
        unlink(change, "corp", "s-1")

    waiting = await held.change(take_back)
    assert held.directory.link("corp", "s-1") is None
    assert Role.REVIEWER not in held.directory.by_key(key).roles
    assert held.directory.by_key(key).persons == {"staff-8"}
    await held.let_go(waiting)


async def test_an_older_reading_never_replaces_a_newer_one(
    held: Held, registry: Registry, gate: Gate
) -> None:
    """One after the other: a revocation that comes while a copy is made is seen after it."""
    key = key_of(registry, "staff-7")
    waiting = await held.change(lambda change: change.set_groups("staff-8", {"sales"}))
    with registry.change() as change:
        revoke(change, key.split("-")[2])
    second = asyncio.create_task(held.directory.refresh())
    await held.let_go(waiting)
    await second
    with pytest.raises(NotAuthenticated):
        held.directory.by_key(key)


async def test_many_who_ask_at_once_cost_one_copy(held: Held, gate: Gate) -> None:
    """Whoever waits for the same revision is served by the first."""
    before = gate.loads
    waiting = await held.change(lambda change: change.set_groups("staff-8", {"sales"}))
    others = [asyncio.create_task(held.directory.refresh()) for _ in range(20)]
    await held.let_go(waiting)
    await asyncio.gather(*others)
    assert gate.loads == before + 1


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


def test_equal_sets_are_one_object(registry: Registry) -> None:
    """Tens of thousands of principals have a few combinations of groups."""
    with registry.reading() as look:
        copy = load(look._connection, 1)
    first, second = (copy.principals[name].principal for name in ("staff-7", "staff-8"))
    assert first.groups is second.groups
