"""From an event to its leaf: pseudonyms for principals, commitments and seals for content.

This is the only place where a principal id or content meets the ledger, and neither gets through.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import orjson

from sekisho_audit.arrivals import Arrivals
from sekisho_audit.canon import LEAF_BYTES_MAX
from sekisho_audit.custody import Custody
from sekisho_audit.errors import Refused
from sekisho_audit.events import (
    LEAF_VERSION,
    PERSONS,
    BadEvent,
    Event,
    Payload,
    check_data,
    check_payload_names,
)
from sekisho_audit.ids import began_us
from sekisho_audit.key_provider import KEY_BYTES
from sekisho_audit.keyring import SYSTEM, Keyring
from sekisho_audit.kinds import UUID, UUID7
from sekisho_audit.scan import PAYLOAD_BYTES_MAX
from sekisho_audit.seal import (
    ALGORITHM,
    SALT_BYTES,
    Salts,
    commit_key,
    commitment,
    content_key,
    seal,
    stored_hash,
)
from sekisho_audit.tree import leaf_hash

_TAG_BYTES = 16
# Room for salt and tag around the content.
STORED_BYTES_MAX = PAYLOAD_BYTES_MAX - SALT_BYTES - _TAG_BYTES
_ID_CHARS_MAX = 256
_UUID = re.compile(UUID)
_UUID7 = re.compile(UUID7)


@dataclass(slots=True)
class Built:
    """A leaf ready to be written: its fields, its bytes, its hash, what is stored beside it."""

    leaf: dict[str, Any]
    body: bytes
    digest: bytes
    stored: tuple[tuple[str, str, bytes], ...]
    commits: dict[str, str]


@dataclass(slots=True)
class Batch:
    """What a group commit is about to write."""

    built: list[Built] = field(default_factory=list)
    by_id: dict[str, Built] = field(default_factory=dict)


@lru_cache(maxsize=4_096)  # each exchange under way has several events
def _is_dated(identifier: str) -> bool:
    return _UUID7.fullmatch(identifier) is not None


def _is_name(principal: str | None) -> bool:
    return principal is None or 0 < len(principal) <= _ID_CHARS_MAX


def _check_ids(event: Event) -> None:
    if not _UUID.fullmatch(event.id):
        raise BadEvent(f"{event.type}: the event id is not a UUID in lower case")
    if event.exchange is not None and not _is_dated(event.exchange):
        raise BadEvent(f"{event.type}: the exchange id is not a UUID of version 7")
    if not (_is_name(event.principal) and _is_name(event.actor)):
        raise BadEvent(f"{event.type}: a principal id is empty or too long")


class LeafBuilder:
    """Builds the leaves of one boot of one ledger."""

    def __init__(
        self,
        origin: str,
        boot: str,
        keyring: Keyring,
        now_us: Callable[[], int],
        custody: Custody | None = None,
        *,
        arrivals: Arrivals | None = None,
    ) -> None:
        self._origin = origin
        self._boot = boot
        self._keyring = keyring
        self._now_us = now_us
        self._custody = custody or Custody()
        self._arrivals = arrivals or Arrivals()
        self._salts = Salts()

    def build(self, event: Event, index: int) -> Built:
        """The leaf of `event` at `index`. Raises Refused if the event may not be one."""
        event = self._nameless(event)
        try:
            data = self._data(event)
        except BadEvent as error:
            raise Refused("bad_event", str(error)) from error
        entries, stored, commits = self._payloads(event)
        leaf: dict[str, Any] = {
            "v": LEAF_VERSION,
            "id": event.id,
            "log": self._origin,
            "n": index,
            "boot": self._boot,
            "ts": self._now_us(),
            "type": event.type,
            "exchange": event.exchange,
            "principal": self._pseudonym(event.principal),
            "actor": self._pseudonym(event.actor),
            "data": data,
            "pl": entries,
        }
        try:
            body = orjson.dumps(leaf, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError as error:
            raise Refused("bad_event", f"{event.type}: {error}") from error
        if len(body) > LEAF_BYTES_MAX:
            raise Refused("leaf_too_large", f"{event.type}: {len(body)} bytes are too many")
        return Built(leaf, body, leaf_hash(body), stored, commits)

    def _gone(self, principal: str | None, exchange: str | None) -> bool:
        """Whether an exchange is of somebody whose erasure began after it did, also if they are
        back under another pseudonym.
        """
        if principal is None or exchange is None or not _is_dated(exchange):
            return False
        known = self._keyring.known(principal)
        if known is not None and known not in self._custody.erased:
            return self._arrivals.too_new(known, began_us(exchange))
        return began_us(exchange) <= self._custody.erased_us

    def _nameless(self, event: Event) -> Event:
        """What comes late about somebody who was erased is recorded without name and content."""
        if not (self._custody.erased and self._gone(event.principal, event.exchange)):
            return event
        kept = tuple(replace(payload, stored=None) for payload in event.payloads)
        return replace(event, principal=None, payloads=kept)

    def _pseudonym(self, principal: str | None) -> str | None:
        return None if principal is None else self._keyring.pseudonym(principal)

    def _data(self, event: Event) -> dict[str, Any]:
        _check_ids(event)
        known = check_data(event.type, event.data)
        check_payload_names(event.type, [item.name for item in event.payloads])
        if known.exchange and event.exchange is None:
            raise BadEvent(f"{event.type}: needs an exchange")
        if known.actor and event.actor is None:
            raise BadEvent(f"{event.type}: needs an actor")
        data = dict(event.data)
        for name in PERSONS[event.type]:
            if name in data:
                data[name] = self._keyring.pseudonym(data[name])
        return data

    def _fresh(self, owner: str, shelf: str) -> tuple[bytes, bool]:
        """A key that there was not yet, and whether anything may be stored under it.

        What comes for a shelf that is over gets a key that nobody keeps: it is committed to, and
        that is all.
        """
        if self._custody.shelves.is_over(shelf, self._now_us()):
            return secrets.token_bytes(KEY_BYTES), False
        return self._keyring.key(owner, shelf), True

    def _payloads(
        self, event: Event
    ) -> tuple[list[dict[str, Any]], tuple[tuple[str, str, bytes], ...], dict[str, str]]:
        if not event.payloads:
            return [], (), {}
        owner, dated = event.principal or event.actor or SYSTEM, event.exchange or event.id
        if not _is_dated(dated):
            raise Refused("bad_event", f"{event.type}: a payload needs a dated id (uuid7)")
        pseudonym, shelves = self._keyring.pseudonym(owner), self._custody.shelves
        seconds, at, secret, is_kept = began_us(dated) // 1_000_000, "", b"", True
        entries, stored, commits = [], [], {}
        for payload in event.payloads:
            shelf = shelves.of(event.type, payload.name, seconds)
            if shelf != at:
                at, known = shelf, self._keyring.key_of(owner, shelf)
                secret, is_kept = (known, True) if known else self._fresh(owner, shelf)
            commits[payload.name] = commitment(secret, dated).digest(payload.exact).hex()
            entry: dict[str, Any] = {
                "name": payload.name,
                "len": len(payload.exact),
                "commit": commits[payload.name],
                "kref": f"{pseudonym}/{shelf}",
            }
            if payload.stored is not None and is_kept:
                sealed = self._seal(secret, event, payload.name, payload.stored)
                entry["ct"] = stored_hash(sealed)
                entry["alg"] = ALGORITHM
                stored.append((payload.name, entry["ct"], sealed))
            entries.append(entry)
        return entries, tuple(stored), commits

    def _seal(self, secret: bytes, event: Event, name: str, plain: bytes) -> bytes:
        if len(plain) > STORED_BYTES_MAX:
            raise Refused("payload_too_large", f"{event.type}: {name} has {len(plain)} bytes")
        return seal(secret, event.id, name, plain, self._salts.take())

    def same(self, event: Event, leaf: Mapping[str, Any]) -> bool:
        """Whether `event` says what `leaf` recorded under its id.

        Fewer payloads than before are fine: a repeated append may leave content away.
        """
        event = self._nameless(event)
        kinds = {event.type, "outcome.late"} if event.type == "backend.outcome" else {event.type}
        try:
            data = self._data(event)
        except BadEvent as error:
            raise Refused("bad_event", str(error)) from error
        if leaf["type"] not in kinds or leaf["exchange"] != event.exchange:
            return False
        if orjson.loads(orjson.dumps(data)) != leaf["data"]:
            return False
        there = {entry["name"]: entry for entry in leaf["pl"]}
        scope = event.exchange or event.id
        return all(self._same_payload(p, there.get(p.name), scope) for p in event.payloads)

    def _same_payload(self, payload: Payload, entry: Mapping[str, Any] | None, scope: str) -> bool:
        if entry is None or entry["len"] != len(payload.exact):
            return False
        # By the key that it was recorded under: ceilings may have changed since.
        pseudonym, _, shelf = entry["kref"].partition("/")
        secret = self._keyring.key_of(self._keyring.principal_of(pseudonym) or "", shelf)
        if secret is None:
            return True  # nobody can tell any more
        commit: str = entry["commit"]
        return commitment(secret, scope).digest(payload.exact).hex() == commit

    def exchange_keys(self, principal: str, exchange: str) -> tuple[bytes, bytes]:
        """Content key and commitment key of an exchange, of class content."""
        if not _is_dated(exchange) or not 0 < len(principal) <= _ID_CHARS_MAX:
            raise Refused("bad_request", "exchange_keys needs a principal and a uuid7")
        if self._gone(principal, exchange):
            raise Refused("erased", "whose exchange this was has been erased since")
        began = began_us(exchange) // 1_000_000
        shelf = self._custody.shelves.of("backend.intent", "outgoing", began)
        secret, is_kept = self._keyring.key_of(principal, shelf), True
        if secret is None:
            secret, is_kept = self._fresh(principal, shelf)
        if not is_kept:
            raise Refused("erased", "content of that time is not kept any more: retention")
        return content_key(secret, exchange), commit_key(secret, exchange)
