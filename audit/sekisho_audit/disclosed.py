"""Content that was disclosed: opened with the keys in a disclosure file, and compared with what the
ledger committed to. Independent of the writer's code, as all that verifies is.

    disclosure = Disclosure.parse(raw)
    opening = Opening(disclosure)
    opening.see(leaf)                # each event
    opening.stored(digest, body)     # each stored payload
    opening.told                     # what came of it

Whoever discloses can lie with keys. A commitment fits only the exact bytes, under whatever key, so
what fits is what was recorded; what does not fit proves nothing about the ledger and is doubt. The
form of the file is in SPEC.md.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sekisho_audit.report import Told

FORMAT = "sekisho-disclosure/v1"
DISCLOSURE_BYTES_MAX = 256 * 1024 * 1024  # some 400 bytes for each of half a million payloads
_SALT_BYTES = 16
_NONCE_BYTES = 12
_KEY = re.compile(r"[0-9a-f]{64}")
_MEMBERS = {"format", "ledger", "keys", "payloads"}
_EXCHANGE = {"exchange", "content", "commit"}
_PAYLOAD = {"index", "event", "name", "ct", "key", "commit"}

WHOLE, COPY, OTHER = "whole", "copy", "other"
CLOSED, NOT_KEPT, MISSING = "closed", "not_kept", "missing"
SAYS = {
    WHOLE: "exactly what was committed to",
    COPY: "a copy of another length, which nothing commits to",
    OTHER: "not what was committed to",
    CLOSED: "not opened by its key",
    NOT_KEPT: "never stored, only committed to",
    MISSING: "not found",
}
"""What came of a payload, and how it is told."""


class BadDisclosure(ValueError):
    """A file that is no disclosure; says why."""


class NotOpened(ValueError):
    """Stored bytes that a key does not open."""


def open_stored(key: bytes, event: str, name: str, stored: bytes) -> bytes:
    """The content of a stored payload, with the key of this payload alone. Raises NotOpened."""
    place = f"{event}|{name}".encode()
    try:
        nonce = stored[:_NONCE_BYTES]
        return AESGCM(key).decrypt(nonce, stored[_SALT_BYTES:], place)
    except (InvalidTag, ValueError) as error:
        raise NotOpened(f"the key does not open {name} of event {event}") from error


def commitment(key: bytes, exact: bytes) -> str:
    """What a leaf says about exact bytes, under the commitment key of its exchange; hex."""
    return hmac.digest(key, exact, "sha256").hex()


@dataclass(frozen=True, slots=True)
class PayloadKeys:
    """The keys of one payload: `key` opens what is stored, None if nothing is."""

    index: int
    event: str
    name: str
    ct: str | None
    key: bytes | None
    commit: bytes


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Keys of payloads of one ledger, and the commitment keys of exchanges."""

    ledger: str
    payloads: tuple[PayloadKeys, ...]
    commits: Mapping[str, bytes]

    @classmethod
    def parse(cls, raw: bytes) -> Disclosure:
        """Read a disclosure file strictly. Raises BadDisclosure."""
        if len(raw) > DISCLOSURE_BYTES_MAX:
            raise BadDisclosure("the disclosure is too long")
        try:
            found = json.loads(raw, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise BadDisclosure(f"the disclosure is not JSON: {error}") from error
        if not isinstance(found, dict) or not {"format", "ledger", "keys"} <= found.keys():
            raise BadDisclosure("this is no disclosure: format, ledger or keys are missing")
        if found["format"] != FORMAT or not isinstance(found["ledger"], str):
            raise BadDisclosure(f"the disclosure is not of the form {FORMAT}")
        if not found.keys() <= _MEMBERS:
            raise BadDisclosure("the disclosure has members that none has")
        payloads = tuple(_payload(one) for one in _listed(found.get("payloads", []), _PAYLOAD))
        if len({(one.index, one.name) for one in payloads}) != len(payloads):
            raise BadDisclosure("the disclosure names a payload twice")
        commits = {}
        for one in _listed(found["keys"], _EXCHANGE):
            _key(one["content"])
            commits[_text(one["exchange"])] = _key(one["commit"])
        return cls(found["ledger"], payloads, commits)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _listed(found: object, members: set[str]) -> list[dict[str, Any]]:
    if not isinstance(found, list):
        raise BadDisclosure("keys and payloads of a disclosure are lists")
    for one in found:
        if not isinstance(one, dict) or one.keys() != members:
            raise BadDisclosure(f"an entry of the disclosure has not the members {sorted(members)}")
    return found


def _payload(one: Mapping[str, Any]) -> PayloadKeys:
    if type(one["index"]) is not int or one["index"] < 0:
        raise BadDisclosure("an index of the disclosure is no index")
    if one["ct"] is None and one["key"] is not None:
        raise BadDisclosure("a key of the disclosure opens nothing that is stored")
    return PayloadKeys(
        one["index"],
        _text(one["event"]),
        _text(one["name"]),
        None if one["ct"] is None else _key(one["ct"]).hex(),
        None if one["key"] is None else _key(one["key"]),
        _key(one["commit"]),
    )


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise BadDisclosure("an id or a name of the disclosure is no text")
    return found


def _key(found: object) -> bytes:
    if not isinstance(found, str) or not _KEY.fullmatch(found):
        raise BadDisclosure("a key of the disclosure is not 32 bytes in hex")
    return bytes.fromhex(found)


class Opening:
    """Opens what is disclosed while a ledger is read; `texts` keeps the content for showing."""

    def __init__(self, disclosure: Disclosure, *, texts: bool = False) -> None:
        self.ledger = disclosure.ledger
        self._texts = texts
        self._named: dict[int, list[PayloadKeys]] = {}
        for one in disclosure.payloads:
            self._named.setdefault(one.index, []).append(one)
        # What is waited for: the hash of the stored bytes, with the length and the commitment.
        self._wanted: dict[bytes, tuple[PayloadKeys, int, str]] = {}
        self._told: dict[tuple[int, str], Told] = {}
        for one in disclosure.payloads:
            self._tell(one, MISSING)

    @property
    def told(self) -> list[Told]:
        """What came of each payload, in the order of the ledger."""
        return [self._told[place] for place in sorted(self._told)]

    def see(self, leaf: Mapping[str, Any]) -> None:
        """The next event."""
        for one in self._named.get(leaf["n"], ()):
            entry = next((item for item in leaf["pl"] if item["name"] == one.name), None)
            if leaf["id"] != one.event or entry is None or entry.get("ct") != one.ct:
                continue  # of another event than stands here: it stays missing
            if one.ct is None or one.key is None:
                self._tell(one, NOT_KEPT if one.ct is None else MISSING)
                continue
            self._wanted[bytes.fromhex(one.ct)] = (one, entry["len"], entry["commit"])

    def stored(self, digest: bytes, body: bytes) -> None:
        """The next stored payload, with its hash."""
        if digest not in self._wanted:
            return
        one, length, commit = self._wanted.pop(digest)
        try:
            content = open_stored(one.key or b"", one.event, one.name, body)
        except NotOpened:
            self._tell(one, CLOSED)
            return
        if commitment(one.commit, content) == commit:
            state = WHOLE
        else:
            state = OTHER if len(content) == length else COPY
        self._tell(one, state, content)

    def _tell(self, one: PayloadKeys, state: str, content: bytes | None = None) -> None:
        text = None
        if content is not None and self._texts:
            text = content.decode("utf-8", "backslashreplace")
        length = None if content is None else len(content)
        self._told[one.index, one.name] = Told(one.index, one.event, one.name, state, length, text)
