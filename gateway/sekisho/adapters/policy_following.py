"""A worker runs the revision that is in force, and takes the next one while it runs.

The registry has one row that says which that is, with a serial that grows with each change. It is
read twice a second, like the registry of keys; the bundle itself is read when the serial has grown.
The engine builds it, asks what must be denied and swaps it in; until then, and if any of that
fails, the old one decides. A failure is on record once and tried again, because another worker may
have taken it already.

At a start the revision in force must load: there is no falling back to the settings, whose rules
may be a year old. They count as long as nothing was ever activated; what a worker read there is
kept, since whoever edits the directory does not change what decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import structlog

from sekisho.adapters import registry_policies
from sekisho.adapters.bundle import must_be, read_bundle
from sekisho.adapters.policy_shadow import ShadowedEngine
from sekisho.adapters.policy_store import PolicyStore, PolicyStoreUnusable
from sekisho.adapters.registry_schema import RegistryUnusable, prepare
from sekisho.adapters.sql_registry import Registry
from sekisho.config import Settings
from sekisho.errors import PolicyRejected, PolicyUnavailable
from sekisho.model.ids import uuid7
from sekisho.model.revisions import InForce
from sekisho_audit.events import Event

POLL_S = 0.5  # a kind of revocation: whoever closes a hole waits no longer than for a key
AGAIN_S = 5.0  # between tries of a revision that could not be taken
FAULTS_TOLD_MAX = 32
FAULT_CHARS_MAX = 500
_UNUSABLE = (PolicyRejected, PolicyUnavailable, PolicyStoreUnusable, TimeoutError, OSError)

_log = structlog.get_logger("sekisho.policy")


class Engine(Protocol):
    """What is loaded and swapped here; what it decides is `PolicyEngine`'s."""

    @property
    def revision(self) -> str:
        """The digest of the active bundle. PolicyUnavailable if there is none."""
        ...

    async def start(
        self,
        on_exhausted: Callable[[], None] | None = None,
        directory: Path | None = None,
        revision: str | None = None,
    ) -> None:
        """Load the first bundle. Raises PolicyRejected."""
        ...

    async def reload(self, directory: Path, revision: str | None = None) -> str:
        """Swap another bundle in, or change nothing. Raises PolicyRejected."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class PolicyFollower:
    """Keeps one worker's engine at the revision in force. See the module's docstring."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        session: str,
        later: Callable[[Event], None],
        shadowed: ShadowedEngine | None = None,
    ) -> None:
        """`later` takes events to be written when it can be; `session` names the worker."""
        self._engine = engine
        self._shadowed = shadowed
        self._shadow = ""
        self._first = settings.policy.bundle
        self._path = settings.registry_path
        self._store = PolicyStore(settings.policies_dir)
        self._session = session
        self._later = later
        self._serial = -1
        self._refused_serial = -1
        self._following: asyncio.Task[None] | None = None

    async def start(self, on_exhausted: Callable[[], None] | None = None) -> None:
        """Load what is in force and follow it until `close`. Safe to repeat after a failure.

        Raises PolicyRejected if it cannot be known or used.
        """
        try:
            state = await asyncio.to_thread(self._look)
            if state is not None and state.active is not None:
                place = self._store.place(state.active.contents)
                await self._engine.start(on_exhausted, place, state.active.revision)
            else:
                await self._engine.start(on_exhausted, self._first)
                await asyncio.to_thread(self._note_first, self._engine.revision)
        except (RegistryUnusable, PolicyStoreUnusable) as error:
            raise PolicyRejected([error.message]) from error
        if state is not None:
            await self._cast(state)
            self._serial = state.serial
        if self._following is None:
            self._following = asyncio.create_task(self._follow(), name="policy-follow")
            self._following.add_done_callback(_told)

    async def close(self) -> None:
        """Stop following, and let the engine go."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._shadowed is not None:
            await self._shadowed.use(None)
        await self._engine.close()

    def _note_first(self, revision: str) -> None:
        """Keep what decides now. Without it `policy diff` reads the directory, so a full disk is no
        reason not to serve.
        """
        try:
            bundle = read_bundle(self._first)
            must_be(bundle, revision)
            self._store.note_first(bundle)
        except (PolicyRejected, PolicyStoreUnusable) as error:
            _log.warning("the rules of the settings are in force and not kept", fault=str(error))

    def _look(self) -> InForce | None:
        """What is in force; None if that is what this worker has. Raises RegistryUnusable."""
        if self._serial < 0:
            prepare(self._path)
        with self._registry().reading() as registry:
            serial = registry_policies.serial(registry)
            return None if serial == self._serial else registry_policies.in_force(registry)

    def _registry(self) -> Registry:
        return Registry.look(self._path)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            # Unreadable: the old revision goes on; /readyz and doctor tell of the registry.
            with suppress(RegistryUnusable):
                state = await asyncio.to_thread(self._look)
                if state is not None and not await self._take(state):
                    await asyncio.sleep(AGAIN_S)

    async def _take(self, state: InForce) -> bool:
        """Swap in what is in force now; whether that worked."""
        active = state.active
        previous = self._engine.revision
        if active is not None and active.revision != previous:
            try:
                place = self._store.place(active.contents)
                await self._engine.reload(place, active.revision)
            except _UNUSABLE as error:
                self._refuse(state.serial, active.revision, error)
                return False
            _log.info("rules taken", revision=active.revision, previous=previous)
            data = {
                "revision": active.revision,
                "previous": previous,
                "session": self._session,
            }
            self._later(Event(uuid7(), "policy.loaded", None, None, data))
        await self._cast(state)
        self._serial = state.serial
        return True

    async def _cast(self, state: InForce) -> None:
        """The shadow, as it is wanted now."""
        wanted = "" if state.shadow is None else state.shadow.revision
        if self._shadowed is None or wanted == self._shadow:
            return
        self._shadow = wanted
        if state.shadow is None:
            await self._shadowed.use(None)
        else:
            await self._shadowed.use(self._store.place(state.shadow.contents), wanted)

    def _refuse(self, serial: int, revision: str, error: Exception) -> None:
        """The old one stays; said once for each change."""
        faults = list(getattr(error, "faults", ())) or [str(error) or type(error).__name__]
        _log.error("rules in force cannot be taken; the old ones stay", faults=faults)
        if serial == self._refused_serial:
            return
        self._refused_serial = serial
        told = [fault[:FAULT_CHARS_MAX] for fault in faults[:FAULTS_TOLD_MAX]]
        data = {
            "revision": revision,
            "faults": told,
            "cause": "not_taken",
            "session": self._session,
        }
        self._later(Event(uuid7(), "policy.rejected", None, None, data))


def _told(task: asyncio.Task[None]) -> None:
    """A mistake of ours ended it: this worker would keep its rules for ever, unseen."""
    if not task.cancelled() and task.exception() is not None:
        _log.critical("the rules in force are not followed any more", exc_info=task.exception())
