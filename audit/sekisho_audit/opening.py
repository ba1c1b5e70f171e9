"""What a writer needs before its first word: the lock, the keys, what is on the disk, who signs.

The order is the promise. Nothing is read before the lock is held. The public key is written last of
all keys and before any segment: a start that was killed half way begins anew, and where there are
events no key is made, since a new one would pass for nobody ever having had another. Nothing is
written on before the ledger leads back to every checkpoint of ours that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sekisho_audit.checkpoint import VerifierKey
from sekisho_audit.durable import make_directory
from sekisho_audit.hand_over import HandOver
from sekisho_audit.key_provider import PLAIN_FILES, KeyProvider
from sekisho_audit.keyring import Keyring, check_apart, load_secrets
from sekisho_audit.last_signed import Elsewhere, LastSigned, check_ancestors
from sekisho_audit.recover import State, recover
from sekisho_audit.scan import EVENTS, PAYLOADS
from sekisho_audit.signed_notes import SignedNotes
from sekisho_audit.store import DirectoryLock

Kept = Callable[[Sequence[VerifierKey]], Sequence[Elsewhere]]


@dataclass(frozen=True, slots=True)
class Opened:
    """The parts of a ledger that is ours until the lock is released."""

    lock: DirectoryLock
    notes: SignedNotes
    keyring: Keyring
    state: State


def open_parts(
    ledger: Path,
    keys_dir: Path,
    origin: str,
    *,
    memory: int,
    kept: Kept,
    provider: KeyProvider = PLAIN_FILES,
) -> Opened:
    """Lock and recover a ledger; make its folders and keys if there is none.

    `memory`: how many events are remembered by id. `kept` is asked, with the keys, for checkpoints
    of ours elsewhere. Raises Locked, Unusable (SecondLedger among them), OSError, BadNote for the
    origin.
    """
    check_apart(ledger.parent if ledger.name == "ledger" else ledger, keys_dir)
    for part in (EVENTS.directory, PAYLOADS.directory):
        make_directory(ledger / part)
    lock = DirectoryLock(ledger)
    try:
        known = _has_begun(ledger)
        keys = load_secrets(keys_dir, create_missing=not known, provider=provider)
        hand_over = HandOver(keys_dir, ledger, origin, keys.signing, known=known, provider=provider)
        last_signed = LastSigned(keys_dir)
        elsewhere = [*last_signed.read(hand_over.candidates), *kept(hand_over.candidates)]
        keyring = Keyring(keys_dir / "principals.keys", keys.kek, create_missing=not known)
        hand_over.name_key()
        sizes = {one.checkpoint.size for one in elsewhere}
        state = recover(ledger, origin, hand_over.candidates, memory=memory, sizes=sizes)
        check_ancestors(elsewhere, state.edge.size, state.roots)
        hand_over.settle(state.rotations)
    except BaseException:
        lock.release()
        raise
    return Opened(lock, SignedNotes(ledger, hand_over, last_signed), keyring, state)


def _has_begun(ledger: Path) -> bool:
    segments = (any((ledger / family.directory).iterdir()) for family in (EVENTS, PAYLOADS))
    return (ledger / "vkey").exists() or any(segments)
