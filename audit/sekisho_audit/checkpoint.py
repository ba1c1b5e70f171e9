"""Checkpoints: signed statements of ledger size and root hash, in the C2SP formats.

Body: C2SP tlog-checkpoint. Envelope: C2SP signed-note with Ed25519. Both are public formats, so an
auditor may check ours with other people's tools. The parser accepts exactly one spelling.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sekisho_audit.tree import HASH_BYTES

_ED25519 = b"\x01"
KEY_ID_BYTES = 4
_SIGNATURE_BYTES = 64
# Bounds what a parser reads from a hostile file. C2SP asks to take sixteen signatures, and those of
# a post-quantum witness have nearly 5 KB, in base64 a third more.
NOTE_BYTES_MAX = 131_072
_NAME = re.compile(r"[!-*,-~]{1,128}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_DASH = "\u2014 "


class BadNote(ValueError):
    """A note, a key or a checkpoint that is not what it should be; says what is wrong."""


def check_name(name: str) -> str:
    """A ledger's origin and its key's name: printable ASCII, no blank and no plus sign."""
    if not _NAME.fullmatch(name):
        raise BadNote("a name must be 1-128 printable ASCII characters, no blank, no plus")
    return name


def from_base64(text: str) -> bytes:
    """Bytes of standard base64 in its one form. Raises BadNote."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadNote("not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise BadNote("base64 with loose bits")
    return raw


def to_base64(raw: bytes) -> str:
    """Standard base64, as notes and proofs write it."""
    return base64.b64encode(raw).decode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed: the ledger `origin` had `size` events with this root."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """The C2SP text of the checkpoint."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"

    @classmethod
    def parse(cls, body: str) -> Checkpoint:
        """Read a body strictly; extension lines are allowed by the format and ignored."""
        lines = body.split("\n")
        if len(lines) < 4 or lines.pop() != "" or "" in lines:  # noqa: PLR2004 - 3 lines and the end
            raise BadNote("a checkpoint has three lines or more, none empty")
        if not _SIZE.fullmatch(lines[1]):
            raise BadNote("the size is not a plain decimal number")
        root = from_base64(lines[2])
        if len(root) != HASH_BYTES:
            raise BadNote("the root is not 32 bytes")
        return cls(check_name(lines[0]), int(lines[1]), root)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a ledger's key, written `name+key id+base64`."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name, newline, algorithm, key), as C2SP defines."""
        material = self.name.encode() + b"\n" + _ED25519 + self.public
        return sha256(material).digest()[:KEY_ID_BYTES]

    def line(self) -> str:
        """The C2SP verifier key."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, line: str) -> VerifierKey:
        """Read a verifier key line strictly."""
        parts = line.split("+", 2)
        if len(parts) != 3:  # noqa: PLR2004 - name, id, key
            raise BadNote("a verifier key is `name+key id+base64`")
        raw = from_base64(parts[2])
        if len(raw) != 1 + HASH_BYTES or raw[:1] != _ED25519:
            raise BadNote("not an Ed25519 verifier key")
        key = cls(check_name(parts[0]), raw[1:])
        if parts[1] != key.key_id.hex():
            raise BadNote("the key id does not belong to this key and name")
        return key


class Signer:
    """Signs the checkpoints of one ledger."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = VerifierKey(check_name(name), self._private.public_key().public_bytes_raw())

    def sign(self, checkpoint: Checkpoint, *others: Signer) -> bytes:
        """The signed note of a checkpoint; each of `others` signs it too."""
        return self.sign_text(checkpoint.body(), *others)

    def sign_text(self, body: str, *others: Signer) -> bytes:
        """The signed note of a text that ends with a newline."""
        lines = "".join(signer.line(body) for signer in (self, *others))
        return f"{body}\n{lines}".encode()

    def line(self, body: str) -> str:
        """The line of a note that signs its body."""
        return signature_line(self.key.name, self.key.key_id, self._private.sign(body.encode()))


def signature_line(name: str, key_id: bytes, signature: bytes) -> str:
    """A signature as it stands in a note, with its newline."""
    return f"{_DASH}{name} {to_base64(key_id + signature)}\n"


def split_note(raw: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """Body of a note, and of each signature the name and the bytes behind it (key id first).

    Nothing is checked but the form. Raises BadNote.
    """
    if len(raw) > NOTE_BYTES_MAX:
        raise BadNote("the note is too long")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadNote("the note is not UTF-8") from error
    if any(ord(char) < ord(" ") and char != "\n" for char in text):
        raise BadNote("the note holds a control character")
    body, gap, tail = text.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise BadNote("the note has no signature, or does not end with a newline")
    return body + "\n", list(_signatures(tail))


def read_signatures(text: str) -> list[tuple[str, bytes]]:
    """As `split_note`, of signature lines that stand alone. Raises BadNote."""
    if len(text) > NOTE_BYTES_MAX or not text.endswith("\n"):
        raise BadNote("the signature lines are too long, or do not end with a newline")
    return list(_signatures(text))


def _signatures(tail: str) -> Iterator[tuple[str, bytes]]:
    for line in tail[:-1].split("\n"):
        name, blank, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not blank:
            raise BadNote("a signature line is malformed")
        # Names of strangers may be any text without these; only ours must be ASCII.
        if not name or "+" in name or any(char.isspace() for char in name):
            raise BadNote("a signature line has no name of a key")
        blob = from_base64(encoded)
        if len(blob) <= KEY_ID_BYTES:
            raise BadNote("a signature line is too short")
        yield name, blob


def open_note(raw: bytes, key: VerifierKey) -> Checkpoint:
    """The checkpoint in a signed note, if `key` signed it; BadNote otherwise.

    Signatures by other keys are ignored, as C2SP asks: they may be witnesses we do not know.
    """
    return Checkpoint.parse(open_text(raw, key))


def open_any(raw: bytes, keys: Iterable[VerifierKey]) -> Checkpoint:
    """As `open_note`, with the first of several keys that signed it."""
    keys = list(keys)
    for key in keys[:-1]:
        if _signed_by(split_note(raw)[1], key):
            return open_note(raw, key)
    return open_note(raw, keys[-1])


def _signed_by(signatures: Sequence[tuple[str, bytes]], key: VerifierKey) -> list[bytes]:
    return [b for n, b in signatures if n == key.name and b[:KEY_ID_BYTES] == key.key_id]


def open_text(raw: bytes, key: VerifierKey) -> str:
    """The text of a signed note, if `key` signed it; BadNote otherwise."""
    body, signatures = split_note(raw)
    ours = _signed_by(signatures, key)
    if not ours:
        raise BadNote(f"no signature by the key {key.name}+{key.key_id.hex()}")
    public = Ed25519PublicKey.from_public_bytes(key.public)
    for blob in ours:
        if len(blob) != KEY_ID_BYTES + _SIGNATURE_BYTES:
            raise BadNote("the signature has the wrong length")
        try:
            public.verify(blob[KEY_ID_BYTES:], body.encode())
        except InvalidSignature as error:
            raise BadNote("the signature does not fit the text") from error
    return body


def read_unverified(raw: bytes) -> Checkpoint:
    """The checkpoint in a note whose signature nobody checked: only to say what it claims."""
    return Checkpoint.parse(split_note(raw)[0])
