"""The thread that follows: damage, bounds, rest; seen with the history that it keeps."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit import following
from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.following import Question
from sekisho_audit.history import Archive, History, Page
from sekisho_audit.ledger import Ledger
from support.ledgers import STAFF, open_ledger, run_exchange

LIMIT_S = 20.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path)
    opened.open_session("s-1", 1)
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "index" / "history.db"


@pytest.fixture
def history(path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    monkeypatch.setattr(following, "_RETRY_S", 0.05)
    monkeypatch.setattr(following, "DISK_FREE_MIN_BYTES", 0)
    running = History(path, ledger)
    running.start()
    yield running
    running.stop()
    running.join(LIMIT_S)
    assert not running.is_alive()


def ask(history: History, question: Callable[[Archive], Any]) -> Any:
    """The answer, or the error as a value."""
    done, found = threading.Event(), []

    def told(answer: Any) -> None:
        found.append(answer)
        done.set()

    history.submit(Question(question, told, told))
    assert done.wait(LIMIT_S)
    return found[0]


def until(history: History, question: Callable[[Archive], Any]) -> Any:
    """Ask until there is an answer that is something."""
    for _ in range(400):
        found = ask(history, question)
        if found and not isinstance(found, LedgerError):
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"no answer, last: {found!r}")


def complete(history: History, principal: str = STAFF) -> list[dict[str, Any]]:
    """Everything of a principal, once the index has read all there is."""

    def question(archive: Archive) -> Any:
        return archive.indexed == archive.size and archive.page(principal, None, 100)

    page: Page = until(history, question)
    return page.data


def _delete(path: Path) -> None:
    for part in list(path.parent.iterdir()):
        part.unlink()


def _scribble(path: Path) -> None:
    for part in list(path.parent.iterdir()):
        part.write_bytes(b"\xff" * part.stat().st_size)


def _drop_table(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("DROP TABLE exchanges")
    db.commit()
    db.close()


@pytest.mark.parametrize("damage", [_delete, _scribble, _drop_table])
def test_damaged_file_is_built_again_while_running(
    history: History,
    ledger: Ledger,
    path: Path,
    damage: Callable[[Path], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It says so, and soon everything is there again; the ledger goes on meanwhile."""
    for _ in range(3):
        run_exchange(ledger, "s-1")
    complete(history)
    damage(path)
    run_exchange(ledger, "s-1")
    found: list[dict[str, Any]] = []
    for _ in range(100):
        found = complete(history)
        if len(found) == 4:
            break
    assert len(found) == 4
    assert ledger.poisoned is None
    assert "opened anew" in capfd.readouterr().err


@pytest.mark.parametrize("damage", [_delete, _scribble, _drop_table, None])
def test_next_start_goes_on_or_builds_again(
    path: Path, ledger: Ledger, damage: Callable[[Path], None] | None
) -> None:
    """A whole file is gone on with; any other is built from the segments."""
    run_exchange(ledger, "s-1")
    for place in (damage, None):
        running = History(path, ledger)
        running.start()
        found = complete(running)
        running.stop()
        running.join(LIMIT_S)
        assert len(found) == 1
        if place is not None:
            place(path)


def test_questions_are_bounded(path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many at once are refused at once; those queued at the end are told that it ended."""
    monkeypatch.setattr(following, "QUESTIONS_MAX", 2)
    idle = History(path, ledger)
    errors: list[LedgerError] = []
    question = Question(lambda archive: archive.size, lambda _: None, errors.append)
    idle.submit(question)
    idle.submit(question)
    with pytest.raises(Refused, match="too many"):
        idle.submit(question)
    idle.stop()
    idle.start()
    idle.join(LIMIT_S)
    assert [isinstance(error, Refused) for error in errors] == [True, True]
    with pytest.raises(Refused):
        idle.submit(question)


def test_full_disk_stops_the_index_not_the_answers(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads no further and says how far it came; the space left is for evidence."""
    monkeypatch.setattr(following, "DISK_FREE_MIN_BYTES", 2**62)
    run_exchange(ledger, "s-1")
    running = History(path, ledger)
    running.start()
    indexed, size = until(running, lambda archive: (archive.indexed, archive.size))
    assert (indexed, size) == (0, ledger.size)
    running.stop()
    running.join(LIMIT_S)


def test_busy_ledger_is_left_alone(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faster the ledger grows, the longer the index rests for what it worked."""
    idle = History(path, ledger)
    seen_s, seen = idle._seen
    assert idle._busy_times(seen + 4_000, seen_s + 0.01) == 0
    assert idle._busy_times(seen + 4_000, seen_s + 1.0) == 10
    assert idle._busy_times(seen + 4_100, seen_s + 2.0) == 0.25
    idle.stop()
    idle.start()
    idle.join(LIMIT_S)


def test_faulty_question_harms_nobody_else(history: History, ledger: Ledger) -> None:
    """An error while answering is told to whoever asked; the next one is answered."""
    run_exchange(ledger, "s-1")
    complete(history)

    def broken(_archive: Archive) -> Any:
        raise sqlite3.DatabaseError("malformed")

    assert isinstance(ask(history, broken), Refused)
    assert len(complete(history)) == 1


class Claims:
    """A ledger that says it has more events than its segments hold."""

    def __init__(self, ledger: Ledger, more: int) -> None:
        self.directory, self.origin = ledger.directory, ledger.origin
        self.pseudonym_of, self.principal_of = ledger.pseudonym_of, ledger.principal_of
        self._ledger = ledger
        self.more = more

    @property
    def size(self) -> int:
        return self._ledger.size + self.more


def test_missing_events_do_not_cost_the_index(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The ledger's trouble is said, and what was read before is still answered, as incomplete."""
    monkeypatch.setattr(following, "_RETRY_S", 0.02)
    run_exchange(ledger, "s-1")
    source = Claims(ledger, 0)
    running = History(path, source)
    running.start()
    assert len(complete(running)) == 1
    source.more = 5
    threading.Event().wait(0.3)
    page, indexed, size = until(
        running, lambda archive: (archive.page(STAFF, None, 10), archive.indexed, archive.size)
    )
    assert (len(page.data), indexed, size) == (1, ledger.size, ledger.size + 5)
    running.stop()
    running.join(LIMIT_S)
    assert "opened anew" in capfd.readouterr().err
