"""What is pruned is gone, what stays verifies, and a crash in between leaves a duty."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sekisho_audit import pruning
from sekisho_audit.errors import Poisoned, Refused, Unusable
from sekisho_audit.ledger import Ledger
from sekisho_audit.proof import Proof
from sekisho_audit.prove import prove
from sekisho_audit.pruned import read_pruned
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, PAYLOADS, held_from
from sekisho_audit.verify import verify
from support.ledgers import STAFF, HeldExchange, run_exchange
from support.officers import in_office
from support.old_ledgers import (
    AUTHORITY,
    Clock,
    after_days,
    live,
    open_at,
    planned,
    prune,
    recorded,
)


def abandon(ledger: Ledger) -> None:
    """Let go of the files as a killed process does."""
    ledger.files.close()
    ledger._keyring.close()
    ledger._lock.release()


def files(ledger: Path) -> set[str]:
    return {path.relative_to(ledger).as_posix() for path in ledger.rglob("*") if path.is_file()}


def test_a_pruned_ledger_verifies_and_goes_on(memory_path: Path) -> None:
    """Twice, with key changes, held exchanges and restarts between; old proofs still hold."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 30)
    held = HeldExchange(expires_us=clock.now_us + 60_000_000)
    ledger.append_batch(held.filing())
    ledger.append_batch([held.settled([], "expired")])
    old = ledger.rotate_key()
    live(ledger, clock, 100)
    first = next(prove(ledger.directory, lambda leaf: leaf["n"] == 5)).text()
    plan = prune(ledger, clock, after_days(300))
    assert plan.size == held_from(ledger.directory, EVENTS) > 100
    assert not list((ledger.directory / "events").glob("000000000000.seg"))
    assert verify(ledger.directory).verdict is Verdict.SOUND
    ledger.close()
    ledger = open_at(memory_path, clock)
    assert pruning.finish(ledger) == []
    ledger.rotate_key()
    live(ledger, clock, 100)
    again = prune(ledger, clock, after_days(600))
    assert again.size > plan.size
    assert held_from(ledger.directory, PAYLOADS) > 0
    run_exchange(ledger, "s-1")
    ledger.close()
    report = verify(ledger.directory)
    assert (report.verdict, report.faults, report.pruned) == (Verdict.SOUND, [], again.size)
    assert any(f"first {again.size} events" in note for note in report.notes)
    assert len(report.keys) == 2
    assert Proof.parse(first).check(old).size > 5
    ledger = open_at(memory_path, clock)
    assert len(ledger.keys) == 3
    ledger.close()


def test_the_writer_knows_what_it_knew(memory_path: Path) -> None:
    """Intents and sessions that are open at the cut are closed later, by the rules as ever."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    ledger.open_session("s-0", 7)
    before = boots(ledger)
    live(ledger, clock, 100)
    prune(ledger, clock, after_days(150))
    abandon(ledger)
    ledger = open_at(memory_path, clock)
    assert "s-0" in ledger.sessions
    assert before.items() <= boots(ledger).items()
    with pytest.raises(Refused, match="session is open"):
        ledger.record("session.opened", {"session": "s-0", "pid": 1})
    ledger.close()
    assert verify(ledger.directory).verdict is Verdict.SOUND


def boots(ledger: Ledger) -> dict[str, int]:
    return dict(ledger._state.book.boots)


def test_an_id_of_before_the_cut_is_free_again(memory_path: Path) -> None:
    """It is known only as long as its leaf is held; asking for it must not end the writer."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    ledger.open_session("s-1", 1)
    intent = run_exchange(ledger, "s-1")
    live(ledger, clock, 100)
    prune(ledger, clock, after_days(150))
    with pytest.raises(Refused) as error:  # the book still knows the intent
        ledger.append_batch([intent])
    assert error.value.code == "duplicate_intent"
    run_exchange(ledger, "s-1")
    ledger.close()
    assert verify(ledger.directory).verdict is Verdict.SOUND


def test_what_was_prepared_and_not_recorded_means_nothing(memory_path: Path) -> None:
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 100)
    plan = planned(ledger, clock, after_days(150))
    assert ledger.signed is not None
    pruning.prepare(ledger.directory, ledger.signed[0], plan)
    abandon(ledger)
    assert verify(ledger.directory).verdict is Verdict.SOUND
    ledger = open_at(memory_path, clock)
    assert pruning.finish(ledger) == []
    pruning.forget_unrecorded(ledger)
    ledger.close()
    assert not [name for name in files(ledger.directory) if name.startswith("pruned/")]
    assert verify(ledger.directory).pruned == 0


class _Stopped(Exception):
    """The process is gone."""


def _after(count: int, monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """Let so many changes of names pass, and end with the next one; a killed process says nothing,
    a failing disk says OSError.
    """
    left = [count]

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object) -> object:
            if left[0] == 0:
                raise error("injected")
            left[0] -= 1
            return real(*arguments)

        return run

    for name in ("rename", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))


@pytest.mark.parametrize("error", [_Stopped, OSError])
def test_a_crash_after_each_step_is_finished_at_the_next_start(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Killed before a step, or the step fails: it verifies, and the next start finishes it."""
    clock = Clock()
    ledger = open_at(memory_path / "first", clock)
    live(ledger, clock, 100)
    plan = recorded(ledger, clock, after_days(300))
    abandon(ledger)
    steps = 2 + len(plan.segments) + len(plan.payload_segments)
    assert steps > 6
    for count in range(steps):
        home = memory_path / f"at-{count}"
        shutil.copytree(memory_path / "first", home)
        ledger = open_at(home, clock)
        with monkeypatch.context() as patched:
            _after(count, patched, error)
            with pytest.raises(_Stopped if error is _Stopped else Poisoned):
                pruning.finish(ledger)
        abandon(ledger)
        report = verify(ledger.directory)
        assert (report.verdict, report.faults, report.doubts) == (Verdict.SOUND, [], []), count
        assert any("not finished" in note for note in report.notes)
        ledger = open_at(home, clock)
        assert ledger.size > plan.size
        assert len(pruning.finish(ledger)) == steps - max(count, 2)
        run_exchange_again(ledger)
        ledger.close()
        report = verify(ledger.directory)
        assert (report.verdict, report.faults, report.pruned) == (Verdict.SOUND, [], plan.size)
        assert not any("not finished" in note for note in report.notes)
        shutil.rmtree(home)


def run_exchange_again(ledger: Ledger) -> None:
    ledger.open_session("s-2", 1)
    run_exchange(ledger, "s-2")


def test_a_pruning_whose_files_are_lost_needs_a_person(memory_path: Path) -> None:
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 100)
    recorded(ledger, clock, after_days(150))
    (ledger.directory / "pruned" / "state.new").unlink()
    with pytest.raises(Unusable, match="restore the folder"):
        pruning.finish(ledger)
    abandon(ledger)


def test_leaves_that_were_changed_are_not_pruned(memory_path: Path) -> None:
    """What is pruned cannot be compared afterwards, so it is compared before."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 100)
    plan = planned(ledger, clock, after_days(150))
    signed = ledger.signed
    assert signed is not None
    other = open_at(memory_path / "other", Clock())
    live(other, Clock(), 100)
    path = plan.segments[0].path
    path.write_bytes((other.directory / "events" / path.name).read_bytes())
    with pytest.raises(Refused, match="not the ones that were signed"):
        pruning.prepare(ledger.directory, signed[0], plan)
    assert read_pruned(ledger.directory) is None
    abandon(other)
    abandon(ledger)


def test_a_legal_hold_set_meanwhile_stops_it(memory_path: Path) -> None:
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 100)
    in_office(ledger, STAFF)
    ledger.write_checkpoint()
    plan = planned(ledger, clock, after_days(150))
    assert ledger.signed is not None
    prepared = pruning.prepare(ledger.directory, ledger.signed[0], plan)
    ledger.record("legal_hold.set", {"person": STAFF}, actor=STAFF, payloads=(AUTHORITY,))
    size = ledger.size
    with pytest.raises(Refused, match="legal holds changed"):
        pruning.begin(ledger, prepared, (STAFF,), AUTHORITY)
    assert ledger.size == size
    ledger.close()
