"""The process: start, stop, be killed, lose its disk; and what its clients can do to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.model.ids import uuid7
from sekisho_audit.auditd import EXIT_DATA, EXIT_IO, EXIT_LOCKED, EXIT_USAGE, parse, serve
from sekisho_audit.canon import decode
from sekisho_audit.events import Event, Payload
from sekisho_audit.history import History
from sekisho_audit.keyring import SYSTEM
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, PAYLOADS, frames, segments
from sekisho_audit.seal import unseal
from sekisho_audit.search_desk import SearchDesk
from sekisho_audit.verify import verify
from sekisho_audit.wire import Splitter, encode, pack_events
from sekisho_audit.writer import Writer
from support.ledgers import Auditd, decision, intent, open_ledger, outcome, received


@pytest.fixture
async def auditd(tmp_path: Path) -> Any:
    running = Auditd(tmp_path, "--session-grace-s", "0.2")
    await running.start()
    yield running
    await running.end()


@pytest.fixture
async def client(auditd: Auditd) -> Any:
    ledger = AuditdLedger(auditd.socket)
    await ledger.start()
    yield ledger
    await ledger.close()


def leaves(ledger: Path) -> list[dict[str, Any]]:
    return [
        decode(frame.body)
        for segment in segments(ledger, EVENTS)
        for frame in frames(segment, EVENTS)
    ]


async def until(condition: Any, limit_s: float = 20.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.02)


async def exchange_events(client: AuditdLedger) -> None:
    exchange = uuid7()
    sent = intent(exchange, client.session)
    await client.append([received(exchange), decision(exchange), sent])
    await client.append([outcome(sent)])


async def test_clean_stop_leaves_a_sound_and_signed_ledger(
    auditd: Auditd, client: AuditdLedger
) -> None:
    """SIGTERM: what is open is closed, the last checkpoint covers everything, exit code 0."""
    await exchange_events(client)
    exchange = uuid7()
    await client.append([received(exchange), decision(exchange), intent(exchange, client.session)])
    code, said = await auditd.end()
    assert (code, said) == (0, "")
    report = verify(auditd.ledger)
    assert (report.verdict, report.unsigned_events, report.open_intents) == (Verdict.SOUND, 0, 0)
    assert not Path(auditd.socket).exists()


async def test_checkpoint_follows_by_itself(auditd: Auditd, client: AuditdLedger) -> None:
    """Within a second or so, new events are signed without anyone asking."""
    await exchange_events(client)
    await until(lambda: verify(auditd.ledger).unsigned_events == 0)


async def test_socket_is_private(auditd: Auditd) -> None:
    """Only the owner can talk to auditd."""
    assert Path(auditd.socket).stat().st_mode & 0o777 == 0o600


async def test_threads_start_after_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mask that makes the socket private is the whole process's: a folder made under it by a
    thread could not be entered by an account other than root.
    """
    ledger = open_ledger(tmp_path)
    keys = (
        "--ledger",
        str(ledger.directory),
        "--keys",
        str(tmp_path / "keys"),
        "--origin",
        ledger.origin,
    )
    # It is not its own parent, so it stops by itself.
    options = parse([*keys, "--socket", str(tmp_path / "s"), "--parent-pid", str(os.getpid())])
    listening: list[bool] = []
    for thread in (Writer, History, SearchDesk):

        def start(self: Writer | History | SearchDesk, begin: Any = thread.start) -> None:
            listening.append(options.socket.exists())
            begin(self)

        monkeypatch.setattr(thread, "start", start)

    assert await serve(options, ledger) is None

    assert listening == [True, True, True]
    assert options.history.parent.stat().st_mode & 0o777 == 0o700


async def test_second_auditd_is_refused(tmp_path: Path, auditd: Auditd) -> None:
    """The second writer exits with its own code, and the first goes on."""
    second = Auditd(tmp_path)
    second.socket = str(tmp_path / "b.sock")
    with pytest.raises(RuntimeError, match="another process writes this ledger"):
        await second.start()
    assert second.process.returncode == EXIT_LOCKED
    assert auditd.process.returncode is None


async def test_damaged_ledger_is_not_served(tmp_path: Path, auditd: Auditd) -> None:
    """Auditd names the place and exits with its own code."""
    await auditd.end()
    path = auditd.ledger / "events" / "000000000000.seg"
    body = bytearray(path.read_bytes())
    body[100] ^= 1
    path.write_bytes(body)
    again = Auditd(tmp_path)
    with pytest.raises(RuntimeError, match="byte"):
        await again.start()
    assert again.process.returncode == EXIT_DATA


@pytest.mark.parametrize("file_bytes_max", [0, 40, 250])
async def test_start_on_a_full_disk_is_explained(tmp_path: Path, file_bytes_max: int) -> None:
    """Also when it cannot even begin: the status that says look at the disk, and what to do."""
    auditd = Auditd(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, before[1]))
    try:
        with pytest.raises(RuntimeError, match="What to do"):
            await auditd.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert auditd.process.returncode == EXIT_IO
    await auditd.start()
    await auditd.end()
    assert verify(auditd.ledger).verdict is Verdict.SOUND


async def test_folder_of_the_socket_that_is_gone_is_explained(tmp_path: Path) -> None:
    """A socket that cannot be made is no traceback either."""
    auditd = Auditd(tmp_path)
    auditd.socket = str(tmp_path / "s")
    Path(auditd.socket).mkdir()
    with pytest.raises(RuntimeError, match="could not begin to serve"):
        await auditd.start()
    assert auditd.process.returncode == EXIT_IO


async def test_long_socket_path_is_explained(tmp_path: Path) -> None:
    """A path that the kernel cannot take is a clear message, not a strange failure."""
    auditd = Auditd(tmp_path)
    auditd.socket = str(tmp_path / ("x" * 100))
    with pytest.raises(RuntimeError, match="more than 100 bytes"):
        await auditd.start()
    assert auditd.process.returncode == EXIT_USAGE


async def test_parent_gone_stops_auditd(tmp_path: Path) -> None:
    """Told to live with a process that is not its parent, auditd ends cleanly."""
    auditd = Auditd(tmp_path, "--parent-pid", "1")
    await auditd.start()
    async with asyncio.timeout(10):
        assert await auditd.process.wait() == 0
    assert verify(auditd.ledger).verdict is Verdict.SOUND
    await auditd.end()


async def test_segment_removed_under_it_ends_auditd(auditd: Auditd, client: AuditdLedger) -> None:
    """After `rm` of the live segment the caller is refused and auditd says why and what to do."""
    await exchange_events(client)
    (auditd.ledger / "events" / "000000000000.seg").unlink()
    with pytest.raises(LedgerUnavailable):
        await client.append([received(uuid7())])
    async with asyncio.timeout(10):
        await auditd.process.wait()
    code, said = await auditd.end()
    assert code == EXIT_IO
    assert "What to do" in said


async def test_default_socket_lies_beside_the_ledger(tmp_path: Path) -> None:
    """Without --socket the path is <data_dir>/run/auditd.sock."""
    options = parse(["--ledger", str(tmp_path / "ledger"), "--keys", "k", "--origin", "x"])
    assert options.socket == tmp_path / "run" / "auditd.sock"


# -- sessions


async def test_lost_worker_gets_its_intents_closed(auditd: Auditd) -> None:
    """A worker that is gone and does not come back: its intent is unknown, then late."""
    lost = AuditdLedger(auditd.socket)
    await lost.start()
    exchange = uuid7()
    sent = intent(exchange, lost.session)
    await lost.append([received(exchange), decision(exchange), sent])
    lost._closing = True
    lost._wire.transport.abort()  # type: ignore[union-attr]
    await until(lambda: any(leaf["type"] == "session.closed" for leaf in leaves(auditd.ledger)))
    other = AuditdLedger(auditd.socket)
    await other.start()
    await other.append([outcome(sent)])
    await other.close()
    ours = [leaf for leaf in leaves(auditd.ledger) if leaf["exchange"] == exchange]
    assert [leaf["type"] for leaf in ours][2:] == [
        "backend.intent",
        "backend.outcome",
        "outcome.late",
    ]
    assert ours[3]["data"]["status"] == "unknown"
    await lost.close()


async def test_session_that_resumes_keeps_its_intents(tmp_path: Path) -> None:
    """Auditd killed and started again: a worker that reconnects in time loses nothing."""
    auditd = Auditd(tmp_path, "--session-grace-s", "5")
    await auditd.start()
    client = AuditdLedger(auditd.socket)
    await client.start()
    exchange = uuid7()
    sent = intent(exchange, client.session)
    await client.append([received(exchange), decision(exchange), sent])
    await auditd.end(kill=True)
    await auditd.start()
    await until(lambda: client.connected)
    await client.append([outcome(sent)])
    await client.close()
    await auditd.end()
    kinds = [leaf["type"] for leaf in leaves(auditd.ledger)]
    assert "outcome.late" not in kinds
    assert kinds.count("session.opened") == 1


async def test_session_that_does_not_resume_is_closed_after_a_restart(tmp_path: Path) -> None:
    """Auditd remembers open sessions over its own death and gives them up in time."""
    auditd = Auditd(tmp_path, "--session-grace-s", "0.2")
    await auditd.start()
    client = AuditdLedger(auditd.socket)
    await client.start()
    exchange = uuid7()
    await client.append([received(exchange), decision(exchange), intent(exchange, client.session)])
    await auditd.end(kill=True)
    await client.close()
    await auditd.start()
    await until(lambda: leaves(auditd.ledger)[-1]["type"] == "session.closed")
    await auditd.end()
    report = verify(auditd.ledger)
    assert (report.verdict, report.types["backend.outcome"]) == (Verdict.SOUND, 1)


# -- what a client may send


BAD_FRAMES = {
    "endless": struct.pack(">II", 2**32 - 1, 10),
    "json longer than frame": struct.pack(">II", 8, 9) + b"x" * 8,
    "no json": struct.pack(">II", 8, 4) + b"nope",
    "array": struct.pack(">II", 6, 2) + b"[]",
    "no op": encode({"req": 1}),
    "unknown op": encode({"req": 1, "op": "erase"}),
    "op not text": encode({"req": 1, "op": ["append"]}),
    "req not a number": encode({"req": "1", "op": "status"}),
    "events not a list": encode({"req": 1, "op": "append", "events": {}}),
    "no events": encode({"req": 1, "op": "append", "events": []}),
    "event not an object": encode({"req": 1, "op": "append", "events": [7]}),
    "id not text": encode(
        {"req": 1, "op": "append", "events": [{"id": 1, "type": "x", "data": {}}]}
    ),
    "blob missing": encode(
        {
            "req": 1,
            "op": "append",
            "events": [{"id": "x", "type": "x", "data": {}, "pl": [["p", 0, None]]}],
        }
    ),
    "blob longer than frame": struct.pack(">II", 4 + 29, 29) + b'{"req":1,"blobs":[99999999] }',
    "hello without pid": encode({"req": 1, "op": "hello", "session": "s"}),
    "empty session": encode({"req": 1, "op": "hello", "session": "", "pid": 1}),
}


@pytest.mark.parametrize("story", BAD_FRAMES)
async def test_malformed_frame_closes_only_its_connection(
    auditd: Auditd, client: AuditdLedger, story: str
) -> None:
    """The sender is told and cut off; everybody else goes on."""
    reader, writer = await asyncio.open_unix_connection(auditd.socket)
    writer.write(BAD_FRAMES[story])
    async with asyncio.timeout(5):
        reply = await reader.read()
    writer.close()
    [(message, _)] = Splitter().feed(reply)
    assert message["error"] == "malformed"
    await exchange_events(client)


async def test_intent_without_hello_is_refused(auditd: Auditd) -> None:
    """A connection without a session cannot write intents, in anybody's name."""
    reader, writer = await asyncio.open_unix_connection(auditd.socket)
    exchange = uuid7()
    packed, blobs = pack_events([decision(exchange), intent(exchange, "s-1")])
    writer.write(encode({"op": "append", "req": 1, "events": packed}, blobs))
    async with asyncio.timeout(5):
        reply = await reader.read(65_536)
    writer.close()
    [(message, _)] = Splitter().feed(reply)
    assert message["error"] == "unknown_session"


async def test_broken_event_over_the_socket_is_refused(client: AuditdLedger) -> None:
    """Auditd's reason reaches the caller."""
    exchange = uuid7()
    with pytest.raises(LedgerRefused) as caught:
        await client.append([intent(exchange, client.session)])
    assert caught.value.code == "undecided_intent"


async def test_client_that_does_not_read_is_held_back(auditd: Auditd, client: AuditdLedger) -> None:
    """A client that only asks does not fill auditd's memory, and others are served."""
    deaf = socket.socket(socket.AF_UNIX)
    deaf.connect(auditd.socket)
    deaf.setblocking(False)
    question = encode({"op": "status", "req": 1}) * 100
    sent = 0
    try:
        while sent < 64 * 1024 * 1024:
            sent += deaf.send(question)
            if sent % (1024 * 1024) < len(question):
                await asyncio.sleep(0)
    except BlockingIOError:
        pass
    assert sent < 64 * 1024 * 1024
    await exchange_events(client)
    deaf.close()


async def test_full_disk_refuses_new_work_and_takes_outcomes(tmp_path: Path) -> None:
    """Below the mark intents are refused, the outcome of what runs is still written."""
    auditd = Auditd(tmp_path)
    await auditd.start()
    client = AuditdLedger(auditd.socket, session="s-1")
    await client.start()
    exchange = uuid7()
    sent = intent(exchange, client.session)
    await client.append([received(exchange), decision(exchange), sent])
    await auditd.end(kill=True)
    full = Auditd(tmp_path, "--disk-free-min-bytes", str(2**62))
    await full.start()
    await until(lambda: client.connected)
    with pytest.raises(LedgerUnavailable, match="disk_full"):
        await client.append([received(uuid7())])
    await client.append([outcome(sent)])
    await client.close()
    await full.end()


SOURCE = b"192.0.2.77"
SUBJECT = b"subject-8812@issuer.example"


def identity_events() -> list[Event]:
    """Every event about who somebody is, as the gateway writes them."""
    source, subject = Payload("source", SOURCE, SOURCE), Payload("subject", SUBJECT, SUBJECT)

    def event(kind: str, principal: str | None, data: dict[str, Any], *payloads: Payload) -> Event:
        return Event(uuid7(), kind, None, principal, data, payloads=payloads)

    lent = {"delegation": "d-1", "delegate": "deputy-3", "role": "reviewer", "ended": False}
    linked = {"issuer": "https://issuer.example", "linked": True}
    return [
        event("credential.refused", None, {"cause": "unknown", "count": 3}, source),
        event("session.signed_in", "staff-7", {"issuer": "https://issuer.example"}, source),
        event("session.signed_out", "staff-7", {"cause": "asked"}),
        event("principal.linked", "staff-7", linked, subject),
        event("principal.linked", "staff-7", {**linked, "linked": False}, subject),
        event("principal.changed", "svc-batch", {"owner": "staff-7", "kind": "service"}),
        event("delegation.changed", "reviewer-1", {**lent, "from_us": 1, "until_us": 2}),
        event("delegation.changed", "reviewer-1", {**lent, "ended": True}),
        event("key.created", "svc-batch", {"key": "k-1", "scopes": ["ask"], "replaces": "k-0"}),
        event("key.revoked", "svc-batch", {"key": "k-0", "cause": "rotated", "expires_us": 9}),
    ]


async def test_events_of_identity_are_taken_from_end_to_end(
    auditd: Auditd, client: AuditdLedger
) -> None:
    """Also those of nobody: sealed for the system, without a name or address in clear."""
    events = identity_events()
    places = await client.append(events)
    again = await client.append(events)
    assert [place.index for place in again] == [place.index for place in places]
    await client.close()
    await auditd.end()
    report = verify(auditd.ledger)
    assert (report.verdict, report.faults) == (Verdict.SOUND, [])
    assert report.types["credential.refused"] == 1
    written = {leaf["n"]: leaf for leaf in leaves(auditd.ledger)}
    refused = written[places[0].index]
    assert (refused["principal"], refused["actor"]) == (None, None)
    assert refused["pl"][0]["kref"].startswith("p-")
    lent = written[places[6].index]
    assert lent["data"]["delegate"].startswith("p-")
    raw = b"".join(path.read_bytes() for path in auditd.ledger.rglob("*.seg"))
    for secret in (SOURCE, SUBJECT, b"staff-7", b"reviewer-1", b"deputy-3", b"svc-batch"):
        assert secret not in raw


async def test_source_of_a_refusal_is_sealed_for_the_system(tmp_path: Path) -> None:
    """It opens with the key of the system and of the month, whoever is erased."""
    ledger = open_ledger(tmp_path)
    [refused, *_] = identity_events()
    ledger.append_batch([refused])
    [leaf] = [leaf for leaf in leaves(ledger.directory) if leaf["type"] == "credential.refused"]
    [entry] = leaf["pl"]
    pseudonym, _, month = entry["kref"].partition("/")
    assert ledger.principal_of(pseudonym) == SYSTEM
    secret = ledger._keyring.key_of(SYSTEM, month)
    [segment] = segments(ledger.directory, PAYLOADS)
    [frame] = frames(segment, PAYLOADS)
    assert unseal(secret or b"", refused.id, "source", frame.body) == SOURCE
    ledger.close()


@pytest.mark.parametrize("damage", ["delete", "scribble"])
async def test_index_of_exchanges_is_built_again_at_start(
    auditd: Auditd, client: AuditdLedger, damage: str
) -> None:
    """Whatever happened to the file while auditd was away; the ledger is not asked for more."""
    exchange = uuid7()
    await client.append([received(exchange)])
    await auditd.end()
    index = auditd.home / "data" / "index"
    for part in list(index.glob("history.db*")):
        if damage == "delete":
            part.unlink()
        else:
            part.write_bytes(b"\x00" * 9_000)
    await auditd.start()
    async with asyncio.timeout(20.0):
        found = None
        while found is None:
            with contextlib.suppress(LedgerUnavailable):
                found = await client.exchange("staff-7@ledger.example", exchange)
            await asyncio.sleep(0.02)
    assert found["id"] == exchange


async def test_killed_auditd_has_no_hole_in_the_history(
    auditd: Auditd, client: AuditdLedger
) -> None:
    """Killed while it reads and writes, it goes on where the file and the ledger agree."""
    made = []
    for _ in range(3):
        for _ in range(30):
            exchange = uuid7()
            await client.append([received(exchange)])
            made.append(exchange)
        await auditd.end(kill=True)
        await auditd.start()
        await until(lambda: client.connected)
    async with asyncio.timeout(20.0):
        while True:
            with contextlib.suppress(LedgerUnavailable):
                page = await client.exchanges("staff-7@ledger.example", "", 100)
                if page.indexed == page.size:
                    break
            await asyncio.sleep(0.02)
    assert [item["id"] for item in page.data] == made[::-1]
