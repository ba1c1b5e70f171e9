"""Files of proofs: what each kind of file is worth."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.canon import encode
from sekisho_audit.checkpoint import Checkpoint, Signer, VerifierKey
from sekisho_audit.exports.tables import Stored, json_line
from sekisho_audit.ids import uuid7
from sekisho_audit.key_chain import statement, stored_rotations
from sekisho_audit.proof import Proof
from sekisho_audit.prove import prove
from sekisho_audit.receipt import Receipt
from sekisho_audit.report import Report, Verdict
from sekisho_audit.tree import leaf_hash
from sekisho_audit.verify_proof import verify_file
from support.ledgers import ORIGIN, open_ledger, run_exchange, small_ledger


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_ledger(tmp_path_factory.mktemp("v"))


@pytest.fixture(scope="module")
def proofs(ledger: Path) -> list[Proof]:
    return list(prove(ledger, lambda _: True))


@pytest.fixture
def key(ledger: Path) -> VerifierKey:
    return VerifierKey.parse((ledger / "vkey").read_text().strip())


def written(tmp_path: Path, *proofs: Proof) -> Path:
    file = tmp_path / "receipts.json"
    file.write_text(json.dumps({"proofs": [{"proof": proof.text()} for proof in proofs]}))
    return file


def test_what_is_proved_is_counted(tmp_path: Path, proofs: list[Proof], key: VerifierKey) -> None:
    report = verify_file(written(tmp_path, *proofs), key=key)
    assert (report.verdict, report.size, report.signed_size) == (0, len(proofs), len(proofs))
    assert sum(report.types.values()) == len(proofs)
    assert "whether the ledger still has it" in report.notes[0].lower()


def test_one_bad_proof_among_good_ones_is_named(
    tmp_path: Path, proofs: list[Proof], key: VerifierKey
) -> None:
    bad = Proof(proofs[3].leaf, 4, proofs[3].path, proofs[3].note)
    report = verify_file(written(tmp_path, proofs[2], bad), key=key)
    assert report.verdict is Verdict.TAMPERED
    assert [fault.index for fault in report.faults] == [4]


def test_an_event_that_claims_another_place_is_no_event_of_this_ledger(tmp_path: Path) -> None:
    """Moved into another ledger of the same signer: the proof holds, the event does not fit."""
    signer = Signer(ORIGIN, bytes(range(32)))
    home = small_ledger(tmp_path / "l")
    leaf = next(prove(home, lambda found: found["n"] == 3)).leaf
    note = signer.sign(Checkpoint(ORIGIN, 1, leaf_hash(leaf)))
    report = verify_file(written(tmp_path, Proof(leaf, 0, [], note)), key=signer.key)
    assert report.verdict is Verdict.TAMPERED
    assert "says it is number 3" in str(report.faults[0])


def test_a_receipt_of_another_key_or_without_its_event(
    tmp_path: Path, proofs: list[Proof], key: VerifierKey
) -> None:
    file = written(tmp_path, proofs[2])
    stranger = Signer(ORIGIN, bytes(32))
    foreign = Receipt(2, leaf_hash(proofs[2].leaf), stranger.sign(Checkpoint(ORIGIN, 9, bytes(32))))
    assert verify_file(file, key=key, receipt=foreign).verdict is Verdict.CANNOT_TELL
    small = Receipt(10**6, leaf_hash(proofs[2].leaf), proofs[2].note)
    report = verify_file(file, key=key, receipt=small)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert "does not cover its event" in str(report.doubts[0])


def test_a_file_that_cannot_be_read(tmp_path: Path, key: VerifierKey) -> None:
    missing = verify_file(tmp_path / "nothing", key=key)
    assert missing.verdict is Verdict.CANNOT_TELL
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in str(verify_file(tmp_path / "binary", key=key).doubts[0])


# -- what an answer of the gateway says around its proofs


@pytest.fixture(scope="module")
def answer(proofs: list[Proof]) -> dict[str, Any]:
    """As the gateway gives it out."""
    listed = []
    for proof in proofs:
        leaf = json.loads(proof.leaf)
        event = {"backend.intent": "intent", "backend.outcome": "outcome"}.get(leaf["type"])
        if event:
            hash_ = leaf_hash(proof.leaf).hex()
            listed.append({"event": event, "index": proof.index, "leaf": hash_, "x": leaf})
    exchange = listed[-1]["x"]["exchange"]
    own = [item for item in listed if item.pop("x")["exchange"] == exchange]
    for item in own:
        item["proof"] = proofs[item["index"]].text()
    around = {"object": "exchange.receipt", "exchange": exchange, "origin": ORIGIN, "pending": 0}
    return {**around, "proofs": own}


def judged(tmp_path: Path, document: Any, key: VerifierKey) -> Report:
    file = tmp_path / "answer.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return verify_file(file, key=key)


def test_a_whole_answer_is_sound_and_told_event_by_event(
    tmp_path: Path, answer: dict[str, Any], key: VerifierKey
) -> None:
    report = judged(tmp_path, answer, key)
    assert report.verdict is Verdict.SOUND
    assert [line.split()[2] for line in report.proved] == [answer["exchange"]] * len(report.proved)


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("document", "exchange", "01890a5d-ac96-774b-bcce-b302099a8057"),
        ("document", "origin", "elsewhere.example"),
        ("document", "object", "list"),
        ("document", "note", "approved by somebody"),
        ("item", "index", 0),
        ("item", "leaf", "00" * 32),
        ("item", "event", "received"),
        ("item", "note", "approved by somebody"),
    ],
)
def test_words_around_a_proof_that_it_does_not_prove(  # noqa: PLR0917 - a table of three columns
    tmp_path: Path, answer: dict[str, Any], key: VerifierKey, where: str, name: str, value: Any
) -> None:
    """Whoever reads the file must not be told by it what nobody signed."""
    changed = deepcopy(answer)
    (changed if where == "document" else changed["proofs"][0])[name] = value
    report = judged(tmp_path, changed, key)
    assert report.verdict is Verdict.TAMPERED
    assert repr(name) in str(report.faults[0])


def test_members_that_stand_twice_are_refused(
    tmp_path: Path, answer: dict[str, Any], key: VerifierKey
) -> None:
    text = json.dumps(answer).replace('"pending": 0', '"pending": 0, "pending": 1')
    assert judged(tmp_path, text, key).verdict is Verdict.CANNOT_TELL


def test_a_proof_under_another_key_of_the_name_is_no_accusation(
    tmp_path: Path, proofs: list[Proof]
) -> None:
    """The signing key was changed; a key of another name has nothing to do with it."""
    later = Signer(ORIGIN, bytes(32))
    report = verify_file(written(tmp_path, proofs[2]), key=later.key)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert "signed by another key of" in report.doubts[0].what
    stranger = Signer("other.example/log", bytes(32))
    report = verify_file(written(tmp_path, proofs[2]), key=stranger.key)
    assert report.verdict is Verdict.TAMPERED


def test_what_is_no_file_is_not_read(tmp_path: Path, key: VerifierKey) -> None:
    """A pipe that nobody writes to would hold it for ever."""
    os.mkfifo(tmp_path / "pipe")
    report = verify_file(tmp_path / "pipe", key=key)
    assert (report.verdict, report.doubts[0].what) == (Verdict.CANNOT_TELL, "this is no file")


# -- when the key was changed


class Changed:
    """A ledger whose key was changed twice, with a proof and a receipt under each."""

    def __init__(self, home: Path) -> None:
        ledger = open_ledger(home / "l")
        ledger.open_session("s-1", 1)
        self.stolen = (home / "l" / "keys" / "signing.key").read_bytes()
        self.proofs: list[Proof] = []
        self.receipts: list[Receipt] = []
        for number in range(3):
            if number:
                ledger.rotate_key()
            run_exchange(ledger, "s-1")
            ledger.write_checkpoint()
            index = ledger.size - 1
            self.proofs += prove(ledger.directory, partial(_stands_at, index))
            last = self.proofs[-1]
            self.receipts.append(Receipt(index, leaf_hash(last.leaf), last.note))
        self.keys = ledger.keys
        found = stored_rotations(ledger.directory)
        self.lines = [json_line(Stored(leaf["n"], body)) for leaf, body in found]
        ledger.close()

    @property
    def changes(self) -> bytes:
        return b"".join(self.lines)


def _stands_at(index: int, leaf: Mapping[str, Any]) -> bool:
    return bool(leaf["n"] == index)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Changed:
    return Changed(tmp_path_factory.mktemp("c"))


def test_any_key_of_the_chain_will_do_with_the_changes(tmp_path: Path, changed: Changed) -> None:
    """For each proof and its receipt; without them only the one that signed."""
    for signed, (proof, receipt) in enumerate(zip(changed.proofs, changed.receipts, strict=True)):
        file = written(tmp_path, proof)
        for trusted, key in enumerate(changed.keys):
            report = verify_file(file, key=key, receipt=receipt, changes=changed.changes)
            assert (report.verdict, report.faults, report.doubts) == (Verdict.SOUND, [], [])
            assert len(report.keys) == 2
            assert any("replaced later" in note for note in report.notes) == (signed < 2)
            alone = verify_file(file, key=key, receipt=receipt)
            assert alone.verdict is (Verdict.SOUND if signed == trusted else Verdict.CANNOT_TELL)
            assert alone.faults == []
            if signed != trusted:
                assert "--key-changes" in alone.doubts[0].what


def test_a_thief_of_an_old_key_proves_nothing_new(tmp_path: Path, changed: Changed) -> None:
    """A key signs what it was in force for, and no more, once the changes are known."""
    proof = changed.proofs[2]
    signed = proof.check(changed.keys[2])
    thief = Signer(ORIGIN, changed.stolen)
    forged = written(tmp_path, Proof(proof.leaf, proof.index, proof.path, thief.sign(signed)))
    assert verify_file(forged, key=changed.keys[0]).verdict is Verdict.SOUND
    for key in changed.keys:
        report = verify_file(forged, key=key, changes=changed.changes)
        assert (report.verdict, report.proved) == (Verdict.CANNOT_TELL, [])
        assert "not in force then" in report.doubts[0].what


def test_a_change_that_the_old_key_never_signed(tmp_path: Path, changed: Changed) -> None:
    proof, thief = changed.proofs[2], Signer(ORIGIN, bytes(32))
    note = thief.sign(proof.check(changed.keys[2]))
    forged = written(tmp_path, Proof(proof.leaf, proof.index, proof.path, note))
    for changes in (changed.changes, forged_changes(changed.keys[0], thief)):
        report = verify_file(forged, key=changed.keys[0], changes=changes)
        assert (report.verdict, report.proved) == (Verdict.CANNOT_TELL, [])


def forged_changes(old: VerifierKey, thief: Signer) -> bytes:
    """A change to the thief's key that the old key never signed."""
    before = Checkpoint(ORIGIN, 5, bytes(32))
    note = thief.sign_text(statement(before, thief.key)).decode()
    leaf = {
        "v": 1,
        "id": uuid7(),
        "log": ORIGIN,
        "n": 5,
        "boot": uuid7(),
        "ts": 1_900_000_000_000_000,
        "type": "audit.key_rotated",
        "exchange": None,
        "principal": None,
        "actor": None,
        "data": {"old": old.line(), "new": thief.key.line(), "note": note},
        "pl": [],
    }
    return json_line(Stored(5, encode(leaf)))


def test_changes_that_do_not_hold_are_doubt(tmp_path: Path, changed: Changed) -> None:
    """They are brought by the auditor, and accuse nobody."""
    file, key = written(tmp_path, changed.proofs[2]), changed.keys[0]
    other = Signer("ledger.example/else", bytes(32)).key
    for changes, trusted in (
        (changed.lines[1], key),
        (changed.lines[0] + b"{}\n", key),
        (b"no lines", key),
        (changed.lines[1] + changed.lines[1][:-40] + b"\n", key),
        (changed.changes, Signer(ORIGIN, bytes(32)).key),
        (changed.changes, other),
    ):
        report = verify_file(file, key=trusted, changes=changes)
        assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, []), changes
        assert "changes of keys" in report.doubts[0].what
