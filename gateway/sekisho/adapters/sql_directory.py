"""Principals as workers look them up: an in-memory copy of the registry, renewed when it changes.

A lookup is a few dictionary accesses and one HMAC. A thread-pool task compares `registry_revision`
every half second. What was taken away is read at once, also while a whole copy is being made
(`registry_reading.py`), so a revoked key is refused within a second on every worker, however many
principals there are and however often they change. If the registry cannot be read for five seconds,
nobody is let in: a copy that old may contain revoked keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, Self

from sqlalchemy.exc import SQLAlchemyError

from sekisho.adapters import registry_reading
from sekisho.adapters.api_keys import key_id, matches
from sekisho.adapters.registry_copy import NOTHING, Copy, KeyRow, Known, Link, TakenAway
from sekisho.adapters.registry_schema import open_engine, prepare
from sekisho.errors import DirectoryUnavailable, NotAuthenticated
from sekisho.model.duties import APART
from sekisho.model.principal import Authentication, Principal, Role

ISSUER_PREFIX = "oidc:"  # of what a token or sign-in is recorded as; no key id has a colon
POLL_S = 0.5  # half of the second in which a revocation must be seen
REST_S = 1.0  # the most between two copies while changes go on: they cost what a request needs too
STALE_S = 5.0  # bridges a backup or a migration; longer, a revoked key might still be let in
MARGIN_US = 60_000_000  # a change is dated before it is committed, by a clock that may be set back

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
        self._copied_us = 0
        self._looking = asyncio.Lock()
        self._copying: asyncio.Task[None] | None = None
        self._read_at_s = float("-inf")
        self._rest_until_s = float("-inf")
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
        for task in (self._polling, self._copying):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
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
        same = matches(self._pepper, secret, key[2] if key else None)
        if name is None:
            _refuse("malformed")
        if key is None or not same or name in gone.keys:
            _refuse("unknown", name)
        return self._of_key(copy, key, "expired")

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

    def holds(self, principal: str, role: Role) -> bool:
        """Whether this person is still here with a role of their own. Raises
        DirectoryUnavailable.
        """
        known = self._known(principal)
        if known is None or known.principal.owner is not None:
            return False
        held = known.principal.roles  # somebody may have edited the registry's file
        return role in held and len(APART & held) <= 1

    def anybody_in(self, reviewers: str, but: Collection[str]) -> bool:
        """Whether somebody else than `but` who is still here has this role or group. Raises
        DirectoryUnavailable.
        """
        known = self._fresh().persons_in(reviewers)
        return any(one not in but and one not in self._gone.principals for one in known)

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
            found = self.by_id(principal, credential, Authentication.SESSION)
            return replace(found, signed_in_us=begun_us)
        key = copy.keys.get(credential)
        if key is None or credential in self._gone.keys or key[1] != principal:
            _refuse("session_over", credential)
        found = self._of_key(copy, key, "session_over")
        return replace(found, authentication=Authentication.SESSION, signed_in_us=begun_us)

    def link(self, issuer: str, subject: str) -> Link | None:
        """Whom an identity elsewhere means. Raises DirectoryUnavailable."""
        place = (issuer, subject)
        found = self._fresh().link(place)
        return None if place in self._gone.links else found

    def _known(self, principal: str) -> Known | None:
        known = self._fresh().known(principal)
        return None if known is None or self._gone.shuts_out(known.principal) else known

    def _of_key(self, copy: Copy, key: KeyRow, cause: str) -> Principal:
        """Whom a key proves that was not revoked, if it has not expired and they are here."""
        name, principal, _, expires_us, *_ = key
        now_us = self._now_us()
        if expires_us is not None and expires_us <= now_us:
            _refuse(cause, name)
        known = copy.known(principal, key)
        if known is None or self._gone.shuts_out(known.principal):
            _refuse("unknown", name)
        return known.at(now_us, self._gone)

    async def refresh(self) -> None:
        """Read the registry now if it changed; whatever was committed before is then known.

        Keeps the last copy when it cannot be read. Who asks while a copy is being made waits for
        that one, and for another only if it began too early. May be cancelled at any time.
        """
        try:
            revision = await self._look()
        except SQLAlchemyError:
            return  # lookups refuse once the copy is too old; /readyz and doctor tell why
        early = self._copying is not None and not self._copying.done()
        for _ in range(2 if early else 1):
            if self._copy is None or self._copy.revision != revision:
                await asyncio.shield(self._copy_again())

    async def _look(self) -> int:
        """Apply what was taken away since the copy; the revision that was looked at.

        One after the other, so that an older look never replaces a newer one.
        """
        async with self._looking:
            while True:
                copy, began_s = self._copy, self._monotonic_s()
                gone = await asyncio.to_thread(self._read_taken_away, copy)
                if copy is not self._copy:
                    continue  # a copy came meanwhile, which may be the newer of the two
                if copy is not None and gone.revision == copy.revision:
                    self._gone = NOTHING
                    self._read_at_s = max(self._read_at_s, began_s)
                else:
                    self._gone = gone
                return gone.revision

    def _copy_again(self) -> asyncio.Task[None]:
        """The one task that makes a whole copy, begun if there is none: none overtakes another."""
        if self._copying is None or self._copying.done():
            self._copying = asyncio.create_task(self._make_copy(), name="registry-copy")
        return self._copying

    async def _make_copy(self) -> None:
        began_us, began_s = self._now_us(), self._monotonic_s()
        try:
            copy = await asyncio.to_thread(self._read)
        except SQLAlchemyError:
            return  # as in `refresh`
        self._copy, self._copied_us = copy, began_us
        self._read_at_s = max(self._read_at_s, began_s)
        if self._gone.revision <= copy.revision:
            self._gone = NOTHING  # else it is newer than the copy and goes on
        now_s = self._monotonic_s()
        self._rest_until_s = now_s + min(2 * (now_s - began_s), REST_S)

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
            with suppress(SQLAlchemyError):  # as in `refresh`
                revision = await self._look()
                rested = self._monotonic_s() >= self._rest_until_s
                if rested and (self._copy is None or self._copy.revision != revision):
                    self._copy_again()  # without waiting: the next look must not come late

    def _read_taken_away(self, copy: Copy | None) -> TakenAway:
        since_us = self._copied_us - MARGIN_US
        with self._engine.begin() as connection:
            if copy is not None and registry_reading.revision_of(connection) == copy.revision:
                return TakenAway(copy.revision)
            return registry_reading.taken_away(connection, since_us)

    def _read(self) -> Copy:
        with self._engine.begin() as connection:
            return registry_reading.load(connection, registry_reading.revision_of(connection))


def _refuse(cause: str, credential: str = "") -> NoReturn:
    raise NotAuthenticated(_REFUSED, cause=cause, credential=credential)
