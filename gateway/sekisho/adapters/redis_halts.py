"""The kill switch in Redis or Valkey: one hash, a field a switch, changed by one script.

    HGETALL {sekisho-halts}:switches  ->  event id: {"scope": …, "name": …, "origin": …, "last": …}

A switch that was lifted stays as `{"lifted": true, …}` for a day, so that who reads it now and then
can tell lifted from lost. What cannot be read counts as a switch for everything: whoever can write
here can stop the gateway, and must not be able to let it go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sekisho.errors import HaltUnknown
from sekisho.model.halts import Halt, Lift
from sekisho_audit.halt_rules import SCOPES

KEY = "{sekisho-halts}:switches"
CALL_S = 0.9  # shorter than the silence after which nothing goes on any more
LIFTED_KEPT_US = 86_400 * 1_000_000
_LUA = "adapters/lua/halts/put.lua"
UNREADABLE = "A switch in the live state cannot be read, so everything is stopped"


class HaltStore:
    """Reads and writes the hash; keeps nothing. Both raise HaltUnknown within CALL_S."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._script = resources.files("sekisho").joinpath(_LUA).read_text()

    async def read(self) -> Mapping[str, bytes]:
        """Every field of the hash."""
        try:
            async with asyncio.timeout(CALL_S):
                rows: Any = await self._client.hgetall(KEY)
        except (RedisError, OSError, TimeoutError) as error:
            raise unheard() from error
        return {name.decode("utf-8", "replace"): row for name, row in rows.items()}

    async def put(self, name: str, row: bytes, last: int, *, force: bool = False) -> bool:
        """Write one; false if something as late is there. Safe to repeat."""
        try:
            async with asyncio.timeout(CALL_S):
                forced = "1" if force else "0"
                wrote = await self._client.eval(self._script, 1, KEY, name, row, last, forced)
        except (RedisError, OSError, TimeoutError) as error:
            raise unheard() from error
        return bool(wrote)

    async def forget(self, name: str) -> None:
        """Remove one that was lifted long ago."""
        try:
            async with asyncio.timeout(CALL_S):
                await self._client.hdel(KEY, name)
        except (RedisError, OSError, TimeoutError) as error:
            raise unheard() from error

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.aclose()


def unheard() -> HaltUnknown:
    """What is said where nobody can tell whether something is stopped."""
    return HaltUnknown(
        "Whether an operator stopped this cannot be known at the moment, so nothing was let "
        "through. Try again in a few seconds."
    )


def encode(halt: Halt) -> bytes:
    """A switch that stands, always in the same bytes."""
    return orjson.dumps(asdict(halt), option=orjson.OPT_SORT_KEYS)


def encode_lifted(origin: str, last: int, now_us: int) -> bytes:
    """One that was lifted; `last` is later than any event about it."""
    told = {"lifted": True, "origin": origin, "last": last, "at_us": now_us}
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def decode(name: str, row: bytes) -> Halt | int:
    """The switch, or when it was lifted (microseconds)."""
    try:
        said = orjson.loads(row)
        if said.get("lifted") is True:
            return int(said["at_us"])
        proposed = said.pop("proposed")
        lift = None if proposed is None else Lift(**proposed)
        halt = Halt(**said, proposed=lift)
        texts = [
            halt.name,
            halt.reason,
            halt.by,
            halt.origin,
            *([lift.id, lift.by] if lift else []),
        ]
        numbers = [halt.set_us, halt.last, *([lift.at_us] if lift else [])]
        sound = {type(one) for one in texts} == {str} and {type(one) for one in numbers} == {int}
        if sound and halt.id == name and halt.scope in SCOPES:
            return halt
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return Halt(name, "all", "", UNREADABLE, "", 0, "")
