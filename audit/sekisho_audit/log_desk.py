"""auditd's counter for the published log: one thread that follows the ledger and answers.

The event loop only hands over and takes back. Questions wait in line, a bounded number of them; the
writer never waits for any of this.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sekisho_audit.checkpoint import Checkpoint
from sekisho_audit.cut_files import BELOW
from sekisho_audit.errors import Refused
from sekisho_audit.published import Excerpt, Published, Signed
from sekisho_audit.scan import BrokenSegment
from sekisho_audit.tiles import NoTile, TilePath

WAITING_MAX = 256
PROOFS_MAX = 64  # of one question: an exchange has few events
_POLL_S = 0.2
_REST_S = 0.002  # between two steps of catching up, in which others of this process get on
_RETRY_S = 5.0
_TILE = "tile/"
T = TypeVar("T")


class LogDesk:
    """Answers from a `Published` that belongs to its thread."""

    def __init__(self, published: Published) -> None:
        self._published = published
        self._thread = ThreadPoolExecutor(1, "ledger-tiles")
        self._following: asyncio.Task[None] | None = None
        self._waiting = 0

    def start(self) -> None:
        """Begin to follow the ledger."""
        self._following = asyncio.create_task(self._follow(), name="ledger-tiles")

    async def stop(self) -> None:
        """End the thread."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        self._thread.submit(self._published.close)
        self._thread.shutdown(wait=False)

    async def file(self, path: str) -> bytes:
        """What C2SP tlog-tiles serves under this path: `checkpoint`, `tile/0/000`; and what a
        pruning left: `pruned/cut`.

        Raises Refused (`no_tile`, `busy`).
        """
        if path == "checkpoint":
            return await self._ask(lambda: self._published.checkpoint)
        if path.startswith(BELOW):
            return await self._ask(lambda: self._published.pruned(path.removeprefix(BELOW)))
        if not path.startswith(_TILE):
            raise Refused("no_tile", f"{path!r} is no path of this log")
        return await self._ask(
            lambda: self._published.tile(TilePath.parse(path.removeprefix(_TILE)))
        )

    async def proofs(self, indices: list[int]) -> list[str]:
        """Proofs of events under one checkpoint. Raises Refused (`no_tile`, `busy`)."""
        return await self._ask(lambda: [self._published.proof(index).text() for index in indices])

    async def shown(self) -> Signed:
        """The last checkpoint that is shown. Raises Refused (`busy`)."""
        return await self._ask(lambda: self._published.shown)

    async def since(self, size: int, checkpoint: Checkpoint) -> tuple[bytes, list[bytes]]:
        """As in Published. Raises Refused (`no_tile`, `busy`)."""
        return await self._ask(lambda: self._published.since(size, checkpoint))

    async def excerpt(self, signed: Signed, indices: Sequence[int]) -> list[Excerpt]:
        """Events with paths to a checkpoint shown before. Raises Refused (`no_tile`, `busy`)."""
        return await self._ask(lambda: self._published.excerpt(signed, indices))

    async def digests(self, signed: Signed, indices: Sequence[int]) -> list[bytes]:
        """Leaf hashes of events. Raises Refused (`no_tile`, `busy`)."""
        return await self._ask(lambda: self._published.digests(signed, indices))

    async def consistency(self, signed: Signed, size: int) -> list[bytes]:
        """That a checkpoint continues an earlier size. Raises Refused (`no_tile`, `busy`)."""
        return await self._ask(lambda: self._published.consistency(signed, size))

    async def _ask(self, ask: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise Refused("busy", "too many ask for the log; try again in a second")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, ask)
        except NoTile as error:
            raise Refused("no_tile", str(error)) from error
        except OSError as error:
            raise Refused("busy", f"the tiles cannot be read now: {error}") from error
        finally:
            self._waiting -= 1

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                more = await loop.run_in_executor(self._thread, self._published.follow)
            except (OSError, BrokenSegment) as error:
                sys.stderr.write(f"auditd: the tiles are late: {error}\n")
                await loop.run_in_executor(self._thread, self._published.close)
                await asyncio.sleep(_RETRY_S)
                continue
            await asyncio.sleep(_REST_S if more else _POLL_S)
