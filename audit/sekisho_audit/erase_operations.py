"""Erasures and legal holds, for officers with the duty."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from sekisho_audit.disclosure import owners_of
from sekisho_audit.erasure_desk import check_principal
from sekisho_audit.errand import Errand, Operation, failure
from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.ids import uuid7
from sekisho_audit.kinds import UUID7
from sekisho_audit.ledger import Ledger
from sekisho_audit.officer_operations import needs, words
from sekisho_audit.places import events_of
from sekisho_audit.scan import BrokenSegment
from sekisho_audit.wire import encode

_EXCHANGE = re.compile(UUID7)


def _erase(errand: Errand) -> None:
    desk = errand.server.erasures
    if desk is None:
        raise Refused("busy", "this auditd erases nobody")
    principal = check_principal(errand.text("principal"))
    reasons = (words(errand, "purpose"), words(errand, "ticket"))
    officers = tuple(errand.connection.officers)
    if principal in officers:
        raise Refused("still_officer", "nobody erases themselves; another officer must")

    async def run() -> None:
        try:
            report = await desk.erase(errand.written, principal, officers, reasons)
            errand.connection.send(encode({"req": errand.req, "erasure": report}))
        except LedgerError as error:
            errand.connection.send(encode(failure(errand.req, error)))

    errand.server.spawn(run())


def _hold(errand: Errand) -> None:
    principal, exchange = errand.text("principal", ""), errand.text("exchange", "")
    if bool(principal) == bool(exchange) or (exchange and not _EXCHANGE.fullmatch(exchange)):
        raise Refused("bad_request", "name a principal, or an exchange (a uuid of version 7)")
    authority, officers = words(errand, "authority"), tuple(errand.connection.officers)

    async def run() -> None:
        ledger = errand.server.ledger
        try:
            people = [principal]
            if exchange:
                people = await asyncio.to_thread(_whose, ledger, exchange)
            events = [_held(one, exchange or None, officers, authority) for one in people]
            await errand.written(lambda own: _recorded(own, people, events))
            told = {"req": errand.req, "holds": [event.id for event in events]}
            errand.connection.send(encode(told))
        except LedgerError as error:
            errand.connection.send(encode(failure(errand.req, error)))

    errand.server.spawn(run())


def _recorded(ledger: Ledger, people: Sequence[str], events: Sequence[Event]) -> None:
    if not people or any(ledger.pseudonym_of(one) is None for one in people):
        raise Refused("not_found", "the ledger knows nobody of this name, or erased them")
    ledger.record_all(events)


def _whose(ledger: Ledger, exchange: str) -> list[str]:
    """The principals of an exchange who were not erased. Raises Refused."""
    try:
        owners = owners_of(events_of(ledger.directory, [exchange], ledger.size))
    except (BrokenSegment, OSError) as error:
        raise Refused("busy", f"the ledger cannot be read now: {error}") from error
    found = [ledger.principal_of(pseudonym) for _, pseudonym in owners]
    return list(dict.fromkeys(one for one in found if one is not None))


def _held(
    principal: str, exchange: str | None, officers: tuple[str, ...], authority: Payload
) -> Event:
    data = {"person": principal, **({"second": officers[1]} if officers[1:] else {})}
    return Event(uuid7(), "legal_hold.set", exchange, None, data, officers[0], (authority,))


def _release(errand: Errand) -> None:
    hold, authority = errand.text("hold"), words(errand, "authority")
    officers = tuple(errand.connection.officers)

    def run(ledger: Ledger) -> None:
        known = ledger.custody.holds.get(hold)
        if known is None:
            raise Refused("not_found", "there is no legal hold of this id")
        data = {"hold": hold, **({"second": officers[1]} if officers[1:] else {})}
        ledger.record_all(
            [Event(uuid7(), "legal_hold.released", None, None, data, officers[0], (authority,))]
        )
        errand.answer({})

    errand.call(run, ordered=True)


def _list(errand: Errand) -> None:
    def run(ledger: Ledger) -> None:
        holds = [
            {
                "hold": name,
                "principal": ledger.principal_of(hold.person),
                "exchange": hold.exchange,
            }
            for name, hold in ledger.custody.holds.items()
        ]
        errand.answer({"holds": holds})

    errand.call(run)


ERASE_OPERATIONS: dict[str, Operation] = {
    "erase": needs("erase", _erase),
    "legal_hold_set": needs("legal_hold", _hold),
    "legal_hold_release": needs("legal_hold", _release),
    "legal_holds": needs("legal_hold", _list),
}
