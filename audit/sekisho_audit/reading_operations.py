"""What is asked of the derived files: exchanges of the history, the published log."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from sekisho_audit.desks import kept
from sekisho_audit.errand import Errand, Operation, failure
from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.following import Question
from sekisho_audit.history import PAGE_MAX, Archive
from sekisho_audit.log_desk import PROOFS_MAX, LogDesk
from sekisho_audit.wire import Malformed, encode

_CURSOR = re.compile(r"[0-9]{1,16}")


def _exchanges(errand: Errand) -> None:
    principal, before = errand.text("principal"), errand.text("before", "")
    limit = errand.whole("limit")
    if (before and not _CURSOR.fullmatch(before)) or not 0 < limit <= PAGE_MAX:
        raise Refused("bad_request", f"`before` is a cursor, limit is 1 to {PAGE_MAX}")

    def ask(archive: Archive) -> dict[str, Any]:
        page = archive.page(principal, int(before) if before else None, limit)
        return {"data": page.data, "after": page.after, **_how_far(archive)}

    _ask(errand, ask)


def _exchange(errand: Errand) -> None:
    principal, exchange = errand.text("principal"), errand.text("exchange")
    _ask(errand, lambda a: {"exchange": a.one(principal, exchange), **_how_far(a)})


def _appealed(errand: Errand) -> None:
    exchange = errand.text("exchange")
    _ask(errand, lambda a: {"exchange": a.appealed(exchange)})


def _appeal_reasons(errand: Errand) -> None:
    exchange, read = errand.text("exchange"), errand.whole("read")
    _ask(errand, lambda a: {"reasons": a.reasons(exchange, read)})


def _ask(errand: Errand, ask: Callable[[Archive], dict[str, Any]]) -> None:
    """Ask the history, which answers from its own thread."""
    history = kept(errand.server.desks.history, "index of exchanges")
    history.submit(Question(ask, errand.answer_now, errand.fail_now))


def _how_far(archive: Archive) -> dict[str, int]:
    return {"indexed": archive.indexed, "size": archive.size}


def _log(errand: Errand) -> None:
    path = errand.text("path")

    async def ask(log: LogDesk) -> bytes:
        return encode({"req": errand.req}, [await log.file(path)])

    _ask_log(errand, ask)


def _proofs(errand: Errand) -> None:
    indices = errand.message.get("indices")
    if type(indices) is not list or not all(type(index) is int for index in indices):
        raise Malformed("proofs needs indices")
    if len(indices) > PROOFS_MAX:
        raise Refused("bad_request", f"at most {PROOFS_MAX} proofs are given at once")

    async def ask(log: LogDesk) -> bytes:
        return encode({"req": errand.req, "proofs": await log.proofs(indices)})

    _ask_log(errand, ask)


def _ask_log(errand: Errand, ask: Callable[[LogDesk], Awaitable[bytes]]) -> None:
    """Ask for something of the published log, which answers from its own thread."""
    log = kept(errand.server.desks.log, "published log")

    async def run() -> None:
        try:
            errand.connection.send(await ask(log))
        except LedgerError as error:
            errand.connection.send(encode(failure(errand.req, error)))

    errand.server.spawn(run())


READING_OPERATIONS: dict[str, Operation] = {
    "exchanges": _exchanges,
    "exchange": _exchange,
    "appealed": _appealed,
    "appeal_reasons": _appeal_reasons,
    "log": _log,
    "proofs": _proofs,
}
