"""Content for officers with the duty `disclose`: looked up, recorded, opened, told, in that order.

`audit.disclosed` names the officers, the events and how many payloads; purpose and ticket are its
payloads. Beside it stands a `record.read` for everybody whose content it is, so they see it in
their own history. Both are durable before anything is opened. Whoever needs one kind of payload
only, says `names`, and nothing else is opened.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sekisho_audit.disclosure import (
    EXPIRED,
    OPEN,
    Item,
    Opened,
    disclosed,
    items_of,
    opened,
    owners_of,
)
from sekisho_audit.errand import Errand, Operation, failure
from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.ids import uuid7
from sekisho_audit.kinds import UUID7
from sekisho_audit.ledger import Ledger
from sekisho_audit.officer_operations import needs, words
from sekisho_audit.places import event_at, events_of
from sekisho_audit.retention import class_on
from sekisho_audit.scan import BrokenSegment
from sekisho_audit.wire import BLOBS_MAX, FRAME_BYTES_MAX, Malformed, encode

EXCHANGES_MAX = 256  # each has a record of its own in the batch
_EXCHANGE = re.compile(UUID7)
# Room for the JSON of a page beside its content.
_PAGE_BYTES = FRAME_BYTES_MAX - 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an officer wants opened, and why."""

    exchanges: tuple[str, ...]
    index: int
    skip: int
    keys: bool
    names: frozenset[str]
    officers: tuple[str, ...]
    reasons: tuple[Payload, ...]


def _asked(errand: Errand) -> _Asked:
    exchanges, index = errand.message.get("exchanges", []), errand.message.get("index", -1)
    if type(exchanges) is not list or type(index) is not int:
        raise Malformed("disclose takes `exchanges`, a list, or `index`, a whole number")
    known = all(isinstance(one, str) and _EXCHANGE.fullmatch(one) for one in exchanges)
    if not known or len(exchanges) > EXCHANGES_MAX or bool(exchanges) == (index >= 0):
        raise Refused(
            "bad_request",
            f"name 1 to {EXCHANGES_MAX} exchanges (each a uuid of version 7), or one event",
        )
    keys, skip = errand.message.get("keys", False), errand.message.get("skip", 0)
    if type(keys) is not bool or type(skip) is not int or skip < 0:
        raise Malformed("disclose takes `keys`, a flag, and `skip`, a whole number")
    names = errand.message.get("names", [])
    if type(names) is not list or not all(isinstance(name, str) for name in names):
        raise Malformed("disclose takes `names`, a list of names of payloads")
    reasons = (words(errand, "purpose"), words(errand, "ticket"))
    officers = tuple(errand.connection.officers)
    return _Asked(tuple(exchanges), index, skip, keys, frozenset(names), officers, reasons)


def _disclose(errand: Errand) -> None:
    asked = _asked(errand)

    async def run() -> None:
        try:
            errand.connection.send(await _answer(errand, asked))
        except LedgerError as error:
            errand.connection.send(encode(failure(errand.req, error)))

    errand.server.spawn(run())


async def _answer(errand: Errand, asked: _Asked) -> bytes:
    ledger = errand.server.ledger
    try:
        items = await asyncio.to_thread(_found, ledger, asked)
        items = [item for item in items if not asked.names or item.entry["name"] in asked.names]
        page = items if asked.keys else _page(items[asked.skip :])
        if not page:
            raise Refused("not_found", "no event has such content")
        await errand.written(lambda own: own.record_all(_events(own, asked, page)))
        if asked.keys:
            origin, secret_of = ledger.origin, ledger.secret_of
            file = await asyncio.to_thread(disclosed, origin, ledger.directory, page, secret_of)
            return encode({"req": errand.req, "disclosure": file})
        found = await asyncio.to_thread(
            lambda: list(opened(ledger.directory, page, ledger.secret_of, ledger.principal_of))
        )
        more = asked.skip + len(page) < len(items)
        return _told(errand.req, found, ledger.custody.shelves.days, more=more)
    except (BrokenSegment, OSError) as error:
        raise Refused("busy", f"the ledger cannot be read now: {error}") from error


def _found(ledger: Ledger, asked: _Asked) -> list[Item]:
    """The payloads that are asked for."""
    if asked.exchanges:
        leaves = events_of(ledger.directory, frozenset(asked.exchanges), ledger.size)
        # Why others had it opened is not content of the exchange.
        return items_of([leaf for leaf in leaves if leaf["type"] != "audit.disclosed"])
    if asked.index >= ledger.size:
        return []
    try:
        return items_of([event_at(ledger.directory, asked.index)])
    except LookupError:
        return []


def _page(items: Sequence[Item]) -> list[Item]:
    """As many of the payloads as one answer can hold; one at least."""
    page: list[Item] = []
    size = 0
    for item in items:
        size += item.entry["len"]
        if page and (size > _PAGE_BYTES or len(page) == BLOBS_MAX):
            break
        page.append(item)
    return page


def _events(ledger: Ledger, asked: _Asked, page: Sequence[Item]) -> list[Event]:
    indices = [item.leaf["n"] for item in page]
    data: dict[str, Any] = {
        "first": min(indices),
        "last": max(indices),
        "payloads": len(page),
        "keys": asked.keys,
        "exchanges": len({item.leaf["exchange"] for item in page} - {None}),
    }
    actor, *second = asked.officers
    if second:
        data["second"] = second[0]
    exchange = page[0].leaf["exchange"] if data["exchanges"] == 1 else None
    acts = [Event(uuid7(), "audit.disclosed", exchange, None, data, actor, asked.reasons)]
    for whose, pseudonym in owners_of([item.leaf for item in page]):
        principal = ledger.principal_of(pseudonym)
        if principal is not None:
            read = {"purpose": "audit", "part": "content"}
            acts.append(Event(uuid7(), "record.read", whose, principal, read, actor))
    return acts


def _told(
    req: int, found: Sequence[Opened], days: Mapping[str, int | None], *, more: bool
) -> bytes:
    told = []
    blobs: list[bytes] = []
    for one in found:
        facts = {**one.item.facts(), "state": one.state}
        if one.state == OPEN:
            facts["blob"] = len(blobs)
            blobs.append(one.content)
        if one.state == EXPIRED:
            facts["class"] = class_on(one.item.shelf)
            facts["days"] = days[facts["class"]]
        told.append(facts)
    return encode({"req": req, "payloads": told, "more": more}, blobs)


DISCLOSE_OPERATIONS: dict[str, Operation] = {"disclose": needs("disclose", _disclose)}
