"""auditd's counter for exports: each is recorded before its first event leaves, and is what was
recorded.

An export belongs to the connection that asked for it, one at a time, and ends with it. Its events,
their number and their order are fixed in the event `audit.export`; all of them, and that event, are
told under one checkpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.events import Appended, Event, Payload
from sekisho_audit.exports.bundle_form import FORMAT, manifest_bytes, signed_text
from sekisho_audit.following import Question
from sekisho_audit.ids import began_us, uuid7
from sekisho_audit.ledger import Ledger
from sekisho_audit.log_desk import LogDesk
from sekisho_audit.published import Excerpt, Signed
from sekisho_audit.seal import commit_key
from sekisho_audit.search import PAGE_MAX
from sekisho_audit.search_desk import SearchDesk, Searched
from sekisho_audit.tree import CompactRange

if TYPE_CHECKING:
    from sekisho_audit.connection import Connection

EVENTS_MAX = 200_000  # as bundle_form: more is an archive
PAGE_EVENTS = 1_000
SHOWN_S = 15.0  # until a checkpoint covers the export and its tiles are there
_POLL_S = 0.05
_OF_THE_CLIENT = frozenset({"at_us", "time_zone", "files"})  # compared by whoever verifies


@dataclass(frozen=True, slots=True)
class Selection:
    """What a search found: the indices of all events, ascending; how many trails they are of; how
    many events the ledger had; how many trails could not be searched for texts, and how many events
    are of erased people.
    """

    indices: tuple[int, ...]
    found: int
    size: int
    erased: int
    forgotten: int


@dataclass(slots=True)
class Export:
    """An export that is on record."""

    selection: Selection
    index: int
    signed: Signed
    commit_key: bytes
    # What a manifest of it must say, all but times and files; None if it is no bundle.
    says: Mapping[str, object] | None = None


class ExportDesk:
    """Exports under way, by connection. Used by the event loop."""

    def __init__(self) -> None:
        self._open: WeakKeyDictionary[Connection, Export] = WeakKeyDictionary()

    def begin(self, connection: Connection, export: Export) -> None:
        """From now on this is the connection's export."""
        self._open[connection] = export

    def of(self, connection: Connection) -> Export:
        """The connection's export. Raises Refused."""
        export = self._open.get(connection)
        if export is None:
            raise Refused("no_export", "begin with `export`: nothing leaves that is not recorded")
        return export


async def selected(search: SearchDesk, query: str, size: int) -> Selection:
    """All that a query finds in the first `size` events, or in more. Raises Refused."""
    until = asyncio.get_running_loop().time() + SHOWN_S
    page = await _asked(search, partial(_page, query, ""))
    while page["indexed"] < size:
        if asyncio.get_running_loop().time() > until:
            raise Refused("busy", "the search index is behind the ledger; try again in a minute")
        await asyncio.sleep(_POLL_S)
        page = await _asked(search, partial(_page, query, ""))
    first, indices, found = page, [], 0
    while True:
        found += len(page["data"])
        for trail in page["data"]:
            indices += trail["events"]
        if len(indices) > EVENTS_MAX:
            raise Refused("too_many", f"more than {EVENTS_MAX} events fit: narrow the query")
        if not page["after"]:
            break
        page = await _asked(search, partial(_page, query, page["after"]))
    return Selection(
        tuple(sorted(indices)), found, first["indexed"], first["erased"], first["forgotten"]
    )


def _page(query: str, after: str, searched: Searched) -> dict[str, Any]:
    return searched.page(query, after, PAGE_MAX)


async def _asked(search: SearchDesk, ask: Callable[[Searched], dict[str, Any]]) -> dict[str, Any]:
    """Ask the search index, which answers from its own thread. Raises LedgerError."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[dict[str, Any]] = loop.create_future()

    def settle(found: dict[str, Any] | None, error: LedgerError | None) -> None:
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(found or {})

    search.submit(
        Question(
            ask,
            lambda found: _discard(loop.call_soon_threadsafe(settle, found, None)),
            lambda error: _discard(loop.call_soon_threadsafe(settle, None, error)),
        )
    )
    return await done


def _discard(_: object) -> None:
    """The handle of a call is of no interest."""


async def covered(log: LogDesk, size: int) -> Signed:
    """The checkpoint shown, once it covers `size` events. Raises Refused (`busy`)."""
    until = asyncio.get_running_loop().time() + SHOWN_S
    while True:
        shown = None
        with contextlib.suppress(Refused):  # `busy`, while the tiles are built
            shown = await log.shown()
        if shown is not None and shown[0].size >= size:
            return shown
        if asyncio.get_running_loop().time() > until:
            raise Refused("busy", "the tiles of the ledger are late; try again in a minute")
        await asyncio.sleep(_POLL_S)


async def root_over(log: LogDesk, signed: Signed, indices: Sequence[int]) -> str:
    """The root hash over the leaves of a selection."""
    root = CompactRange()
    for at in range(0, len(indices), PAGE_EVENTS):
        for digest in await log.digests(signed, indices[at : at + PAGE_EVENTS]):
            root.append(digest)
    return root.root().hex()


def signed_size(ledger: Ledger) -> int:
    """How many events there are, all of them signed when this returns. In the writer's thread."""
    ledger.write_checkpoint()
    return ledger.size


def recorded(
    ledger: Ledger, said: Mapping[str, object], officers: Sequence[str], words: Sequence[Payload]
) -> tuple[Appended, bytes]:
    """Record an export, in the writer's thread; returns its place and its commitments' key."""
    actor, *second = officers
    data = dict(said)
    if second:
        data["second"] = second[0]
    event = Event(uuid7(), "audit.export", None, None, data, actor, tuple(words))
    [place] = ledger.record_all([event])
    ledger.write_checkpoint()
    # All payloads of an export are of one class: one key makes their commitments.
    shelf = ledger.custody.shelves.of(event.type, "query", began_us(event.id) // 1_000_000)
    secret = ledger.secret_of(ledger.pseudonym_of(actor) or "", shelf)
    if secret is None:
        raise Refused("busy", "the officer's keys were erased meanwhile")
    return place, commit_key(secret, event.id)


def manifest_of(
    export: Export, told: Mapping[str, Any], leaf: str, asked_by: str, words: Sequence[Payload]
) -> dict[str, object]:
    """What the manifest of a bundle must say of an export: `told` is what its event says, `leaf`
    the hash of that event, `words` its query, purpose and ticket.
    """
    checkpoint = export.signed[0]
    return {
        "format": FORMAT,
        "ledger": checkpoint.origin,
        "asked_by": asked_by,
        **{one.name: one.exact.decode() for one in words},
        "export": {
            "index": export.index,
            "leaf_hash": leaf,
            "commit_key": export.commit_key.hex(),
        },
        "selection": {
            **{name: told[name] for name in ("found", "events", "size", "root")},
            "erased": export.selection.erased,
            "forgotten": export.selection.forgotten,
        },
        "checkpoint": {"size": checkpoint.size, "root": checkpoint.root.hex()},
    }


def check_manifest(export: Export, manifest: bytes) -> None:
    """Refused unless it says of the export what was recorded and counted.

    Some of that, e.g. how many events are of erased people, stands in no event: nobody but us can
    compare it.
    """
    if export.says is None:
        raise Refused("bad_request", "only a bundle has a manifest: export with that format")
    try:
        said = json.loads(manifest)
        plain = isinstance(said, dict) and manifest_bytes(said) == manifest
    except (ValueError, RecursionError) as error:
        raise Refused("bad_request", f"the manifest does not read: {error}") from error
    if not plain or said.keys() - export.says.keys() != _OF_THE_CLIENT:
        raise Refused("bad_request", "the manifest has not the form of one")
    for name, value in export.says.items():
        if said.get(name) != value:
            raise Refused("bad_request", f"the manifest tells another {name} than was recorded")


def signature(ledger: Ledger, export: Export, manifest: bytes) -> bytes:
    """The signed note over a manifest of this export. In the writer's thread."""
    return ledger.sign_text(signed_text(manifest, ledger.origin, export.index))


def changes_of(ledger: Ledger, export: Export, first: int) -> tuple[int, ...]:
    """A page of the events under the export's checkpoint that changed the signing key."""
    size = export.signed[0].size
    every = [index for index in ledger.notes.rotations if index < size]
    return tuple(every[first : first + PAGE_EVENTS])


def page_of(export: Export, first: int) -> tuple[int, ...]:
    """The indices of a page; the export's own event comes behind the last."""
    every = (*export.selection.indices, export.index)
    return every[first : first + PAGE_EVENTS]


def packed(excerpts: Sequence[Excerpt]) -> tuple[list[int], bytes, bytes]:
    """Events as lengths and bytes: each its leaf, with a path of `n` hashes behind all leaves."""
    lengths: list[int] = []
    for one in excerpts:
        lengths += [len(one.body), len(one.path)]
    return (
        lengths,
        b"".join(one.body for one in excerpts),
        b"".join(b"".join(one.path) for one in excerpts),
    )
