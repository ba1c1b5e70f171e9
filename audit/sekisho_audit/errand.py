"""One message of one client: what it asks, and the way its answer goes back.

An operation takes an errand in the event loop and hands it to whoever knows the answer: the
writer's thread (`call`), or another that answers when it has one (`answer_now`). It raises
Malformed for what no client of ours sends, and LedgerError for what may not be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.ledger import Ledger
from sekisho_audit.wire import Malformed
from sekisho_audit.writer import Call, Writer

if TYPE_CHECKING:
    from sekisho_audit.connection import Connection
    from sekisho_audit.server import Server

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Errand:
    """A message with the connection it came from."""

    server: Server
    connection: Connection
    req: int
    message: Mapping[str, Any]
    blobs: list[bytes]

    def text(self, name: str, default: str | None = None) -> str:
        """A text of the message. Raises Malformed."""
        found = self.message.get(name, default)
        if type(found) is not str:
            raise Malformed(f"{self.message['op']} needs `{name}`, a text")
        return found

    def whole(self, name: str) -> int:
        """A whole number of the message. Raises Malformed."""
        found = self.message.get(name)
        if type(found) is not int:
            raise Malformed(f"{self.message['op']} needs `{name}`, a whole number")
        return found

    def call(self, run: Callable[[Ledger], None], *, ordered: bool = False) -> None:
        """Let something run in the writer's thread; it may raise Refused, and answers itself.

        Raises Refused `busy` when too many calls of this connection wait.
        """

        def guarded(ledger: Ledger) -> None:
            try:
                run(ledger)
            except Refused as error:
                self.fail(error)

        self.server.writer.submit(Call(guarded, self.fail, ordered=ordered, asker=self.connection))

    async def written(self, run: Callable[[Ledger], T]) -> T:
        """Let something run in the writer's thread, and wait for what it returns; for tasks of the
        event loop. Raises LedgerError.
        """
        return await written(self.server.writer, run)

    def answer(self, fields: Mapping[str, Any], *blobs: bytes) -> None:
        """Answer when the round is over. In the writer's thread."""
        self.server.answer(self.connection, {"req": self.req, **fields}, *blobs)

    def fail(self, error: LedgerError) -> None:
        """Answer that it was refused, or that writing is over. In the writer's thread."""
        self.server.answer(self.connection, failure(self.req, error))

    def answer_now(self, fields: Mapping[str, Any]) -> None:
        """Answer beside the rounds. From any thread but the writer's."""
        self.server.answer_now(self.connection, {"req": self.req, **fields})

    def fail_now(self, error: LedgerError) -> None:
        """As `answer_now`, that it was refused."""
        self.server.answer_now(self.connection, failure(self.req, error))


Operation = Callable[[Errand], None]


async def written(writer: Writer, run: Callable[[Ledger], T]) -> T:
    """Let something run in the writer's thread, in its turn; returns what it returns.

    Raises LedgerError.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(found: T | None, error: LedgerError | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("T", found))

    def guarded(ledger: Ledger) -> None:
        try:
            found = run(ledger)
        except Refused as error:
            failed(error)
        else:
            loop.call_soon_threadsafe(settle, found, None)

    def failed(error: LedgerError) -> None:
        loop.call_soon_threadsafe(settle, None, error)

    writer.submit(Call(guarded, failed, ordered=True))
    return await done


def failure(req: int, error: LedgerError) -> dict[str, Any]:
    """The answer to a request that was refused."""
    code = error.code if isinstance(error, Refused) else "poisoned"
    return {"req": req, "error": code, "message": str(error)}
