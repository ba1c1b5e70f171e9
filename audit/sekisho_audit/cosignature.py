"""Cosignatures: what a witness says about a checkpoint of ours, and when it said so.

Format: https://c2sp.org/tlog-cosignature, both kinds: Ed25519 (`cosignature/v1`, type 0x04) and
ML-DSA-44 (`subtree/v1`, type 0x06). A witness states that the checkpoint is the largest of this
ledger that it has seen, and that all it has seen before lead to it.

ML-DSA-44 is not in older releases of `cryptography`; there such a key is refused with a reason.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sekisho_audit.checkpoint import (
    KEY_ID_BYTES,
    BadNote,
    Checkpoint,
    check_name,
    from_base64,
    signature_line,
    to_base64,
)

try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:  # pragma: no cover - an auditor's older library
    mldsa = None  # type: ignore[assignment]

ED25519, ML_DSA_44 = 0x04, 0x06
_PUBLIC_BYTES = {ED25519: 32, ML_DSA_44: 1312}
_SIGNATURE_BYTES = {ED25519: 64, ML_DSA_44: 2420}
_TIME = struct.Struct(">Q")
_TIME_S_MAX = 2**63 - 1
_NAME_BYTES_MAX = 255


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public key of a witness, written like a ledger's: `name+key id+base64`."""

    name: str
    algorithm: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name, newline, algorithm, key)."""
        material = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        return sha256(material).digest()[:KEY_ID_BYTES]

    def line(self) -> str:
        """The C2SP verifier key."""
        raw = bytes([self.algorithm]) + self.public
        return f"{self.name}+{self.key_id.hex()}+{to_base64(raw)}"

    @classmethod
    def parse(cls, line: str) -> WitnessKey:
        """Read a verifier key of a witness strictly. Raises BadNote."""
        parts = line.split("+", 2)
        if len(parts) != 3:  # noqa: PLR2004 - name, id, key
            raise BadNote("the key of a witness is `name+key id+base64`")
        raw = from_base64(parts[2])
        algorithm = raw[0] if raw else 0
        if algorithm not in _PUBLIC_BYTES or len(raw) != 1 + _PUBLIC_BYTES[algorithm]:
            raise BadNote(
                "not the key of a witness: it must be of type 0x04 (Ed25519) or 0x06 (ML-DSA-44)"
            )
        if algorithm == ML_DSA_44 and mldsa is None:
            raise BadNote("ML-DSA-44 needs a newer release of the package `cryptography`")
        key = cls(check_name(parts[0]), algorithm, raw[1:])
        if parts[1] != key.key_id.hex():
            raise BadNote("the key id does not belong to this key and name")
        return key


@dataclass(frozen=True, slots=True)
class Cosignature:
    """Somebody's word about a checkpoint, checked. `time_s` is seconds since 1970, as it said."""

    key: WitnessKey
    time_s: int

    def __str__(self) -> str:
        """Name and key id of the witness."""
        return f"{self.key.name}+{self.key.key_id.hex()}"


def _message(key: WitnessKey, body: str, time_s: int) -> bytes:
    """What a witness signs for a note with this body."""
    if key.algorithm == ED25519:
        return f"cosignature/v1\ntime {time_s}\n{body}".encode()
    checkpoint = Checkpoint.parse(body)
    name, origin = key.name.encode(), checkpoint.origin.encode()
    return b"".join(
        (
            b"subtree/v1\n\0",
            bytes([len(name)]) + name,
            _TIME.pack(time_s),
            bytes([len(origin)]) + origin,
            _TIME.pack(0),
            _TIME.pack(checkpoint.size),
            checkpoint.root,
        )
    )


def check(
    body: str, signatures: Sequence[tuple[str, bytes]], keys: Iterable[WitnessKey]
) -> list[Cosignature]:
    """The cosignatures of `keys` among the signatures of a note. Others are ignored.

    Raises BadNote if one that claims to be of these keys does not hold.
    """
    found = []
    for key in keys:
        for name, blob in signatures:
            if name == key.name and blob[:KEY_ID_BYTES] == key.key_id:
                found.append(_check_one(body, blob[KEY_ID_BYTES:], key))
    return found


def _check_one(body: str, raw: bytes, key: WitnessKey) -> Cosignature:
    if len(raw) != _TIME.size + _SIGNATURE_BYTES[key.algorithm]:
        raise BadNote(f"the cosignature of {key.name} has the wrong length")
    (time_s,) = _TIME.unpack_from(raw)
    if not 0 < time_s <= _TIME_S_MAX:
        raise BadNote(f"the cosignature of {key.name} has no time")
    message, signature = _message(key, body, time_s), raw[_TIME.size :]
    try:
        if key.algorithm == ED25519:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
        else:
            mldsa.MLDSA44PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
        raise BadNote(f"the cosignature of {key.name} does not fit the checkpoint") from error
    return Cosignature(key, time_s)


class Cosigner:
    """Signs for a witness. The product only checks; vectors and witnesses of tests need this."""

    def __init__(self, name: str, seed: bytes, algorithm: int = ED25519) -> None:
        self._private: Ed25519PrivateKey | mldsa.MLDSA44PrivateKey
        if algorithm == ED25519:
            self._private = Ed25519PrivateKey.from_private_bytes(seed)
        else:
            self._private = mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)
        self.key = WitnessKey(
            check_name(name), algorithm, self._private.public_key().public_bytes_raw()
        )

    def line(self, body: str, time_s: int) -> str:
        """The line that cosigns a note with this body."""
        signature = self._private.sign(_message(self.key, body, time_s))
        return signature_line(self.key.name, self.key.key_id, _TIME.pack(time_s) + signature)
