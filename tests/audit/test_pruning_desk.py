"""auditd's counter for prunings, without the socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.errors import Refused
from sekisho_audit.ledger import Ledger
from sekisho_audit.pruning_desk import PruningDesk
from sekisho_audit.scan import EVENTS, held_from
from support.ledgers import STAFF
from support.officers import in_office
from support.old_ledgers import AUTHORITY, Clock, after_days, live, open_at


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
        self.desk = PruningDesk(self.ledger, [self.index], days=184, now_us=self.clock)

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


async def test_indexes_go_and_both_officers_are_on_record(made: Desk) -> None:
    plan = await made.desk.plan(made.written, after_days(150))
    done = await made.prune(plan.size)
    assert done["removed"] == len(plan.segments) + len(plan.payload_segments)
    assert held_from(made.ledger.directory, EVENTS) == plan.size
    assert not made.index.exists()
    assert done["event"] == made.ledger.size - 1


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
