"""Evidence bundles of a real ledger, and ways to change them afterwards."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sekisho.model.ids import uuid7
from sekisho_audit.canon import decode
from sekisho_audit.checkpoint import Signer, VerifierKey, read_unverified
from sekisho_audit.events import Event, Payload
from sekisho_audit.exports import bundle_form as form
from sekisho_audit.exports.bundle import Export, KeyChange, Pinned, Proved, write_bundle
from sekisho_audit.exports.tables import Stored
from sekisho_audit.exports.timeline import Timeline
from sekisho_audit.exports.zones import zone_named
from sekisho_audit.form import epochs_of
from sekisho_audit.key_chain import stored_rotations
from sekisho_audit.ledger import Ledger
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.seal import commit_key
from sekisho_audit.tiles import MemoryLevels, Tree
from sekisho_audit.tree import CompactRange, leaf_hash
from support.officers import OFFICER, in_office

Wanted = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Made:
    """What a bundle is written from."""

    export: Export
    events: list[Proved]
    signer: Signer

    def write(self, path: Path) -> Path:
        """The bundle as a file."""
        with path.open("wb") as out:
            write_bundle(out, self.export, self.events, zone_named("Asia/Tokyo"), self.sign)
        return path

    def sign(self, manifest: bytes) -> bytes:
        """As auditd signs."""
        index = self.export.event.event.index
        return self.signer.sign_text(form.signed_text(manifest, self.signer.key.name, index))


def bodies(ledger: Path) -> Iterator[Stored]:
    """All events of a ledger."""
    index = 0
    for segment in segments(ledger, EVENTS):
        for frame in frames(segment, EVENTS):
            yield Stored(index, frame.body)
            index += 1


def exported(
    ledger: Ledger, home: Path, wanted: Wanted, kept: bytes | None = None, **more: Any
) -> Made:
    """Select events, record the export, prove all; `kept` is a checkpoint to be consistent with."""
    if ledger.pseudonym_of(OFFICER) is None:
        in_office(ledger, OFFICER)
    chosen = [one for one in bodies(ledger.directory) if wanted(decode(one.body))]
    root, timeline = CompactRange(), Timeline()
    for one in chosen:
        root.append(leaf_hash(one.body))
        timeline.take(decode(one.body))
    asked = {"query": "effect:deny", "purpose": "case <b>42</b>", "ticket": "T-1", **more}
    data = {
        "format": "bundle",
        "found": timeline.found,
        "events": len(chosen),
        "size": ledger.size,
        "root": root.root().hex(),
    }
    payloads = tuple(
        Payload(name, str(text).encode(), str(text).encode()) for name, text in asked.items()
    )
    event = Event(uuid7(), "audit.export", None, None, data, OFFICER, payloads)
    ledger._append_own([event])
    ledger.write_checkpoint()
    return _made(ledger, home, chosen, event, asked, kept)


def _made(  # noqa: PLR0917 - the parts that `exported` has put together
    ledger: Ledger,
    home: Path,
    chosen: list[Stored],
    event: Event,
    asked: Mapping[str, Any],
    kept: bytes | None,
) -> Made:
    levels, last = MemoryLevels(), Stored(0, b"")
    for last in bodies(ledger.directory):
        levels.append(leaf_hash(last.body))
    tree = Tree(levels)
    proved = [Proved(one, tree.inclusion(one.index, levels.size)) for one in (*chosen, last)]
    secret = ledger.secret_of(str(ledger.pseudonym_of(OFFICER)), f"{epochs_of(event.id)[0]}/query")
    export = Export(
        key=VerifierKey.parse(ledger.key.line()),
        asked_by=OFFICER,
        event=proved[-1],
        commit_key=commit_key(secret or b"", event.id),
        note=(ledger.directory / "checkpoint").read_bytes(),
        pinned=None if kept is None else _pinned(kept, tree, levels.size),
        changes=list(_changes(ledger, tree, levels.size)),
        **asked,
    )
    signer = Signer(ledger.origin, (home / "keys" / "signing.key").read_bytes())
    return Made(export, proved[:-1], signer)


def _changes(ledger: Ledger, tree: Tree, size: int) -> Iterator[KeyChange]:
    for leaf, body in stored_rotations(ledger.directory):
        proved = Proved(Stored(leaf["n"], body), tree.inclusion(leaf["n"], size))
        yield KeyChange(proved, tree.consistency(leaf["n"], size))


def _pinned(kept: bytes, tree: Tree, size: int) -> Pinned:
    older = read_unverified(kept).size
    return Pinned(kept, older, tree.consistency(older, size))


def parts(path: Path) -> dict[str, bytes]:
    """The files of a bundle."""
    with zipfile.ZipFile(path) as held:
        return {name: held.read(name) for name in held.namelist()}


def packed(path: Path, files: Mapping[str, bytes]) -> Path:
    """A bundle with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as held:
        for name, content in files.items():
            held.writestr(name, content)
    path.write_bytes(out.getvalue())
    return path
