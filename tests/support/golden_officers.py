"""What a golden ledger has of officers, anchors and keys: each thing once, as auditd does it."""

from __future__ import annotations

from pathlib import Path

from sekisho.model.ids import uuid7
from sekisho_audit import erasure
from sekisho_audit.anchors.evidence import EvidenceFolder
from sekisho_audit.anchors.port import NOTE, Evidence
from sekisho_audit.checkpoint import Checkpoint, split_note
from sekisho_audit.cosignature import Cosigner
from sekisho_audit.events import Event, Payload
from sekisho_audit.ledger import Ledger
from sekisho_audit.officers import TWO_AT_FIRST
from support.bundles import exported
from support.officers import OFFICER, SECOND, in_office

WITNESS = Cosigner("witness.example/golden", bytes(range(32)))
STATED_S = 1_795_000_000


def change_key(ledger: Ledger, home: Path) -> None:
    """A new key from now on; who kept the first one kept a checkpoint, too."""
    (home / "first.vkey").write_text(f"{ledger.key.line()}\n")
    (home / "pinned-first").write_bytes((ledger.directory / "checkpoint").read_bytes())
    ledger.rotate_key()


def _act(
    kind: str, words: tuple[str, ...], exchange: str | None = None, /, **data: object
) -> Event:
    said = tuple(Payload(name, name.encode(), name.encode()) for name in words)
    return Event(uuid7(), kind, exchange, None, data, OFFICER, said)


def office(ledger: Ledger, home: Path, exchange: str, whose: str, leaves: str) -> None:
    """Two officers keep, disclose, search and export; somebody who left is erased."""
    in_office(ledger, OFFICER, SECOND)
    pair = {"duties": list(TWO_AT_FIRST)}
    ledger.record_all([Event(uuid7(), "officer.paired", None, None, pair)])
    held = [
        _act("legal_hold.set", ("authority",), place, person=whose, second=SECOND)
        for place in (None, exchange)
    ]
    ledger.record_all(held)
    freed = _act("legal_hold.released", ("authority",), hold=held[0].id, second=SECOND)
    last = ledger.size - 1
    told = {"first": 0, "last": last, "payloads": 2, "exchanges": 1, "keys": True}
    shown = _act("audit.disclosed", ("purpose", "ticket"), exchange, **told)
    read = {"purpose": "audit", "part": "content"}
    seen = Event(uuid7(), "record.read", exchange, whose, read, OFFICER)
    asked = _act("audit.search", ("query",), kind="page", found=3, indexed=last)
    ledger.record_all([freed, shown, seen, asked])
    made = exported(ledger, home, lambda leaf: leaf["exchange"] == exchange)
    made.write(home / "case.evidence.zip")
    reasons = (Payload("purpose", b"they left", b"they left"), Payload("ticket", b"T-1", b"T-1"))
    begun = erasure.begin(ledger, leaves, (OFFICER, SECOND), reasons)
    keys = erasure.destroy(ledger, begun)
    erasure.finish(ledger, begun, keys=len(keys), rows=0)


def anchors(ledger: Ledger, home: Path) -> None:
    """A pin and a witness have seen it; an authority did not answer."""
    ledger.write_checkpoint()
    note = (ledger.directory / "checkpoint").read_bytes()
    body, _ = split_note(note)
    checkpoint, folder = Checkpoint.parse(body), EvidenceFolder(home / "data" / "anchors")
    cosigned = note + WITNESS.line(body, STATED_S).encode()
    (home / "witness.vkey").write_text(f"{WITNESS.key.line()}\n")
    size = {"size": checkpoint.size}
    for name, kind, raw, more in (
        ("nas", "pin", note, {}),
        ("w-1", "witness", cosigned, {"time_us": STATED_S * 1_000_000, "failed": 2}),
    ):
        digest = folder.keep(name, checkpoint.size, Evidence({NOTE: raw}))
        data = {"anchor": name, "kind": kind, "root": checkpoint.root.hex(), "evidence": digest}
        ledger.record_all([Event(uuid7(), "anchor.made", None, None, {**data, **size, **more})])
    failed = {"anchor": "tsa", "kind": "rfc3161", "cause": "refused", **size}
    ledger.record_all([Event(uuid7(), "anchor.failed", None, None, failed)])


def rolled_back(ledger: Ledger) -> None:
    """An old copy was restored once."""
    lost = {"size": ledger.size + 9, "root": "0f" * 32}
    ledger.record_all([Event(uuid7(), "audit.rolled_back", None, None, lost)])
