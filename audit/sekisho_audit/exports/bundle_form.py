"""What an evidence bundle consists of: names of its files, its manifest, what is signed of it.

A bundle is a zip file `*.evidence.zip`. `manifest.json` names every other file with length and
SHA-256, and `manifest.sig` is a note signed by the ledger's key over the manifest's own hash, so
nothing can be taken out, put in or changed. SPEC.md has the form for those who write a reader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

FORMAT = "sekisho-evidence/v1"
SUFFIX = ".evidence.zip"

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
EVENTS, PROOFS, EXPORT_EVENT = "events.jsonl", "proofs.jsonl", "export-event.jsonl"
CHECKPOINT, KEY = "checkpoint", "vkey"
PINNED, CONSISTENCY = "pinned-checkpoint", "consistency.json"
CHANGES, CHANGE_PROOFS = "key-changes.jsonl", "key-change-proofs.jsonl"
KEYS, DISCLOSED = "keys.json", "disclosed.json"
VERIFIER = "verify.py"
REQUIRED = (EVENTS, PROOFS, EXPORT_EVENT, CHECKPOINT, KEY)

# One folder deep, plain words: nothing that another system reads as a path to elsewhere.
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(?:/[a-z0-9][a-z0-9._-]{0,99})?")
FILES_MAX = 50_000
MANIFEST_BYTES_MAX = 16 * 1024 * 1024
BUNDLE_BYTES_MAX = 4 * 1024 * 1024 * 1024  # unpacked
EVENTS_MAX = 200_000  # of one bundle; more is an archive, for which the ledger itself is there
# A leaf with its frame; a path of 64 hashes in base64.
LINE_BYTES_MAX = 70_000


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as it is written."""
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True, indent=1)
    return text.encode() + b"\n"


def signed_text(manifest: bytes, origin: str, index: int) -> str:
    """What `manifest.sig` signs: the hash of the manifest and the export that it belongs to.

    The second line is no number, so nobody can take it for a checkpoint.
    """
    return f"{FORMAT}\nexport {index} of {origin}\nsha256 {sha256(manifest).hexdigest()}\n"
