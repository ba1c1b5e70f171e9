"""What an insider can do to a ledger: with root, the signing key and every key of the content.

`Tape` is a ledger read into memory, changed there, and laid down again as its writer would have
written it: numbers, hashes, segments and signature all fit. What he does with it stands
in `insider_changes.py`.
"""

from __future__ import annotations

import hmac
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import orjson

from sekisho_audit.checkpoint import Checkpoint, Signer, VerifierKey, read_unverified
from sekisho_audit.form import epochs_of
from sekisho_audit.key_chain import ROTATED, statement
from sekisho_audit.keyring import Keyring
from sekisho_audit.retention import CONTENT, class_of
from sekisho_audit.scan import EVENTS, PAYLOADS, Family, frames, segments
from sekisho_audit.seal import commit_key, seal
from sekisho_audit.store import frame
from sekisho_audit.tree import CompactRange, leaf_hash
from support.ledgers import ORIGIN

Leaf = dict[str, Any]


@dataclass(frozen=True)
class Original:
    """A ledger that nobody has touched, and what the insider has: everything beside it."""

    home: Path
    directory: Path
    files: Mapping[str, bytes]
    bodies: tuple[bytes, ...]
    payloads: tuple[bytes, ...]
    firsts: Mapping[str, tuple[int, ...]]
    signers: tuple[Signer, ...]
    secrets: Mapping[str, bytes]
    sizes: tuple[int, ...]
    pinned: tuple[bytes, ...]

    @classmethod
    def read(cls, home: Path, pinned: list[bytes], seeds: Sequence[bytes]) -> Original:
        """The ledger in `home`, of which somebody else kept checkpoints; `seeds` are the signing
        keys that it had, the first one first: the insider copied each in time.
        """
        directory = home / "data" / "ledger"
        paths = [path for path in sorted(directory.rglob("*")) if path.is_file()]
        keys = home / "keys"
        ring = Keyring(keys / "principals.keys", (keys / "kek").read_bytes())
        bodies = tuple(_bodies(directory, EVENTS))
        krefs = {entry["kref"] for body in bodies for entry in orjson.loads(body)["pl"]}
        secrets = {}
        for kref in sorted(krefs):
            pseudonym, _, shelf = kref.partition("/")
            secret = ring.key_of(ring.principal_of(pseudonym) or "", shelf)
            if secret is not None:  # else erased: not even the insider has it
                secrets[kref] = secret
        ring.close()
        return cls(
            home,
            directory,
            {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths},
            bodies,
            tuple(_bodies(directory, PAYLOADS)),
            {
                family.directory: tuple(part.first for part in segments(directory, family))
                for family in (EVENTS, PAYLOADS)
            },
            tuple(Signer(ORIGIN, seed) for seed in seeds),
            secrets,
            tuple(read_unverified(note).size for note in pinned),
            tuple(pinned),
        )

    @property
    def key(self) -> VerifierKey:
        """The key that the auditor got long ago."""
        return self.signers[0].key

    def restore(self, where: Path) -> None:
        """Lay the untouched ledger down in `where`."""
        shutil.rmtree(where, ignore_errors=True)
        for name, content in self.files.items():
            path = where / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _bodies(directory: Path, family: Family) -> list[bytes]:
    return [item.body for part in segments(directory, family) for item in frames(part, family)]


@dataclass(frozen=True)
class Hint:
    """What a change did, so that the report can be asked for it.

    `first`: index of the first event that is not what it was; `size`: how many can be read.
    `file`, `offset`: the place of a change that shows by itself. `rule`: a rule was broken, too.
    """

    first: int | None = None
    size: int = 0
    file: str | None = None
    offset: int | None = None
    rule: bool = False


@dataclass
class Tape:
    """A ledger in the insider's hands. Changes begin in `low` and before `high`."""

    original: Original
    random: Random
    where: Path
    low: int
    high: int
    leaves: list[Leaf] = field(init=False)
    payloads: list[bytes] = field(init=False)
    spelled: dict[int, bytes] = field(default_factory=dict)
    signer: Signer | None = None  # who signs the checkpoint, if not the key in force
    origin: str = ORIGIN

    def __post_init__(self) -> None:
        self.leaves = [orjson.loads(body) for body in self.original.bodies]
        self.payloads = list(self.original.payloads)

    # -- looking for something to change

    def pick(self, *types: str, fits: Callable[[Leaf], bool] | None = None) -> int | None:
        """The index of a random event of these types."""
        found = [
            index
            for index in range(self.low, min(self.high, len(self.leaves)))
            if (not types or self.leaves[index]["type"] in types)
            and (fits is None or fits(self.leaves[index]))
        ]
        return self.random.choice(found) if found else None

    def events_of(self, exchange: str) -> list[int]:
        """The indices of all events of an exchange."""
        return [i for i, leaf in enumerate(self.leaves) if leaf["exchange"] == exchange]

    def pick_exchange(self, fits: Callable[[list[Leaf]], bool] | None = None) -> list[int] | None:
        """All events of a random exchange that begins in the range."""
        begun = {
            leaf["exchange"]
            for leaf in self.leaves[self.low : self.high]
            if leaf["type"] == "request.received"
        }
        found = []
        for exchange in sorted(begun):
            indices = self.events_of(exchange)
            if indices[0] >= self.low and (fits is None or fits([self.leaves[i] for i in indices])):
                found.append(indices)
        return self.random.choice(found) if found else None

    def pseudonym(self, *but: str | None) -> str | None:
        """Somebody whose keys the insider has, and who is none of these."""
        found = sorted({kref.split("/")[0] for kref in self.original.secrets} - {*but, None})
        return self.random.choice(found) if found else None

    # -- making content

    def content(self, leaf: Leaf, name: str, text: bytes) -> Leaf | None:
        """A payload of `leaf` with other content, sealed with the right key, and stored."""
        dated = leaf["exchange"] or leaf["id"]
        which = class_of(leaf["type"], name)
        shelf = epochs_of(dated)[0] + ("" if which == CONTENT else f"/{which}")
        kref = f"{leaf['principal'] or leaf['actor']}/{shelf}"
        secret = self.original.secrets.get(kref)
        if secret is None:
            return None
        stored = seal(secret, leaf["id"], name, text)
        self.payloads.append(stored)
        return {
            "name": name,
            "len": len(text),
            "commit": hmac.digest(commit_key(secret, dated), text, "sha256").hex(),
            "kref": kref,
            "ct": sha256(stored).hexdigest(),
            "alg": "hkdf-sha256+aes-256-gcm",
        }

    def drop_content(self, entry: Leaf) -> None:
        """Nothing is stored of a payload any more."""
        gone = entry.pop("ct")
        entry.pop("alg")
        self.payloads = [body for body in self.payloads if sha256(body).hexdigest() != gone]

    # -- laying it down again

    def number(self) -> None:
        """Indices, the name of the ledger, and the indices that events name."""
        for index, leaf in enumerate(self.leaves):
            leaf["n"], leaf["log"] = index, self.origin
            if leaf["type"] == "audit.boot":
                leaf["data"]["last"] = index - 1
            for name in ("first", "last") if leaf["type"] == "audit.disclosed" else ():
                leaf["data"][name] = min(leaf["data"][name], index - 1)
            if leaf["type"] == "audit.export":
                leaf["data"]["size"] = min(leaf["data"]["size"], index)

    def write(self, *, signed: bool = True) -> int:
        """Write segments, and a new checkpoint if it is to be signed; returns the size."""
        self.number()
        edge, bodies, digests = CompactRange(), [], []
        for index, leaf in enumerate(self.leaves):
            if leaf["type"] == ROTATED and self.origin == ORIGIN:
                self.hand_over(leaf, edge.root())
            body = self.spelled.get(index) or orjson.dumps(leaf, option=orjson.OPT_SORT_KEYS)
            bodies.append(body)
            digests.append(leaf_hash(body))
            edge.append(digests[-1])
        self._segments(EVENTS, [frame(d, b) for d, b in zip(digests, bodies, strict=True)])
        self._segments(PAYLOADS, [frame(sha256(body).digest(), body) for body in self.payloads])
        if signed:
            self.sign(len(bodies), edge.root())
        return len(bodies)

    def sign(self, size: int, root: bytes) -> None:
        """Put a checkpoint there, and the key that signed it."""
        signer = self.signer or self.in_force()
        note = signer.sign(Checkpoint(self.origin, size, root))
        (self.where / "checkpoint").write_bytes(note)
        (self.where / "vkey").write_bytes(f"{signer.key.line()}\n".encode())

    def in_force(self) -> Signer:
        """The key in force behind the last event."""
        changes = [leaf for leaf in self.leaves if leaf["type"] == ROTATED]
        # An insider may repeat a change of keys; there are no more keys for that.
        return self.original.signers[min(len(changes), len(self.original.signers) - 1)]

    def hand_over(self, leaf: Leaf, root: bytes, *signers: Signer) -> None:
        """Let both keys, or these, sign a change of keys over the events before it."""
        known = {signer.key.line(): signer for signer in self.original.signers}
        old, new = known[leaf["data"]["old"]], known[leaf["data"]["new"]]
        text = statement(Checkpoint(self.origin, leaf["n"], root), new.key)
        first, *others = signers or (old, new)
        leaf["data"]["note"] = first.sign_text(text, *others).decode()

    def _segments(self, family: Family, stored: list[bytes]) -> None:
        folder = self.where / family.directory
        for path in folder.iterdir():
            path.unlink()
        firsts = [one for one in self.original.firsts[family.directory] if one <= len(stored)]
        for first, end in zip(firsts, [*firsts[1:], len(stored)], strict=True):
            body = family.header(first) + b"".join(stored[first:end])
            (folder / f"{first:012d}.seg").write_bytes(body)

    def lay_down(self, first: int, *, signed: bool = True, rule: bool = False) -> Hint:
        """Write everything; the hint of a change that begins at `first`."""
        return Hint(first, self.write(signed=signed), rule=rule)


def laid_down(original: Original, where: Path, change: Callable[[Tape], None]) -> None:
    """In `where` the ledger as it is after this `change`, with all that the insider can mend."""
    original.restore(where)
    chance = Random("7")  # noqa: S311 - no secret, and the same each time
    tape = Tape(original, chance, where, 0, len(original.bodies))
    change(tape)
    tape.write()
