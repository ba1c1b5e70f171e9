"""A writer struck at every system call it makes: killed there, or the call fails.

strace makes the calls fail, the ledger is the real one. What must hold each time is in
`support/strikes.py`: nothing promised is lost, a writer that met an error refuses everything after
it, the next start works by itself, the verifier finds the result sound, an erasure is whole.

`make soak` (SEKISHO_STRIKES=all) strikes with every fault at every call and at every byte.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.old_ledgers import old_ledger
from support.strikes import NOT_MET, Striker, SystemCall, Told, judge

ALL = os.environ.get("SEKISHO_STRIKES") == "all"
LIMIT_STEP_BYTES = 1 if ALL else 23
FIRST = "000000000000.seg"

pytestmark = [pytest.mark.long, pytest.mark.timeout(3_600 if ALL else 600)]


@pytest.fixture
def striker() -> Iterator[Striker]:
    with Striker() as running:
        yield running


MEET_MAX = 3  # how often a file is looked at may differ by one from run to run
Strike = Callable[[SystemCall], Told]


def struck(
    calls: list[SystemCall], strike: Strike, before: Told | None = None
) -> dict[str, object]:
    """What is wrong after a strike at each of these calls, on what was promised `before` too."""
    found: dict[str, object] = {}
    for call in calls:
        for _ in range(MEET_MAX):
            wrong = judge(strike(call), before)
            if wrong != [NOT_MET]:
                break
        if wrong:
            found[f"{call.name} {call.nth} {call.text}"] = wrong
    return found


def changing(calls: list[SystemCall]) -> list[SystemCall]:
    """Calls between which the files stay the same: a kill elsewhere finds no other state."""
    return calls if ALL else [call for call in calls if call.changes]


def test_killed_before_every_change(striker: Striker) -> None:
    """SIGKILL before each call that changes a file, which is every state that a kill can leave."""
    calls = changing(striker.calls("life"))
    assert len(calls) > 60
    assert struck(calls, lambda call: striker.strike("life", call, "signal=KILL")) == {}


def test_every_call_fails_once(striker: Striker) -> None:
    """EIO, from whatever call: the writer stops and the next one finds all that was promised."""
    calls = striker.calls("life")
    assert len(calls) > 200
    assert struck(calls, lambda call: striker.strike("life", call, "error=EIO")) == {}


def test_full_disk_at_every_change(striker: Striker) -> None:
    """ENOSPC, wherever a disk can say so."""
    calls = changing(striker.calls("life"))
    assert struck(calls, lambda call: striker.strike("life", call, "error=ENOSPC")) == {}


@pytest.mark.parametrize("part", [0, 2])
def test_every_write_is_short_once(striker: Striker, part: int) -> None:
    """A write that takes nothing, or half, is over: no second write makes up for it."""
    calls = [call for call in striker.calls("life") if call.name == "write" and call.bytes]
    assert len(calls) > 30

    def strike(call: SystemCall) -> Told:
        return striker.strike("life", call, f"retval={call.bytes // part if part else 0}")

    assert struck(calls, strike) == {}


def test_files_that_cannot_grow_at_any_size(striker: Striker) -> None:
    """The kernel takes only the first bytes of a write, as a disk does that is full just there."""
    found = {}
    for size in range(0, 2_000, LIMIT_STEP_BYTES):
        told = striker.limit("life", size)
        wrong = [] if told.of("failed") or told.of("closed") else ["it was not told"]
        wrong += judge(told)
        if wrong:
            found[size] = wrong
    assert found == {}


@pytest.fixture
def crashed(striker: Striker, tmp_path: Path) -> tuple[Path, Told]:
    """A ledger with somebody erased, killed in its last words, with torn ends everywhere."""
    calls = [call for call in striker.calls("life") if "/events/" in call.text]
    last = [call for call in calls if call.name == "write"][-1]
    told = striker.strike("life", last, "signal=KILL")
    assert told.of("erased")
    start = tmp_path / "start"
    shutil.copytree(told.home, start)
    for path in (*(start / "data").rglob("*.seg"), start / "keys" / "principals.keys"):
        if path.name == "principals.keys" or path == max(path.parent.iterdir()):
            with path.open("ab") as file:
                file.write(struct.pack(">I", 90) + bytes(range(40)))
    return start, told


@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO", "error=ENOSPC"])
def test_start_after_a_crash_is_struck_too(
    striker: Striker, crashed: tuple[Path, Told], fault: str
) -> None:
    """Whatever happens while torn ends are cut, the start after that one works."""
    start, before = crashed
    calls = striker.calls("again", start)
    assert any(call.name == "ftruncate" for call in calls)
    chosen = [call for call in calls if ALL or (call.matters if "EIO" in fault else call.changes)]
    assert struck(chosen, lambda call: striker.strike("again", call, fault, start), before) == {}


@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO"])
def test_change_of_the_signing_key_is_struck(striker: Striker, fault: str) -> None:
    """Wherever it ends, one of the two keys is in force, and all that was signed holds."""
    calls = [call for call in striker.calls("new_key") if ALL or call.matters]
    first = next(place for place, call in enumerate(calls) if "signing.key.next" in call.text)
    chosen = calls if ALL else calls[first:]
    assert len(chosen) > 40
    assert struck(chosen, lambda call: striker.strike("new_key", call, fault)) == {}


@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO"])
def test_pruning_is_struck(striker: Striker, memory_path: Path, fault: str) -> None:
    """Wherever it ends, it is finished if it was recorded, and has removed nothing if not."""
    old_ledger(memory_path, 70)
    calls = striker.calls("prune", memory_path)
    first = next(place for place, call in enumerate(calls) if "hashes.new" in call.text)
    chosen = calls if ALL else [call for call in calls[first:] if call.changes]
    assert len(chosen) > 20
    assert struck(chosen, lambda call: striker.strike("prune", call, fault, memory_path)) == {}
