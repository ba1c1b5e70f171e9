"""What was signed last, kept beside the keys: notices a ledger that is older than its keys.

`<keys_dir>/last-signed` is a checkpoint of ours. A ledger that has fewer events, or others, was
restored from an old copy: going on would sign a second history. It is written at the
end, and with a checkpoint when the last writing is ten seconds ago, so that a busy ledger pays
for it once in ten checkpoints; what an old copy lacks of those seconds is not seen here.

It finds nothing if keys and ledger are copied back or cloned together. That takes an anchor.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sekisho_audit.checkpoint import BadNote, Checkpoint, VerifierKey, open_any, read_unverified
from sekisho_audit.durable import replace_file, sync_directory
from sekisho_audit.errors import SecondLedger, Unusable

KEPT_S = 10.0
NAME, ACCEPTED = "last-signed", "rollback-accepted"
_ADVICE = (
    "Either an old copy of the ledger was restored, or another machine has gone on under this "
    "name. Nothing was written. Find the ledger that has these events and start with it; if it "
    "is lost for good, see docs/howto/anchors.md"
)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A checkpoint of ours that is known elsewhere, and where. `signed`: by a key that we know; a
    copy from before a change of keys does not know the later one.
    """

    where: str
    checkpoint: Checkpoint
    signed: bool = True


def check_ancestors(kept: Iterable[Elsewhere], size: int, roots: Mapping[int, bytes]) -> None:
    """SecondLedger unless the ledger of `size` events leads back to every checkpoint."""
    for one in kept:
        told = one.checkpoint
        if not one.signed:
            _check_length(one, size)
            continue
        if told.size > size:
            raise SecondLedger(
                f"{one.where} has a checkpoint of ours over {told.size} events, and the ledger "
                f"has {size}. {_ADVICE}"
            )
        if roots.get(told.size) != told.root:
            raise SecondLedger(
                f"{one.where} has a checkpoint of ours over {told.size} events, and the first "
                f"{told.size} events here are others. {_ADVICE}"
            )


def _check_length(one: Elsewhere, size: int) -> None:
    """A longer ledger of our name, whoever signed it, is a reason to ask a person first."""
    if one.checkpoint.size > size:
        raise SecondLedger(
            f"{one.where} has a checkpoint under our name over {one.checkpoint.size} events, by a "
            f"key that is not known here, and the ledger has {size}. Either this is a copy from "
            "before the signing key was changed, or somebody else wrote that file. Nothing was "
            "written. Start with the ledger that has these events; if the file is a stranger's, "
            "move it elsewhere and keep it. See docs/howto/anchors.md"
        )


class LastSigned:
    """The file beside the keys. Used by the writer's thread."""

    def __init__(self, keys_dir: Path) -> None:
        self._path = keys_dir / NAME
        self._accepted = keys_dir / ACCEPTED
        self._written_s = float("-inf")
        self.given_up: Checkpoint | None = None

    def read(self, keys: Sequence[VerifierKey]) -> list[Elsewhere]:
        """What was signed last, unless there is nothing or a person has given it up.

        Raises Unusable if the file is damaged.
        """
        if not self._path.exists():
            return []
        self._written_s = time.monotonic()
        raw = self._path.read_bytes()
        try:
            checkpoint = open_any(raw, keys)
        except BadNote as error:
            raise Unusable(
                f"{self._path}: {error}; it is no evidence: if the keys are the right ones, "
                "remove this file"
            ) from error
        if self._accepted.exists() and self._accepted.read_bytes() == raw:
            self.given_up = checkpoint
            return []
        return [Elsewhere(str(self._path), checkpoint)]

    def keep(self, note: bytes, *, now: bool = False) -> None:
        """Write it, if it is time. Raises OSError."""
        moment_s = time.monotonic()
        if not now and moment_s - self._written_s < KEPT_S:
            return
        replace_file(self._path, note)
        self._written_s = moment_s
        if self.given_up is not None:
            self._accepted.unlink(missing_ok=True)
            sync_directory(self._accepted.parent)
            self.given_up = None


def accept_rollback(keys_dir: Path, size: int) -> Checkpoint | None:
    """Give up what was signed last, for the next start; None if it is not of this size.

    The checkpoint is returned as it claims to be. Raises OSError, BadNote.
    """
    path = keys_dir / NAME
    if not path.exists():
        return None
    raw = path.read_bytes()
    told = read_unverified(raw)
    if told.size != size:
        return None
    replace_file(keys_dir / ACCEPTED, raw)
    return told
