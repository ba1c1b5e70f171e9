"""What is recorded of officers is the same after a restart."""

from __future__ import annotations

from pathlib import Path

from sekisho_audit.custody import Office
from sekisho_audit.officer_desk import changes
from sekisho_audit.officers import Roll, add, load, remove, set_two
from support.ledgers import open_ledger

NAME = "officer-1@ledger.example"


def test_officers_are_told_from_the_ledger(tmp_path: Path) -> None:
    """Offices, their end, and duties for two come back with the leaves."""
    ledger = open_ledger(tmp_path)
    add(tmp_path / "keys", NAME, ("erase",))
    add(tmp_path / "keys", "officer-2", ("disclose",))
    set_two(tmp_path / "keys", ("erase",))
    roll = load(tmp_path / "keys")
    ledger.record_all(changes(ledger, roll))
    assert changes(ledger, roll) == []
    credential = roll.officers[NAME].credential
    known = {ledger.pseudonym_of(NAME): Office(credential, ("erase",))}
    remove(tmp_path / "keys", "officer-2")
    ledger.record_all(changes(ledger, load(tmp_path / "keys")))
    ledger.close()
    again = open_ledger(tmp_path)
    assert again.custody.officers == known
    assert again.custody.two == ("erase",)
    assert changes(again, load(tmp_path / "keys")) == []
    assert len(changes(again, Roll())) == 2
    again.close()
