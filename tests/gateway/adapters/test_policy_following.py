"""Workers take what is put in force: running, after a restart, never half, never a damaged one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sekisho.adapters import policy_following
from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.policy_desk import PolicyDesk
from sekisho.adapters.policy_following import PolicyFollower
from sekisho.adapters.policy_shadow import ShadowedEngine
from sekisho.config import Settings
from sekisho.errors import PolicyRejected
from sekisho.model.decision import Effect
from sekisho.model.revisions import Revision
from sekisho_audit.events import Event, check_data
from support.revisions import ACTIVATOR, AUTHOR, Rules, desk_in, replay, settings_in
from support.rules import document

OPEN = """# METADATA
# title: Open to one
package packs.team.open

# METADATA
# title: Open
allow contains {"code": "open", "msg": "Open."} if input.principal.id == "staff-7"
"""
TAKEN_S = 20.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_following, "POLL_S", 0.02)
    monkeypatch.setattr(policy_following, "AGAIN_S", 0.05)


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Rules(tmp_path / "rules")


@pytest.fixture
def settings(tmp_path: Path, rules: Rules) -> Settings:
    return settings_in(tmp_path, rules.write())


@pytest.fixture
def desk(settings: Settings) -> PolicyDesk:
    return desk_in(settings)


class Following:
    """One worker's engine and what it would put on record."""

    def __init__(self, settings: Settings) -> None:
        self.events: list[Event] = []
        self.engine = EmbeddedOPA(settings.policy.bundle, deadline_ms=5_000)
        self.follower = PolicyFollower(self.engine, settings, "s-1", self.events.append)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(TAKEN_S):
            while not holds():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Following]:
    one = Following(settings)
    await one.follower.start()
    try:
        yield one
    finally:
        await one.follower.close()


async def put_in_force(desk: PolicyDesk, directory: Path) -> Revision:
    def work() -> Revision:
        row = desk.draft(AUTHOR, directory)
        replay(desk, AUTHOR, row.revision)
        desk.activate(ACTIVATOR, row.revision)
        return row

    return await asyncio.to_thread(work)


async def test_running_workers_take_it_and_give_it_back(
    desk: PolicyDesk, rules: Rules, settings: Settings
) -> None:
    """All of them, without a restart; a worker that starts later begins with it."""
    first = read_bundle(settings.policy.bundle).revision
    async with worker(settings) as one, worker(settings) as two:
        assert (await one.engine.decide(document())).effect is Effect.DENY

        row = await put_in_force(desk, rules.write(packs__team__open=OPEN))

        for each in (one, two):
            await each.until(lambda each=each: each.engine.revision == row.revision)  # type: ignore[misc]
            decision = await each.engine.decide(document())
            assert (decision.effect, decision.revision) == (Effect.ALLOW, row.revision)
        async with worker(settings) as late:
            assert late.engine.revision == row.revision
            assert not late.events
        await asyncio.to_thread(desk.rollback, ACTIVATOR)
        await one.until(lambda: one.engine.revision == first)
    kinds = [(event.type, event.data["revision"]) for event in one.events]
    assert kinds == [("policy.loaded", row.revision), ("policy.loaded", first)]
    for event in one.events:
        check_data(event.type, event.data)


async def test_a_damaged_one_never_replaces_a_good_one(
    desk: PolicyDesk, rules: Rules, settings: Settings
) -> None:
    """The old one decides on, it is said once, and a restart refuses instead of falling back. With
    the right files it is taken, without anybody's doing.
    """
    async with worker(settings) as one:
        before = one.engine.revision
        engine = one.engine
        row = await asyncio.to_thread(desk.draft, AUTHOR, rules.write(packs__team__open=OPEN))
        file = settings.policies_dir / row.contents[7:] / "packs" / "team" / "open.rego"
        good = file.read_bytes()
        file.chmod(0o600)

        def put_and_spoil() -> None:
            replay(desk, AUTHOR, row.revision)
            desk.activate(ACTIVATOR, row.revision)

        spoiled = good.replace(b"staff-7", b"staff-8")
        original = engine.reload

        async def reload(directory: Path, revision: str | None = None) -> str:
            if not one.events:
                file.write_bytes(spoiled)
            return await original(directory, revision)

        engine.reload = reload  # type: ignore[method-assign]
        await asyncio.to_thread(put_and_spoil)
        await one.until(lambda: bool(one.events))
        await asyncio.sleep(0.3)  # some more tries
        assert engine.revision == before
        assert [event.type for event in one.events] == ["policy.rejected"]
        check_data("policy.rejected", one.events[0].data)
        late = Following(settings)
        with pytest.raises(PolicyRejected, match="damaged or edited"):
            await late.follower.start()
        await late.follower.close()

        file.write_bytes(good)
        await one.until(lambda: engine.revision == row.revision)


async def test_the_shadow_follows_too(desk: PolicyDesk, rules: Rules, settings: Settings) -> None:
    """A running worker casts it and lets it go; the rules in force are the same all the time."""
    row = await asyncio.to_thread(desk.draft, AUTHOR, rules.write(packs__team__open=OPEN))
    one = Following(settings)
    shadowed = ShadowedEngine(one.engine, one.events.append)
    follower = PolicyFollower(one.engine, settings, "s-1", one.events.append, shadowed)
    await follower.start()
    await asyncio.to_thread(desk.shadow, ACTIVATOR, row.revision)

    async with asyncio.timeout(TAKEN_S):
        while not one.events:
            assert (await shadowed.decide(document())).effect is Effect.DENY
            await shadowed.settled()

    assert (one.events[0].type, one.events[0].data["effect"]) == ("policy.shadowed", "allow")
    await follower.close()


async def test_the_registry_must_be_readable_at_a_start(settings: Settings) -> None:
    """What is in force cannot be known otherwise; the rules of the settings are no answer to it."""
    settings.registry_path.parent.mkdir(parents=True)
    settings.registry_path.write_bytes(b"no database" * 100)
    one = Following(settings)
    with pytest.raises(PolicyRejected):
        await one.follower.start()
    await one.follower.close()


async def test_a_registry_that_goes_away_leaves_the_rules(settings: Settings) -> None:
    """A worker that has rules goes on with them while the file is away."""
    async with worker(settings) as one:
        before = one.engine.revision
        settings.registry_path.rename(settings.data_dir / "away")
        await asyncio.sleep(0.2)
        assert one.engine.revision == before
        assert (await one.engine.decide(document())).revision == before


async def test_edits_in_place_are_compared_with_what_decides(
    desk: PolicyDesk, settings: Settings
) -> None:
    """Whoever edits the directory of the settings compares with what runs, puts the edit in force
    and goes back to what ran; a worker that starts meanwhile decides by the edit, and says so.
    """
    place = settings.policy.bundle
    ran = read_bundle(place)
    async with worker(settings):
        source = (place / "data.yaml").read_text()
        (place / "data.yaml").write_text(source + "# a model more\n")
        edited = read_bundle(place)
        assert edited.revision != ran.revision
        assert read_bundle(await asyncio.to_thread(desk.place_of, None)).files == ran.files
        assert (await asyncio.to_thread(desk.active)).revision == ran.revision

        await put_in_force(desk, place)

        assert (await asyncio.to_thread(desk.active)).revision == edited.revision
        done = await asyncio.to_thread(desk.rollback, ACTIVATOR)
        assert (done.revision, done.previous) == (ran.revision, edited.revision)


async def test_a_restart_takes_the_directory_until_something_is_activated(
    desk: PolicyDesk, settings: Settings
) -> None:
    """Then what is compared with is what the newest worker began with."""
    place = settings.policy.bundle
    async with worker(settings):
        (place / "data.yaml").write_text((place / "data.yaml").read_text() + "# more\n")
    async with worker(settings) as late:
        assert (await asyncio.to_thread(desk.active)).revision == late.engine.revision
        assert late.engine.revision == read_bundle(place).revision


async def test_a_store_that_keeps_nothing_does_not_stop_a_worker(
    settings: Settings,
) -> None:
    """It decides all the same, by the directory."""
    settings.policies_dir.parent.mkdir(parents=True, exist_ok=True)
    settings.policies_dir.write_text("in the way")
    async with worker(settings) as one:
        assert (await one.engine.decide(document())).effect is Effect.DENY
