"""What a worker asks of the writer: its session, appends, keys, holds, sums, the checkpoint."""

from __future__ import annotations

import os
from typing import Any

from sekisho_audit.errand import Errand, Operation
from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.events import Event
from sekisho_audit.ledger import Ledger, Request
from sekisho_audit.open_holds import HoldRecord
from sekisho_audit.usage import ASKED_MAX
from sekisho_audit.wire import BLOBS_MAX, FRAME_BYTES_MAX, Malformed, unpack_events
from sekisho_audit.writer import Append, AppendAnswer

# One page of holds; each carries its request body as one blob of the message.
HOLDS_PAGE_BYTES = 16 * 1024 * 1024
_SESSION_CHARS_MAX = 128


def _append(errand: Errand) -> None:
    events = unpack_events(errand.message.get("events"), errand.blobs)
    size = sum(len(blob) for blob in errand.blobs)
    intent = next((event for event in events if event.type == "backend.intent"), None)
    ahead = errand.message.get("keys") is True
    server = errand.server

    def answered(result: AppendAnswer) -> None:
        if isinstance(result, LedgerError):
            errand.fail(result)
            return
        places = [(p.index, p.leaf, p.commits, p.duplicate) for p in result]
        told: dict[str, Any] = {"places": places}
        keys: tuple[bytes, ...] = ()
        if intent is not None:
            told["note"] = server.ledger.note().decode()
            keys = _keys_ahead(server.ledger, intent) if ahead else ()
            told |= {"keys": True} if keys else {}
        errand.answer(told, *keys)

    server.writer.submit(Append(Request(events, errand.connection.session), size, answered))


def _keys_ahead(ledger: Ledger, intent: Event) -> tuple[bytes, ...]:
    """The keys of the exchange of an intent, which are at hand when it was written; whoever needs
    them for each exchange is spared a question.
    """
    try:
        return ledger.exchange_keys(intent.principal or "", intent.exchange or "")
    except Refused:  # told to who asks for them
        return ()


def _hello(errand: Errand) -> None:
    session, pid = errand.text("session"), errand.whole("pid")
    if not 0 < len(session) <= _SESSION_CHARS_MAX:
        raise Malformed("a session is a short text")
    if errand.connection.session:
        raise Malformed("hello comes once")
    errand.connection.session = session
    errand.server.resume(session)

    def run(ledger: Ledger) -> None:
        ledger.open_session(session, pid)
        about = {"origin": ledger.origin, "boot": ledger.boot, "vkey": ledger.key.line()}
        errand.answer(about)

    errand.call(run, ordered=True)


def _bye(errand: Errand) -> None:
    session, errand.connection.session = errand.connection.session, ""
    if session:
        errand.server.give_up(session, "ended")
    errand.call(lambda _ledger: errand.answer({}), ordered=True)


def _exchange_keys(errand: Errand) -> None:
    principal, exchange = errand.text("principal"), errand.text("exchange")
    errand.call(lambda ledger: errand.answer({}, *ledger.exchange_keys(principal, exchange)))


def _open_holds(errand: Errand) -> None:
    after = errand.text("after", "")

    def run(ledger: Ledger) -> None:
        page, more = _page(ledger, after)
        holds = [_hold_fields(item) for item in page]
        errand.answer({"holds": holds, "more": more}, *(item.record for item in page))

    errand.call(run)


def _halts(errand: Errand) -> None:
    def run(ledger: Ledger) -> None:
        errand.answer({"size": ledger.size, "halts": ledger.holds.halts()})

    errand.call(run)


def _grants(errand: Errand) -> None:
    errand.call(lambda ledger: errand.answer({"grants": ledger.holds.grants()}))


def _samples(errand: Errand) -> None:
    errand.call(lambda ledger: errand.answer(ledger.holds.samples()))


def _undrawn(errand: Errand) -> None:
    after = errand.whole("after")

    def run(ledger: Ledger) -> None:
        errand.answer(ledger.holds.undrawn(after, ledger.now_us(), ledger.exchange_keys))

    errand.call(run)


def _openings(errand: Errand) -> None:
    errand.call(lambda ledger: errand.answer({"openings": ledger.holds.openings()}))


def _used(errand: Errand) -> None:
    asked = errand.message.get("asked")
    if type(asked) is not list or not all(map(_is_question, asked)):
        raise Malformed("`asked` is a list of [dimension, name, window]")
    if len(asked) > ASKED_MAX:
        raise Refused("bad_request", f"at most {ASKED_MAX} sums are told at once")
    errand.call(lambda ledger: errand.answer({"size": ledger.size, "sums": ledger.used(asked)}))


def _status(errand: Errand) -> None:
    writer, sessions = errand.server.writer, errand.server.session_count
    anchors = errand.server.anchors

    def run(ledger: Ledger) -> None:
        status = {
            "origin": ledger.origin,
            "size": ledger.size,
            "root": ledger.root().hex(),
            "boot": ledger.boot,
            "poisoned": ledger.poisoned,
            "queue_events": writer.queued_events,
            "queue_bytes": writer.queued_bytes,
            "sessions": sessions,
            "disk_free_bytes": writer.disk_free_bytes,
            "pid": os.getpid(),
            "anchors": anchors.standings if anchors is not None else [],
        }
        errand.answer({"status": status})

    errand.call(run)


def _checkpoint(errand: Errand) -> None:
    def run(ledger: Ledger) -> None:
        ledger.write_checkpoint()
        errand.answer({"note": ledger.note().decode()})

    errand.call(run)


WORKER_OPERATIONS: dict[str, Operation] = {
    "append": _append,
    "hello": _hello,
    "bye": _bye,
    "exchange_keys": _exchange_keys,
    "open_holds": _open_holds,
    "halts": _halts,
    "grants": _grants,
    "samples": _samples,
    "openings": _openings,
    "undrawn": _undrawn,
    "used": _used,
    "status": _status,
    "checkpoint": _checkpoint,
}


def _is_question(item: object) -> bool:
    return type(item) is list and [type(part) for part in item] == [str, str, str]


def _page(ledger: Ledger, after: str) -> tuple[list[HoldRecord], bool]:
    page: list[HoldRecord] = []
    size = 0
    for item in ledger.open_holds(after):
        size += len(item.record)
        full = len(page) == BLOBS_MAX or size > min(HOLDS_PAGE_BYTES, FRAME_BYTES_MAX // 2)
        if page and full:
            return page, True
        page.append(item)
    return page, False


def _hold_fields(item: HoldRecord) -> dict[str, Any]:
    return {
        "hold": item.hold,
        "filed_index": item.filed_index,
        "reviews": item.reviews,
        "settled": item.settled,
        "settled_index": item.settled_index,
        "intent": item.intent,
        "outcome": item.outcome,
        "justified": item.justified,
    }
