"""What officers with the duty `export` ask: to select and record, then pages, and a signature.

export        {query, purpose, ticket?, format}  -> what was found, and the event on record
export_page   {first}                            -> events from that place on, with paths
export_sealed {digests}                          -> sealed payloads, for keys that are disclosed
export_sign   {manifest}                         -> a signed note over it (a blob), if it is true
export_since  {size}                             -> consistency with an earlier checkpoint
export_keys   {first}                            -> as a page, the events that changed the key
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sekisho_audit.desks import kept
from sekisho_audit.errand import Errand, Operation, failure
from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.events import Payload
from sekisho_audit.export_desk import (
    Export,
    changes_of,
    check_manifest,
    covered,
    manifest_of,
    packed,
    page_of,
    recorded,
    root_over,
    selected,
    signature,
    signed_size,
)
from sekisho_audit.exports.bundle_form import MANIFEST_BYTES_MAX
from sekisho_audit.log_desk import LogDesk
from sekisho_audit.officer_operations import needs, words
from sekisho_audit.places import payloads_of
from sekisho_audit.published import Excerpt
from sekisho_audit.scan import BrokenSegment
from sekisho_audit.wire import BLOBS_MAX, FRAME_BYTES_MAX, Malformed, encode

BUNDLE = "bundle"
FORMATS = ("csv", "jsonl", "parquet", BUNDLE)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SEALED_BYTES = FRAME_BYTES_MAX - 8 * 1024 * 1024
_PAGE_BYTES = 16 * 1024 * 1024

Answer = tuple[dict[str, Any], Sequence[bytes]]


def _answering(work: Callable[[Errand], Awaitable[Answer]]) -> Operation:
    """An operation whose answer takes a while."""

    def operation(errand: Errand) -> None:
        async def run() -> None:
            try:
                fields, blobs = await work(errand)
                answer = encode({"req": errand.req, **fields}, blobs)
            except LedgerError as error:
                answer = encode(failure(errand.req, error))
            except Malformed as error:
                answer = encode(failure(errand.req, Refused("bad_request", str(error))))
            except (BrokenSegment, OSError) as error:
                busy = Refused("busy", f"the ledger cannot be read now: {error}")
                answer = encode(failure(errand.req, busy))
            errand.connection.send(answer)

        errand.server.spawn(run())

    return needs("export", operation)


def _log(errand: Errand) -> LogDesk:
    return kept(errand.server.desks.log, "published log")


async def _export(errand: Errand) -> Answer:
    log, kind = _log(errand), errand.text("format")
    if kind not in FORMATS:
        raise Refused("bad_request", f"`format` is one of {', '.join(FORMATS)}")
    text = errand.text("query")
    said = [words(errand, "purpose")]
    if errand.message.get("ticket"):
        said.append(words(errand, "ticket"))
    size = await errand.written(signed_size)
    selection = await selected(kept(errand.server.desks.search, "search index"), text, size)
    signed = await covered(log, selection.size)
    data = {
        "format": kind,
        "found": selection.found,
        "events": len(selection.indices),
        "size": selection.size,
        "root": await root_over(log, signed, selection.indices),
    }
    asked = text.encode()
    payloads = [Payload("query", asked, asked), *said]
    officers = list(errand.connection.officers)
    place, key = await errand.written(lambda own: recorded(own, data, officers, payloads))
    export = Export(selection, place.index, await covered(log, place.index + 1), key)
    if kind == BUNDLE:
        export.says = manifest_of(export, data, place.leaf, officers[0], payloads)
    errand.server.exports.begin(errand.connection, export)
    told = {
        "found": selection.found,
        "events": len(selection.indices),
        "size": selection.size,
        "erased": selection.erased,
        "forgotten": selection.forgotten,
        "index": place.index,
        "commit_key": key.hex(),
        "note": export.signed[1].decode(),
        "vkey": errand.server.ledger.key.line(),
        "changes": len(errand.server.ledger.notes.rotations),
    }
    return told, ()


async def _page(errand: Errand) -> Answer:
    export, first = _export_of(errand), errand.whole("first")
    indices = page_of(export, first) if first >= 0 else ()
    excerpts = _fitting(await _log(errand).excerpt(export.signed, indices))
    lengths, bodies, paths = packed(excerpts)
    return {"indices": [one.index for one in excerpts], "lengths": lengths}, (bodies, paths)


def _fitting(excerpts: Sequence[Excerpt]) -> list[Excerpt]:
    """As many as one answer can hold; one at least."""
    fitting: list[Excerpt] = []
    size = 0
    for one in excerpts:
        size += len(one.body)
        if fitting and size > _PAGE_BYTES:
            break
        fitting.append(one)
    return fitting


async def _keys(errand: Errand) -> Answer:
    """Changes of keys with paths; for each, consistency with what both keys signed comes behind."""
    export, first = _export_of(errand), errand.whole("first")
    indices = changes_of(errand.server.ledger, export, first) if first >= 0 else ()
    log = _log(errand)
    excerpts = _fitting(await log.excerpt(export.signed, indices))
    lengths, bodies, paths = packed(excerpts)
    told = [one.index for one in excerpts]
    since = [await log.consistency(export.signed, index) for index in told]
    fields = {"indices": told, "lengths": lengths, "since": [len(path) for path in since]}
    return fields, (bodies, paths, b"".join(b"".join(path) for path in since))


async def _sealed(errand: Errand) -> Answer:
    """As many of the sealed payloads, from the first asked for on, as one answer can hold."""
    _export_of(errand)
    digests = errand.message.get("digests")
    if type(digests) is not list or not 0 < len(digests) <= BLOBS_MAX:
        raise Refused("bad_request", f"`digests` is a list of 1 to {BLOBS_MAX}")
    if not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in digests):
        raise Refused("bad_request", "a digest is 64 hex digits")
    ledger = errand.server.ledger.directory
    found = await asyncio.to_thread(lambda: dict(payloads_of(ledger, digests, 0)))
    told: list[str] = []
    size = 0
    for digest in digests:
        size += len(found.get(digest, b""))
        if told and size > _SEALED_BYTES:
            break
        told.append(digest)
    there = [digest for digest in told if digest in found]
    return {"told": len(told), "digests": there}, [found[digest] for digest in there]


async def _sign(errand: Errand) -> Answer:
    export = _export_of(errand)
    if len(errand.blobs) != 1 or len(errand.blobs[0]) > MANIFEST_BYTES_MAX:
        raise Refused("bad_request", "export_sign takes the manifest as its one blob")
    [manifest] = errand.blobs
    await asyncio.to_thread(check_manifest, export, manifest)
    note = await errand.written(lambda own: signature(own, export, manifest))
    return {"note": note.decode()}, ()


async def _since(errand: Errand) -> Answer:
    export, size = _export_of(errand), errand.whole("size")
    return {}, (b"".join(await _log(errand).consistency(export.signed, size)),)


def _export_of(errand: Errand) -> Export:
    return errand.server.exports.of(errand.connection)


EXPORT_OPERATIONS: dict[str, Operation] = {
    "export": _answering(_export),
    "export_page": _answering(_page),
    "export_sealed": _answering(_sealed),
    "export_sign": _answering(_sign),
    "export_since": _answering(_since),
    "export_keys": _answering(_keys),
}
