"""Verifying an evidence bundle: offline, without the ledger, trusting nothing in it but the key.

    report = verify_bundle(path, key=key, pinned=None)

Checked are the signature over the manifest, the hash of every file, each event's place under the
signed checkpoint, the event of the export itself (which fixes what was found), that query and
purpose are the recorded ones, and the commitments to texts that are disclosed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sekisho_audit.bundle_keys import (
    CHANGES_MAX,
    REPLACED,
    UnknownKey,
    chain_of,
    read_changes,
    rotation_in,
)
from sekisho_audit.canon import NotCanonical, decode
from sekisho_audit.checkpoint import (
    NOTE_BYTES_MAX,
    BadNote,
    Checkpoint,
    VerifierKey,
    from_base64,
    open_note,
    open_text,
    read_unverified,
)
from sekisho_audit.disclosed import NotOpened, commitment, open_stored
from sekisho_audit.events import BadEvent
from sekisho_audit.exports import bundle_form as form
from sekisho_audit.exports.archive import Archive, BadArchive, NoBundle
from sekisho_audit.exports.tables import Stored, read_json_line
from sekisho_audit.form import check_leaf
from sekisho_audit.key_chain import KeyChain, Rotation
from sekisho_audit.marks import owner_of
from sekisho_audit.proof import HASHES_MAX
from sekisho_audit.report import Fault, Report, Verdict
from sekisho_audit.scan import PAYLOAD_BYTES_MAX
from sekisho_audit.tree import (
    BadProof,
    CompactRange,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

FAULTS_MAX = 20  # one is enough; twenty show where
_NO_KEY = (
    "No key was given. Get the ledger's public key from somewhere else than this bundle, and give "
    "it with --key."
)
_OTHER_STATE = (
    "The bundle has no proof from the checkpoint that you kept: ask for a new export with "
    "--pinned and that checkpoint."
)
_SCOPE = [
    (
        "Proved is that these events were in the ledger when its checkpoint was signed, and that "
        "they are what the recorded export found. That the query finds all that matters, and that "
        "everything was recorded, is not."
    ),
    "Who asked is told by the one who exported; the ledger has a pseudonym.",
    (
        "What the reports (report.*.html) say, and what the bundle's own verify.py does, was not "
        "compared with the events: whoever exported could have written other ones. Proved are "
        "events.jsonl and the disclosed texts."
    ),
]
_PAYLOAD = {"index": int, "name": str, "commit": str}
_TEXT = {"index": int, "name": str, "file": str, "whole": bool}


class Tampered(Exception):
    """Something is not as it must be; nothing more can be read from there."""


def is_bundle(path: Path) -> bool:
    """Whether a file is a zip file, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def verify_bundle(
    path: Path, *, key: VerifierKey | None, pinned: bytes | None = None, changes: bytes = b""
) -> Report:
    """What a bundle proves. Never raises for what it finds there.

    `changes` of keys are for a key that came after the bundle (`bundle_keys.py`).
    """
    report = Report()
    try:
        with Archive(path) as archive:
            _Check(archive, key, report).run(pinned, changes)
    except (NoBundle, OSError) as error:
        report.doubts.append(Fault(str(error), file=path.name))
    except UnknownKey as error:
        report.doubts.append(Fault(str(error)))
    except (Tampered, BadArchive, BadNote, BadProof, NotCanonical, BadEvent, NotOpened) as error:
        report.faults.append(Fault(str(error)))
    if key is None and not report.faults:
        report.doubts.append(Fault(_NO_KEY))
    if report.faults:
        report.verdict = Verdict.TAMPERED
    elif report.doubts:
        report.verdict = Verdict.CANNOT_TELL
    else:
        report.notes[:0] = _SCOPE
    return report


class _Check:
    def __init__(self, archive: Archive, key: VerifierKey | None, report: Report) -> None:
        self._archive = archive
        self._report = report
        self._raw = archive.read(form.MANIFEST, form.MANIFEST_BYTES_MAX)
        self._manifest = _document(self._raw, form.MANIFEST)
        if self._manifest.get("format") != form.FORMAT:
            raise NoBundle(f"the bundle is not of the format {form.FORMAT}")
        self._given = key
        self._checkpoint: Checkpoint
        self._keys: KeyChain

    def run(self, pinned: bytes | None, changes: bytes) -> None:
        self._files()
        self._state(changes)
        self._pinned(pinned)
        self._events()
        self._disclosed()

    def _says(self, *path: str) -> Any:
        found: Any = self._manifest
        for name in path:
            if not isinstance(found, dict) or name not in found:
                raise Tampered(f"{form.MANIFEST} does not say {'.'.join(path)!r}")
            found = found[name]
        return found

    # -- files and signatures

    def _files(self) -> None:
        listed = self._says("files")
        there = self._archive.sizes.keys() - {form.MANIFEST, form.SIGNATURE}
        if not isinstance(listed, dict) or listed.keys() != there:
            odd = sorted(set(listed) ^ there)[:5] if isinstance(listed, dict) else []
            raise Tampered(f"files and manifest differ: {', '.join(map(repr, odd))}")
        missing = sorted(set(form.REQUIRED) - there)
        if missing or form.SIGNATURE not in self._archive.sizes:
            raise Tampered(f"missing: {', '.join(missing) or form.SIGNATURE}")
        for name, said in listed.items():
            size, digest = self._archive.hashed(name)
            if said != {"bytes": size, "sha256": digest}:
                self._fault("the file is not the one that was exported", file=name)
        if self._report.faults:
            raise Tampered("files were changed")

    def _state(self, changes: bytes) -> None:
        own = self._archive.read(form.KEY, NOTE_BYTES_MAX)
        held = VerifierKey.parse(_text(own).strip())
        note = self._archive.read(form.CHECKPOINT, NOTE_BYTES_MAX)
        self._checkpoint = read_unverified(note)
        given = read_changes(changes, held.name)
        self._keys = chain_of(self._key_changes(), given, held, self._given or held)
        if self._keys.at(self._checkpoint.size) != held:
            raise Tampered("the bundle is signed with a key that was not in force then")
        open_note(note, held)
        origin, index = self._checkpoint.origin, self._says("export", "index")
        if origin != held.name or self._says("ledger") != origin:
            raise Tampered("the checkpoint is of another ledger")
        signed = open_text(self._archive.read(form.SIGNATURE, NOTE_BYTES_MAX), held)
        if signed != form.signed_text(self._raw, origin, index):
            raise Tampered(f"{form.SIGNATURE} is of another manifest")
        told = {"size": self._checkpoint.size, "root": self._checkpoint.root.hex()}
        if self._says("checkpoint") != told:
            raise Tampered("the manifest names another checkpoint")
        self._report.origin, self._report.root = origin, self._checkpoint.root.hex()
        self._report.signed_size = self._checkpoint.size
        self._report.keys = self._keys.says()
        if self._keys.current != held:
            self._report.notes.append(REPLACED)

    def _key_changes(self) -> Iterator[Rotation]:
        """Changes of keys in the bundle: events under its checkpoint, which continues what both
        keys signed.
        """
        if form.CHANGES not in self._archive.sizes:
            return
        now, proofs = self._checkpoint, self._archive.lines(form.CHANGE_PROOFS)
        for count, line in enumerate(self._archive.lines(form.CHANGES)):
            proof = next(proofs, b"")
            _, leaf = self._proved(line, iter([proof]))
            rotation = rotation_in(leaf)
            since, before = _path(_document(proof, form.PROOFS).get("since")), rotation.before
            verify_consistency(before.size, now.size, before.root, now.root, since)
            if count == CHANGES_MAX:
                raise Tampered("more changes of keys than a ledger has")
            yield rotation
        if next(proofs, None) is not None:
            raise Tampered("there are more proofs than changes of keys")

    def _pinned(self, pinned: bytes | None) -> None:
        older = None
        if form.PINNED in self._archive.sizes:
            older = self._keys.open(self._archive.read(form.PINNED, NOTE_BYTES_MAX))
            proof = _document(self._archive.read(form.CONSISTENCY, NOTE_BYTES_MAX), "consistency")
            path = _path(proof.get("path"))
            verify_consistency(
                older.size, self._checkpoint.size, older.root, self._checkpoint.root, path
            )
        if pinned is None:
            self._report.notes.append("No earlier checkpoint was compared with (--pinned).")
            return
        try:
            yours = self._keys.open(pinned)
        except BadNote as error:
            self._report.doubts.append(Fault(f"the checkpoint you kept: {error}"))
            return
        for known in (self._checkpoint, older):
            if known is not None and known.size == yours.size:
                if known.root != yours.root:
                    raise Tampered("the ledger was rewritten: your checkpoint has another root")
                return
        self._report.doubts.append(Fault(_OTHER_STATE))

    # -- events

    def _events(self) -> None:
        root, found, last = CompactRange(), set(), -1
        proofs = self._archive.lines(form.PROOFS)
        size = self._says("selection", "size")
        singles = 0
        for line in self._archive.lines(form.EVENTS):
            event, leaf = self._proved(line, proofs)
            if not last < event.index < size:
                raise Tampered(f"event {event.index} does not stand where it may")
            last = event.index
            root.append(leaf_hash(event.body))
            kind = leaf["type"]
            self._report.types[kind] = self._report.types.get(kind, 0) + 1
            self._report.size += 1
            if leaf["exchange"] is None:
                singles += 1
            else:
                found.add((leaf["exchange"], owner_of(leaf)))
            if self._report.size > form.EVENTS_MAX:
                raise Tampered("more events than a bundle has")
        self._export(proofs, {"events": root.size, "found": len(found) + singles}, root)
        if next(proofs, None) is not None:
            raise Tampered("there are more proofs than events")

    def _proved(self, line: bytes, proofs: Iterator[bytes]) -> tuple[Stored, Mapping[str, Any]]:
        """An event whose leaf stands under the checkpoint. Raises what is wrong."""
        try:
            event, said = read_json_line(line)
            proof = _document(next(proofs, b""), form.PROOFS)
        except ValueError as error:
            raise Tampered(str(error)) from error
        digest = leaf_hash(event.body)
        if proof.get("index") != event.index or said != digest:
            raise Tampered(f"event {event.index} and its proof or hash do not belong together")
        path, checkpoint = _path(proof.get("path")), self._checkpoint
        try:
            verify_inclusion(digest, event.index, checkpoint.size, path, checkpoint.root)
            leaf = decode(event.body)
            check_leaf(leaf, event.index, checkpoint.origin)
        except (BadProof, NotCanonical, BadEvent) as error:
            raise Tampered(f"event {event.index}: {error}") from error
        return event, leaf

    def _export(self, proofs: Iterator[bytes], counts: dict[str, int], root: CompactRange) -> None:
        lines = list(self._archive.lines(form.EXPORT_EVENT))
        if len(lines) != 1:
            raise Tampered(f"{form.EXPORT_EVENT} is one line")
        event, leaf = self._proved(lines[0], proofs)
        data, size = leaf["data"], self._says("selection", "size")
        told = {"index": event.index, "leaf_hash": leaf_hash(event.body).hex()}
        if leaf["type"] != "audit.export" or data["format"] != "bundle":
            raise Tampered("the event of the export is not one of a bundle")
        if {**self._says("export"), **told} != self._says("export") or size > event.index:
            raise Tampered("the manifest is of another export")
        fixed = {**counts, "root": root.root().hex(), "size": size}
        for name, value in fixed.items():
            if data[name] != value or self._says("selection", name) != value:
                raise Tampered(
                    f"the recorded export found other events than these ({name}: {data[name]!r})"
                )
        self._asked(leaf)
        self._report.proved.append(f"{event.index}  audit.export  {counts['events']} events")

    def _asked(self, leaf: Mapping[str, Any]) -> None:
        """Query, purpose and ticket are those that the ledger committed to."""
        if leaf["ts"] != self._says("at_us"):
            raise Tampered("the manifest tells another time than the event of the export")
        secret = _hex(self._says("export", "commit_key"))
        entries = {entry["name"]: entry["commit"] for entry in leaf["pl"]}
        for name in ("query", "purpose", "ticket"):
            said = self._manifest.get(name)
            if (said is None) != (name not in entries):
                raise Tampered(f"the recorded export has another {name}")
            if said is not None and commitment(secret, str(said).encode()) != entries[name]:
                raise Tampered(f"the recorded export has another {name}")

    # -- what is disclosed

    def _disclosed(self) -> None:
        names = self._archive.sizes
        if form.DISCLOSED not in names:
            return
        keys = _document(self._archive.read(form.KEYS, form.MANIFEST_BYTES_MAX), form.KEYS)
        if keys.get("ledger") != self._checkpoint.origin:
            raise Tampered("the disclosed keys are of another ledger")
        known = {
            (one["index"], one["name"]): one for one in _objects(keys.get("payloads"), _PAYLOAD)
        }
        raw = self._archive.read(form.DISCLOSED, form.MANIFEST_BYTES_MAX)
        texts: dict[int, list[dict[str, Any]]] = {}
        for one in _objects(_json(raw, form.DISCLOSED), _TEXT):
            texts.setdefault(one["index"], []).append(one)
        whole = part = 0
        for line in self._archive.lines(form.EVENTS):
            event, _ = read_json_line(line)
            for one in texts.pop(event.index, ()):
                self._text(decode(event.body), one, known.get((one["index"], one["name"])))
                whole, part = whole + one["whole"], part + (not one["whole"])
        if texts:
            raise Tampered("content is disclosed of events that are not here")
        self._report.payloads = whole + part
        if part:
            self._report.notes.append(
                f"{part} of the disclosed texts are redacted copies: the ledger commits to what "
                "they were made of, so they cannot be compared."
            )

    def _text(
        self, leaf: Mapping[str, Any], one: Mapping[str, Any], keys: Mapping[str, Any] | None
    ) -> None:
        entry = next((item for item in leaf["pl"] if item["name"] == one["name"]), None)
        if entry is None or keys is None or one["file"] not in self._archive.sizes:
            raise Tampered(f"event {leaf['n']} has no content {one['name']!r} to disclose")
        sealed = f"payloads/{entry.get('ct', '')}"
        if sealed not in self._archive.sizes or self._archive.hashed(sealed)[1] != entry["ct"]:
            raise Tampered(f"event {leaf['n']}: the sealed content is not the recorded one")
        text = self._archive.read(one["file"], PAYLOAD_BYTES_MAX)
        stored = self._archive.read(sealed, PAYLOAD_BYTES_MAX)
        if open_stored(_hex(keys["key"]), leaf["id"], one["name"], stored) != text:
            raise Tampered(f"event {leaf['n']}: {one['name']} is not what was sealed")
        fits = commitment(_hex(keys["commit"]), text) == entry["commit"]
        if one["whole"] is not fits:
            raise Tampered(f"event {leaf['n']}: {one['name']} is not what the ledger committed to")

    def _fault(self, what: str, **place: Any) -> None:
        if len(self._report.faults) < FAULTS_MAX:
            self._report.faults.append(Fault(what, **place))


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Tampered("a file is not UTF-8") from error


def _hex(text: object) -> bytes:
    try:
        return bytes.fromhex(str(text))
    except ValueError as error:
        raise Tampered("a key is not in hex") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _json(raw: bytes, name: str) -> Any:
    try:
        return json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Tampered(f"{name} is not JSON: {error}") from error


def _document(raw: bytes, name: str) -> dict[str, Any]:
    found = _json(raw, name)
    if not isinstance(found, dict):
        raise Tampered(f"{name} is not an object")
    return found


def _objects(found: object, kinds: Mapping[str, type]) -> list[dict[str, Any]]:
    """A list of objects that have these members, of these types."""
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Tampered("a list of the bundle is not one")
    for one in found:
        if any(type(one.get(name)) is not kind for name, kind in kinds.items()):
            raise Tampered("a list of the bundle has a malformed entry")
    return found


def _path(found: object) -> list[bytes]:
    if not isinstance(found, list) or len(found) > HASHES_MAX:
        raise Tampered("a proof has no path")
    try:
        return [from_base64(item) for item in found if isinstance(item, str)]
    except BadNote as error:
        raise Tampered(f"a line of a proof is {error}") from error
