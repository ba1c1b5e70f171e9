"""Runs the scripts of the hold store, which stays closed until the ledger was applied to it.

Valkey keeps no scripts over a restart or a failover, so a script that is missing (NOSCRIPT) says
that this server began anew and may have lost what it had acknowledged. Scripts are therefore only
ever called by digest. On NOSCRIPT one worker, under a lock, applies the ledger's holds to the store
and then loads all scripts in one transaction that fails if the connection broke in between: the
scripts can only appear on the very server the ledger was applied to. A wiped store (FLUSHALL) is
seen by the missing key `applied`. docs/adr/0003-hold-store-restart.md has the reasons and limits.

Promise: every call ends within its deadline, with the script's answer or HoldStoreUnavailable.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import resources
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError, WatchError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sekisho.adapters.redis_wakeups import end
from sekisho.errors import HoldStoreUnavailable, Unavailable

CALL_DEADLINE_S = 1.8  # everything about a dead store is said within 2 s
_ATTEMPTS_MAX = 2  # a lost reply is asked for once more, by scripts that are idempotent
_GATE_LOCK_MS = 30_000  # longer than applying the ledger may take, see _APPLY_DEADLINE_S
_APPLY_DEADLINE_S = 25.0
_GATE_POLL_S = 0.05
_UNGATED = ("restore",)
_log = structlog.get_logger("sekisho.holds")

Argument = bytes | str | int | float


def load_sources() -> Mapping[str, bytes]:
    """Every script by name, as it is sent to the server."""
    folder = resources.files("sekisho.adapters") / "lua"
    files = {
        entry.name.removesuffix(".lua"): entry.read_bytes()
        for entry in folder.iterdir()
        if entry.name.endswith(".lua")
    }
    ungated = files.pop("share") + b"\n"
    gated = ungated + files.pop("prelude") + b"\n"
    return {name: (ungated if name in _UNGATED else gated) + body for name, body in files.items()}


def digests_of(sources: Mapping[str, bytes]) -> Mapping[str, str]:
    """The digest by which a server knows each script, by the script's name."""
    return {
        name: hashlib.sha1(source, usedforsecurity=False).hexdigest()
        for name, source in sources.items()
    }


class GatedScripts:
    """The scripts of one server, behind the gate. One instance a worker."""

    sources = load_sources()

    def __init__(
        self, client: Redis, applied_key: str, lock_key: str, apply: Callable[[], Awaitable[None]]
    ) -> None:
        """`apply` brings the store to what the ledger says; it runs while the gate is closed."""
        self._client = client
        self._applied_key = applied_key
        self._lock_key = lock_key
        self._apply = apply
        self._opening: asyncio.Task[None] | None = None
        self._digests = self.digests()

    @classmethod
    def digests(cls) -> Mapping[str, str]:
        """The digest by which the server knows each script."""
        return digests_of(cls.sources)

    async def run(
        self,
        name: str,
        keys: Sequence[str],
        args: Sequence[Argument],
        *,
        idempotent: bool = True,
    ) -> Any:
        """The answer of script `name`. Raises HoldStoreUnavailable within the deadline.

        If it raises, the script may or may not have run; only an idempotent one is tried again.
        """
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                return await self._run(name, keys, args, _ATTEMPTS_MAX if idempotent else 1)
        except (RedisError, OSError, TimeoutError) as error:
            message = (
                "Holds cannot be kept or read at the moment; nothing was let through. "
                "Try again in a few seconds."
            )
            raise HoldStoreUnavailable(message) from error

    async def run_ungated(self, name: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """For applying the ledger: runs while the store is closed to everyone else."""
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                return await self._client.eval(self.sources[name].decode(), len(keys), *keys, *args)
        except (RedisError, OSError, TimeoutError) as error:
            raise HoldStoreUnavailable("The ledger cannot be applied to the hold store.") from error

    async def time_us(self) -> int:
        """The server's time, gate open or not."""
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                seconds, microseconds = await self._client.time()
        except (RedisError, OSError, TimeoutError) as error:
            raise HoldStoreUnavailable("The hold store does not answer.") from error
        return int(seconds) * 1_000_000 + int(microseconds)

    async def close(self) -> None:
        """End an opening that is under way."""
        if self._opening is not None:
            await end(self._opening)

    async def _run(
        self, name: str, keys: Sequence[str], args: Sequence[Argument], attempts: int
    ) -> Any:
        while True:
            try:
                return await self._client.evalsha(self._digests[name], len(keys), *keys, *args)
            except NoScriptError:
                await self._open()
            except ResponseError as error:
                if not str(error).startswith("GATE"):
                    raise
                await self._open()
            except (RedisConnectionError, RedisTimeoutError):
                attempts -= 1
                if attempts == 0:
                    raise

    async def _open(self) -> None:
        """Wait until the gate is open. All callers of this worker share one attempt."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open_once())
            self._opening.add_done_callback(_collect)
        await asyncio.shield(self._opening)

    async def _open_once(self) -> None:
        token = secrets.token_hex(16)
        try:
            async with asyncio.timeout(_APPLY_DEADLINE_S):
                while not await self._client.set(self._lock_key, token, nx=True, px=_GATE_LOCK_MS):
                    await asyncio.sleep(_GATE_POLL_S)
                    if await self._is_open():
                        return
                await self._apply_and_load(token)
        except (RedisError, OSError, TimeoutError, Unavailable) as error:
            cause = type(error).__name__
            _log.warning("the ledger is not yet applied to the hold store", cause=cause)
            message = "The hold store has restarted and the ledger is not yet applied to it."
            raise HoldStoreUnavailable(message, code="hold_store_restarting") from error

    async def _apply_and_load(self, token: str) -> None:
        """Apply the ledger, then load the scripts on the same connection to the same server."""
        async with self._client.pipeline(transaction=True) as transaction:
            await transaction.watch(self._lock_key)
            try:
                if await self._is_open():
                    transaction.multi()  # type: ignore[no-untyped-call]
                    transaction.delete(self._lock_key)
                    await transaction.execute()
                    return
                if await transaction.get(self._lock_key) != token.encode():
                    raise WatchError("another worker has the gate")
                await self._apply()
                transaction.multi()  # type: ignore[no-untyped-call]
                for name, source in self.sources.items():
                    if name not in _UNGATED:
                        transaction.execute_command("SCRIPT", "LOAD", source)
                transaction.set(self._applied_key, token)
                transaction.delete(self._lock_key)
                await transaction.execute()
            except (RedisError, OSError, TimeoutError, Unavailable, asyncio.CancelledError):
                await self._unlock(token)
                raise

    async def _unlock(self, token: str) -> None:
        """Let another worker try at once; if this fails the lock runs out by itself."""
        try:
            async with asyncio.timeout(1):
                if await self._client.get(self._lock_key) == token.encode():
                    await self._client.delete(self._lock_key)
        except (RedisError, OSError, TimeoutError):
            return

    async def _is_open(self) -> bool:
        gated = [digest for name, digest in self._digests.items() if name not in _UNGATED]
        loaded = await self._client.script_exists(*gated)
        return all(loaded) and bool(await self._client.exists(self._applied_key))


def _collect(opening: asyncio.Task[None]) -> None:
    """Take note of a failure that nobody waited for any more; the next call tries again."""
    if not opening.cancelled():
        opening.exception()
