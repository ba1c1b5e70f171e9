"""What the writer signs: a note for each size, the published checkpoint, the copy beside the keys.

Used by the writer's thread; `signed`, `key` and `keys` may be read from any.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sekisho_audit.checkpoint import Checkpoint, Signer, VerifierKey
from sekisho_audit.durable import replace_file
from sekisho_audit.hand_over import HandOver
from sekisho_audit.last_signed import LastSigned


class SignedNotes:
    """The notes of one ledger under the key in force."""

    def __init__(self, ledger: Path, hand_over: HandOver, last_signed: LastSigned) -> None:
        self._path = ledger / "checkpoint"
        self._hand_over = hand_over
        self._last_signed = last_signed
        self._noted = (-1, b"")
        self.signed: tuple[Checkpoint, bytes] | None = None  # the last published, with its note

    @property
    def key(self) -> VerifierKey:
        """The key that signs."""
        return self._hand_over.signer.key

    @property
    def keys(self) -> Sequence[VerifierKey]:
        """All keys that this ledger ever had, the one that signs last."""
        return tuple(self._hand_over.keys)

    @property
    def rotations(self) -> Sequence[int]:
        """The indices of the events that changed the key."""
        return tuple(one.index for one in self._hand_over.rotations)

    @property
    def given_up(self) -> Checkpoint | None:
        """What was signed once and a person has given up, until the next writing."""
        return self._last_signed.given_up

    def known(self, size: int) -> bytes:
        """The note that was signed last, if it is of this size; else nothing."""
        return self._noted[1] if self._noted[0] == size else b""

    def note(self, now: Checkpoint) -> bytes:
        """A signed note: the same for all who ask at one size."""
        if self._noted[0] != now.size:
            self._noted = (now.size, self._hand_over.signer.sign(now))
        return self._noted[1]

    def text(self, body: str) -> bytes:
        """A signed note over a text that cannot be read as a checkpoint."""
        return self._hand_over.signer.sign_text(body)

    def write(self, now: Checkpoint, *, keep: bool) -> bytes | None:
        """Publish a checkpoint if it is another than the last. Raises OSError.

        `keep`: put it beside the keys at once, not when it is time.
        """
        if self.signed is not None and now == self.signed[0]:
            return None
        note = self.note(now)
        self._publish(note, keep=keep)
        self.signed = (now, note)
        return note

    def _publish(self, note: bytes, *, keep: bool = True) -> None:
        replace_file(self._path, note)
        self._last_signed.keep(note, now=keep or self.given_up is not None)

    def new_key(self, before: Checkpoint) -> tuple[Signer, dict[str, str]]:
        """A key to follow, and what the event says that names it. Raises OSError."""
        new = self._hand_over.prepare()
        return new, self._hand_over.words(new, before)

    def take_over(self, new: Signer, before: Checkpoint) -> None:
        """The event that names the key is durable: it signs from now on."""
        self._hand_over.take_over(new, before)
        self._noted = (-1, b"")

    def finish_hand_over(self, now: Checkpoint) -> None:
        """What is left to do of a change of keys, if there is one. Raises OSError."""
        self._hand_over.finish(now, self._publish)
