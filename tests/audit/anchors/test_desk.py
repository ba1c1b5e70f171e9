"""Anchors in a real auditd: on schedule, logged back, and the end of it when there are two."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.errors import LedgerUnavailable
from sekisho.model.ids import uuid7
from sekisho_audit.anchors.desk import pinned
from sekisho_audit.anchors.options import plan
from sekisho_audit.auditd import EXIT_DATA, EXIT_USAGE
from sekisho_audit.canon import decode
from sekisho_audit.checkpoint import VerifierKey, open_note, split_note
from sekisho_audit.cosignature import Cosigner, check
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.verify import verify
from support.ledgers import ORIGIN, Auditd, open_ledger, received, run_exchange
from support.witness import Witness, WitnessServer

COSIGNER = Cosigner("witness.example/w1", bytes(32))


def leaves(ledger: Path) -> list[dict[str, Any]]:
    return [
        decode(frame.body)
        for segment in segments(ledger, EVENTS)
        for frame in frames(segment, EVENTS)
    ]


def started(home: Path) -> VerifierKey:
    """A ledger that was used before; its key, so that a witness can know it."""
    ledger = open_ledger(home)
    ledger.close()
    return ledger.key


def pin(home: Path) -> tuple[str, str]:
    (home / "nas").mkdir(exist_ok=True)
    about = {"kind": "pin", "name": "nas", "path": str(home / "nas"), "interval_s": 0.05}
    return "--anchor", json.dumps(about)


def witness(server: WitnessServer, **more: Any) -> tuple[str, str]:
    about = {
        "kind": "witness", "name": "w1", "url": server.url, "keys": [COSIGNER.key.line()],
        "interval_s": 0.05, **more,
    }  # fmt: skip
    return "--anchor", json.dumps(about)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WitnessServer]:
    made = WitnessServer(Witness(COSIGNER, {ORIGIN: [started(tmp_path)]}))
    yield made
    made.close()


async def standing(client: AuditdLedger, name: str) -> dict[str, Any]:
    status = await client.status()
    return next(one for one in status["anchors"] if one["name"] == name)  # type: ignore[attr-defined]


async def until_state(client: AuditdLedger, name: str, state: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while (found := await standing(client, name))["state"] != state:
            await asyncio.sleep(0.02)
    return found


async def open_client(auditd: Auditd) -> AuditdLedger:
    client = AuditdLedger(auditd.socket)
    await client.start()
    return client


async def test_checkpoints_are_anchored_and_logged_back(
    tmp_path: Path, server: WitnessServer
) -> None:
    """Both anchors, on their own; each event names a file that proves what it says."""
    auditd = Auditd(tmp_path, *pin(tmp_path), *witness(server))
    await auditd.start()
    client = await open_client(auditd)
    await client.append([received(uuid7())])
    for name in ("nas", "w1"):
        assert (await until_state(client, name, "made"))["size"] > 0
    await client.close()
    assert await auditd.end() == (0, "")
    found = [leaf for leaf in leaves(auditd.ledger) if leaf["type"] == "anchor.made"]
    assert {leaf["data"]["anchor"] for leaf in found} == {"nas", "w1"}
    evidence = {
        sha256(path.read_bytes()).hexdigest(): path.read_bytes()
        for path in (tmp_path / "data" / "anchors").glob("*/*")
    }
    key = VerifierKey.parse((auditd.ledger / "vkey").read_text().strip())
    for leaf in found:
        note = evidence[leaf["data"]["evidence"]]
        told = open_note(note, key)
        assert (told.size, told.root.hex()) == (leaf["data"]["size"], leaf["data"]["root"])
        assert told.size <= leaf["n"]
        body, signatures = split_note(note)
        assert len(check(body, signatures, [COSIGNER.key])) == (leaf["data"]["anchor"] == "w1")
    assert verify(auditd.ledger).verdict == Verdict.SOUND
    assert len(list((tmp_path / "nas").glob("*/*.note"))) >= 1


async def test_a_dead_witness_is_in_nobodys_way(tmp_path: Path, server: WitnessServer) -> None:
    """Appends go on while it hangs; auditd stops at once; the ledger says once that it failed."""
    server.witness.stuck = threading.Event()
    auditd = Auditd(tmp_path, *witness(server, timeout_s=0.1))
    await auditd.start()
    client = await open_client(auditd)
    failing = await until_state(client, "w1", "failing")
    async with asyncio.timeout(30):
        while failing["failures"] < 3:
            for _ in range(5):
                await client.append([received(uuid7())])
            failing = await standing(client, "w1")
    assert failing["why"].startswith("unreachable")
    server.witness.stuck.set()
    await until_state(client, "w1", "made")
    await client.close()
    assert await auditd.end() == (0, "")
    said = [leaf for leaf in leaves(auditd.ledger) if leaf["type"].startswith("anchor.")]
    assert [leaf["type"] for leaf in said[:2]] == ["anchor.failed", "anchor.made"]
    assert said[1]["data"]["failed"] >= 3


async def test_auditd_stops_while_a_witness_hangs(tmp_path: Path, server: WitnessServer) -> None:
    """A minute of waiting for an answer is not a minute of waiting for the end."""
    server.witness.stuck = threading.Event()
    auditd = Auditd(tmp_path, *witness(server, timeout_s=60))
    await auditd.start()
    async with asyncio.timeout(20):
        assert await asyncio.to_thread(server.witness.arrived.wait, 20)
        assert await auditd.end() == (0, "")
    server.witness.stuck.set()


async def test_a_clone_is_noticed_and_stopped(tmp_path: Path, server: WitnessServer) -> None:
    """Two machines from one image: the second to reach the witness records nothing more, says
    why, and does not start again until a person has looked.
    """
    shutil.copytree(tmp_path, tmp_path / "clone")
    first = Auditd(tmp_path, *witness(server))
    await first.start()
    client = await open_client(first)
    await until_state(client, "w1", "made")
    await client.close()
    clone = Auditd(tmp_path / "clone", *witness(server))
    await clone.start()
    code, said = await asyncio.wait_for(stopped(clone), 30)
    assert code == EXIT_DATA
    assert "Two ledgers sign with one key" in said
    size = len(leaves(clone.ledger))
    with pytest.raises(RuntimeError, match="SECOND-LEDGER"):
        await clone.start()
    assert len(leaves(clone.ledger)) == size
    assert await first.end() == (0, "")


async def append_for_ever(client: AuditdLedger) -> None:
    while True:
        await client.append([received(uuid7())])


async def stopped(auditd: Auditd) -> tuple[int, str]:
    _, said = await auditd.process.communicate()
    return auditd.process.returncode or 0, said.decode()


async def test_whoever_waits_is_told_when_it_stops(tmp_path: Path) -> None:
    """No event is acknowledged after the clone was noticed."""
    started(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "clone")
    auditd = Auditd(tmp_path, *pin(tmp_path))
    await auditd.start()
    client = await open_client(auditd)
    await until_state(client, "nas", "made")
    twin = open_ledger(tmp_path / "clone")
    twin.open_session("s-1", 1)
    run_exchange(twin, "s-1")
    twin.close()
    [folder] = (tmp_path / "nas").iterdir()
    note = (twin.directory / "checkpoint").read_bytes()
    told = open_note(note, twin.key)
    (folder / f"{told.size:012d}-{told.root.hex()[:16]}.note").write_bytes(note)
    with pytest.raises(LedgerUnavailable):
        await asyncio.wait_for(append_for_ever(client), 30)
    await client.close()
    code, _ = await asyncio.wait_for(stopped(auditd), 30)
    assert code == EXIT_DATA


async def test_an_old_copy_is_not_opened_where_a_pin_knows_better(tmp_path: Path) -> None:
    """Keys and data restored together, so nothing but the pin can tell. Nothing is written."""
    started(tmp_path)
    shutil.copytree(tmp_path / "data", tmp_path / "old" / "data")
    shutil.copytree(tmp_path / "keys", tmp_path / "old" / "keys")
    auditd = Auditd(tmp_path, *pin(tmp_path))
    await auditd.start()
    client = await open_client(auditd)
    await until_state(client, "nas", "made")
    await client.close()
    await auditd.end()
    for part in ("data", "keys"):
        shutil.rmtree(tmp_path / part)
        shutil.move(tmp_path / "old" / part, tmp_path / part)
    before = len(leaves(auditd.ledger))
    with pytest.raises(RuntimeError, match="old copy of the ledger was restored"):
        await auditd.start()
    assert auditd.process.returncode == EXIT_DATA
    assert len(leaves(auditd.ledger)) == before


async def test_a_missing_mount_does_not_shut_the_gate(tmp_path: Path) -> None:
    """It is told as a failure; evidence goes on."""
    auditd = Auditd(tmp_path, *pin(tmp_path))
    (tmp_path / "nas").rmdir()
    await auditd.start()
    client = await open_client(auditd)
    assert "not there" in (await until_state(client, "nas", "failing"))["why"]
    (tmp_path / "nas").mkdir()
    await until_state(client, "nas", "made")
    await client.close()
    await auditd.end()


async def test_a_wrong_anchor_is_a_wrong_argument(tmp_path: Path) -> None:
    auditd = Auditd(tmp_path, "--anchor", '{"kind": "blockchain", "name": "b"}')
    with pytest.raises(RuntimeError, match="blockchain"):
        await auditd.start()
    assert auditd.process.returncode == EXIT_USAGE


def test_only_pins_are_asked_at_start(tmp_path: Path, server: WitnessServer) -> None:
    """The network may be away when a machine starts."""
    texts = [pin(tmp_path)[1], witness(server)[1]]
    assert pinned(plan(texts, ORIGIN), []) == []
    assert server.witness.asked == []
