"""One key after the other: only who has both may hand over, and only at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.checkpoint import BadNote, Checkpoint, Signer
from sekisho_audit.key_chain import KeyChain, Rotation, find_rotations, statement
from support.ledgers import open_ledger, run_exchange

ORIGIN = "ledger.example/test"
FIRST, SECOND, THIRD = (Signer(ORIGIN, bytes([number] * 32)) for number in (1, 2, 3))
BEFORE = Checkpoint(ORIGIN, 9, bytes(range(32)))


def leaf(old: Signer, new: Signer, before: Checkpoint = BEFORE, **changed: Any) -> dict[str, Any]:
    note = old.sign_text(statement(before, new.key), new).decode()
    data = {"old": old.key.line(), "new": new.key.line(), "note": note}
    return {"n": before.size, "log": ORIGIN, "data": {**data, **changed}}


def test_a_rotation_is_read() -> None:
    read = Rotation.read(leaf(FIRST, SECOND))
    assert (read.index, read.old, read.new) == (9, FIRST.key, SECOND.key)
    assert read.before == BEFORE


def renamed() -> dict[str, Any]:
    made = leaf(FIRST, SECOND)
    return {**made, "data": {**made["data"], "new": THIRD.key.line()}}


@pytest.mark.parametrize(
    ("what", "made"),
    [
        ("the old key alone", leaf(FIRST, SECOND, note=FIRST.sign(BEFORE).decode())),
        ("the new key alone", leaf(FIRST, SECOND, note=SECOND.sign(BEFORE).decode())),
        ("no key is named", leaf(FIRST, SECOND, note=FIRST.sign(BEFORE, SECOND).decode())),
        ("another place", {**leaf(FIRST, SECOND), "n": 10}),
        ("another ledger", {**leaf(FIRST, SECOND), "log": "other.example/log"}),
        ("the same key", leaf(FIRST, FIRST)),
        ("another is named", renamed()),
        (
            "another ledger's key",
            leaf(FIRST, Signer("other.example/log", bytes(32))),
        ),
    ],
)
def test_half_a_hand_over_is_none(what: str, made: dict[str, Any]) -> None:
    """Both keys sign the same: the history that ends and the key that follows."""
    with pytest.raises(BadNote):
        Rotation.read(made)


def test_each_size_has_its_key() -> None:
    """The old key signs up to the events before the hand-over, the new one from the next on."""
    later = Checkpoint(ORIGIN, 20, bytes(32))
    rotations = [Rotation.read(leaf(FIRST, SECOND)), Rotation.read(leaf(SECOND, THIRD, later))]
    chain = KeyChain(THIRD.key, rotations)
    assert [chain.at(size) for size in (0, 9, 10, 20, 21)] == [
        FIRST.key, FIRST.key, SECOND.key, SECOND.key, THIRD.key,
    ]  # fmt: skip
    assert (chain.current, chain.keys) == (THIRD.key, [FIRST.key, SECOND.key, THIRD.key])
    assert len(chain.says()) == 2


def test_a_key_that_is_not_in_force_hands_nothing_over() -> None:
    """A key that was replaced, stolen afterwards, names a third."""
    later = Checkpoint(ORIGIN, 20, bytes(32))
    rotations = [Rotation.read(leaf(FIRST, SECOND)), Rotation.read(leaf(FIRST, THIRD, later))]
    with pytest.raises(BadNote, match="event 20"):
        KeyChain(THIRD.key, rotations)


def test_rotations_are_found_in_a_ledger(tmp_path: Path) -> None:
    """In any segment, and not in a text that only looks like one."""
    ledger = open_ledger(tmp_path, segment_bytes=4_096)
    ledger.open_session("s-1", 1)
    assert list(find_rotations(ledger.directory)) == []
    run_exchange(ledger, "s-1", b'"type":"audit.key_rotated"')
    ledger.rotate_key()
    for _ in range(4):
        run_exchange(ledger, "s-1")
    ledger.rotate_key()
    ledger.close()
    found = [Rotation.read(one) for one in find_rotations(ledger.directory)]
    assert KeyChain(ledger.key, found).keys == list(ledger.keys)
    assert len(found) == 2


def test_what_is_broken_is_passed_over(tmp_path: Path) -> None:
    """The verifier itself says what is broken; this only looks."""
    ledger = open_ledger(tmp_path)
    ledger.rotate_key()
    ledger.close()
    path = next((ledger.directory / "events").iterdir())
    path.write_bytes(path.read_bytes()[:-7].replace(b"audit.boot", b"audit.boo!"))
    assert list(find_rotations(ledger.directory)) == []
    path.write_bytes(b"")
    assert list(find_rotations(ledger.directory)) == []
    (ledger.directory / "events" / "x").touch()
    assert list(find_rotations(ledger.directory)) == []


def test_a_key_that_was_replaced_never_comes_back() -> None:
    """Whoever stole it meanwhile would be let in with it."""
    later = Checkpoint(ORIGIN, 20, bytes(32))
    rotations = [Rotation.read(leaf(FIRST, SECOND)), Rotation.read(leaf(SECOND, FIRST, later))]
    with pytest.raises(BadNote, match="event 20"):
        KeyChain(FIRST.key, rotations)
