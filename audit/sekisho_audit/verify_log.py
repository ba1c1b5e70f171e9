"""The verifier over a network: is the log at this URL what was signed, and within its rules?

All entries are read, so the root is computed from the events themselves and every rule is checked
as for a directory; all hash tiles are read too and must be those of the entries. Of a pruned log
the rules' state at the cut is read first, and believed if an event of the log names it (`cut.py`).
What a server does not say is no proof of anything: a log that does not answer, or that shows an
older checkpoint than one that was kept, is `cannot tell`, never `sound`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sekisho_audit.checkpoint import BadNote, Checkpoint, VerifierKey
from sekisho_audit.compared_tiles import ComparedTiles, WrongTile
from sekisho_audit.cut import Cut
from sekisho_audit.kept import Kept, Unreadable
from sekisho_audit.key_chain import ROTATED, KeyChain, in_order
from sekisho_audit.pruned import DIRECTORY, PRUNED, STATE, BadPruned, Pruned, Record, record_of
from sekisho_audit.remote_log import NotThere, RemoteLog, Unreachable
from sekisho_audit.report import Report
from sekisho_audit.rules import Book
from sekisho_audit.served_files import Broken, Entries, ServedFiles
from sekisho_audit.tiles import WIDTH, TilePath
from sekisho_audit.tree import HASH_BYTES, leaf_hash
from sekisho_audit.verdict import Findings, Progress, Signed
from sekisho_audit.verify_keys import follow_leaves, hand_overs

CONTENT_NOT_SERVED = (
    "Sealed content is not served over a network: whether what events commit to is still there "
    "can be seen in the directory only."
)
PRUNED_LOG = (
    "they were pruned, as the log says. Their hashes lead to the root, and each entry served "
    "was looked at; whether entries follow from one another cannot be checked without the rules' "
    "state at the cut, which this log does not show: run `sekisho-audit verify` on the directory"
)
HIDDEN = "no event of the log says that they were pruned"
_KEY_OF_BEFORE = (
    "nothing that the log still serves leads from the given key to the one that signed the "
    "checkpoint: give the key of after the last change that was pruned"
)
_NOTHING = Entries(b"", "", 0)


class _Unruled(Book):
    """What came before is not known, so nothing can be said of what may follow."""

    def apply(self, leaf: Mapping[str, Any]) -> None:
        """Let anything pass."""


class _Reading:
    """One pass over one log."""

    def __init__(self, log: RemoteLog, progress: Progress) -> None:
        self._files = ServedFiles(log)
        self._tiles = ComparedTiles(self._files.tile)
        self._findings = Findings(progress)
        self._findings.see = self._see
        self._rotations: list[Mapping[str, Any]] = []
        self._prunings: list[Record] = []

    def _see(self, leaf: Mapping[str, Any]) -> None:
        """A change of keys stands behind exactly the events that both keys signed."""
        if leaf["type"] == ROTATED:
            self._rotations.append(leaf)
            self._findings.keep_root()
        elif leaf["type"] == PRUNED:
            self._prunings.append(record_of(leaf))

    def run(self, key: VerifierKey, kept: Kept) -> Report:
        """Read everything that the checkpoint covers."""
        findings = self._findings
        findings.report.content_read = False
        findings.note(CONTENT_NOT_SERVED)
        try:
            self._read(key, kept)
        except (Broken, WrongTile, BadPruned) as error:
            findings.fault(str(error), file=error.file)
        except (Unreachable, Unreadable) as error:
            findings.doubt(str(error))
        return findings.conclude()

    def _read(self, key: VerifierKey, kept: Kept) -> None:
        """Who may have signed the checkpoint is known when all was read that it covers."""
        findings, files = self._findings, self._files
        note, checkpoint = files.checkpoint()
        head, pruned = self._head(checkpoint.size), None
        if head is None:
            pruned = files.cut()
            # Asked for after the state: the event that names an honest one is below it.
            note, checkpoint = files.checkpoint()
        findings.origin = checkpoint.origin
        if checkpoint.origin != key.name:
            findings.fault("the checkpoint names another ledger than its key", file="checkpoint")
        cut = Cut(pruned, findings, self._prunings)
        findings.begin({checkpoint.size, *kept.expect(findings)})
        cut.carry_on()
        hidden = self._read_entries(checkpoint.size, head, pruned)
        self._tiles.finish()
        if hidden:
            self._say_pruned(hidden)
            if not self._is_known(key, note):
                findings.doubt(_KEY_OF_BEFORE)
                return
        cut.judge()
        chain = follow_leaves(self._changes(pruned), key, findings)
        try:
            chain.open(note)
        except BadNote as error:
            findings.fault(f"the checkpoint does not hold: {error}", file="checkpoint")
        self._compare(checkpoint, chain, kept, cut)
        cut.conclude(checkpoint.size)

    def _head(self, size: int) -> Entries | None:
        """The first bundle, None if it is not served."""
        try:
            return next((self._files.bundle(path) for path in _bundles(size)), _NOTHING)
        except NotThere:
            return None

    def _changes(self, pruned: Pruned | None) -> Iterator[Mapping[str, Any]]:
        carried = [] if pruned is None else pruned.rotations()
        held = ((leaf, b"") for leaf in self._rotations)
        return (leaf for leaf, _ in in_order((*carried, *held)))

    def _read_entries(self, size: int, head: Entries | None, pruned: Pruned | None) -> int:
        """The hashes of what was pruned, and all entries that are served; returns how many events
        are hidden, and no state was shown instead.
        """
        hidden, gone = 0, 0 if pruned is None else pruned.size
        if gone >= size > 0:
            raise Broken("it is of more events than the log has", f"{DIRECTORY}/{STATE}")
        paths = list(_bundles(size))
        if head is None and pruned is None and paths:
            first = self._files.first_bundle(paths)
            if not first:
                raise NotThere(f"the log has no tile/{paths[0]}")
            hidden = gone = first * WIDTH
            self._findings.book = _Unruled()
        for path in paths:
            begin = path.index * WIDTH
            below = max(0, min(gone - begin, path.width))
            if below:
                self._pass_over(path, below)
            if not below:
                bundle = head if head is not None and not begin else self._files.bundle(path)
                self._take(bundle)
            elif below < path.width:
                self._take(self._files.rest(gone, path.width - below))
        return hidden

    def _pass_over(self, path: TilePath, count: int) -> None:
        """The hashes of entries that are not served any more."""
        tile = TilePath(0, path.index, path.width)
        hashes = self._files.tile(tile)
        if len(hashes) != path.width * HASH_BYTES:
            raise Broken("the tile has not the hashes that it must have", f"tile/{tile}")
        hashes = hashes[: count * HASH_BYTES]
        for at in range(0, len(hashes), HASH_BYTES):
            self._findings.pass_over(hashes[at : at + HASH_BYTES])
        self._tiles.append(bytes(hashes))

    def _take(self, entries: Entries) -> None:
        hashes = bytearray()
        for at, body in entries:
            digest = leaf_hash(body)
            self._findings.take(body, digest, entries.file, at)
            hashes += digest
        self._tiles.append(bytes(hashes))

    def _say_pruned(self, below: int) -> None:
        """An event of the log itself says what was pruned; without one, entries are just hidden."""
        said = any(below - WIDTH < one.size <= below for one in self._prunings)
        hidden = f"tile/{TilePath(None, 0)} and all entries below {below} are not served"
        self._findings.doubt(f"{hidden}: {PRUNED_LOG if said else HIDDEN}")

    def _is_known(self, key: VerifierKey, note: bytes) -> bool:
        """Whether what is still served leads from this key to the checkpoint."""
        if self._rotations:
            said = [leaf["data"] for leaf in self._rotations]
            return key.line() in {one[name] for one in said for name in ("old", "new")}
        try:
            KeyChain(key).open(note)
        except BadNote:
            return False
        return True

    def _compare(self, checkpoint: Checkpoint, chain: KeyChain, kept: Kept, cut: Cut) -> None:
        findings = self._findings
        signed = [Signed(checkpoint, "checkpoint"), *hand_overs(chain)]
        signed += cut.signed(findings.origin)
        older = False
        for one in kept.open(chain, findings):
            if one.checkpoint.size <= checkpoint.size:
                signed.append(one)
                continue
            older = True
            findings.doubt(
                f"the log shows {checkpoint.size} events, the {one.name} says "
                f"{one.checkpoint.size}: it is behind, or events were removed. Ask again in a "
                "minute; if it stays so, keep both checkpoints as evidence"
            )
        findings.complete(signed, self._tiles.root)
        findings.compare(signed)
        if not older:
            kept.compare_leaf(chain, findings)
        findings.signed_at(checkpoint.size)


def _bundles(size: int) -> Iterator[TilePath]:
    """The path of each bundle of entries."""
    whole, rest = divmod(size, WIDTH)
    yield from (TilePath(None, index) for index in range(whole))
    if rest:
        yield TilePath(None, whole, rest)


def _nothing(_size: int) -> None:
    """Nobody watches the progress."""


def verify_log(
    log: RemoteLog, *, key: VerifierKey, kept: Kept, progress: Progress = _nothing
) -> Report:
    """Verify the log. Never raises for what it finds there."""
    return _Reading(log, progress).run(key, kept)
