"""Writes vectors.json beside it: values to try another implementation of SPEC.md on.

    python audit/vectors/make.py > audit/vectors/vectors.json

Everything is made of fixed keys, so the file changes only when a format does; a test compares it.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256

from sekisho_audit.checkpoint import Checkpoint, Signer
from sekisho_audit.proof import Proof
from sekisho_audit.receipt import Receipt
from sekisho_audit.seal import ALGORITHM, commit_key, commitment, content_key
from sekisho_audit.tiles import MemoryLevels, TilePath, Tree
from sekisho_audit.tree import leaf_hash

ORIGIN = "ledger.example/vectors"
SEED = bytes(range(32))
SECRET = bytes(range(32, 64))
EXCHANGE = "01890a5d-ac96-774b-bcce-b302099a8057"
SIZES = (1, 2, 3, 7, 255, 256, 257, 600)


def leaf(number: int) -> bytes:
    """The bytes of a leaf of these vectors; shorter than real ones."""
    return b'{"n":%d}' % number


def tree() -> dict[str, object]:
    """Roots, proofs and tiles over growing numbers of leaves."""
    levels = MemoryLevels()
    for number in range(max(SIZES)):
        levels.append(leaf_hash(leaf(number)))
    whole = Tree(levels)
    size = max(SIZES)
    return {
        "leaf": '{"n":<number>}',
        "roots": {str(count): whole.root(count).hex() for count in SIZES},
        "inclusion": [
            {
                "size": count,
                "index": index,
                "path": [h.hex() for h in whole.inclusion(index, count)],
            }
            for count in SIZES
            for index in sorted({0, count // 2, count - 1})
        ],
        "consistency": [
            {"old": old, "size": size, "path": [h.hex() for h in whole.consistency(old, size)]}
            for old in SIZES
        ],
        "tiles": {
            str(path): sha256(
                levels.hashes(path.level or 0, path.index * 256, path.width)
            ).hexdigest()
            for path in (TilePath(0, 0), TilePath(0, 2, 88), TilePath(1, 0, 2))
        },
    }


def notes() -> dict[str, object]:
    """A key, a signed checkpoint, a proof and a receipt under it."""
    levels = MemoryLevels()
    for number in range(7):
        levels.append(leaf_hash(leaf(number)))
    whole, signer = Tree(levels), Signer(ORIGIN, SEED)
    note = signer.sign(Checkpoint(ORIGIN, 7, whole.root(7)))
    return {
        "seed": SEED.hex(),
        "vkey": signer.key.line(),
        "checkpoint": note.decode(),
        "proof": Proof(leaf(5), 5, whole.inclusion(5, 7), note).text(),
        "receipt": Receipt(5, leaf_hash(leaf(5)), note).header(),
    }


def payloads() -> dict[str, object]:
    """Keys derived from a principal's monthly key, and a commitment."""
    text = "机密 secret"
    return {
        "secret": SECRET.hex(),
        "exchange": EXCHANGE,
        "algorithm": ALGORITHM,
        "commit_key": commit_key(SECRET, EXCHANGE).hex(),
        "content_key": content_key(SECRET, EXCHANGE).hex(),
        "plain": text,
        "commit": commitment(SECRET, EXCHANGE).digest(text.encode()).hex(),
    }


def document() -> str:
    """The text of vectors.json."""
    made = {"version": 1, "tree": tree(), "notes": notes(), "payloads": payloads()}
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
