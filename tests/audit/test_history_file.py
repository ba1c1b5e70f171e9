"""The index file: follows the ledger over segments, and is thrown away when it does not fit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from sekisho.model.ids import uuid7
from sekisho_audit import history_file
from sekisho_audit.history_file import HistoryFile, remove
from sekisho_audit.ledger import Ledger
from support.ledgers import CANARY, ORIGIN, STAFF, open_ledger, received, run_exchange


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path, segment_bytes=8_192)
    opened.open_session("s-1", 1)
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "index" / "history.db"


def opened(path: Path, ledger: Ledger, origin: str = ORIGIN) -> HistoryFile:
    return HistoryFile(
        path, ledger.directory, origin, lambda name: ledger.principal_of(name) is not None
    )


def caught_up(path: Path, ledger: Ledger, step: int = 7) -> HistoryFile:
    file = opened(path, ledger)
    while file.advance(ledger.size, step):
        pass
    return file


def everything(file: HistoryFile, ledger: Ledger) -> list[tuple[int, dict[str, Any]]]:
    return file.page(ledger.pseudonym_of(STAFF) or "", None, 10_000)


def test_any_step_gives_the_same_index(path: Path, ledger: Ledger) -> None:
    """One event at a time, with breaks and a new process each, or all at once; over segments."""
    for _ in range(30):
        run_exchange(ledger, "s-1")
    assert len(list((ledger.directory / "events").iterdir())) > 2
    whole = caught_up(path, ledger, 10_000)
    slow = path.with_name("slow.db")
    while True:
        file = opened(slow, ledger)
        more = file.advance(ledger.size, 1)
        file.close()
        if not more:
            break
    again = opened(slow, ledger)
    assert again.indexed == whole.indexed == ledger.size
    assert everything(again, ledger) == everything(whole, ledger)
    assert len(everything(whole, ledger)) == 30
    for file in (whole, again):
        file.close()


def test_documents_survive_the_cache(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exchange that was put out of memory is found again in the file when it goes on."""
    monkeypatch.setattr(history_file, "_CACHED", 1)
    early = uuid7()
    ledger.append_batch([received(early)])
    file = caught_up(path, ledger)
    for _ in range(5):
        run_exchange(ledger, "s-1")
    while file.advance(ledger.size, 2):
        pass
    event = received(early)
    ledger.append_batch([event])
    while file.advance(ledger.size, 2):
        pass
    rows = everything(file, ledger)
    assert len(rows) == 6
    assert rows[-1][1]["id"] == early
    assert rows[-1][1]["received"]["receipt"]["index"] == ledger.size - 1
    file.close()


def test_only_what_is_durable_is_read(path: Path, ledger: Ledger) -> None:
    """The size that is given is where it stops, whatever the segment holds behind it."""
    run_exchange(ledger, "s-1")
    file = opened(path, ledger)
    assert file.advance(3, 100)
    assert not file.advance(3, 100)
    assert file.indexed == 3
    file.close()


def test_no_content_and_no_name_in_the_file(path: Path, ledger: Ledger) -> None:
    """Whoever finds the file learns pseudonyms."""
    run_exchange(ledger, "s-1")
    caught_up(path, ledger).close()
    for part in path.parent.iterdir():
        raw = part.read_bytes()
        assert CANARY[:11] not in raw
        assert STAFF.encode() not in raw


def test_file_is_for_its_owner_alone(path: Path, ledger: Ledger) -> None:
    """As everything beside it."""
    caught_up(path, ledger).close()
    assert path.stat().st_mode & 0o077 == 0


def _other_origin(path: Path, _ledger: Path) -> None:
    _alter(path, "UPDATE cursor SET origin = 'elsewhere'")


def _other_format(path: Path, _ledger: Path) -> None:
    _alter(path, "UPDATE cursor SET format = 99")


def _other_leaf(path: Path, _ledger: Path) -> None:
    _alter(path, "UPDATE cursor SET digest = zeroblob(32)")


def _ahead(path: Path, _ledger: Path) -> None:
    _alter(path, "UPDATE cursor SET last = offset, offset = offset + 100")


def _another_segment(path: Path, _ledger: Path) -> None:
    _alter(path, "UPDATE cursor SET segment = 999999")


def _no_database(path: Path, _ledger: Path) -> None:
    remove(path)
    path.write_bytes(b"not a database" * 500)


def _no_table(path: Path, _ledger: Path) -> None:
    _alter(path, "DROP TABLE exchanges")


def _alter(path: Path, statement: str) -> None:
    db = sqlite3.connect(path)
    db.execute(statement)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    "damage",
    [
        _other_origin,
        _other_format,
        _other_leaf,
        _ahead,
        _another_segment,
        _no_database,
        _no_table,
    ],
)
def test_file_that_does_not_fit_is_refused(path: Path, ledger: Ledger, damage: Any) -> None:
    """Another ledger, format or leaf, or no database at all: an error, and removed it is built."""
    run_exchange(ledger, "s-1")
    caught_up(path, ledger).close()
    damage(path, ledger.directory)
    with pytest.raises(sqlite3.Error):
        opened(path, ledger)
    remove(path)
    file = caught_up(path, ledger)
    assert len(everything(file, ledger)) == 1
    file.close()


def test_removed_file_is_noticed(path: Path, ledger: Ledger) -> None:
    """The open file is not the one the path names any more."""
    file = caught_up(path, ledger)
    assert file.is_there()
    path.rename(path.with_name("other"))
    assert not file.is_there()
    path.write_bytes(b"")
    assert not file.is_there()
    file.close()


def test_forgotten_principal_is_gone_from_every_page(path: Path, ledger: Ledger) -> None:
    """Rows are deleted and overwritten, others stay, and nothing of them comes back."""
    for number in range(40):
        ledger.append_batch([received(uuid7(), principal=f"staff-{number % 2}")])
    file = caught_up(path, ledger)
    gone, stays = ledger.pseudonym_of("staff-0") or "", ledger.pseudonym_of("staff-1") or ""
    ledger._keyring.erase("staff-0")
    assert file.forget(gone) == 20
    ledger.append_batch([received(uuid7(), principal="staff-1")])
    while file.advance(ledger.size, 5):
        pass
    assert (file.page(gone, None, 100), len(file.page(stays, None, 100))) == ([], 21)
    file.close()
    assert all(gone.encode() not in part.read_bytes() for part in path.parent.iterdir())
    remove(path)
    again = caught_up(path, ledger)
    assert (again.page(gone, None, 100), len(again.page(stays, None, 100))) == ([], 21)
    again.close()


def test_pages_follow_the_ledger_backwards(path: Path, ledger: Ledger) -> None:
    """Newest first, from a place on; one exchange is found by its owner only."""
    made = [run_exchange(ledger, "s-1").exchange or "" for _ in range(5)]
    file = caught_up(path, ledger)
    owner = ledger.pseudonym_of(STAFF) or ""
    rows = file.page(owner, None, 2)
    assert [document["id"] for _, document in rows] == [made[4], made[3]]
    rows = file.page(owner, rows[-1][0], 10)
    assert [document["id"] for _, document in rows] == made[2::-1]
    found = file.one(owner, made[0])
    assert found is not None
    assert found["id"] == made[0]
    assert file.one("p-0000000000000000", made[0]) is None
    file.close()


def test_rows_are_json(path: Path, ledger: Ledger) -> None:
    """Whoever looks with another program can read them."""
    run_exchange(ledger, "s-1")
    caught_up(path, ledger).close()
    db = sqlite3.connect(path)
    [(document,)] = db.execute("SELECT document FROM exchanges").fetchall()
    db.close()
    assert orjson.loads(document)["received"]["model"] == "small"
