"""A proof in a file: what was written is read back, and nothing that was changed is believed."""

from __future__ import annotations

import pytest

from sekisho_audit.checkpoint import BadNote, Checkpoint, Signer
from sekisho_audit.proof import HASHES_MAX, Proof
from sekisho_audit.tiles import MemoryLevels, Tree
from sekisho_audit.tree import BadProof, leaf_hash

SIGNER = Signer("ledger.example/test", bytes(range(32)))
BODIES = [b'{"n":%d}' % number for number in range(300)]
INDEX = 270


@pytest.fixture(scope="module")
def proof() -> Proof:
    levels = MemoryLevels()
    for body in BODIES:
        levels.append(leaf_hash(body))
    tree = Tree(levels)
    note = SIGNER.sign(Checkpoint(SIGNER.key.name, len(BODIES), tree.root(len(BODIES))))
    return Proof(BODIES[INDEX], INDEX, tree.inclusion(INDEX, len(BODIES)), note)


def test_a_proof_is_read_back_and_holds(proof: Proof) -> None:
    again = Proof.parse(proof.text())
    assert again == proof
    assert again.check(SIGNER.key).size == len(BODIES)


def test_the_text_is_the_one_of_the_specification(proof: Proof) -> None:
    lines = proof.text().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == f"index {INDEX}"
    assert lines[3 + len(proof.path)] == ""
    assert lines[4 + len(proof.path)] == SIGNER.key.name


def test_every_flipped_bit_is_refused(proof: Proof) -> None:
    """In leaf, index, path and note alike."""
    text = proof.text().encode()
    for offset in range(len(text)):
        for bit in range(8):
            changed = bytearray(text)
            changed[offset] ^= 1 << bit
            with pytest.raises((BadProof, BadNote, UnicodeDecodeError)):
                Proof.parse(changed.decode()).check(SIGNER.key)


def test_a_proof_under_another_key_or_ledger_does_not_hold(proof: Proof) -> None:
    with pytest.raises(BadNote):
        proof.check(Signer("ledger.example/test", bytes(32)).key)
    other = Checkpoint("ledger.example/other", 1, leaf_hash(b"x"))
    with pytest.raises(BadProof, match="another ledger"):
        Proof(b"x", 0, [], SIGNER.sign(other)).check(SIGNER.key)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2", "must begin"),
        ("extra ", "", "no `extra`"),
        ("index 270", "index 0270", "no `index`"),
        ("index 270", "index 270\nAA==", "32 bytes"),
        ("index 270", "index 270\n*", "base64"),
        ("index 270", "index 270\n" + "\n".join(["AA=="] * (HASHES_MAX + 1)), "more hashes"),
        ("\n\n", "\n", "not a proof"),
    ],
)
def test_what_is_no_proof_is_told_apart(proof: Proof, old: str, new: str, said: str) -> None:
    with pytest.raises(BadProof, match=said):
        Proof.parse(proof.text().replace(old, new))
