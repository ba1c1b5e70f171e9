"""What somebody reads who has the directories: leaves, keys, and which files hold some bytes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sekisho_audit.canon import decode
from sekisho_audit.keyring import Keyring
from sekisho_audit.scan import EVENTS, frames, segments


def leaves(ledger: Path) -> list[dict[str, Any]]:
    """All leaves of a ledger directory, in order."""
    return [
        decode(frame.body) for part in segments(ledger, EVENTS) for frame in frames(part, EVENTS)
    ]


def keys_of(home: Path, principal: str) -> dict[str, bytes]:
    """A principal's keys by shelf, as somebody with the directory of keys reads them."""
    copy = home / "copy.keys"
    shutil.copy(home / "keys" / "principals.keys", copy)
    copy.chmod(0o600)
    ring = Keyring(copy, (home / "keys" / "kek").read_bytes())
    found = ring.keys_of(principal)
    ring.close()
    copy.unlink()
    return found


def holding(home: Path, text: bytes) -> list[str]:
    """The files below a directory in which some bytes stand."""
    return [
        path.relative_to(home).as_posix()
        for path in home.rglob("*")
        if path.is_file() and text in path.read_bytes()
    ]
