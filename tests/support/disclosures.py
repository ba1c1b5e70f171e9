"""Disclosure files for tests, made from the keys beside a ledger by the words of SPEC.md."""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sekisho_audit.canon import decode
from sekisho_audit.keyring import Keyring
from sekisho_audit.scan import EVENTS, PAYLOADS, frames, segments
from support.ledgers import ORIGIN

Leaf = dict[str, Any]


def expand(secret: bytes, info: str, salt: bytes = b"") -> bytes:
    """HKDF-Expand to 32 bytes (RFC 5869)."""
    return hmac.digest(secret, info.encode() + salt + b"\x01", "sha256")


def leaves_of(ledger: Path) -> list[Leaf]:
    """All events of a ledger."""
    return [
        decode(frame.body) for part in segments(ledger, EVENTS) for frame in frames(part, EVENTS)
    ]


def disclose(home: Path, leaves: Sequence[Leaf]) -> dict[str, Any]:
    """The disclosure of all payloads of these events of the ledger in `home`."""
    kek = (home / "keys" / "kek").read_bytes()
    ring = Keyring(home / "keys" / "principals.keys", kek)
    stored = {
        frame.digest.hex(): frame.body
        for part in segments(home / "data" / "ledger", PAYLOADS)
        for frame in frames(part, PAYLOADS)
    }
    keys: dict[str, dict[str, str]] = {}
    payloads = []
    for leaf in leaves:
        for entry in leaf["pl"]:
            pseudonym, _, shelf = entry["kref"].partition("/")
            secret = ring.key_of(ring.principal_of(pseudonym) or "", shelf)
            assert secret is not None
            ct, scope = entry.get("ct"), leaf["exchange"] or leaf["id"]
            place = f"sekisho-payload-v1|{leaf['id']}|{entry['name']}|"
            key = None if ct is None else expand(secret, place, stored[ct][:16]).hex()
            commit = expand(secret, f"sekisho-commit-v1|{scope}").hex()
            content = expand(secret, f"sekisho-content-v1|{scope}").hex()
            if "/" not in shelf:  # of class content only
                keys[scope] = {"exchange": scope, "content": content, "commit": commit}
            payloads.append(
                {
                    "index": leaf["n"],
                    "event": leaf["id"],
                    "name": entry["name"],
                    "ct": ct,
                    "key": key,
                    "commit": commit,
                }
            )
    ring.close()
    return {
        "format": "sekisho-disclosure/v1",
        "ledger": ORIGIN,
        "keys": list(keys.values()),
        "payloads": payloads,
    }


def raw(disclosure: dict[str, Any]) -> bytes:
    """The file."""
    return json.dumps(disclosure).encode()
