"""A witness by other people, aics-witness, and a real auditd: cosigned, followed, caught.

It runs as a process of its own and is asked in nothing but its protocol.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.canon import decode
from sekisho_audit.checkpoint import VerifierKey
from sekisho_audit.cosignature import WitnessKey
from sekisho_audit.report import Verdict
from sekisho_audit.verify import verify
from sekisho_audit.verify_anchors import Anchors
from support.bundles import bodies
from support.installation import free_port
from support.ledgers import ORIGIN, Auditd, open_ledger, small_ledger

NAME = "witness.example/w1"
STARTS_S, ANSWERS_S = 20.0, 20.0


class TheirWitness:
    """aics-witness on loopback; `key` is its verifier key."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self._home = home
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        made = self._run("init", "--name", NAME, "--listen", f"127.0.0.1:{self._port}")
        self.key = made.strip().splitlines()[-1]
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self, *arguments: str) -> list[str]:
        verb, *rest = arguments
        config = ["--config", str(self._home / "witness.json")]
        return [sys.executable, "-m", "aics_witness", verb, *config, *rest]

    def _run(self, *arguments: str) -> str:
        command = self._command(*arguments)
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
        return done.stdout

    def trust(self, key: str) -> None:
        """Let it know the key of our ledger, as its operator does."""
        self._run("add-log", "--origin", ORIGIN, "--vkey", key)
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        """Serve in a process of its own, from when this returns on."""
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen(self._command("serve"), stdout=log, stderr=log)
        end_s = time.monotonic() + STARTS_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                if time.monotonic() > end_s:
                    raise
                time.sleep(0.05)
            else:
                return

    def end(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[TheirWitness]:
    made = TheirWitness(tmp_path / "w")
    yield made
    made.end()


def anchored(home: Path, witness: TheirWitness) -> Auditd:
    """Auditd with this witness and nothing else."""
    about = {"kind": "witness", "name": "w1", "url": witness.url, "keys": [witness.key]}
    return Auditd(home, "--anchor", json.dumps({**about, "interval_s": 0.1}))


def key_of(home: Path) -> str:
    return (home / "data" / "ledger" / "vkey").read_text().strip()


def told(home: Path, kind: str) -> list[dict[str, Any]]:
    leaves = (decode(one.body) for one in bodies(home / "data" / "ledger"))
    return [leaf["data"] for leaf in leaves if leaf["type"] == kind]


async def until(home: Path, kind: str, count: int = 1) -> dict[str, Any]:
    """The last event of a kind, once there are so many."""
    async with asyncio.timeout(ANSWERS_S):
        while len(found := told(home, kind)) < count:
            await asyncio.sleep(0.05)
    return found[-1]


async def test_it_cosigns_and_follows_a_change_of_keys(
    tmp_path: Path, witness: TheirWitness
) -> None:
    """Told of the new key it goes on from what it had signed under the old one; an auditor with
    the first key and the witness's finds both.
    """
    small_ledger(tmp_path)
    first = key_of(tmp_path)
    witness.trust(first)
    witness.start()
    auditd = anchored(tmp_path, witness)
    await auditd.start()
    await until(tmp_path, "anchor.made")
    assert (await auditd.end())[0] == 0
    ledger = open_ledger(tmp_path)
    ledger.rotate_key()
    ledger.close()
    await auditd.start()
    assert (await until(tmp_path, "anchor.failed"))["cause"] == "refused"
    witness.trust(key_of(tmp_path))
    made = await until(tmp_path, "anchor.made", 2)
    assert made["failed"] >= 1
    assert (await auditd.end())[0] == 0
    anchors = Anchors(witnesses=[WitnessKey.parse(witness.key)])
    report = verify(tmp_path / "data", key=VerifierKey.parse(first), anchors=anchors)
    assert (report.verdict, report.faults, report.doubts) == (Verdict.SOUND, [], [])
    assert {one.size for one in report.anchors} >= {made["size"]}
    assert len(report.anchors) >= 2
    assert len(report.keys) == 1


async def test_a_clone_is_caught(tmp_path: Path, witness: TheirWitness) -> None:
    """Keys and data are copied and both go on; the one that the witness did not see stops."""
    small_ledger(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    witness.trust(key_of(tmp_path / "one"))
    witness.start()
    seen = anchored(tmp_path / "one", witness)
    await seen.start()
    await until(tmp_path / "one", "anchor.made")
    await seen.end()
    clone = anchored(tmp_path / "two", witness)
    await clone.start()
    async with asyncio.timeout(ANSWERS_S):
        await clone.process.wait()
    code, said = await clone.end()
    assert code == 65
    assert "Two ledgers sign with one key" in said
    assert (tmp_path / "two" / "data" / "anchors" / "SECOND-LEDGER").exists()
    assert verify(tmp_path / "one" / "data").verdict is Verdict.SOUND
