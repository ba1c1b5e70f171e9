"""auditd: the process that alone writes the ledger and holds its keys.

    python -m sekisho_audit.auditd --ledger DIR --keys DIR --socket PATH --origin NAME

Runs in the foreground and prints `ready` when it accepts. SIGTERM stops it cleanly: it writes what
is queued, closes sessions, records `audit.shutdown` and signs. Exit codes: 0 stopped, 64 wrong
arguments, 65 the ledger needs a person, 74 writing failed, 75 another process writes this ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sekisho_audit.anchors.desk import AnchorDesk, pinned
from sekisho_audit.anchors.evidence import EvidenceFolder
from sekisho_audit.anchors.options import BadAnchor, Planned, plan
from sekisho_audit.checkpoint import BadNote
from sekisho_audit.connection import Connection
from sekisho_audit.desks import Desks
from sekisho_audit.durable import make_directory
from sekisho_audit.erasure_desk import ErasureDesk, derived_index
from sekisho_audit.errors import Locked, Poisoned, SecondLedger, Unusable
from sekisho_audit.history import History
from sekisho_audit.index_file import SqliteDatabase
from sekisho_audit.index_postgres import database_of
from sekisho_audit.keyring import load_search_key
from sekisho_audit.ledger import Ledger, Limits
from sekisho_audit.log_desk import LogDesk
from sekisho_audit.officer_desk import OfficerDesk
from sekisho_audit.pruning_desk import PruningDesk
from sekisho_audit.published import Published
from sekisho_audit.retention import BadRetention, Retention
from sekisho_audit.retention import parse as parse_retention
from sekisho_audit.retention_desk import RetentionDesk
from sekisho_audit.search_desk import SearchDesk
from sekisho_audit.server import Server
from sekisho_audit.turns import SOON_S, lent
from sekisho_audit.wire import Malformed, check_socket_path
from sekisho_audit.writer import Writer, WriterLimits

EXIT_USAGE, EXIT_DATA, EXIT_IO, EXIT_LOCKED = 64, 65, 74, 75
SOCKET_MODE = 0o600
_GC_OBJECTS = 100_000
_PARENT_POLL_S = 1.0
_FAREWELL_S = 1.0  # for last answers to clients that still read
_MEND = (
    "auditd stopped: {why}\n"
    "Nothing more is written and nothing was lost that anyone was told was recorded.\n"
    "What to do: look at the disk (space, errors in the kernel log, files removed by hand), mend\n"
    "it, and start auditd again. It reads the ledger from the disk, cuts an unfinished record at\n"
    "the end, and records that it did.\n"
)
_SECOND = (
    "auditd stopped: {why}\n"
    "Two ledgers sign with one key: a machine was cloned, or an old copy was restored. Nothing\n"
    "more is written. What to do: find the other one, stop it, decide which is the ledger. See\n"
    "docs/howto/anchors.md.\n"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    ledger: Path
    keys: Path
    socket: Path
    origin: str
    session_grace_s: float
    segment_bytes: int
    disk_free_min_bytes: int
    parent_pid: int | None
    history: Path
    tiles: Path
    search: Path
    officers: Path
    anchors: Sequence[Planned] = ()
    retention: Retention = field(default_factory=Retention)

    @property
    def evidence(self) -> EvidenceFolder:
        """What anchors gave."""
        return EvidenceFolder(self.ledger.parent / "anchors")


def parse(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="sekisho-auditd", description=__doc__)
    parser.add_argument("--ledger", type=Path, required=True, help="<data_dir>/ledger")
    parser.add_argument("--keys", type=Path, required=True, help="never inside data_dir")
    parser.add_argument("--socket", type=Path, help="default: <data_dir>/run/auditd.sock")
    parser.add_argument("--origin", required=True, help="name of the ledger in its checkpoints")
    parser.add_argument("--session-grace-s", type=float, default=10.0)
    parser.add_argument("--segment-bytes", type=int, default=Limits().segment_bytes)
    parser.add_argument(
        "--disk-free-min-bytes", type=int, default=WriterLimits().disk_free_min_bytes
    )
    parser.add_argument("--parent-pid", type=int, help="stop when this process is gone")
    parser.add_argument(
        "--history", type=Path, help="index of exchanges; default: <data_dir>/index/history.db"
    )
    parser.add_argument(
        "--tiles", type=Path, help="hashes of the tree; default: <data_dir>/index/tiles"
    )
    parser.add_argument(
        "--search", type=Path, help="index of searches; default: <data_dir>/index/search.db"
    )
    parser.add_argument(
        "--officers", type=Path, help="socket of officers; default: officers.sock beside --socket"
    )
    parser.add_argument(
        "--anchor", action="append", default=[], help="a JSON object; see anchors/options.py"
    )
    parser.add_argument("--retention", help="content=180,input=180,reason=keep,query=365,…")
    found = parser.parse_args(argv)
    try:
        anchors = plan(found.anchor, found.origin)
        retention = Retention() if found.retention is None else parse_retention(found.retention)
    except BadAnchor as error:
        parser.exit(EXIT_USAGE, f"auditd: --anchor: {error}\n")
    except BadRetention as error:
        parser.exit(EXIT_USAGE, f"auditd: --retention: {error}\n")
    socket = found.socket or found.ledger.parent / "run" / "auditd.sock"
    return Options(
        ledger=found.ledger,
        keys=found.keys,
        socket=socket,
        origin=found.origin,
        session_grace_s=found.session_grace_s,
        segment_bytes=found.segment_bytes,
        disk_free_min_bytes=found.disk_free_min_bytes,
        parent_pid=found.parent_pid,
        history=found.history or found.ledger.parent / "index" / "history.db",
        tiles=found.tiles or found.ledger.parent / "index" / "tiles",
        search=found.search or found.ledger.parent / "index" / "search.db",
        officers=found.officers or socket.with_name("officers.sock"),
        anchors=anchors,
        retention=retention,
    )


async def _parent_gone(pid: int) -> None:
    while os.getppid() == pid:  # noqa: ASYNC110 - there is no event for this
        await asyncio.sleep(_PARENT_POLL_S)


async def _listen(path: Path, connect: Callable[[], Connection]) -> asyncio.Server:
    """A private socket at `path`, where there is none."""
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        loop = asyncio.get_running_loop()
        return await loop.create_unix_server(connect, str(path), backlog=256)
    finally:
        os.umask(before)


def _prunings(options: Options, ledger: Ledger) -> PruningDesk:
    search = database_of(options.search, os.environ)
    derived = (SqliteDatabase(options.history), search)
    return PruningDesk(ledger, derived, days=options.retention.leaves_days)


async def serve(options: Options, ledger: Ledger) -> str | None:
    """Serve until told to stop; returns why writing failed, or None."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[str | None] = loop.create_future()

    def ended(why: str | None) -> None:
        loop.call_soon_threadsafe(over.set_result, why)

    history = History(options.history, ledger)
    database = database_of(options.search, os.environ)
    search = SearchDesk(options.search, ledger, load_search_key(options.keys), database)
    log = LogDesk(Published(options.tiles, ledger.directory, lambda: ledger.signed))
    desks = Desks(history, search, log)
    indexes = [
        derived_index(options.history, history, lambda kept, person: kept.forget(person)),
        derived_index(options.search, search, lambda kept, person: kept.forget([person]), database),
    ]
    anchors = AnchorDesk(options.anchors, options.evidence, ledger, log)
    server = Server(
        ledger,
        session_grace_s=options.session_grace_s,
        desks=desks,
        officers=OfficerDesk(options.keys),
        anchors=anchors,
        erasures=ErasureDesk(ledger, options.keys, indexes),
        retention=RetentionDesk(ledger, options.keys, options.retention, search, database),
        prunings=_prunings(options, ledger),
    )
    limits = WriterLimits(disk_free_min_bytes=options.disk_free_min_bytes)
    writer = Writer(ledger, limits, round_over=server.round_over, ended=ended)
    server.start(writer)
    for path in (options.socket, options.officers):
        path.unlink(missing_ok=True)
    listening = [
        await _listen(options.socket, server.connect),
        await _listen(options.officers, server.connect_officer),
    ]
    # The mask is of the whole process: no thread may make a folder while it is narrowed.
    writer.start()
    desks.start()
    anchors.start(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, writer.stop)
    watch = None
    if options.parent_pid is not None:
        watch = asyncio.create_task(_parent_gone(options.parent_pid))
        watch.add_done_callback(lambda _: writer.stop())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    why = await over
    for entrance in listening:
        entrance.close()
    if watch is not None:
        watch.cancel()
    anchors.end()
    await desks.stop()
    await _farewell(server)
    for path in (options.socket, options.officers):
        path.unlink(missing_ok=True)
    return why


async def _farewell(server: Server) -> None:
    """Last answers to clients that still read."""
    server.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(server.empty.wait(), _FAREWELL_S)


def main(argv: Sequence[str] | None = None) -> int:
    """Run auditd."""
    options = parse(argv)
    try:
        for path in (options.socket, options.officers):
            check_socket_path(str(path))
            make_directory(path.parent)
        stopped = options.evidence.stopped()
        if stopped is not None:
            raise SecondLedger(stopped)
        ledger = Ledger.open(
            options.ledger,
            options.keys,
            options.origin,
            limits=Limits(segment_bytes=options.segment_bytes),
            kept=lambda keys: pinned(options.anchors, keys),
            syncing=lent,
        )
        _prunings(options, ledger).resume()
    except (Malformed, BadNote) as error:
        sys.stderr.write(f"auditd: {error}\n")
        return EXIT_USAGE
    except Locked as error:
        sys.stderr.write(f"auditd: {error}\n")
        return EXIT_LOCKED
    except Unusable as error:
        sys.stderr.write(f"auditd: {error}\n")
        return EXIT_DATA
    except (Poisoned, OSError) as error:
        sys.stderr.write(_MEND.format(why=error))
        return EXIT_IO
    # Messages come and go by the thousand and hold no cycles; what was loaded stays for good.
    gc.freeze()
    gc.set_threshold(_GC_OBJECTS)
    sys.setswitchinterval(SOON_S)
    try:
        why = asyncio.run(serve(options, ledger))
    except OSError as error:
        why = f"it could not begin to serve: {error}"
    if ledger.second_ledger:
        sys.stderr.write(_SECOND.format(why=why))
        return EXIT_DATA
    if why is not None:
        sys.stderr.write(_MEND.format(why=why))
        return EXIT_IO
    return 0


if __name__ == "__main__":
    sys.exit(main())
