"""What an auditor kept is compared, also if somebody else signed it."""

from __future__ import annotations

import pytest

from sekisho_audit.checkpoint import Checkpoint, Signer
from sekisho_audit.kept import NO_PINNED, Kept, Unreadable
from sekisho_audit.key_chain import KeyChain
from sekisho_audit.receipt import Receipt
from sekisho_audit.tree import EMPTY_ROOT, leaf_hash
from sekisho_audit.verdict import Findings, Signed
from support.ledgers import ORIGIN

OURS = Signer(ORIGIN, bytes(32))
THEIRS = Signer(ORIGIN, b"x" * 32)
NOW = Checkpoint(ORIGIN, 7, EMPTY_ROOT)
LEAF = leaf_hash(b"{}")


def findings() -> Findings:
    made = Findings(lambda _size: None)
    made.origin = ORIGIN
    return made


def receipt(signer: Signer, leaf: bytes = LEAF, index: int = 0) -> Receipt:
    return Receipt(index, leaf, signer.sign(Checkpoint(ORIGIN, 1, LEAF)))


def test_each_pinned_checkpoint_is_compared() -> None:
    """In the order in which they were given."""
    found = findings()
    notes = [OURS.sign(NOW), OURS.sign(Checkpoint(ORIGIN, 3, EMPTY_ROOT))]
    opened = Kept(notes).open(KeyChain(OURS.key), found)
    assert [(item.checkpoint.size, item.name) for item in opened] == [
        (7, "pinned checkpoint"),
        (3, "pinned checkpoint"),
    ]
    assert (found.report.doubts, found.report.notes) == ([], [])


def test_nothing_kept_is_said() -> None:
    """The verdict is worth less, and says so."""
    found = findings()
    assert Kept().open(KeyChain(OURS.key), found) == []
    assert found.report.notes == [NO_PINNED]


def test_pinned_of_another_key_is_doubt_and_compared() -> None:
    """Perhaps the change to that key was cut away; what the note claims is shown all the same."""
    found = findings()
    opened = Kept([THEIRS.sign(NOW)]).open(KeyChain(OURS.key), found)
    assert opened == [Signed(NOW, "pinned checkpoint")]
    assert "no signature" in found.report.doubts[0].what


def test_pinned_that_was_altered_is_doubt_and_accuses_nobody() -> None:
    """Anybody can write another size above a true signature."""
    found = findings()
    altered = OURS.sign(NOW).replace(b"\n7\n", b"\n9\n")
    assert Kept([altered]).open(KeyChain(OURS.key), found) == []
    assert "is not what this ledger's key signed" in found.report.doubts[0].what


def test_pinned_that_does_not_read_is_nothing_to_go_by() -> None:
    with pytest.raises(Unreadable, match="cannot be read"):
        Kept([b"hello"]).open(KeyChain(OURS.key), findings())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (receipt(OURS), None),
        (receipt(OURS, b"x" * 32), "another event stands"),
        (receipt(OURS, index=1), "is not there"),
    ],
)
def test_event_of_a_receipt_must_be_there(given: Receipt, said: str | None) -> None:
    """With the hash that the client was told; else the receipt was altered, since its checkpoint
    fixes the event. It accuses nobody.
    """
    found = findings()
    kept = Kept((), given)
    [promised] = kept.open(KeyChain(OURS.key), found)
    assert promised == Signed(Checkpoint(ORIGIN, 1, LEAF), "receipt's checkpoint")
    found.begin({1})
    found.take(b"{}", LEAF, "f", 0)
    found.report.faults.clear()  # that `{}` is no event
    kept.compare_leaf(KeyChain(OURS.key), found)
    assert found.report.faults == []
    assert [said in doubt.what for doubt in found.report.doubts if said] == [True] * bool(said)
    assert found.report.proved == ([] if said else ["0  the event of the receipt"])


def test_receipt_of_another_key_is_doubt_and_accuses_nobody() -> None:
    """Anybody can make one up."""
    found = findings()
    kept = Kept((), receipt(THEIRS, b"x" * 32))
    assert kept.open(KeyChain(OURS.key), found) == []
    kept.compare_leaf(KeyChain(OURS.key), found)
    assert ([*found.report.faults], len(found.report.doubts)) == ([], 1)


def test_sizes_are_known_before_anybody_knows_who_signed() -> None:
    """For a log at a URL, which is read once: of every note, whoever signed it."""
    found = findings()
    notes = [OURS.sign(NOW), THEIRS.sign(Checkpoint(ORIGIN, 3, EMPTY_ROOT))]
    assert Kept(notes).expect(found) == {7, 3}
    assert Kept(notes, receipt(THEIRS)).expect(found) == {7, 3, 1}
    assert Kept().expect(found) == set()
    with pytest.raises(Unreadable):
        Kept([b"hello"]).expect(found)


def test_a_receipt_whose_note_does_not_read_asks_for_no_size() -> None:
    """`open` tells of it."""
    found, odd = findings(), Kept((), Receipt(0, LEAF, b"hello"))
    assert odd.expect(found) == set()
    assert odd.open(KeyChain(OURS.key), found) == []
    assert len(found.report.doubts) == 1


def test_the_event_of_a_receipt_is_watched_from_the_start() -> None:
    found = findings()
    Kept((), receipt(OURS)).expect(found)
    found.begin({1})
    found.pass_over(LEAF)
    assert found.watched == LEAF


def test_a_receipt_is_something_kept() -> None:
    """Its checkpoint is one that the ledger must still fit."""
    found = findings()
    Kept((), receipt(OURS)).open(KeyChain(OURS.key), found)
    assert found.report.notes == []
