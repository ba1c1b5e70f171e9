from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.adapters.registry_schema import RegistryUnusable
from sekisho.adapters.sql_directory import STALE_S, SqlDirectory
from sekisho.adapters.sql_registry import Registry
from sekisho.errors import DirectoryUnavailable
from sekisho.model.principal import Principal, Role

PEPPER = bytes(range(32))


class Clocks:
    """A monotonic clock and wall time that stand still until told."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self.wall_us = 1_700_000_000_000_000

    def monotonic_s(self) -> float:
        return self.monotonic

    def now_us(self) -> int:
        return self.wall_us


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.sqlite"


@pytest.fixture
def registry(path: Path) -> Iterator[Registry]:
    one = Registry.open(path)
    with one.change() as change:
        change.put_principal("staff-7", kind="person", owner=None)
        change.set_roles("staff-7", {Role.EMPLOYEE, Role.REVIEWER})
        change.set_groups("staff-7", {"sales"})
        change.put_principal("bot", kind="service", owner="staff-7")
    yield one
    one.close()


@pytest.fixture
async def directory(registry: Registry, path: Path, clocks: Clocks) -> SqlDirectory:
    one = SqlDirectory(path, PEPPER, monotonic_s=clocks.monotonic_s, now_us=clocks.now_us)
    await one.refresh()
    return one


def key_of(registry: Registry, name: str = "staff-7", expires_us: int | None = None) -> str:
    with registry.change() as change:
        return change.create_key(name, PEPPER, label="", expires_us=expires_us).plaintext


async def test_a_key_leads_to_its_principal(registry: Registry, directory: SqlDirectory) -> None:
    """Roles, groups and the key's id come with it; a service account brings its owner."""
    mine, its = key_of(registry), key_of(registry, "bot")
    await directory.refresh()
    assert await directory.find(mine) == Principal(
        id="staff-7",
        roles=frozenset({Role.EMPLOYEE, Role.REVIEWER}),
        groups=frozenset({"sales"}),
        credential=mine.split("-")[2],
    )
    found = await directory.find(its)
    assert found is not None
    assert found.person == "staff-7"


async def test_what_is_not_a_known_key_leads_to_nobody(
    registry: Registry, directory: SqlDirectory
) -> None:
    """A wrong secret of a known id, an unknown id and rubbish look the same."""
    key = key_of(registry)
    await directory.refresh()
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    for presented in (wrong, "sk-sekisho-00000000-" + "A" * 43, "", "Bearer x", key + "\n"):
        assert await directory.find(presented) is None


async def test_a_revoked_key_is_nobody_after_one_refresh(
    registry: Registry, directory: SqlDirectory
) -> None:
    """Workers see a revocation at their next look at the revision."""
    key = key_of(registry)
    await directory.refresh()
    with registry.change() as change:
        change.revoke_key(key.split("-")[2])
    await directory.refresh()
    assert await directory.find(key) is None


async def test_the_poll_sees_changes_by_itself(registry: Registry, path: Path) -> None:
    """Between `start` and `close` nobody has to ask for a refresh."""
    directory = SqlDirectory(path, PEPPER)
    await directory.start()
    await directory.check()
    key = key_of(registry)
    async with asyncio.timeout(30):
        while await directory.find(key) is None:
            await asyncio.sleep(0.01)
        with registry.change() as change:
            change.revoke_key(key.split("-")[2])
        while await directory.find(key) is not None:
            await asyncio.sleep(0.01)
    await directory.close()


async def test_a_fresh_installation_starts_with_nobody_in_it(tmp_path: Path) -> None:
    """Workers that start before the first key was made build the registry, also all at once."""
    path = tmp_path / "registry.sqlite"
    workers = [SqlDirectory(path, PEPPER) for _ in range(4)]
    await asyncio.gather(*(worker.start() for worker in workers))
    for worker in workers:
        assert await worker.find("sk-sekisho-00000000-" + "A" * 43) is None
        await worker.close()


async def test_a_broken_registry_stops_the_start(tmp_path: Path) -> None:
    """A worker that could never say who asks must not look started."""
    path = tmp_path / "registry.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(RegistryUnusable):
        await SqlDirectory(path, PEPPER).start()


async def test_a_disabled_person_takes_keys_and_service_accounts_along(
    registry: Registry, directory: SqlDirectory
) -> None:
    """Whoever leaves does not stay in through a bot; letting them in again restores both."""
    keys = [key_of(registry), key_of(registry, "bot")]
    for disabled in (True, False):
        with registry.change() as change:
            change.set_disabled("staff-7", disabled)
        await directory.refresh()
        found = [await directory.find(key) for key in keys]
        assert [one is None for one in found] == [disabled, disabled]


async def test_a_key_ends_at_its_hour_without_any_change(
    registry: Registry, path: Path, clocks: Clocks
) -> None:
    """Expiry is looked at with each use, not when the copy was made."""
    real_us = 4_000_000_000_000_000
    key = key_of(registry, expires_us=real_us)
    directory = SqlDirectory(path, PEPPER, now_us=clocks.now_us)
    await directory.refresh()
    clocks.wall_us = real_us - 1
    assert await directory.find(key) is not None
    clocks.wall_us = real_us
    assert await directory.find(key) is None


async def test_an_unreadable_registry_closes_the_door_in_time(
    registry: Registry, directory: SqlDirectory, path: Path, clocks: Clocks
) -> None:
    """The last copy serves until it is too old, then nobody is let in; it recovers by itself."""
    key = key_of(registry)
    await directory.refresh()
    hidden = path.rename(path.with_suffix(".away"))
    clocks.monotonic += STALE_S
    await directory.refresh()
    assert await directory.find(key) is not None
    clocks.monotonic += 0.1
    await directory.refresh()
    with pytest.raises(DirectoryUnavailable):
        await directory.find(key)
    with pytest.raises(DirectoryUnavailable):
        await directory.check()
    hidden.rename(path)
    await directory.refresh()
    assert await directory.find(key) is not None


async def test_nobody_is_let_in_before_the_first_look(path: Path, registry: Registry) -> None:
    """A directory that has never read anything knows nobody, and says so."""
    with pytest.raises(DirectoryUnavailable):
        await SqlDirectory(path, PEPPER).find(key_of(registry))


async def test_another_pepper_opens_nothing(registry: Registry, path: Path) -> None:
    """A registry moved to an installation with other keys is useless there."""
    key = key_of(registry)
    stranger = SqlDirectory(path, bytes(32))
    await stranger.refresh()
    assert await stranger.find(key) is None
