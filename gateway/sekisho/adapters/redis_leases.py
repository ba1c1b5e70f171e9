"""Leases of counters in Redis or Valkey: the scripts of adapters/lua/limits and how they are run.

Valkey keeps no scripts over a restart or a failover, so a script that is missing says that this
server began anew and may have lost what it had acknowledged. Then a new run begins, and counters of
an earlier run are made again from the ledger; a wiped store is seen by the missing run. Scripts are
therefore only called by digest.

All keys share one hash tag, so that one call can lease whatever an exchange falls under, also on a
cluster, and the run is checked in the same step. One slot carries all limits: with leases a counter
is asked some times a minute and not for each request.

Promise: every call ends within its deadline, with an answer or LimitsUnavailable.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import quote

import orjson
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from sekisho.adapters.redis_scripts import digests_of
from sekisho.errors import LimitsUnavailable
from sekisho.model.limits import Metric

TAG = "{sekisho-limits}"
RUN = f"{TAG}:run"
WORKERS = f"{TAG}:workers"
CALL_DEADLINE_S = 0.7
ATTEMPTS_MAX = 2  # a connection that the server dropped while it was idle fails once
COUNTERS_A_CALL = 128  # keeps one script below a millisecond
NAME_BYTES_MAX = 200  # longer names are keyed by their digest
_LOADED = ("take", "beat")


def load_sources() -> Mapping[str, bytes]:
    """The scripts by name."""
    folder = resources.files("sekisho.adapters") / "lua" / "limits"
    return {name: (folder / f"{name}.lua").read_bytes() for name in (*_LOADED, "begin")}


def counter_key(dimension: str, name: str, metric: Metric) -> str:
    """Where a counter is. Any text is a name: it is encoded, and no two share a key."""
    encoded = quote(name, safe="", errors="surrogatepass")
    if len(encoded) > NAME_BYTES_MAX:
        # A percent sign is never followed by a tilde in an encoded name.
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        encoded = f"%~{digest}"
    return f"{TAG}:{metric}:{dimension}:{encoded}"


@dataclass(frozen=True, slots=True)
class Ask:
    """What the store is told, and asked, of one counter; see take.lua.

    `begin` is the window, sum and size by which a counter that is not there begins.
    """

    key: str
    kind: str
    start: int
    epoch: str
    claim: int
    free: int
    need: int
    least: int
    limit: int
    begin: tuple[int, int, int] = (-1, 0, 0)
    fold: bool = False

    def row(self) -> tuple[Any, ...]:
        """As the script reads it."""
        return (
            *(self.kind, self.start, self.epoch, self.claim, self.free),
            *(self.need, self.least, self.limit, *self.begin, int(self.fold)),
        )


@dataclass(frozen=True, slots=True)
class Told:
    """The store's answer for one counter. `status` is ok, absent (only `start` counts) or stale."""

    status: str
    epoch: str = ""
    start: int = 0
    ends_us: int = 0
    grant: int = 0
    left: int = 0
    size: int = 0


class RunChanged(Exception):
    """The store is not what it was: what was asked did not happen."""


class LeaseStore:
    """One instance a worker. Calls must not overlap: `take` tells what this worker holds."""

    sources = load_sources()

    def __init__(self, client: Redis, origin: str, *, lease_us: int, share: int) -> None:
        self._client = client
        self._origin = origin
        self._lease_us = lease_us
        self._share = share
        self.worker = secrets.token_hex(8)
        self.run = ""
        self._calls = 0
        self._digests = self.digests()

    @classmethod
    def digests(cls) -> Mapping[str, str]:
        """The digest by which the server knows each script."""
        return digests_of(cls.sources)

    async def take(self, asks: Sequence[Ask]) -> tuple[int, Sequence[Told]]:
        """The store's time in us, and its answers in order.

        Raises RunChanged, or LimitsUnavailable: it may or may not have happened then.
        """
        rows = orjson.dumps([ask.row() for ask in asks])
        keys = (RUN, *(ask.key for ask in asks))

        def args() -> Sequence[Any]:
            # Each attempt is a call of its own: what it tells is the whole, so it may be repeated.
            self._calls += 1
            terms = (self._lease_us, self._share, rows)
            return (self.worker, self._calls, self._origin, secrets.token_hex(8), *terms)

        reply = await self._run("take", keys, args)
        return int(reply[1]), [_told(one) for one in reply[2:]]

    async def beat(self, forget_us: int, *, leave: bool = False) -> None:
        """Say that this worker is alive, or that it leaves.

        Returns if the store has been whole since the last call. Raises as `take` does.
        """
        args = (self.worker, forget_us, secrets.token_hex(8), "1" if leave else "0")
        await self._run("beat", (RUN, WORKERS), lambda: args)

    async def close(self) -> None:
        """Drop all connections."""
        await self._client.aclose()

    async def _run(self, name: str, keys: Sequence[str], args: Callable[[], Sequence[Any]]) -> Any:
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                reply = await self._call(name, keys, args, ATTEMPTS_MAX)
                if reply[0] == b"run":
                    await self._joined(reply[1].decode())
                    raise RunChanged
        except NoScriptError as error:
            await self._begin()
            raise RunChanged from error
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable() from error
        return reply

    async def _call(
        self, name: str, keys: Sequence[str], args: Callable[[], Sequence[Any]], attempts: int
    ) -> Any:
        while True:
            try:
                return await self._client.evalsha(
                    self._digests[name], len(keys), *keys, self.run, *args()
                )
            except RedisConnectionError:
                attempts -= 1
                if attempts == 0:
                    raise

    async def _joined(self, run: str) -> None:
        """Take the run of the others; begin one where there is none."""
        if run:
            self.run = run
        else:
            await self._begin()

    async def _begin(self) -> None:
        """The server began anew: begin a run, unless another worker has done so."""
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                digests = [self._digests[name] for name in _LOADED]
                async with self._client.pipeline(transaction=True) as seen:
                    seen.execute_command("SCRIPT", "EXISTS", *digests)
                    seen.get(RUN)
                    loaded, run = await seen.execute()
                if run and all(loaded):
                    self.run = run.decode()
                    return
                async with self._client.pipeline(transaction=True) as begun:
                    begin = self.sources["begin"].decode()
                    begun.execute_command("EVAL", begin, 1, RUN, run or b"", secrets.token_hex(8))
                    for name in _LOADED:
                        begun.execute_command("SCRIPT", "LOAD", self.sources[name])
                    self.run = (await begun.execute())[0].decode()
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable() from error


def _told(parts: Sequence[bytes]) -> Told:
    status = parts[0].decode()
    if status == "ok":
        epoch, start, ends_us, grant, left, size = parts[1:]
        return Told(
            status, epoch.decode(), int(start), int(ends_us), int(grant), int(left), int(size)
        )
    return Told(status, start=int(parts[1]) if len(parts) > 1 else 0)


def unavailable() -> LimitsUnavailable:
    """For whoever wanted the store and got nothing from it."""
    message = (
        "What is left of your limits cannot be known at the moment, so nothing was sent. "
        "Try again in a few seconds."
    )
    return LimitsUnavailable(message)
