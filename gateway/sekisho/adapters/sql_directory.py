"""Principals as workers look them up: an in-memory copy of the registry, renewed when it changes.

A lookup is one dictionary access and one HMAC. A thread-pool task compares `registry_revision`
every half second. What was taken away is read first and counts at once, the whole copy follows
(`registry_copy.py`), so a revoked key is refused within a second on every worker, however many
principals there are. If the registry cannot be read for five seconds, nobody is let in: a copy that
old may contain revoked keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, Self

from sqlalchemy.exc import SQLAlchemyError

from sekisho.adapters import registry_copy
from sekisho.adapters.api_keys import key_id, matches
from sekisho.adapters.registry_copy import NOTHING, Copy, KeyEntry, Known, Link, TakenAway
from sekisho.adapters.registry_schema import open_engine, prepare
from sekisho.errors import DirectoryUnavailable, NotAuthenticated
from sekisho.model.principal import Authentication, Principal, Role

ISSUER_PREFIX = "oidc:"  # of what a token or sign-in is recorded as; no key id has a colon
POLL_S = 0.5  # half of the second in which a revocation must be seen
STALE_S = 5.0  # bridges a backup or a migration; longer, a revoked key might still be let in
MARGIN_US = 60_000_000  # a change is dated before it is committed, by a clock beside ours

_REFUSED = "This API key is not known, was revoked, or has expired. Ask an operator for one."


class SqlDirectory:
    """Principals by key, id and identity elsewhere."""

    def __init__(
        self,
        path: Path,
        pepper: bytes,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._path = path
        self._engine = open_engine(path, writing=False)
        self._pepper = pepper
        self._monotonic_s = monotonic_s
        self._now_us = now_us
        self._copy: Copy | None = None
        self._gone = NOTHING
        self._looked_us = 0
        self._turn = asyncio.Lock()
        self._read_at_s = float("-inf")
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the registry, made if absent, and renew until `close`.

        Raises RegistryUnusable or DirectoryUnavailable if it cannot be read.
        """
        await asyncio.to_thread(prepare, self._path)
        await self.refresh()
        self._fresh()
        self._polling = asyncio.create_task(self._poll(), name="registry-poll")

    async def close(self) -> None:
        """Stop renewing and let go of the file."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        self._engine.dispose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def check(self) -> None:
        """Raises DirectoryUnavailable when the registry has not been readable for too long."""
        self._fresh()

    def by_key(self, secret: str) -> Principal:
        """The principal behind a presented API key.

        The same work is done for a wrong secret of a known id as for an unknown id. Raises
        NotAuthenticated, and Forbidden (`duties_conflict`).
        """
        copy, gone = self._fresh(), self._gone
        name = key_id(secret)
        key = copy.keys.get(name) if name is not None else None
        same = matches(self._pepper, secret, key.hash if key else None)
        if name is None:
            _refuse("malformed")
        if key is None or not same or name in gone.keys:
            _refuse("unknown", name)
        return self._of_key(key, name, "expired")

    def by_id(self, principal: str, credential: str, how: Authentication) -> Principal:
        """A principal whose identity was proved elsewhere. Raises as `by_key`."""
        known = self._known(principal)
        if known is None:
            _refuse("no_principal", credential)
        found = known.at(self._now_us(), self._gone)
        return replace(found, credential=credential, authentication=how)

    def may_ask(self, principal: str) -> bool:
        """Whether this principal is still here and an employee. Raises DirectoryUnavailable."""
        known = self._known(principal)
        return known is not None and Role.EMPLOYEE in known.principal.roles

    def by_session(self, principal: str, credential: str, begun_us: int) -> Principal:
        """Whoever signed in with `credential`: with a key, as long as that key opens anything, and
        for no more than it does; at an issuer, as long as the principal is linked there. `begun_us`
        is when; a principal's sessions end all at once. Raises as `by_key`.
        """
        copy, known = self._fresh(), self._known(principal)
        from_us = self._gone.sessions_from_us.get(principal, 0)
        if known is None or begun_us < max(known.sessions_from_us, from_us):
            _refuse("session_over", credential)
        if credential.startswith(ISSUER_PREFIX):
            if (credential.removeprefix(ISSUER_PREFIX), principal) not in copy.linked:
                _refuse("session_over", credential)
            return self.by_id(principal, credential, Authentication.SESSION)
        key = copy.keys.get(credential)
        if key is None or credential in self._gone.keys or key.known.principal.id != principal:
            _refuse("session_over", credential)
        found = self._of_key(key, credential, "session_over")
        return replace(found, authentication=Authentication.SESSION)

    def link(self, issuer: str, subject: str) -> Link | None:
        """Whom an identity elsewhere means. Raises DirectoryUnavailable."""
        place = (issuer, subject)
        found = self._fresh().links.get(place)
        return None if place in self._gone.links else found

    def _known(self, principal: str) -> Known | None:
        known = self._fresh().principals.get(principal)
        return None if known is None or self._gone.shuts_out(known.principal) else known

    def _of_key(self, key: KeyEntry, name: str, cause: str) -> Principal:
        """Whom a key proves that was not revoked, if it has not expired and they are here."""
        now_us = self._now_us()
        if key.expires_us is not None and key.expires_us <= now_us:
            _refuse(cause, name)
        if self._gone.shuts_out(key.known.principal):
            _refuse("unknown", name)
        return key.known.at(now_us, self._gone)

    async def refresh(self) -> None:
        """Read the registry now if it changed. Keeps the last copy when it cannot be read.

        One after the other, so that an older reading never replaces a newer one.
        """
        async with self._turn:
            began_s = self._monotonic_s()
            try:
                looked_us = self._now_us()
                gone = await asyncio.to_thread(self._look)
                if gone is not None:
                    self._gone = gone
                    self._copy = await asyncio.to_thread(self._read)
                    self._gone, self._looked_us = NOTHING, looked_us
            except SQLAlchemyError:
                return  # lookups refuse once the copy is too old; /readyz and doctor tell why
            self._read_at_s = began_s

    @property
    def age_s(self) -> float:
        """Seconds since the registry was last read; infinite if never."""
        return self._monotonic_s() - self._read_at_s

    def _fresh(self) -> Copy:
        if self._copy is None or self.age_s > STALE_S:
            raise DirectoryUnavailable(
                "The registry of keys cannot be read, so nobody can be let in. Try again later; "
                "operators: run `sekisho doctor`."
            )
        return self._copy

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await self.refresh()

    def _look(self) -> TakenAway | None:
        """What was taken away since the copy was made, or None if nothing changed at all."""
        with self._engine.begin() as connection:
            copy = self._copy
            if copy is not None and registry_copy.revision_of(connection) == copy.revision:
                return None
            return registry_copy.taken_away(connection, self._looked_us - MARGIN_US)

    def _read(self) -> Copy:
        with self._engine.begin() as connection:
            return registry_copy.load(connection, registry_copy.revision_of(connection))


def _refuse(cause: str, credential: str = "") -> NoReturn:
    raise NotAuthenticated(_REFUSED, cause=cause, credential=credential)
