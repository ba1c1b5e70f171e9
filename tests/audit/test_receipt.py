"""What a client keeps: read back, refused when changed, enough to catch a ledger that was cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.checkpoint import Checkpoint, Signer, VerifierKey
from sekisho_audit.durable import create
from sekisho_audit.ledger import Ledger, Request
from sekisho_audit.receipt import BadReceipt, Receipt
from sekisho_audit.report import Verdict
from sekisho_audit.tree import leaf_hash
from sekisho_audit.verify import verify
from support.ledgers import ORIGIN, decision, intent, open_ledger, outcome, received, run_exchange

SIGNER = Signer("ledger.example/test", bytes(range(32)))
NOTE = SIGNER.sign(Checkpoint(SIGNER.key.name, 5, leaf_hash(b"root")))
RECEIPT = Receipt(4, leaf_hash(b"x"), NOTE)


def test_it_is_read_back_from_the_header_and_its_value() -> None:
    for text in (RECEIPT.header(), f"x-sekisho-receipt: {RECEIPT.header()}\n"):
        assert Receipt.parse(text) == RECEIPT


@pytest.mark.parametrize(
    "text",
    ["", "index=4", RECEIPT.header().replace("index=4", "index=04"), RECEIPT.header() + ", x=1",
     RECEIPT.header().replace("leaf=:", "leaf=:AAAA"), RECEIPT.header().replace("index", "Index"),
     RECEIPT.header().replace("=:, ", ":, "), RECEIPT.header().replace(":, c", "*:, c")],
)  # fmt: skip
def test_what_is_no_receipt(text: str) -> None:
    with pytest.raises(BadReceipt):
        Receipt.parse(text)


def ran(ledger: Ledger) -> Receipt:
    """A whole exchange; the receipt as the client gets it before the answer."""
    asked = received(exchange := _uuid())
    sent = intent(exchange, "s-1")
    [places] = ledger.append_many([Request([asked, decision(exchange), sent], "s-1")])
    assert not isinstance(places, Exception)
    receipt = Receipt(places[-1].index, bytes.fromhex(places[-1].leaf), ledger.note())
    ledger.append_batch([outcome(sent)])
    return receipt


def _uuid() -> str:
    return received("x").id


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, Receipt]:
    """A ledger with a receipt from its middle."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    receipt = ran(ledger)
    run_exchange(ledger, "s-1")
    ledger.close()
    return ledger.directory, receipt


def key_of(ledger: Path) -> VerifierKey:
    return VerifierKey.parse((ledger / "vkey").read_text().strip())


def with_keys_of(home: Path, name: str) -> Path:
    """A place for another ledger with the very same keys, as their thief would make it."""
    there = home / name
    (there / "keys").mkdir(parents=True, mode=0o700)
    for key in ("signing.key", "kek", "pepper"):
        create(there / "keys" / key, (home / "keys" / key).read_bytes())
    return there


def test_a_sound_ledger_has_what_was_promised(kept: tuple[Path, Receipt]) -> None:
    ledger, receipt = kept
    report = verify(ledger, key=key_of(ledger), receipt=receipt)
    assert (report.verdict, report.faults) == (Verdict.SOUND, [])


def test_a_ledger_written_anew_without_the_event_is_caught_by_the_receipt(
    kept: tuple[Path, Receipt], tmp_path: Path
) -> None:
    """With the real key: signed, sound by itself, and shorter by what was promised."""
    ledger, receipt = kept
    forged = open_ledger(with_keys_of(tmp_path, "again"))
    forged.open_session("s-1", 1)
    for _ in range(5):
        run_exchange(forged, "s-1")
    forged.close()
    assert verify(forged.directory, key=key_of(ledger)).verdict is Verdict.SOUND
    report = verify(forged.directory, key=key_of(ledger), receipt=receipt)
    assert report.verdict is Verdict.TAMPERED
    said = " ".join(map(str, report.faults))
    assert "receipt's checkpoint signs" in said
    doubts = " ".join(map(str, report.doubts))
    assert "another event stands where the receipt has its own" in doubts


def test_a_ledger_that_ends_before_the_event_is_caught(
    kept: tuple[Path, Receipt], tmp_path: Path
) -> None:
    ledger, receipt = kept
    short = open_ledger(with_keys_of(tmp_path, "short"))
    short.close()
    report = verify(short.directory, key=key_of(ledger), receipt=receipt)
    assert report.verdict is Verdict.TAMPERED
    assert "the receipt's checkpoint says" in " ".join(map(str, report.faults))
    assert "the event of the receipt is not there" in " ".join(map(str, report.doubts))


def test_a_receipt_of_another_key_is_no_evidence_against_us(kept: tuple[Path, Receipt]) -> None:
    """Somebody may have made it up: nothing can be told of it."""
    ledger, receipt = kept
    other = Signer(ORIGIN, bytes(32))
    forged = Receipt(receipt.index, bytes(32), other.sign(Checkpoint(ORIGIN, 9, bytes(32))))
    report = verify(ledger, key=key_of(ledger), receipt=forged)
    assert report.verdict is Verdict.CANNOT_TELL
    assert report.faults == []


def test_notes_of_one_size_are_signed_once(tmp_path: Path) -> None:
    """All answers of one group commit carry the same one; the next has its own."""
    ledger = open_ledger(tmp_path)
    first = ledger.note()
    assert ledger.note() is first
    ledger.open_session("s-1", 1)
    assert ledger.note() != first
    ledger.close()
