"""The folder of evidence: what anchors gave, one set of files for each event `anchor.made`.

    <data_dir>/anchors/<year>-<month>/<size, 12 digits>-<anchor>-<8 digits of the digest>.<suffix>
    <data_dir>/anchors/SECOND-LEDGER      why auditd stopped; it does not start while this is there

Files are written once. The event names the SHA-256 of the main one. Nothing here is needed to write
the ledger, but what is lost here proves nothing any more: it belongs into backups.
"""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path

from sekisho_audit.anchors.port import Evidence
from sekisho_audit.durable import create, make_directory, replace_file

_STOPPED = "SECOND-LEDGER"


class EvidenceFolder:
    """Keeps files for good. Used by all anchors' threads: no two write one name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, anchor: str, size: int, evidence: Evidence) -> str:
        """Write the files durably; the digest that the event names. Raises OSError."""
        digest = sha256(evidence.files[evidence.main]).hexdigest()
        month = self._folder / time.strftime("%Y-%m", time.gmtime())
        make_directory(month)
        for suffix, body in evidence.files.items():
            path = month / f"{size:012d}-{anchor}-{digest[:8]}.{suffix}"
            if not path.exists():
                create(path, body)
        return digest

    def stop(self, why: str, proof: bytes) -> Path:
        """Keep auditd from starting until somebody has looked. Raises OSError."""
        make_directory(self._folder)
        if proof:
            name = f"second-{sha256(proof).hexdigest()[:8]}.note"
            replace_file(self._folder / name, proof)
            why = f"{why}\nThe proof is {name}, beside this file."
        path = self._folder / _STOPPED
        replace_file(path, f"{why}\n".encode())
        return path

    def stopped(self) -> str | None:
        """Why auditd may not start, if it may not."""
        path = self._folder / _STOPPED
        if not path.exists():
            return None
        why = path.read_text(encoding="utf-8", errors="replace").strip()
        return (
            f"{why}\nauditd does not start while {path} is there. See docs/howto/anchors.md, "
            "then remove it."
        )
