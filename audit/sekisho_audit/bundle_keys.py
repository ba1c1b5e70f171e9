"""The keys behind an evidence bundle, or a proof: from the one you keep to the one that signed it.

A bundle that was made after a change of keys carries each change: the event with its proofs, and in
it the note that both keys signed. One that was made before knows nothing of it; then the changes
come from elsewhere (`sekisho-audit keys --out`, or a newer bundle), and nobody need be believed for
them, since both keys signed each.

File of changes: lines as in the file of events, in the order of the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sekisho_audit.canon import NotCanonical, decode
from sekisho_audit.checkpoint import BadNote, VerifierKey
from sekisho_audit.events import BadEvent
from sekisho_audit.exports.tables import read_json_line
from sekisho_audit.form import check_leaf
from sekisho_audit.key_chain import ROTATED, KeyChain, Rotation

CHANGES_MAX = 10_000  # of keys of one ledger; each takes a stop of auditd
CHANGES_BYTES_MAX = 16 * 1024 * 1024
REPLACED = (
    "It is signed with a key that was replaced later. Whoever got hold of that key since could "
    "have made it, too: compare its checkpoint with the ledger (sekisho-audit verify --pinned)."
)
_OTHER_KEY = (
    "The bundle is signed with another key of this ledger's name than yours. If the key was "
    "changed, give the changes with --key-changes (from `sekisho-audit keys --out`, or out of a "
    "newer bundle); if it was not, somebody else made the bundle."
)


class UnknownKey(Exception):
    """Nothing leads from the key that is trusted to the one that signed."""


def read_changes(raw: bytes, origin: str) -> list[Rotation]:
    """The changes in a file of them. Raises BadNote for what is none of this ledger."""
    lines = raw.split(b"\n")
    if lines.pop() or len(lines) > CHANGES_MAX:
        raise BadNote("not a file of changes of keys")
    return [_change(line, origin) for line in lines]


def _change(line: bytes, origin: str) -> Rotation:
    try:
        event, _ = read_json_line(line)
        leaf = decode(event.body)
        check_leaf(leaf, event.index, origin)
    except (ValueError, NotCanonical, BadEvent) as error:
        raise BadNote(f"a change of keys that does not read: {error}") from error
    return rotation_in(leaf)


def rotation_in(leaf: Mapping[str, Any]) -> Rotation:
    """The change that a leaf of good form tells. Raises BadNote."""
    if leaf["type"] != ROTATED:
        raise BadNote(f"event {leaf['n']} changes no key")
    return Rotation.read(leaf)


def chain_of(
    own: Iterable[Rotation], given: Iterable[Rotation], held: VerifierKey, trusted: VerifierKey
) -> KeyChain:
    """The keys of the ledger: `own` changes are those in the bundle, `given` those brought along.

    `held` is the key that the bundle names. Raises BadNote if they contradict one another,
    UnknownKey if `trusted` is none of them.
    """
    known: dict[int, Rotation] = {}
    for one in own:
        if known.setdefault(one.index, one) is not one:
            raise BadNote(f"event {one.index} stands twice among the changes of keys")
    for one in given:
        if known.setdefault(one.index, one) != one:
            raise BadNote(f"event {one.index} changes another key than you say")
    chain = KeyChain(held, [known[index] for index in sorted(known)])
    if held not in chain.keys:
        raise BadNote("the changes of keys are not of the key that the bundle names")
    if trusted not in chain.keys:
        if trusted.name != held.name:
            raise BadNote("the bundle is of another ledger than your key")
        raise UnknownKey(_OTHER_KEY)
    return chain
