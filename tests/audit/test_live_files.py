"""What somebody with a shell does to the files of a ledger while it is written.

Either the writer stops at its next word and everything comes back when the files are put back as
they were; or it can go on without harm. Never does it write where nobody will find it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger, LedgerLimits
from sekisho.errors import LedgerUnavailable
from sekisho.model.ids import uuid7
from sekisho_audit.auditd import EXIT_IO, EXIT_LOCKED
from sekisho_audit.errors import Poisoned, Unusable
from sekisho_audit.events import Appended, Event
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.verify import verify
from support.ledgers import Auditd, open_ledger, received

FIRST = "000000000000.seg"
PLACES = {
    "event segment": f"data/ledger/events/{FIRST}",
    "payload segment": f"data/ledger/payloads/{FIRST}",
    "keys of principals": "keys/principals.keys",
    "folder of events": "data/ledger/events",
    "folder of payloads": "data/ledger/payloads",
    "ledger": "data/ledger",
    "keys": "keys",
}


@pytest.fixture
def home(memory_path: Path) -> Path:
    return memory_path / "home"


@pytest.fixture
def ledger(home: Path) -> Ledger:
    return open_ledger(home)


def promise(ledger: Ledger) -> tuple[Event, Appended]:
    event = received(uuid7())
    [place] = ledger.append_batch([event])
    return event, place


def let_go(ledger: Ledger) -> None:
    with pytest.raises(Poisoned):
        ledger.append_batch([received(uuid7())])
    ledger.close()


def kept(home: Path, promised: tuple[Event, Appended]) -> None:
    event, place = promised
    again = open_ledger(home)
    [found] = again.append_batch([event])
    assert (found.index, found.leaf, found.duplicate) == (place.index, place.leaf, True)
    again.close()
    assert verify(again.directory).verdict is Verdict.SOUND


@pytest.mark.parametrize("what", PLACES)
def test_what_is_moved_away_stops_the_writer(home: Path, ledger: Ledger, what: str) -> None:
    """Put back, it is whole: the writer added nothing that was promised."""
    promised = promise(ledger)
    place = home / PLACES[what]
    away = home / "away"
    place.rename(away)
    let_go(ledger)
    away.rename(place)
    kept(home, promised)


@pytest.mark.parametrize("what", PLACES)
def test_what_is_replaced_by_a_copy_stops_the_writer(home: Path, ledger: Ledger, what: str) -> None:
    """A copy, as an editor or a backup tool puts it there, is another file: writing on in the old
    one would be writing for nobody. The copy has all that was promised, so the next start takes it.
    """
    promised = promise(ledger)
    place = home / PLACES[what]
    away = home / "away"
    place.rename(away)
    (shutil.copytree if away.is_dir() else shutil.copy2)(away, place)
    let_go(ledger)
    kept(home, promised)


@pytest.mark.parametrize("what", ["event segment", "payload segment"])
def test_what_is_cut_stops_the_writer_for_good(home: Path, ledger: Ledger, what: str) -> None:
    """What was promised is gone from it: no start cuts further, and the verifier tells."""
    promise(ledger)
    ledger.write_checkpoint()
    os.truncate(home / PLACES[what], 40)
    let_go(ledger)
    with pytest.raises(Unusable):
        open_ledger(home)
    assert verify(ledger.directory).verdict is Verdict.TAMPERED


def test_cut_keys_stop_the_writer_and_the_next_start_records_it(home: Path, ledger: Ledger) -> None:
    """Missing keys look like erased ones or a torn end, so only this can be seen: how many bytes
    of the rest did not read. They are kept beside the file.
    """
    promise(ledger)
    path = home / PLACES["keys of principals"]
    os.truncate(path, 40)
    rest = path.read_bytes()[26:]
    let_go(ledger)
    again = open_ledger(home)
    again.close()
    assert path.with_name("principals.keys.cut").read_bytes() == rest
    boots = [
        json.loads(frame.body)["data"]
        for segment in segments(again.directory, EVENTS)
        for frame in frames(segment, EVENTS)
        if b'"type":"audit.boot"' in frame.body
    ]
    assert [boot["cut"] for boot in boots] == [0, len(rest)]


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o666])
def test_changed_mode_of_the_live_segment_does_no_harm(
    home: Path, ledger: Ledger, mode: int
) -> None:
    """The writer has the file open; what is in it is protected by signatures, not by its mode."""
    path = home / PLACES["event segment"]
    path.chmod(mode)
    promised = promise(ledger)
    path.chmod(0o600)
    ledger.close()
    kept(home, promised)


def test_keys_opened_to_others_are_refused_at_the_next_start(home: Path, ledger: Ledger) -> None:
    """A live writer cannot take back what others have read meanwhile; a person must hear of it."""
    promised = promise(ledger)
    path = home / PLACES["keys of principals"]
    path.chmod(0o644)
    ledger.close()
    with pytest.raises(Unusable, match="chmod 600"):
        open_ledger(home)
    path.chmod(0o600)
    kept(home, promised)


def test_removed_checkpoint_comes_back_with_the_next(home: Path, ledger: Ledger) -> None:
    """It is signed again as soon as there is something to sign."""
    path = ledger.directory / "checkpoint"
    path.unlink()
    promised = promise(ledger)
    ledger.write_checkpoint()
    assert path.exists()
    ledger.close()
    kept(home, promised)


def test_removed_lock_and_a_second_writer(home: Path, ledger: Ledger) -> None:
    """The second is kept out, and the first goes on as if nothing had been."""
    (ledger.directory / "lock").unlink()
    with pytest.raises(Unusable, match="another process"):
        open_ledger(home)
    promised = promise(ledger)
    ledger.close()
    kept(home, promised)


# -- as callers of auditd see it


@pytest.fixture
async def auditd(tmp_path: Path) -> Any:
    running = Auditd(tmp_path)
    await running.start()
    yield running
    await running.end()


@pytest.fixture
async def client(auditd: Auditd) -> Any:
    ledger = AuditdLedger(auditd.socket, limits=LedgerLimits(append_deadline_s=1.0))
    await ledger.start()
    yield ledger
    await ledger.close()


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


MISCHIEF: dict[str, tuple[Callable[[Path], Any], str]] = {
    "rm": (Path.unlink, f"ledger/payloads/{FIRST}"),
    "mv": (lambda path: path.rename(path.with_name("old")), f"ledger/events/{FIRST}"),
    "truncate": (lambda path: os.truncate(path, 0), f"ledger/events/{FIRST}"),
    "append": (grow, f"ledger/events/{FIRST}"),
    "rm -r": (shutil.rmtree, "ledger"),
}


@pytest.mark.parametrize("story", MISCHIEF)
async def test_callers_are_refused_and_auditd_says_why(
    auditd: Auditd, client: AuditdLedger, story: str
) -> None:
    """Everybody who asks is refused, nobody waits in vain, and it ends with 74."""
    await client.append([received(uuid7())])
    act, place = MISCHIEF[story]
    act(auditd.home / "data" / place)
    with pytest.raises(LedgerUnavailable):
        await client.append([received(uuid7())])
    await auditd.process.wait()
    with pytest.raises(LedgerUnavailable):
        await client.append([received(uuid7())])
    code, said = await auditd.end()
    assert code == EXIT_IO
    assert "What to do" in said


async def test_second_auditd_after_rm_of_the_lock(
    tmp_path: Path, auditd: Auditd, client: AuditdLedger
) -> None:
    """It ends with its own status, and the first goes on."""
    (auditd.ledger / "lock").unlink()
    second = Auditd(tmp_path)
    second.socket = str(tmp_path / "b.sock")
    with pytest.raises(RuntimeError, match="another process writes this ledger"):
        await second.start()
    assert second.process.returncode == EXIT_LOCKED
    await client.append([received(uuid7())])
    await client.close()
    assert (await auditd.end())[0] == 0
    assert verify(auditd.ledger).verdict is Verdict.SOUND


async def test_stopped_auditd_is_a_refusal_in_time(auditd: Auditd, client: AuditdLedger) -> None:
    """SIGSTOP: callers are refused at their deadline; what they asked may be there afterwards."""
    os.kill(auditd.process.pid, signal.SIGSTOP)
    late = received(uuid7())
    with pytest.raises(LedgerUnavailable, match="in time"):
        await client.append([late])
    os.kill(auditd.process.pid, signal.SIGCONT)
    await client.append([received(uuid7())])
    await client.append([late])
    await client.close()
    await auditd.end()
    assert verify(auditd.ledger).types["request.received"] == 2
