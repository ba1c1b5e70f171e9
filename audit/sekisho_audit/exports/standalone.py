#!/usr/bin/env python3
"""Checks an evidence bundle of a Sekisho ledger. One file, Python 3.11, nothing else.

    python3 -I verify.py BUNDLE --key VKEY [--pinned CHECKPOINT] [--key-changes FILE]

BUNDLE is the zip file or the folder it was unpacked to; VKEY the ledger's public key, a file or the
line itself, which you got from somewhere else than the bundle. If the key was changed since the
bundle was made, FILE has the changes (`key-changes.jsonl` of a newer bundle). Exit codes: 0 sound,
1 tampered, 2 cannot tell. Take this file from a copy you trust: one that came with a forged bundle
would say what it was forged to say.

It is written after the public formats (RFC 6962, RFC 8032, C2SP signed-note, tlog-checkpoint) and
the ledger's SPEC.md, apart from the program that writes bundles. Not checked here: that sealed
content decrypts to the texts that are disclosed (there is no AES in Python's library; the texts
themselves are compared with the ledger's commitments), and the form of events of each type.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import re
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FORMAT = "sekisho-evidence/v1"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(?:/[a-z0-9][a-z0-9._-]{0,99})?")
LINE = re.compile(rb'\{"index":(0|[1-9][0-9]{0,15}),"leaf_hash":"([0-9a-f]{64})","leaf":(.*)\}')
BYTES_MAX = 4 * 1024**3
FILES_MAX = 50_000
SMALL_MAX = 16 * 1024**2
LINE_MAX = 70_000
HASHES_MAX = 64


CHANGES_MAX = 10_000
REPLACED = (
    "The bundle is signed with a key that was replaced later; whoever got hold of that key since "
    "could have made it, too. Compare its checkpoint with the ledger."
)
OTHER_KEY = (
    "the bundle is signed with another key of this ledger's name than yours; if the key was "
    "changed, give the changes with --key-changes"
)

SOUND = "SOUND: this bundle is what the ledger's key signed."
TAMPERED = "TAMPERED: this bundle is not what it claims to be."
UNCLEAR = "CANNOT TELL: nothing can be said about this bundle."


class Tampered(Exception):
    """Something is not as it must be."""


class Unclear(Exception):
    """Nothing can be said."""


# -- Ed25519 (RFC 8032, 5.1): verification only, so nothing here is secret

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int, int, int]
NEUTRAL: Point = (0, 1, 1, 0)


def add(a: Point, b: Point) -> Point:
    """The sum of two points in extended coordinates."""
    s, t = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    u, v = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = t - s, v - u, v + u, t + s
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(factor: int, point: Point) -> Point:
    """A multiple of a point."""
    found = NEUTRAL
    while factor:
        if factor & 1:
            found = add(found, point)
        point = add(point, point)
        factor >>= 1
    return found


def x_of(y: int, sign: int) -> int:
    """The x that belongs to y. Raises Tampered if no point has it."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        raise Tampered("a key or signature is no point of the curve")
    return P - x if x & 1 != sign else x


def point_of(raw: bytes) -> Point:
    """The point in 32 bytes."""
    number = int.from_bytes(raw, "little")
    y = number & (2**255 - 1)
    if y >= P:
        raise Tampered("a key or signature is no point of the curve")
    x = x_of(y, number >> 255)
    return x, y, 1, x * y % P


BASE_Y = 4 * pow(5, -1, P) % P
BASE_X = x_of(BASE_Y, 0)
BASE: Point = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def signed_by(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is of a message by a key."""
    if len(signature) != 64:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    factor = int.from_bytes(digest, "little") % L
    left = times(scalar, BASE)
    right = add(point_of(signature[:32]), times(factor, point_of(public)))
    return not ((left[0] * right[2] - right[0] * left[2]) % P) and not (
        (left[1] * right[2] - right[1] * left[2]) % P
    )


# -- keys, notes, checkpoints (C2SP)

Key = tuple[str, bytes, bytes]
Change = tuple[Key, Key, tuple[int, bytes]]


def from_base64(text: str) -> bytes:
    """Bytes of base64 in its one form."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Tampered("something is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise Tampered("something is not base64")
    return raw


def key_of(line: str) -> Key:
    """Name, key id and public key of a verifier key line."""
    name, _, rest = line.strip().partition("+")
    ident, _, encoded = rest.partition("+")
    raw = from_base64(encoded)
    known = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if len(raw) != 33 or raw[0] != 1 or known.hex() != ident or not name:
        raise Tampered("not an Ed25519 verifier key")
    return name, known, raw[1:]


def opened(raw: bytes, key: Key) -> str:
    """The text of a note that the key signed."""
    text = utf8(raw)
    body, gap, tail = text.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise Tampered("a note has no signature")
    body += "\n"
    ours = 0
    for line in tail[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        blob = from_base64(encoded)
        if dash != "\u2014":
            raise Tampered("a signature line is malformed")
        if name == key[0] and blob[:4] == key[1]:
            ours += 1
            if not signed_by(key[2], body.encode(), blob[4:]):
                raise Tampered("a signature does not fit its text")
    if not ours:
        raise Tampered("a note is not signed by this key")
    return body


def state_of(body: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint."""
    lines = body.split("\n")
    if len(lines) < 4 or not re.fullmatch(r"0|[1-9][0-9]{0,15}", lines[1]):
        raise Tampered("not a checkpoint")
    root = from_base64(lines[2])
    if len(root) != 32:
        raise Tampered("not a checkpoint")
    return lines[0], int(lines[1]), root


def change_of(leaf: dict[str, Any], index: int) -> Change:
    """Old key, new key, and the state before, of an event that changed the key: both signed it."""
    data = leaf["data"]
    if leaf["type"] != "audit.key_rotated":
        raise Tampered(f"event {index} changes no key")
    old, new, note = key_of(data["old"]), key_of(data["new"]), data["note"].encode()
    body = opened(note, old)
    opened(note, new)
    origin, size, root = state_of(body)
    checkpoint = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    if body != f"{checkpoint}sekisho key rotation v1 {data['new']}\n":
        raise Tampered(f"event {index}: what both keys signed does not name the new one")
    if (
        old == new
        or not old[0] == new[0] == origin == leaf["log"]
        or not size == index == leaf["n"]
    ):
        raise Tampered(f"event {index} is no change of keys of this ledger")
    return old, new, (size, root)


def keys_after(held: Key, changes: dict[int, Change]) -> list[Key]:
    """All keys, in order; no key comes back."""
    keys = [changes[min(changes)][0] if changes else held]
    for _, (old, new, _) in sorted(changes.items()):
        if old != keys[-1] or new in keys:
            raise Tampered("the changes of keys do not follow one another")
        keys.append(new)
    return keys


# -- the tree (RFC 6962; proofs after RFC 9162, 2.1.3.2 and 2.1.4.2)


def leaf_hash(body: bytes) -> bytes:
    """Hash of a leaf."""
    return hashlib.sha256(b"\0" + body).digest()


def joined(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees."""
    return hashlib.sha256(b"\1" + left + right).digest()


def leads_to(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path leads to."""
    place, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Tampered("a proof is too long")
        if place & 1 or place == last:
            found = joined(sibling, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = joined(found, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise Tampered("a proof is too short")
    return found


def consistent(old: tuple[int, bytes], new: tuple[int, bytes], path: list[bytes]) -> bool:
    """Whether the old tree is the beginning of the new one."""
    if not 0 < old[0] <= new[0]:
        return False
    if old[0] == new[0]:
        return not path and old[1] == new[1]
    hashes = [old[1], *path] if old[0] & (old[0] - 1) == 0 else list(path)
    if not hashes:
        return False
    place, last = old[0] - 1, new[0] - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = joined(sibling, first), joined(sibling, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = joined(second, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and first == old[1] and second == new[1]


def grown(edge: list[tuple[int, bytes]], leaf: bytes) -> None:
    """Add a leaf to the perfect subtrees along the right edge of a tree."""
    width = 1
    while edge and edge[-1][0] == width:
        leaf, width = joined(edge.pop()[1], leaf), width * 2
    edge.append((width, leaf))


def root_of(edge: list[tuple[int, bytes]]) -> bytes:
    """Root of the tree with this right edge."""
    if not edge:
        return hashlib.sha256(b"").digest()
    found = edge[-1][1]
    for _, part in reversed(edge[:-1]):
        found = joined(part, found)
    return found


# -- the files of a bundle


class Bundle:
    """A zip file or a folder, read strictly and within limits."""

    def __init__(self, path: Path) -> None:
        self.zip: zipfile.ZipFile | None = None
        self.folder = path
        if path.is_dir():
            self.names = sorted(
                one.relative_to(path).as_posix() for one in path.rglob("*") if not one.is_dir()
            )
            if any((path / name).is_symlink() for name in self.names):
                raise Tampered("there is a link in the folder")
            return
        try:
            self.zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise Unclear(f"the bundle cannot be read: {error}") from error
        self._check(path.stat().st_size)

    def _check(self, length: int) -> None:
        members = self.zip.infolist() if self.zip else []
        self.names = [member.filename for member in members]
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            odd = member.flag_bits & 1 or kind not in {0, stat.S_IFREG}
            if odd or member.filename != member.orig_filename:
                raise Tampered(f"{member.filename[:80]!r} is no plain file")
        if len(members) > FILES_MAX or len(set(self.names)) != len(members):
            raise Tampered("too many files, or a name that stands twice")
        if sum(member.file_size for member in members) > BYTES_MAX:
            raise Tampered("unpacked, it is larger than a bundle may be")
        if sum(member.compress_size for member in members) > length:
            raise Tampered("files overlap")

    def pieces(self, name: str) -> Iterator[bytes]:
        """The content of a file."""
        count = 0
        try:
            if self.zip is None and name not in self.names:
                raise KeyError(name)
            with self.zip.open(name) if self.zip else (self.folder / name).open("rb") as file:
                while piece := file.read(1024 * 1024):
                    count += len(piece)
                    if count > BYTES_MAX:
                        raise Tampered(f"{name} is too long")
                    yield piece
        except KeyError as error:
            raise Tampered(f"{name} is missing") from error
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise Tampered(f"{name} does not unpack: {error}") from error

    def read(self, name: str) -> bytes:
        """A whole file of moderate size."""
        found = b""
        for piece in self.pieces(name):
            found += piece
            if len(found) > SMALL_MAX:
                raise Tampered(f"{name} is too long")
        return found

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file."""
        rest = b""
        for piece in self.pieces(name):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            if len(rest) > LINE_MAX:
                raise Tampered(f"a line of {name} is too long")
        if rest:
            raise Tampered(f"the last line of {name} is not whole")


def utf8(raw: bytes) -> str:
    """Text of UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Tampered("something is not UTF-8") from error


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no member stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def document(raw: bytes) -> Any:
    """JSON."""
    try:
        return json.loads(raw, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Tampered(f"something is not JSON: {error}") from error


# -- the check


class Check:
    """One bundle under one key."""

    def __init__(self, bundle: Bundle, key: Key | None, changes: bytes = b"") -> None:
        self.bundle = bundle
        self.raw = bundle.read("manifest.json")
        self.manifest = document(self.raw)
        if self.manifest["format"] != FORMAT:
            raise Unclear(f"the bundle is not of the format {FORMAT}")
        self.key = key_of(utf8(bundle.read("vkey")))
        self.trusted = key or self.key
        self.given = changes
        self.notes: list[str] = []
        self.doubts: list[str] = []

    def run(self, pinned: bytes | None) -> str:
        """Check all; returns what was checked."""
        self.files()
        self.origin, self.size, self.root = state_of(
            opened(self.bundle.read("checkpoint"), self.key)
        )
        self.follow()
        self.signatures()
        self.pinned(pinned)
        count = self.events()
        texts = self.disclosed()
        return (
            f"\nLedger      {self.origin}\nEvents      {count:,}, and the export, event "
            f"{self.manifest['export']['index']}\nSigned at   {self.size:,} events\n"
            f"Root hash   {self.root.hex()}\nDisclosed   {texts} texts\n"
        )

    def files(self) -> None:
        """Every file is the one in the manifest, and there is no other."""
        listed = self.manifest["files"]
        odd = set(listed) ^ (set(self.bundle.names) - {"manifest.json", "manifest.sig"})
        if odd:
            raise Tampered(f"files and manifest differ: {sorted(odd)[:5]}")
        for name, said in listed.items():
            if not NAME.fullmatch(name):
                raise Tampered(f"{name[:80]!r} is no name of a file in a bundle")
            digest, size = hashlib.sha256(), 0
            for piece in self.bundle.pieces(name):
                digest.update(piece)
                size += len(piece)
            if said != {"bytes": size, "sha256": digest.hexdigest()}:
                raise Tampered(f"{name} is not the file that was exported")

    def follow(self) -> None:
        """Changes of keys lead from the key that is trusted to the one that signed."""
        changes = self.own_changes()
        for line in self.given.splitlines()[:CHANGES_MAX]:
            found = LINE.fullmatch(line)
            if found is None:
                raise Tampered("not a file of changes of keys")
            index, change = int(found[1]), change_of(document(found[3]), int(found[1]))
            if changes.setdefault(index, change) != change:
                raise Tampered("the bundle tells another change of keys than you do")
        self.places, self.keys = sorted(changes), keys_after(self.key, changes)
        if self.key not in self.keys or self.key_at(self.size) != self.key:
            raise Tampered("the bundle is signed with a key that was not in force then")
        if self.trusted not in self.keys:
            if self.trusted[0] == self.key[0]:
                raise Unclear(OTHER_KEY)
            raise Tampered("the bundle is of another ledger than your key")
        if self.keys[-1] != self.key:
            self.notes.append(REPLACED)

    def own_changes(self) -> dict[int, Change]:
        """Those in the bundle, by their places; its checkpoint continues what both keys signed."""
        changes: dict[int, Change] = {}
        if "key-changes.jsonl" not in self.bundle.names:
            return changes
        proofs = self.bundle.lines("key-change-proofs.jsonl")
        for line in self.bundle.lines("key-changes.jsonl"):
            proof = next(proofs, b"")
            _, leaf = self.proved(line, iter([proof]))
            change = change_of(leaf, leaf["n"])
            since = path_of(document(proof)["since"])
            if not consistent(change[2], (self.size, self.root), since):
                raise Tampered("the checkpoint does not continue what both keys signed")
            if leaf["n"] in changes or len(changes) == CHANGES_MAX:
                raise Tampered("a change of keys stands twice, or there are too many")
            changes[leaf["n"]] = change
        if next(proofs, None) is not None:
            raise Tampered("there are more proofs than changes of keys")
        return changes

    def key_at(self, size: int) -> Key:
        """The key that must have signed a checkpoint of this size."""
        return self.keys[sum(index < size for index in self.places)]

    def state_by(self, raw: bytes) -> tuple[int, bytes]:
        """Size and root of a checkpoint by the key in force at its size."""
        _, size, _ = state_of(utf8(raw).rpartition("\n\n")[0] + "\n")
        return state_of(opened(raw, self.key_at(size)))[1:]

    def signatures(self) -> None:
        """Manifest and checkpoint are signed by the ledger's key."""
        manifest, index = self.manifest, self.manifest["export"]["index"]
        if self.origin != self.key[0] or manifest["ledger"] != self.origin:
            raise Tampered("the checkpoint is of another ledger")
        digest = hashlib.sha256(self.raw).hexdigest()
        wanted = f"{FORMAT}\nexport {index} of {self.origin}\nsha256 {digest}\n"
        if opened(self.bundle.read("manifest.sig"), self.key) != wanted:
            raise Tampered("the signature is of another manifest")
        if manifest["checkpoint"] != {"size": self.size, "root": self.root.hex()}:
            raise Tampered("the manifest names another checkpoint")

    def pinned(self, given: bytes | None) -> None:
        """The ledger still begins as it did when you kept a checkpoint."""
        known = [(self.size, self.root)]
        if "pinned-checkpoint" in self.bundle.names:
            size, root = self.state_by(self.bundle.read("pinned-checkpoint"))
            path = path_of(document(self.bundle.read("consistency.json"))["path"])
            if not consistent((size, root), known[0], path):
                raise Tampered("the earlier checkpoint and this one do not belong together")
            known.append((size, root))
        if given is None:
            self.notes.append("No earlier checkpoint was compared with (--pinned).")
            return
        try:
            size, root = self.state_by(given)
        except Tampered as error:
            self.doubts.append(f"the checkpoint that you kept: {error}")
            return
        mine = [one for one in known if one[0] == size]
        if any(one[1] != root for one in mine):
            raise Tampered("the ledger was rewritten: your checkpoint has another root")
        if not mine:
            self.doubts.append("the bundle has no proof from the checkpoint that you kept")

    def proved(self, line: bytes, proofs: Iterator[bytes]) -> tuple[bytes, dict[str, Any]]:
        """An event that stands where it says; its hash and its leaf."""
        found = LINE.fullmatch(line)
        if found is None:
            raise Tampered("a line is no event")
        index, digest = int(found[1]), leaf_hash(found[3])
        proof, leaf = document(next(proofs, b"")), document(found[3])
        if digest.hex().encode() != found[2] or proof["index"] != index or index >= self.size:
            raise Tampered(f"event {index} and its hash or proof do not belong together")
        if leads_to(digest, index, self.size, path_of(proof["path"])) != self.root:
            raise Tampered(f"event {index} is not in the ledger as it stands here")
        if leaf["n"] != index or leaf["log"] != self.origin:
            raise Tampered(f"event {index} says it is another one")
        return digest, leaf

    def events(self) -> int:
        """All events, and that they are what the recorded export found; returns how many."""
        proofs = self.bundle.lines("proofs.jsonl")
        edge: list[tuple[int, bytes]] = []
        found: set[Any] = set()
        count, last = 0, -1
        said = self.manifest["selection"]
        for line in self.bundle.lines("events.jsonl"):
            count += 1
            digest, leaf = self.proved(line, proofs)
            if not last < leaf["n"] < said["size"]:
                raise Tampered(f"event {leaf['n']} does not stand where it may")
            last = leaf["n"]
            grown(edge, digest)
            whose = leaf["principal"] or leaf["actor"]
            found.add((leaf["exchange"], whose) if leaf["exchange"] else leaf["n"])
        exported = list(self.bundle.lines("export-event.jsonl"))
        if len(exported) != 1:
            raise Tampered("export-event.jsonl is one line")
        digest, leaf = self.proved(exported[0], proofs)
        fixed = {
            "events": count,
            "found": len(found),
            "size": said["size"],
            "root": root_of(edge).hex(),
        }
        self.export(leaf, digest, fixed)
        if next(proofs, None) is not None:
            raise Tampered("there are more proofs than events")
        return count

    def export(self, leaf: dict[str, Any], digest: bytes, fixed: dict[str, Any]) -> None:
        """The export's own event fixes what was found, and what was asked."""
        told, manifest = self.manifest["export"], self.manifest
        if leaf["type"] != "audit.export" or leaf["data"]["format"] != "bundle":
            raise Tampered("the event of the export is not one of a bundle")
        mine = (leaf["n"], digest.hex(), leaf["ts"])
        if mine != (told["index"], told["leaf_hash"], manifest["at_us"]):
            raise Tampered("the manifest is of another export")
        if fixed["size"] > leaf["n"]:
            raise Tampered("the export comes before what it found")
        for name, value in fixed.items():
            if leaf["data"][name] != value or manifest["selection"][name] != value:
                raise Tampered(f"the recorded export found other events than these ({name})")
        secret = bytes.fromhex(told["commit_key"])
        commits = {entry["name"]: entry["commit"] for entry in leaf["pl"]}
        for name in ("query", "purpose", "ticket"):
            said = manifest.get(name)
            made = None if said is None else hmac.digest(secret, said.encode(), "sha256").hex()
            if made != commits.get(name):
                raise Tampered(f"the recorded export has another {name}")

    def disclosed(self) -> int:
        """Texts that are disclosed are those that the ledger committed to; returns how many."""
        if "disclosed.json" not in self.bundle.names:
            return 0
        keys = document(self.bundle.read("keys.json"))
        if keys["ledger"] != self.origin:
            raise Tampered("the disclosed keys are of another ledger")
        secrets = {
            (one["index"], one["name"]): bytes.fromhex(one["commit"]) for one in keys["payloads"]
        }
        texts: dict[int, list[Any]] = {}
        listed = document(self.bundle.read("disclosed.json"))
        for one in listed:
            texts.setdefault(one["index"], []).append(one)
        for line in self.bundle.lines("events.jsonl"):
            leaf = document(LINE.fullmatch(line)[3])  # type: ignore[index]  # it matched before
            for one in texts.pop(leaf["n"], ()):
                self.text(leaf, one, secrets[one["index"], one["name"]])
        if texts:
            raise Tampered("content is disclosed of events that are not here")
        parts = sum(not one["whole"] for one in listed)
        if parts:
            self.notes.append(f"{parts} disclosed texts are redacted copies and were not compared.")
        self.notes.append("Sealed content was not decrypted; sekisho-audit verify does that.")
        return len(listed)

    def text(self, leaf: dict[str, Any], one: dict[str, Any], secret: bytes) -> None:
        """One disclosed text."""
        where = f"event {leaf['n']}: {one['name']}"
        entry: dict[str, Any] = next(
            (item for item in leaf["pl"] if item["name"] == one["name"]), {}
        )
        sealed = hashlib.sha256()
        for piece in self.bundle.pieces(f"payloads/{entry.get('ct', '')}"):
            sealed.update(piece)
        if sealed.hexdigest() != entry["ct"]:
            raise Tampered(f"{where}: the sealed content is not the recorded one")
        made = hmac.new(secret, digestmod="sha256")
        for piece in self.bundle.pieces(one["file"]):
            made.update(piece)
        if one["whole"] is not (made.hexdigest() == entry["commit"]):
            raise Tampered(f"{where} is not what the ledger committed to")


def path_of(found: Any) -> list[bytes]:
    """The hashes of a proof."""
    path = [from_base64(item) for item in found]
    if len(path) > HASHES_MAX or any(len(item) != 32 for item in path):
        raise Tampered("a proof has no path")
    return path


def plain(text: str) -> str:
    """Text as it can be shown."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def judged(
    path: Path, key: Key | None, pinned: bytes | None, changes: bytes = b""
) -> tuple[int, str]:
    """The exit code for a bundle, and what to say."""
    try:
        check = Check(Bundle(path), key, changes)
        checked = check.run(pinned)
    except Unclear as error:
        return 2, f"{UNCLEAR}\n\nWhy:\n  - {plain(str(error))}\n"
    except (Tampered, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = str(error) if isinstance(error, Tampered) else f"something is malformed: {error!r}"
        return 1, f"{TAMPERED}\n\nWhat is wrong:\n  - {plain(what)}\n"
    if key is None:
        check.doubts.insert(0, "no key was given: get it from elsewhere, and give it with --key")
    if check.doubts:
        return 2, f"{UNCLEAR}\n\nWhy:\n" + "".join(f"  - {plain(one)}\n" for one in check.doubts)
    notes = [
        *check.notes,
        "That the query finds all that matters, or that all was recorded.",
        "That the reports (report.*.html) say what the events say; events.jsonl is what is proved.",
    ]
    told = "".join(f"  - {plain(note)}\n" for note in notes)
    return 0, f"{SOUND}\n{plain(checked)}\nWhat this verdict does not say:\n{told}"


def main() -> int:
    """Check and print; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="the zip file, or the folder it is unpacked to")
    parser.add_argument("--key", help="the ledger's public key: a file or the line itself")
    parser.add_argument("--pinned", type=Path, help="a checkpoint you kept from earlier")
    parser.add_argument("--key-changes", type=Path, help="changes of the key since, if any")
    given = parser.parse_args()
    try:
        key = None
        if given.key:
            line = given.key if "+" in given.key else Path(given.key).read_text("utf-8")
            key = key_of(line)
        pinned = given.pinned.read_bytes() if given.pinned else None
        changes = given.key_changes.read_bytes() if given.key_changes else b""
    except (OSError, UnicodeDecodeError, Tampered) as error:
        sys.stderr.write(f"verify.py: {plain(str(error))}\n")
        return 2
    code, text = judged(given.bundle, key, pinned, changes)
    sys.stdout.write(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
