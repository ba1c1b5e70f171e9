"""auditd's counter for prunings, without the socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit import pruning
from sekisho_audit.errors import Refused
from sekisho_audit.index_file import Database, SqliteDatabase
from sekisho_audit.index_postgres import PostgresDatabase
from sekisho_audit.ledger import Ledger
from sekisho_audit.pruning_desk import PruningDesk
from sekisho_audit.scan import EVENTS, held_from
from support.installation import free_port
from support.ledgers import ORIGIN, STAFF
from support.officers import in_office
from support.old_ledgers import AUTHORITY, Clock, after_days, live, open_at
from support.postgres import Postgres, postgres


class Desk:
    """One, with the ledger it is for."""

    def __init__(self, home: Path) -> None:
        self.clock = Clock()
        self.ledger = open_at(home, self.clock)
        live(self.ledger, self.clock, 100)
        in_office(self.ledger, STAFF, "officer-2")
        self.ledger.write_checkpoint()
        self.index = home / "history.db"
        self.index.write_bytes(b"derived")
        self.desk = self.counter(SqliteDatabase(self.index))

    def counter(self, *indexes: Database) -> PruningDesk:
        return PruningDesk(self.ledger, indexes, days=184, now_us=self.clock)

    async def written(self, run: Callable[[Ledger], Any]) -> Any:
        """As the writer's thread does it."""
        return run(self.ledger)

    async def prune(self, size: int) -> dict[str, Any]:
        return await self.desk.prune(
            self.written, after_days(150), size, (STAFF, "officer-2"), AUTHORITY
        )


@pytest.fixture
def made(memory_path: Path) -> Iterator[Desk]:
    desk = Desk(memory_path)
    yield desk
    desk.ledger.close()


@pytest.fixture
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


async def test_indexes_go_and_both_officers_are_on_record(made: Desk) -> None:
    plan = await made.desk.plan(made.written, after_days(150))
    done = await made.prune(plan.size)
    assert done["removed"] == len(plan.segments) + len(plan.payload_segments)
    assert held_from(made.ledger.directory, EVENTS) == plan.size
    assert not made.index.exists()
    assert done["event"] == made.ledger.size - 1


async def test_an_index_in_a_database_goes_at_once(
    made: Desk, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the files do, and not at its next opening only."""
    database = PostgresDatabase(server.url)

    def made_anew() -> int | None:
        database.open(ORIGIN, b"check").close()
        return database.indexed()

    assert await asyncio.to_thread(made_anew) == 0
    made.desk = made.counter(SqliteDatabase(made.index), database)
    plan = await made.desk.plan(made.written, after_days(150))
    done = await made.prune(plan.size)
    assert done["left"] == []
    assert await asyncio.to_thread(database.indexed) is None
    assert not made.index.exists()
    # A pruning that a start finishes clears it too.
    assert await asyncio.to_thread(made_anew) == 0
    monkeypatch.setattr(pruning, "finish", lambda _ledger: ["events/000000000000.seg"])
    await asyncio.to_thread(made.desk.resume)
    assert await asyncio.to_thread(database.indexed) is None


async def test_an_index_out_of_reach_is_told(
    made: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """The leaves are gone all the same, and so are the other indexes."""
    gone = PostgresDatabase(f"postgresql://sekisho:x@127.0.0.1:{free_port()}/postgres")
    made.desk = made.counter(gone, SqliteDatabase(made.index))
    plan = await made.desk.plan(made.written, after_days(150))
    done = await made.prune(plan.size)
    assert done["left"] == ["search.postgresql"]
    assert not made.index.exists()
    assert held_from(made.ledger.directory, EVENTS) == plan.size
    assert "search.postgresql still tells of what was pruned" in capsys.readouterr().err


async def test_who_is_in_office_no_more_removes_nothing(made: Desk) -> None:
    """Also if that was recorded while the pruning was prepared."""
    plan = await made.desk.plan(made.written, after_days(150))
    in_office(made.ledger, "officer-2", duties=("export",))
    with pytest.raises(Refused, match="had not the duty `retention`") as error:
        await made.prune(plan.size)
    assert error.value.code == "no_duty"
    assert held_from(made.ledger.directory, EVENTS) == 0
    assert made.index.exists()
    assert list((made.ledger.directory / "pruned").iterdir()) == []


async def test_nothing_is_removed_that_nobody_signed(
    made: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await made.desk.plan(made.written, after_days(150))
    monkeypatch.setattr(Ledger, "signed", None)
    with pytest.raises(Refused, match="nothing is signed"):
        await made.prune(plan.size)
    assert held_from(made.ledger.directory, EVENTS) == 0


async def test_a_ledger_that_cannot_be_read_is_left_alone(made: Desk) -> None:
    plan = await made.desk.plan(made.written, after_days(150))
    path = plan.segments[0].path
    raw = bytearray(path.read_bytes())
    raw[-200] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(Refused):
        await made.prune(plan.size)
    assert path.exists()
    assert made.index.exists()
    assert list((made.ledger.directory / "pruned").iterdir()) == []


def test_a_start_with_nothing_to_finish_keeps_the_indexes(made: Desk) -> None:
    made.desk.resume()
    assert made.index.exists()


def test_nobody_keeps_leaves_for_less_than_half_a_year(made: Desk) -> None:
    with pytest.raises(ValueError, match="184"):
        PruningDesk(made.ledger, [], days=1)
