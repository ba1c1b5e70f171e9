"""Writes vectors.json beside it: values to try another implementation of SPEC.md on.

    python audit/vectors/make.py > audit/vectors/vectors.json

Trees, proofs, tiles, leaves, notes, receipts, payloads, changes of keys, cosignatures. All is made
of fixed keys, so the file changes only when a format does; a test compares it. Only signing with
ML-DSA-44 draws anew each time: that line was made once and is kept in `ml-dsa-44.cosignature`.
"""

from __future__ import annotations

import json
import struct
import sys
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sekisho_audit.canon import encode
from sekisho_audit.checkpoint import Checkpoint, Signer
from sekisho_audit.cosignature import ED25519, ML_DSA_44, Cosigner, WitnessKey
from sekisho_audit.key_chain import statement
from sekisho_audit.proof import Proof
from sekisho_audit.receipt import Receipt
from sekisho_audit.scan import EVENTS, HEAD_BYTES, LENGTH
from sekisho_audit.seal import ALGORITHM, commit_key, commitment, content_key
from sekisho_audit.tiles import MemoryLevels, TilePath, Tree
from sekisho_audit.tree import leaf_hash

ORIGIN = "ledger.example/vectors"
SEED = bytes(range(32))
SECRET = bytes(range(32, 64))
EXCHANGE = "01890a5d-ac96-774b-bcce-b302099a8057"
EVENT = "01890a5d-ac96-7b3c-8d07-95f5a1b1c2d3"
SALT = bytes(range(64, 80))
WITNESS, STATED_S = "witness.example/vectors", 1_800_000_000
KEPT_LINE = Path(__file__).resolve().with_name("ml-dsa-44.cosignature")
SIZES = (1, 2, 3, 7, 255, 256, 257, 600)

STRANGER = "— witness.example/証人 AQIDBAUGBwg=\n"  # a signature of nobody we know
# Values with the one text that each may have as a leaf.
VALUES: tuple[object, ...] = (
    None,
    {"b": [], "a": {}, "A": True, "_": False},
    [0, -1, 2**53 - 1, -(2**53) + 1],
    {"text": "机密 𠮷 é e\u0301 \u2028\u007f/"},
    '"\\\b\t\n\f\r\u0000\u001f',
    [[[[[[[[[[[["deepest"]]]]]]]]]]]],
)
# Bytes that many parsers take and a reader of leaves must not: why, and what.
STRANGE: tuple[tuple[str, bytes], ...] = (
    ("a blank", b'{"a": 1}'),
    ("keys in another order", b'{"b":1,"a":1}'),
    ("a key twice", b'{"a":1,"a":1}'),
    ("a fraction", b"[1.0]"),
    ("an exponent", b"[1e2]"),
    ("minus nothing", b"[-0]"),
    ("not a number", b"[NaN]"),
    ("an integer of 2^53", b"[9007199254740992]"),
    ("an escape that is not needed", b'["\\u0061"]'),
    ("an escape in capitals", b'["\\u001F"]'),
    ("an escaped slash", b'["\\/"]'),
    ("half a pair", b'["\\ud800"]'),
    ("bytes that are not UTF-8", b'["\xff"]'),
    ("a byte order mark", b"\xef\xbb\xbf[]"),
    ("a key that is not ASCII", b'{"\xc3\xa9":1}'),
    ("one level too deep", b"[" * 13 + b"]" * 13),
    ("something behind it", b"[]\n"),
    ("nothing", b""),
)


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


def places() -> dict[str, object]:
    """Where tiles are, and what a bundle of entries holds."""
    paths = (
        TilePath(0, 0),
        TilePath(0, 999, 1),
        TilePath(1, 1_000, 255),
        TilePath(0, 1_234_067),
        TilePath(None, 2, 88),
    )
    bundles = {"entries/000": range(256), "entries/002.p/88": range(512, 600)}
    return {
        "paths": [
            {"level": path.level, "index": path.index, "width": path.width, "path": str(path)}
            for path in paths
        ],
        "bundles": {
            path: sha256(
                b"".join(struct.pack(">H", len(leaf(n))) + leaf(n) for n in numbers)
            ).hexdigest()
            for path, numbers in bundles.items()
        },
    }


def leaves() -> dict[str, object]:
    """The one form of a leaf, what is not of that form, and a segment with leaves in it."""
    bodies = [encode(value) for value in VALUES]
    stored = [LENGTH.pack(len(body)) + leaf_hash(body) + body for body in bodies]
    return {
        "canonical": [
            {"value": value, "text": body.decode(), "leaf_hash": leaf_hash(body).hex()}
            for value, body in zip(VALUES, bodies, strict=True)
        ],
        "refused": [{"why": why, "hex": raw.hex()} for why, raw in STRANGE],
        "head_bytes": HEAD_BYTES,
        "segment": (EVENTS.header(0) + b"".join(stored)).hex(),
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
        "empty": signer.sign(Checkpoint(ORIGIN, 0, whole.root(0))).decode(),
        "with_a_stranger": note.decode() + STRANGER,
        "proof": Proof(leaf(5), 5, whole.inclusion(5, 7), note).text(),
        "receipt": Receipt(5, leaf_hash(leaf(5)), note).header(),
    }


def rotation() -> dict[str, object]:
    """Three keys one after the other: what both sign at each change, and who signs which size."""
    levels = MemoryLevels()
    for number in range(7):
        levels.append(leaf_hash(leaf(number)))
    whole = Tree(levels)
    signers = [Signer(ORIGIN, bytes([number]) * 32) for number in (1, 2, 3)]
    changes = []
    for index, old, new in ((3, *signers[:2]), (5, *signers[1:])):
        before = Checkpoint(ORIGIN, index, whole.root(index))
        note = old.sign_text(statement(before, new.key), new)
        data = {"old": old.key.line(), "new": new.key.line(), "note": note.decode()}
        changes.append({"index": index, "data": data})
    over = Checkpoint(ORIGIN, 4, whole.root(4))
    return {
        "seeds": [(bytes([number]) * 32).hex() for number in (1, 2, 3)],
        "keys": [signer.key.line() for signer in signers],
        "changes": changes,
        "checkpoint_over_the_first": signers[1].sign(over, signers[0]).decode(),
        "key_of_size": {str(size): sum(at < size for at in (3, 5)) for size in range(8)},
    }


def cosignatures() -> list[dict[str, object]]:
    """What a witness adds to a note, in both kinds."""
    levels = MemoryLevels()
    for number in range(7):
        levels.append(leaf_hash(leaf(number)))
    signer = Signer(ORIGIN, SEED)
    checkpoint = Checkpoint(ORIGIN, 7, Tree(levels).root(7))
    body, kept = checkpoint.body(), KEPT_LINE.read_text(encoding="utf-8")
    found: list[dict[str, object]] = []
    for algorithm in (ED25519, ML_DSA_44):
        witness = Cosigner(WITNESS, bytes([algorithm]) * 32, algorithm)
        line = witness.line(body, STATED_S) if algorithm == ED25519 else kept
        about = {"seed": (bytes([algorithm]) * 32).hex(), "vkey": witness.key.line()}
        message = cosigned(witness.key, checkpoint)
        found.append(
            {
                **about,
                "time_s": STATED_S,
                "message": message.hex(),
                "note": signer.sign(checkpoint).decode() + line,
            }
        )
    return found


def cosigned(key: WitnessKey, checkpoint: Checkpoint) -> bytes:
    """The bytes that a witness signs, as SPEC.md has them."""
    if key.algorithm == ED25519:
        return f"cosignature/v1\ntime {STATED_S}\n{checkpoint.body()}".encode()
    name, origin = key.name.encode(), checkpoint.origin.encode()
    head = b"subtree/v1\n\0" + bytes([len(name)]) + name + struct.pack(">Q", STATED_S)
    size = struct.pack(">QQ", 0, checkpoint.size)
    return head + bytes([len(origin)]) + origin + size + checkpoint.root


def payloads() -> dict[str, object]:
    """Keys derived from a principal's monthly key, and a commitment."""
    text = "机密 secret"
    place = f"{EVENT}|prompt".encode()
    info = b"sekisho-payload-v1|" + place + b"|" + SALT
    key = HKDFExpand(SHA256(), 32, info).derive(SECRET)
    stored = SALT + AESGCM(key).encrypt(SALT[:12], text.encode(), place)
    return {
        "secret": SECRET.hex(),
        "exchange": EXCHANGE,
        "algorithm": ALGORITHM,
        "commit_key": commit_key(SECRET, EXCHANGE).hex(),
        "content_key": content_key(SECRET, EXCHANGE).hex(),
        "plain": text,
        "commit": commitment(SECRET, EXCHANGE).digest(text.encode()).hex(),
        "event": EVENT,
        "name": "prompt",
        "stored": stored.hex(),
        "ct": sha256(stored).hexdigest(),
    }


def document() -> str:
    """The text of vectors.json."""
    made = {
        "version": 1,
        "tree": tree(),
        "places": places(),
        "leaves": leaves(),
        "notes": notes(),
        "rotation": rotation(),
        "cosignatures": cosignatures(),
        "payloads": payloads(),
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
