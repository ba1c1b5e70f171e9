"""From one signing key to the next, so that a crash at any point leaves one of the two in force.

The steps, each durable before the next:

1. `signing.key.next` holds the new key;
2. the ledger has `audit.key_rotated`, signed by both (from here on the new key is in force);
3. the checkpoint over it is signed by both;
4. `vkey` names the new key;
5. `signing.key.next` becomes `signing.key`, and the old one is gone.

A start before step 2 forgets the new key; a start after it does the steps that are left.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from sekisho_audit.checkpoint import BadNote, Checkpoint, Signer, VerifierKey, check_name
from sekisho_audit.durable import create, replace_file, sync_directory
from sekisho_audit.errors import Unusable
from sekisho_audit.key_chain import KeyChain, Rotation, statement
from sekisho_audit.key_provider import KEY_BYTES, PLAIN_FILES, KeyProvider, KeyUnavailable

_KEY, _NEXT, _VKEY = "signing.key", "signing.key.next", "vkey"


class HandOver:
    """The signing keys of one ledger. `signer` is the one in force, after `settle`."""

    def __init__(
        self,
        keys_dir: Path,
        ledger: Path,
        origin: str,
        seed: bytes,
        *,
        known: bool,
        provider: KeyProvider = PLAIN_FILES,
    ) -> None:
        """`seed` is what `signing.key` holds; `known`: the ledger has begun.

        Raises Unusable if `vkey` names neither key, or is gone.
        """
        self._keys_dir = keys_dir
        self._provider = provider
        self._vkey = ledger / _VKEY
        self._origin = check_name(origin)
        self.signer = Signer(origin, seed)
        self._next = self._pending()
        self._former: Signer | None = None
        self._chain = KeyChain(self.signer.key)
        if not self._vkey.exists():
            if known:
                raise Unusable(f"{self._vkey} is missing; restore it from its backup")
        elif self._vkey.read_bytes() not in {_line(one) for one in self._signers()}:
            raise Unusable(
                f"{self._vkey} names another key or origin than signing.key and the settings; "
                "restore the keys of the ledger's own time (if the signing key was changed: those "
                "of after it), or use the origin the ledger was made with"
            )

    def name_key(self) -> None:
        """Write `vkey` where there is none. A ledger with it is one that has all its keys."""
        if not self._vkey.exists():
            create(self._vkey, _line(self.signer))

    def _pending(self) -> Signer | None:
        path = self._keys_dir / _NEXT
        if not path.exists():
            return None
        try:
            # Under the name that it is to have.
            return Signer(self._origin, self._provider.unwrap(_KEY, path.read_bytes()))
        except KeyUnavailable:
            return None  # killed while making it, so nothing was built on it

    def _signers(self) -> list[Signer]:
        return [self.signer] + ([self._next] if self._next else [])

    @property
    def candidates(self) -> list[VerifierKey]:
        """Keys that may have signed the last checkpoint."""
        return [signer.key for signer in reversed(self._signers())]

    @property
    def keys(self) -> list[VerifierKey]:
        """All keys that this ledger ever had, the one in force last."""
        return self._chain.keys

    @property
    def rotations(self) -> Sequence[Rotation]:
        """How they followed one another."""
        return self._chain.rotations

    def settle(self, rotations: list[Rotation]) -> None:
        """Find out which key the ledger says is in force. Raises Unusable if we do not have it."""
        try:
            self._chain = KeyChain(self.signer.key, rotations)
        except BadNote as error:
            raise Unusable(f"the keys of the ledger do not follow one another: {error}") from error
        if self._chain.current == self.signer.key:
            if self._vkey.read_bytes() != _line(self.signer):
                raise Unusable(f"{self._vkey} names a key that the ledger does not know")
            self._forget_next()
        elif self._next is not None and self._chain.current == self._next.key:
            self._former, self.signer, self._next = self.signer, self._next, None
        else:
            raise Unusable(
                f"the ledger's key is {self._chain.current.line()}, since event "
                f"{rotations[-1].index}, and signing.key is another: restore the keys of after "
                "the rotation"
            )

    def _forget_next(self) -> None:
        self._next = None
        (self._keys_dir / _NEXT).unlink(missing_ok=True)
        sync_directory(self._keys_dir)

    def prepare(self) -> Signer:
        """Step 1: a new key. Nothing depends on it yet. Raises OSError."""
        self._forget_next()
        create(self._keys_dir / _NEXT, self._provider.wrap(_KEY, secrets.token_bytes(KEY_BYTES)))
        found = self._pending()
        if found is None:
            raise OSError(f"{self._keys_dir / _NEXT} was not written whole")
        return found

    def words(self, new: Signer, before: Checkpoint) -> dict[str, str]:
        """The data of the event of step 2."""
        note = self.signer.sign_text(statement(before, new.key), new)
        return {"old": self.signer.key.line(), "new": new.key.line(), "note": note.decode()}

    def take_over(self, new: Signer, before: Checkpoint) -> None:
        """Step 2 is done: the new key is in force."""
        rotation = Rotation(before.size, self.signer.key, new.key, before)
        self._chain = KeyChain(self.signer.key, [*self._chain.rotations, rotation])
        self._former, self.signer = self.signer, new

    def finish(self, now: Checkpoint, publish: Callable[[bytes], None]) -> None:
        """Steps 3 to 5, as far as they are not done. Raises OSError."""
        if self._former is None:
            return
        publish(self.signer.sign(now, self._former))
        replace_file(self._vkey, _line(self.signer))
        (self._keys_dir / _NEXT).rename(self._keys_dir / _KEY)
        sync_directory(self._keys_dir)
        self._former = None


def _line(signer: Signer) -> bytes:
    return f"{signer.key.line()}\n".encode()
