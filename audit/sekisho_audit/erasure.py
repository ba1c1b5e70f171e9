"""Erasing a person, step by step, so that a crash between any two leaves a duty and not a doubt.

1. `begin`: refuse what a legal hold keeps; withdraw the person's open holds; record
   `erasure.begun`. From here on it will be finished, by the next start if need be.
2. `destroy`: pseudonym and keys go from the file of keys. From here on the content cannot be opened
   and the pseudonym stands for nobody.
3. Indexes forget the rows (`erasure_desk.py`). 4. `finish`: record `erasure.done`.

The ledger remembers pseudonyms, which tell nobody anything by then. So a directory of keys that was
restored from before is known at the next start, and emptied again (`unfinished`).

All of it runs in the writer's thread. What the person wrote about requests of others, such as
reasons of reviews, is content of those exchanges and stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sekisho_audit.errors import Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.ids import uuid7
from sekisho_audit.keyring import SYSTEM
from sekisho_audit.ledger import Ledger
from sekisho_audit.standing import Filed

RESTART, RESTORED = "restart", "restored"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One that has begun: the event's id, whose it is, and why it is done by itself, if it is."""

    begun: str
    person: str
    cause: str = ""


def begin(
    ledger: Ledger, principal: str, officers: tuple[str, ...], reasons: tuple[Payload, ...]
) -> Erasure:
    """Record that a principal is to be erased. Raises Refused: then nothing has happened."""
    person = ledger.pseudonym_of(principal)
    if person is None or principal == SYSTEM:
        raise Refused("not_found", "the ledger knows nobody of this name: nothing is to be erased")
    held = ledger.custody.held(person)
    if held:
        raise Refused("legal_hold", f"under legal hold: {', '.join(held)}; release it first")
    if person in ledger.custody.officers:
        raise Refused("still_officer", "an officer in office; end the office first")
    withdrawn = [_withdrawn(filed, principal) for filed in ledger.holds.waiting_of(person)]
    keys = ledger.with_keys(lambda ring: len(ring.keys_of(principal)))
    data = {"person": principal, "keys": keys, "holds": len(withdrawn)}
    if officers[1:]:
        data["second"] = officers[1]
    begun = Event(uuid7(), "erasure.begun", None, None, data, officers[0], reasons)
    ledger.record_all([*withdrawn, begun])
    return Erasure(begun.id, person)


def _withdrawn(filed: Filed, principal: str) -> Event:
    data = {
        **{name: filed.data[name] for name in ("hold", "version", "binding")},
        "state": "withdrawn",
        "reviews": [],
        "cause": "erased",
    }
    return Event(uuid7(), "hold.settled", filed.leaf["exchange"], principal, data)


def destroy(ledger: Ledger, erasure: Erasure) -> Mapping[str, bytes]:
    """Destroy the keys; returns them by shelf, for whoever looks whether they are anywhere still.

    Nothing is left to do if it was done before.
    """
    principal = ledger.principal_of(erasure.person)
    if principal is None:
        return {}
    keys = ledger.with_keys(lambda ring: ring.keys_of(principal))
    ledger.with_keys(lambda ring: ring.erase(principal))
    return keys


def finish(ledger: Ledger, erasure: Erasure, *, keys: int, rows: int) -> int:
    """Record that it is done; returns the index."""
    data = {"begun": erasure.begun, "keys": keys, "rows": rows}
    if erasure.cause:
        data["cause"] = erasure.cause
    [place] = ledger.record_all([Event(uuid7(), "erasure.done", None, None, data)])
    return place.index


def unfinished(ledger: Ledger) -> Iterator[Erasure]:
    """What a start finds: erasures that were cut off, and people whom old keys brought back."""
    custody = ledger.custody
    for begun, person in custody.begun.items():
        yield Erasure(begun, person, RESTART)
    for person, begun in custody.erased.items():
        if begun not in custody.begun and ledger.principal_of(person) is not None:
            yield Erasure(begun, person, RESTORED)
