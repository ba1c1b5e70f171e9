"""Content opened for an officer whose act is on record: texts, or the keys to them.

What is given out opens exactly what was asked for. A key of a principal and shelf would open all of
a month, so keys are derived: one for each stored payload, and for each exchange those of class
content, of its commitments and of its content outside the ledger. They are written as a disclosure
file, with which a third party opens and checks sealed payloads without us:

    {"format": "sekisho-disclosure/v1", "ledger": origin,
     "keys": [{"exchange": id, "content": hex, "commit": hex}],
     "payloads": [{"index": n, "event": id, "name": name, "ct": hex, "key": hex, "commit": hex}]}

`content` and `commit` of `keys` are those of the exchange's principal. `commit` of a payload is the
key of its own commitment; `key` opens the stored bytes, and is null where nothing was stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sekisho_audit.places import payloads_of
from sekisho_audit.retention import CONTENT, class_on
from sekisho_audit.seal import SALT_BYTES, Unreadable, commit_key, content_key, payload_key, unseal

FORMAT = "sekisho-disclosure/v1"
Leaf = Mapping[str, Any]
SecretOf = Callable[[str, str], bytes | None]
"""The key of a pseudonym and shelf; None once it is destroyed."""
Knows = Callable[[str], object]
"""Who is behind a pseudonym; None once they were erased."""

OPEN, ERASED, NOT_KEPT, MISSING = "open", "erased", "not_kept", "missing"
"""What became of a payload: told here; its key was destroyed; never stored; damaged or gone."""
EXPIRED = "expired"
"""Its key was destroyed by retention: whose it is was not erased."""


@dataclass(frozen=True, slots=True)
class Item:
    """One payload of one event: `entry` is what the leaf says about it."""

    leaf: Leaf
    entry: Mapping[str, Any]

    @property
    def scope(self) -> str:
        """What its commitment is keyed by."""
        return str(self.leaf["exchange"] or self.leaf["id"])

    def secret(self, secret_of: SecretOf) -> bytes | None:
        """The key of its principal and shelf."""
        return secret_of(self.owner, self.shelf)

    @property
    def owner(self) -> str:
        """The pseudonym whose key it is."""
        return str(self.entry["kref"].partition("/")[0])

    @property
    def shelf(self) -> str:
        """Where that key stands (retention.py)."""
        return str(self.entry["kref"].partition("/")[2])

    def facts(self) -> dict[str, Any]:
        """Where it stands, for whoever asked."""
        leaf = self.leaf
        return {
            "index": leaf["n"],
            "event": leaf["id"],
            "type": leaf["type"],
            "ts": leaf["ts"],
            "exchange": leaf["exchange"],
            "name": self.entry["name"],
            "bytes": self.entry["len"],
        }


@dataclass(frozen=True, slots=True)
class Opened:
    """A payload as it was found: its state, and the content if that is `open`."""

    item: Item
    state: str
    content: bytes = b""


def items_of(leaves: Sequence[Leaf]) -> list[Item]:
    """All payloads of some leaves, in order."""
    return [Item(leaf, entry) for leaf in leaves for entry in leaf["pl"]]


def owners_of(leaves: Sequence[Leaf]) -> list[tuple[str, str]]:
    """Exchange and pseudonym of everybody whose content this is."""
    found = {(leaf["exchange"], leaf["principal"]): None for leaf in leaves if leaf["pl"]}
    return [(exchange, owner) for exchange, owner in found if exchange and owner]


def opened(
    ledger: Path,
    items: Sequence[Item],
    secret_of: SecretOf,
    knows: Knows = lambda _pseudonym: None,
) -> Iterator[Opened]:
    """The content of payloads, in order. Raises BrokenSegment, OSError.

    `knows` tells those who were erased from those whose content was not kept any longer.
    """
    stored = _stored(ledger, [item for item in items if item.secret(secret_of) is not None])
    for item in items:
        secret, ct = item.secret(secret_of), item.entry.get("ct")
        if ct is None:
            yield Opened(item, NOT_KEPT)
        elif secret is None:
            yield Opened(item, ERASED if knows(item.owner) is None else EXPIRED)
        elif ct not in stored:
            yield Opened(item, MISSING)
        else:
            yield _unsealed(item, secret, stored[ct])


def _unsealed(item: Item, secret: bytes, stored: bytes) -> Opened:
    try:
        return Opened(item, OPEN, unseal(secret, item.leaf["id"], item.entry["name"], stored))
    except Unreadable:
        return Opened(item, MISSING)


def _stored(ledger: Path, items: Sequence[Item]) -> dict[str, bytes]:
    wanted = {item.entry["ct"] for item in items if "ct" in item.entry}
    if not wanted:
        return {}
    since_us = min(item.leaf["ts"] for item in items)
    return dict(payloads_of(ledger, wanted, since_us))


def disclosed(
    origin: str, ledger: Path, items: Sequence[Item], secret_of: SecretOf
) -> dict[str, Any]:
    """The disclosure file of payloads. Raises BrokenSegment, OSError.

    Payloads whose keys were destroyed are left out.
    """
    keys: dict[str, dict[str, str]] = {}
    payloads = []
    stored = _stored(ledger, items)
    for item in items:
        secret = item.secret(secret_of)
        if secret is None:
            continue
        exchange = item.leaf["exchange"]
        whole = exchange is not None and item.leaf["principal"] is not None
        if whole and class_on(item.shelf) == CONTENT:
            keys.setdefault(exchange, _exchange_keys(secret, exchange))
        payloads.append(_payload(item, secret, stored.get(item.entry.get("ct", ""))))
    return {
        "format": FORMAT,
        "ledger": origin,
        "keys": list(keys.values()),
        "payloads": payloads,
    }


def _exchange_keys(secret: bytes, exchange: str) -> dict[str, str]:
    return {
        "exchange": exchange,
        "content": content_key(secret, exchange).hex(),
        "commit": commit_key(secret, exchange).hex(),
    }


def _payload(item: Item, secret: bytes, stored: bytes | None) -> dict[str, Any]:
    event, name = item.leaf["id"], item.entry["name"]
    key = None
    if stored is not None:
        key = payload_key(secret, event, name, stored[:SALT_BYTES]).hex()
    return {
        "index": item.leaf["n"],
        "event": event,
        "name": name,
        "ct": item.entry.get("ct"),
        "key": key,
        "commit": commit_key(secret, item.scope).hex(),
    }
