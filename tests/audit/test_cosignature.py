"""Cosignatures of witnesses: two kinds of the C2SP text, each bound to body, name and time."""

from __future__ import annotations

import pytest

from sekisho_audit.checkpoint import BadNote, Checkpoint, Signer, from_base64, split_note
from sekisho_audit.cosignature import ED25519, ML_DSA_44, Cosigner, WitnessKey, check

ORIGIN = "ledger.example/test"
CHECKPOINT = Checkpoint(ORIGIN, 42, bytes(range(32)))
NOTE = Signer(ORIGIN, bytes(range(32))).sign(CHECKPOINT)
NOW_S = 1_764_000_000
KINDS = pytest.mark.parametrize("algorithm", [ED25519, ML_DSA_44])


def cosigned(witness: Cosigner, body: str = CHECKPOINT.body(), time_s: int = NOW_S) -> bytes:
    return NOTE + witness.line(body, time_s).encode()


def read(note: bytes, *witnesses: Cosigner) -> list[tuple[str, int]]:
    found = check(*split_note(note), [witness.key for witness in witnesses])
    return [(one.key.name, one.time_s) for one in found]


@KINDS
def test_a_cosignature_is_read_back(algorithm: int) -> None:
    witness = Cosigner("witness.example/w1", bytes(32), algorithm)
    assert read(cosigned(witness), witness) == [("witness.example/w1", NOW_S)]


@KINDS
def test_a_key_is_read_back(algorithm: int) -> None:
    key = Cosigner("witness.example/w1", bytes(32), algorithm).key
    assert WitnessKey.parse(key.line()) == key


def test_the_published_example_holds() -> None:
    """The C2SP text prints a cosigned checkpoint; its key id, time and form are as we read them."""
    line = (
        "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZ"
        "qhf5nNo0xUe+mbIUBkBIfZ+qnA=="
    )
    raw = from_base64(line)
    assert (len(raw), int.from_bytes(raw[4:12], "big")) == (4 + 8 + 64, 1679315147)


@KINDS
def test_every_flipped_bit_of_a_short_part_is_refused(algorithm: int) -> None:
    """Key id, time and the first bytes of the signature: changed, they vouch for nothing."""
    witness = Cosigner("witness.example/w1", bytes(32), algorithm)
    body, signatures = split_note(cosigned(witness))
    name, blob = signatures[-1]
    for offset in range(20):
        for bit in range(8):
            changed = bytearray(blob)
            changed[offset] ^= 1 << bit
            try:
                assert check(body, [(name, bytes(changed))], [witness.key]) == []
            except BadNote:
                continue


@KINDS
def test_it_belongs_to_one_checkpoint_and_one_time(algorithm: int) -> None:
    """Another size, another root, another ledger: the words are others."""
    witness = Cosigner("witness.example/w1", bytes(32), algorithm)
    for other in (
        Checkpoint(ORIGIN, 43, CHECKPOINT.root),
        Checkpoint(ORIGIN, 42, bytes(32)),
        Checkpoint("other.example/log", 42, CHECKPOINT.root),
    ):
        with pytest.raises(BadNote, match="does not fit"):
            read(cosigned(witness, other.body()), witness)


@KINDS
def test_it_needs_a_time(algorithm: int) -> None:
    witness = Cosigner("witness.example/w1", bytes(32), algorithm)
    with pytest.raises(BadNote, match="no time"):
        read(cosigned(witness, time_s=0), witness)


def test_others_are_ignored() -> None:
    """A witness we do not know, the ledger's own signature, a log key with the witness's name."""
    known, unknown = Cosigner("w.example/1", bytes(32)), Cosigner("w.example/2", b"2" * 32)
    impostor = Signer("w.example/1", bytes(32)).line(CHECKPOINT.body()).encode()
    assert read(cosigned(unknown) + impostor, known) == []


@pytest.mark.parametrize(
    "line",
    [
        "",
        "w.example/1",
        "w.example/1+00000000+BAAA",
        Signer("w.example/1", bytes(32)).key.line(),
        Cosigner("w.example/1", bytes(32)).key.line().replace("w.example/1", "w.example/2"),
        Cosigner("w.example/1", bytes(32)).key.line() + "=",
    ],
)
def test_what_is_no_key_of_a_witness_is_refused(line: str) -> None:
    """A ledger's key (type 0x01) among them: its signatures have no time."""
    with pytest.raises(BadNote):
        WitnessKey.parse(line)


def test_a_cosignature_of_the_wrong_length_is_refused() -> None:
    witness = Cosigner("w.example/1", bytes(32))
    body, signatures = split_note(cosigned(witness))
    name, blob = signatures[-1]
    for wrong in (blob[:-1], blob + b"x", blob[:4] + blob[12:]):
        with pytest.raises(BadNote, match="wrong length"):
            check(body, [(name, wrong)], [witness.key])
