"""What an anchor is: somebody elsewhere who can say later what this ledger was at a time.

An anchor is given a signed checkpoint with a way to prove that older ones lead to it, and returns
evidence: files that can be checked without it, years later. It belongs to one thread, may take as
long as its time-out says, and keeps nothing that a restart may not lose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sekisho_audit.checkpoint import Checkpoint, VerifierKey
from sekisho_audit.errors import SecondLedger

NOTE = "note"  # suffix of a signed note among the files of evidence


class AnchorFailed(Exception):
    """No evidence this time; `cause` is a stable word. It is tried again later."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Diverged(SecondLedger):
    """As SecondLedger; `proof` is a note that our key signed and this ledger does not lead to."""

    def __init__(self, message: str, proof: bytes = b"") -> None:
        super().__init__(message)
        self.proof = proof


@dataclass(frozen=True, slots=True)
class Since:
    """The tree at an older size: its root, and the proof that it is a prefix (RFC 6962)."""

    root: bytes
    path: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be anchored: a checkpoint of ours with its note.

    `keys` are all keys the ledger ever had. `since` gives the tree at any size up to this one;
    raises AnchorFailed while the tiles are being built.
    """

    checkpoint: Checkpoint
    note: bytes
    keys: Sequence[VerifierKey]
    since: Callable[[int], Since]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Files by suffix; the event names the digest of the one called `main`. `time_us` is when, in
    microseconds since 1970, if the anchor says so.
    """

    files: Mapping[str, bytes]
    main: str = NOTE
    time_us: int | None = None


class Anchor(Protocol):
    """One anchor of the settings."""

    name: str
    kind: str

    def look(self, claim: Claim) -> None:
        """Whether another ledger of our name is known there. Raises Diverged, AnchorFailed."""
        ...

    def take(self, claim: Claim) -> Evidence:
        """Anchor a checkpoint. Raises AnchorFailed, and Diverged as `look`."""
        ...
