"""The content of samples in Redis or Valkey: `SampleStore` of model/samples.py.

Sealed like the content of holds, under the key of the exchange, which the store never holds: when
the person is erased, nobody can open it any more. Nothing here is rebuilt from the ledger; a store
that was emptied has lost content, and no record of what was drawn or judged.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sekisho.adapters.hold_cipher import seal, unseal
from sekisho.errors import HoldStoreUnavailable, Unavailable
from sekisho.model.samples import Content, Sample
from sekisho.ports import ExchangeKeys

TAG = "{sekisho-samples}"
CONTENT = f"{TAG}:content:"
CALL_S = 1.8  # as for holds: everything about a dead store is said within 2 s
DAY_MS = 86_400_000
_FIELD, _VERSION = "sample", 1
_HEAD = struct.Struct(">?II")  # whether it is cut, length of the request, of the answer

KeysOf = Callable[[str, str], Awaitable[ExchangeKeys]]
T = TypeVar("T")


def load_sources() -> dict[str, str]:
    """The scripts by name."""
    folder = resources.files("sekisho.adapters") / "lua" / "samples"
    return {name: (folder / f"{name}.lua").read_text() for name in ("keep", "drop")}


class RedisSampleStore:
    """One a worker. `close` at the end."""

    sources = load_sources()

    def __init__(
        self, client: Redis, keys_of: KeysOf, *, keep_days: int, total_bytes_max: int
    ) -> None:
        self._client = client
        self._keys_of = keys_of
        self._keep_ms = keep_days * DAY_MS
        self._bytes_max = total_bytes_max

    async def keep(self, sample: str, principal: str, exchange: str, content: Content) -> bool:
        """See SampleStore."""
        keys = await self._keys_of(principal, exchange)
        head = _HEAD.pack(content.cut, len(content.request), len(content.answer))
        plain = head + content.request + content.answer
        sealed = seal(keys.content, sample, _FIELD, _VERSION, plain)
        args = (sample, sealed, self._keep_ms, self._bytes_max, CONTENT)
        return bool(await self._script("keep", sample, *args))

    async def get(self, sample: Sample) -> Content | None:
        """See SampleStore. What was altered, moved or sealed for somebody else is not there."""
        sealed: Any = await _in_time(lambda: self._client.get(CONTENT + sample.id))
        if sealed is None:
            return None
        keys = await self._keys_of(sample.principal, sample.exchange)
        try:
            plain = unseal(keys.content, sample.id, _FIELD, _VERSION, sealed)
        except HoldStoreUnavailable:
            return None
        cut, asked, answered = _HEAD.unpack_from(plain)
        at = _HEAD.size
        return Content(plain[at : at + asked], plain[at + asked : at + asked + answered], cut)

    async def drop(self, sample: str) -> None:
        """See SampleStore."""
        await self._script("drop", sample, sample)

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.aclose()

    async def _script(self, name: str, sample: str, *args: str | bytes | int) -> Any:
        keys = (f"{TAG}:sizes", f"{TAG}:ends", CONTENT + sample)
        return await _in_time(
            lambda: self._client.eval(self.sources[name], len(keys), *keys, *args)
        )


async def _in_time(ask: Callable[[], Awaitable[T]]) -> T:
    """Raises Unavailable (`sample_store_unavailable`) within CALL_S."""
    try:
        async with asyncio.timeout(CALL_S):
            return await ask()
    except (RedisError, OSError, TimeoutError) as error:
        message = "The content of samples cannot be kept or read just now. Try again in a moment."
        raise Unavailable(message, code="sample_store_unavailable") from error
