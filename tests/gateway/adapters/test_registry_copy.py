"""What was taken away counts before the whole copy is there, and only until then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from sekisho.adapters import registry_reading
from sekisho.adapters.registry_copy import NOTHING, Copy, TakenAway
from sekisho.adapters.registry_keys import KeyTerms, create, revoke
from sekisho.adapters.registry_links import end_lending, lend, link, unlink
from sekisho.adapters.registry_reading import load, taken_away
from sekisho.adapters.sql_directory import REST_S, STALE_S, SqlDirectory
from sekisho.adapters.sql_registry import Change, Registry, now_us
from sekisho.errors import DirectoryUnavailable, NotAuthenticated
from sekisho.model.principal import Authentication, Role

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
        monkeypatch.setattr(registry_reading, "load", self._load)

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


def opens(directory: SqlDirectory, key: str) -> bool:
    try:
        directory.by_key(key)
    except NotAuthenticated:
        return False
    return True


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


async def test_sessions_of_one_who_was_unlinked_end_at_once(held: Held, registry: Registry) -> None:
    """Also those that began with another identity of the same issuer."""
    with registry.change() as change:
        link(change, "corp", "s-2", "staff-7")
    await held.directory.refresh()
    begun_us = now_us()
    assert held.directory.by_session("staff-7", "oidc:corp", begun_us)
    waiting = await held.change(lambda change: unlink(change, "corp", "s-2"))
    with pytest.raises(NotAuthenticated):
        held.directory.by_session("staff-7", "oidc:corp", begun_us)
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


async def test_a_revocation_is_seen_while_a_copy_is_being_made(
    path: Path, registry: Registry, gate: Gate
) -> None:
    """The poll looks on; the copy that began before does not bring the key back when it comes."""
    key, other = key_of(registry, "staff-7"), key_of(registry, "staff-7")
    poll = SqlDirectory(path, PEPPER)
    await poll.start()
    polled = Held(poll, gate, registry)
    waiting = await polled.change(lambda change: change.set_groups("staff-8", {"sales"}))
    assert poll.by_key(key)
    for revoked in (other, key):  # the second at a later look than the first
        with registry.change() as change:
            revoke(change, revoked.split("-")[2])
        async with asyncio.timeout(20):
            while opens(poll, revoked):
                await asyncio.sleep(0.01)
    assert not waiting.done()
    older = poll._copy_again()
    gate.open.set()
    await older  # nothing but that copy has come yet
    assert not opens(poll, key)
    await waiting
    assert not opens(poll, key)
    await poll.close()


async def test_who_was_let_in_again_meanwhile_is_in_with_the_copy(
    held: Held, registry: Registry, gate: Gate
) -> None:
    """Shut out when looked at, let in before the copy is made, and so after it."""
    key = key_of(registry, "staff-7")
    await held.directory.refresh()
    waiting = await held.change(lambda change: change.set_disabled("staff-7", True))
    assert not opens(held.directory, key)
    with registry.change() as change:
        change.set_disabled("staff-7", False)
    await held.let_go(waiting)
    await held.directory.refresh()
    assert opens(held.directory, key)


async def test_a_look_that_comes_after_a_newer_copy_is_not_believed(
    path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw somebody shut out who was let in again before that copy was made."""
    key = key_of(registry, "staff-7")
    directory = SqlDirectory(path, PEPPER)
    await directory.refresh()
    looked, go_on = threading.Event(), threading.Event()

    def slow_look(connection: Connection, since_us: int) -> TakenAway:
        gone = taken_away(connection, since_us)
        looked.set()
        assert go_on.wait(20)
        return gone

    monkeypatch.setattr(registry_reading, "taken_away", slow_look)
    with registry.change() as change:
        change.set_disabled("staff-7", True)
    looking = asyncio.create_task(directory._look())
    assert await asyncio.to_thread(looked.wait, 20)
    with registry.change() as change:
        change.set_disabled("staff-7", False)
    await directory._copy_again()
    go_on.set()
    await looking
    assert opens(directory, key)


async def test_an_older_look_never_replaces_a_newer_one(
    path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first began before the revocation and comes back late."""
    key = key_of(registry, "staff-7")
    directory = SqlDirectory(path, PEPPER)
    await directory.refresh()
    looked, go_on = threading.Event(), threading.Event()

    def first_is_slow(connection: Connection, since_us: int) -> TakenAway:
        gone = taken_away(connection, since_us)
        if not looked.is_set():
            looked.set()
            assert go_on.wait(20)
        return gone

    monkeypatch.setattr(registry_reading, "taken_away", first_is_slow)
    with registry.change() as change:
        change.set_groups("staff-8", {"sales"})
    first = asyncio.create_task(directory._look())
    assert await asyncio.to_thread(looked.wait, 20)
    with registry.change() as change:
        revoke(change, key.split("-")[2])
    second = asyncio.create_task(directory._look())
    await asyncio.wait({second}, timeout=0.3)
    go_on.set()
    await asyncio.gather(first, second)
    assert not opens(directory, key)


async def test_a_copy_ends_what_was_seen_at_its_own_revision(
    held: Held, registry: Registry
) -> None:
    """A look at one revision, then the copy of the same: nothing is left to hold back."""
    key = key_of(registry, "staff-7")
    await held.directory.refresh()
    with registry.change() as change:
        change.set_disabled("staff-8", True)
    assert await held.directory._look() > 0
    assert held.directory._gone is not NOTHING
    await held.directory._copy_again()
    assert held.directory._gone is NOTHING
    assert opens(held.directory, key)


async def test_who_asks_during_a_copy_that_began_too_early_waits_for_another(
    held: Held, registry: Registry, gate: Gate
) -> None:
    """What was committed before `refresh` is known after it; a copy of its own is enough."""
    before = gate.loads
    waiting = await held.change(lambda change: change.set_groups("staff-8", {"sales"}))
    seen = held.directory._gone.revision
    key = key_of(registry, "staff-7")
    second = asyncio.create_task(held.directory.refresh())
    async with asyncio.timeout(20):
        while held.directory._gone.revision == seen:
            await asyncio.sleep(0.001)
    await held.let_go(waiting)
    await second
    assert opens(held.directory, key)
    assert gate.loads == before + 2


async def test_changes_without_end_leave_time_between_copies(
    path: Path, registry: Registry, gate: Gate
) -> None:
    """Twice as long as one takes, though at each poll there is something new."""
    now_s = [0.0]
    directory = SqlDirectory(path, PEPPER, monotonic_s=lambda: now_s[0])
    for took_s, rest_s in ((0.2, 0.4), (3.0, REST_S)):
        with registry.change() as change:
            change.set_groups("staff-8", {f"took-{took_s}"})
        waiting = await Held(directory, gate, registry).change(lambda _: None)
        now_s[0] += took_s
        gate.open.set()
        await waiting
        assert directory._rest_until_s == pytest.approx(now_s[0] + rest_s)
    await directory.start()
    loads = gate.loads
    key = key_of(registry, "staff-7")
    looks = directory._gone.revision
    async with asyncio.timeout(20):
        while directory._gone.revision == looks:
            await asyncio.sleep(0.01)
    assert (gate.loads, opens(directory, key)) == (loads, False)
    now_s[0] += REST_S
    async with asyncio.timeout(20):
        while not opens(directory, key):
            await asyncio.sleep(0.01)
    await directory.close()


async def test_a_new_key_for_a_revoked_one_opens_after_the_copy(
    held: Held, registry: Registry
) -> None:
    """And an identity that was unlinked and linked to somebody else means that one."""
    old = key_of(registry, "staff-7")
    await held.directory.refresh()
    new = []

    def replace_all(change: Change) -> None:
        revoke(change, old.split("-")[2])
        new.append(create(change, "staff-7", PEPPER, KeyTerms()).plaintext)
        unlink(change, "corp", "s-1")
        link(change, "corp", "s-1", "staff-8")

    waiting = await held.change(replace_all)
    assert not opens(held.directory, old)
    await held.let_go(waiting)
    assert (opens(held.directory, old), opens(held.directory, new[0])) == (False, True)
    found = held.directory.link("corp", "s-1")
    assert found is not None
    assert found.principal == "staff-8"


async def test_who_gives_up_waiting_stops_nobody_else(
    held: Held, registry: Registry, gate: Gate
) -> None:
    """A cancelled caller leaves the copy under way to those who wait for it too."""
    before = gate.loads
    first = await held.change(lambda change: change.set_groups("staff-8", {"sales"}))
    second = asyncio.create_task(held.directory.refresh())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await held.let_go(second)
    assert gate.loads == before + 1
    assert held.directory.by_id("staff-8", "oidc:corp", Authentication.OIDC).groups == {"sales"}


async def test_looks_alone_do_not_keep_the_door_open(
    path: Path, registry: Registry, gate: Gate
) -> None:
    """Roles taken away come with a copy: without one for too long, nobody is let in."""
    now_s = [0.0]
    directory = SqlDirectory(path, PEPPER, monotonic_s=lambda: now_s[0])
    await directory.refresh()
    waiting = await Held(directory, gate, registry).change(
        lambda change: change.set_roles("staff-7", {Role.EMPLOYEE})
    )
    now_s[0] = STALE_S + 1
    await directory._look()
    with pytest.raises(DirectoryUnavailable):
        await directory.check()
    gate.open.set()
    await waiting
    await directory.refresh()
    await directory.check()


def test_equal_sets_are_one_object(registry: Registry) -> None:
    """Tens of thousands of principals have a few combinations of groups."""
    with registry.reading() as look:
        copy = load(look._connection, 1)
    first, second = (copy.known(name) for name in ("staff-7", "staff-8"))
    assert first is not None
    assert second is not None
    assert first.principal.groups == {"sales", "all"}
    assert first.principal.groups is second.principal.groups
