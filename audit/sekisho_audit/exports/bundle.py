"""Writing an evidence bundle from what auditd tells: events with proofs, and what belongs to them.

The file is made in one pass: events go into the archive as they come, everything else behind them,
the manifest last. The same selection gives the same bytes again but for what the export's own event
says. `bundle_form.py` names the parts.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from typing import Any, BinaryIO, Self

from sekisho_audit.canon import decode
from sekisho_audit.checkpoint import Checkpoint, VerifierKey, open_note, to_base64
from sekisho_audit.exports import bundle_form as form
from sekisho_audit.exports.report import LANGUAGES, Case, Text, report
from sekisho_audit.exports.tables import Stored, json_line
from sekisho_audit.exports.timeline import Timeline
from sekisho_audit.exports.zones import Zone
from sekisho_audit.tree import CompactRange, leaf_hash

_SPOOL_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # of a zip file; times are in the manifest
_UNIX, _MODE = 3, 0o100644 << 16

Sign = Callable[[bytes], bytes]


class BadSelection(Exception):
    """What was told is not what was announced; nothing may be made of it."""


@dataclass(frozen=True, slots=True)
class Proved:
    """An event with its path to the root of the checkpoint."""

    event: Stored
    path: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Pinned:
    """A checkpoint somebody kept, with the proof that the ledger's is consistent with it."""

    note: bytes
    size: int
    path: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class KeyChange:
    """An event that changed the signing key, proved, with the proof that the checkpoint continues
    the events before it, which both keys signed.
    """

    proved: Proved
    since: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Export:
    """What auditd recorded and answered before the first event came.

    `event` is the event `audit.export` with its path, `commit_key` the key of its commitments (to
    query, purpose and ticket), `note` the checkpoint that everything is proved under, `key` the one
    in force then.
    """

    key: VerifierKey
    query: str
    purpose: str
    ticket: str
    asked_by: str
    event: Proved
    commit_key: bytes
    note: bytes
    erased: int = 0
    forgotten: int = 0
    pinned: Pinned | None = None
    changes: Sequence[KeyChange] = ()
    # The file of `sekisho-audit disclose`, and the sealed bytes and texts of its payloads.
    keys: Mapping[str, Any] | None = None
    sealed: Mapping[str, bytes] = field(default_factory=dict)
    texts: Sequence[Text] = ()


class _Archive:
    """A zip file that says the same for the same content, and remembers what it holds."""

    def __init__(self, out: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self.files: dict[str, dict[str, Any]] = {}

    def add(self, name: str, pieces: Iterable[bytes]) -> None:
        digest, size = sha256(), 0
        info = zipfile.ZipInfo(name, _EARLIEST)
        info.compress_type, info.create_system, info.external_attr = (
            zipfile.ZIP_DEFLATED,
            _UNIX,
            _MODE,
        )
        with self._zip.open(info, "w", force_zip64=True) as member:
            for piece in pieces:
                member.write(piece)
                digest.update(piece)
                size += len(piece)
        self.files[name] = {"bytes": size, "sha256": digest.hexdigest()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()


def write_bundle(
    out: BinaryIO, export: Export, events: Iterable[Proved], zone: Zone, sign: Sign
) -> Timeline:
    """Write a bundle; `sign` gives the signed note over a manifest. Raises BadSelection, BadNote.

    `events` come in the order of the ledger.
    """
    checkpoint, timeline = open_note(export.note, export.key), Timeline()
    with _Archive(out) as archive:
        _add_events(archive, export, events, timeline)
        _add_state(archive, export, checkpoint)
        _add_disclosed(archive, export)
        case = _case(export, checkpoint, zone)
        for language in LANGUAGES:
            pieces = (piece.encode() for piece in report(language, case, timeline))
            archive.add(f"report.{language}.html", pieces)
        archive.add(form.VERIFIER, [verifier_source()])
        manifest = form.manifest_bytes(_manifest(export, checkpoint, zone, archive.files))
        archive.add(form.MANIFEST, [manifest])
        archive.add(form.SIGNATURE, [sign(manifest)])
    return timeline


def proof_line(proved: Proved) -> bytes:
    """One line of the file of proofs."""
    path = ",".join(f'"{to_base64(item)}"' for item in proved.path)
    return f'{{"index":{proved.event.index},"path":[{path}]}}\n'.encode()


def change_proof_line(change: KeyChange) -> bytes:
    """One line of the file of proofs of changes."""
    since = ",".join(f'"{to_base64(item)}"' for item in change.since)
    return proof_line(change.proved).removesuffix(b"}\n") + f',"since":[{since}]}}\n'.encode()


def verifier_source() -> bytes:
    """The verifier that needs nothing but Python; the same file in every bundle of a release."""
    return (files("sekisho_audit.exports") / "standalone.py").read_bytes()


def _add_events(
    archive: _Archive, export: Export, events: Iterable[Proved], timeline: Timeline
) -> None:
    """Events as they come; their proofs wait beside, because a zip file takes one at a time."""
    root = CompactRange()
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as proofs:

        def lines() -> Iterator[bytes]:
            for proved in events:
                proofs.write(proof_line(proved))
                timeline.take(decode(proved.event.body))
                root.append(leaf_hash(proved.event.body))
                yield json_line(proved.event)

        archive.add(form.EVENTS, lines())
        _check(export, timeline, root)
        proofs.write(proof_line(export.event))
        proofs.seek(0)
        archive.add(form.PROOFS, iter(lambda: proofs.read(_PIECE_BYTES), b""))
    archive.add(form.EXPORT_EVENT, [json_line(export.event.event)])


def _check(export: Export, timeline: Timeline, root: CompactRange) -> None:
    """What came must be what the export's event says, which is signed."""
    said = decode(export.event.event.body)["data"]
    came = timeline.events, timeline.found, root.root().hex()
    if came != (said["events"], said["found"], said["root"]):
        raise BadSelection(
            f"auditd announced {said['events']} events of {said['found']} exchanges, but sent "
            f"{came[0]} of {came[1]}, or others; run `sekisho-audit verify` on the ledger"
        )


def _add_state(archive: _Archive, export: Export, checkpoint: Checkpoint) -> None:
    archive.add(form.CHECKPOINT, [export.note])
    archive.add(form.KEY, [export.key.line().encode() + b"\n"])
    if export.changes:
        archive.add(form.CHANGES, (json_line(one.proved.event) for one in export.changes))
        archive.add(form.CHANGE_PROOFS, map(change_proof_line, export.changes))
    if export.pinned is not None:
        path = [to_base64(item) for item in export.pinned.path]
        proof = {"from": export.pinned.size, "to": checkpoint.size, "path": path}
        archive.add(form.PINNED, [export.pinned.note])
        archive.add(form.CONSISTENCY, [_json(proof)])


def _add_disclosed(archive: _Archive, export: Export) -> None:
    if export.keys is None:
        return
    archive.add(form.KEYS, [_json(export.keys)])
    for ct, sealed in sorted(export.sealed.items()):
        archive.add(f"payloads/{ct}", [sealed])
    listed = [
        {"index": one.index, "name": one.name, "file": one.file, "whole": one.whole}
        for one in export.texts
    ]
    archive.add(form.DISCLOSED, [_json(listed)])
    for one in export.texts:
        archive.add(one.file, [one.content])


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"


def _case(export: Export, checkpoint: Checkpoint, zone: Zone) -> Case:
    leaf = decode(export.event.event.body)
    return Case(
        ledger=checkpoint.origin,
        query=export.query,
        purpose=export.purpose,
        ticket=export.ticket,
        asked_by=export.asked_by,
        at_us=leaf["ts"],
        export_index=leaf["n"],
        size=leaf["data"]["size"],
        checkpoint_size=checkpoint.size,
        checkpoint_root=checkpoint.root.hex(),
        erased=export.erased,
        forgotten=export.forgotten,
        zone=zone.rules,
        zone_name=zone.name,
        texts=export.texts,
    )


def _manifest(
    export: Export, checkpoint: Checkpoint, zone: Zone, held: Mapping[str, Any]
) -> dict[str, Any]:
    leaf = decode(export.event.event.body)
    manifest: dict[str, Any] = {
        "format": form.FORMAT,
        "ledger": checkpoint.origin,
        "query": export.query,
        "purpose": export.purpose,
        "asked_by": export.asked_by,
        "at_us": leaf["ts"],
        "time_zone": zone.name,
        "export": {
            "index": leaf["n"],
            "leaf_hash": leaf_hash(export.event.event.body).hex(),
            "commit_key": export.commit_key.hex(),
        },
        "selection": {
            "found": leaf["data"]["found"],
            "events": leaf["data"]["events"],
            "size": leaf["data"]["size"],
            "root": leaf["data"]["root"],
            "erased": export.erased,
            "forgotten": export.forgotten,
        },
        "checkpoint": {"size": checkpoint.size, "root": checkpoint.root.hex()},
        "files": dict(held),
    }
    if export.ticket:
        manifest["ticket"] = export.ticket
    return manifest
