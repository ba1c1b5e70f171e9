"""Ids that two workers derive alike, so that doing a step twice is doing it once.

The ledger refuses a second event of the same id. An event id made from what the event must be
unique for (one settlement a version, one review a person and version) therefore lets the ledger
itself decide which of two racing, late or repeated writers was first. Ids that come from who did
something are made with the exchange's key (`review_event`): a plain digest of a name could be tried
out by whoever has the ledger.
"""

from __future__ import annotations

import hashlib
import re
import uuid

from sekisho.model.evidence import keyed_id
from sekisho.model.ids import uuid7

_HOLD_ID = re.compile(r"hold_[0-9a-f]{32}\Z")
_UUID_VERSION = 0x8 << 76  # RFC 9562 section 5.8: made by our own rule
_UUID_VARIANT = 0b10 << 62
_UUID_FIXED_BITS = 0xF << 76 | 0b11 << 62


def new_hold_id() -> str:
    """A fresh hold id; sorts by the time it was given."""
    return "hold_" + uuid7().replace("-", "")


def answer_hold(hold_id: str) -> str:
    """The hold of the answer to a request that was held itself, which leads to it."""
    return "hold_" + _derive("answer", hold_id).replace("-", "")


def is_hold_id(text: str) -> bool:
    """Whether `text` could be one of ours: keeps odd characters of a URL away from the store."""
    return _HOLD_ID.match(text) is not None


def filed_event(hold_id: str, version: int = 1) -> str:
    """One filing a version."""
    return _derive("filed", hold_id) if version == 1 else _derive("filed", hold_id, str(version))


def speaker(reviewer: str, person: str) -> str:
    """Who answers in whose name: a delegate's answer is not the answer of who appointed them."""
    return person if reviewer == person else f"{reviewer}>{person}"  # no id has a >


def review_event(key: bytes, hold_id: str, version: int, spoken_by: str) -> str:
    """One review for each speaker and version, whatever it says. `key`: the exchange's, for
    commitments.
    """
    return keyed_id(key, "review", hold_id, str(version), spoken_by)


def justified_event(hold_id: str, version: int) -> str:
    """One justification a version, whatever it says."""
    return _derive("justified", hold_id, str(version))


def settled_event(hold_id: str, version: int) -> str:
    """One outcome a version, whatever it is."""
    return _derive("settled", hold_id, str(version))


def released_event(hold_id: str, version: int) -> str:
    """One release of what people approved."""
    return _derive("released", hold_id, str(version))


def grant_ended(grant_id: str) -> str:
    """One end of a grant, whichever worker tells of it."""
    return _derive("grant-ended", grant_id)


def sample_terms(before: str, origin: str, *said: str) -> str:
    """One change of the terms of drawing to these, whichever worker tells of it."""
    return _derive("sample-terms", before, origin, *said)


def sample_closed(sample_id: str) -> str:
    """One end of a sample, whichever worker tells of it."""
    return _derive("sample-closed", sample_id)


def opening_ended(opening_id: str) -> str:
    """One end of an opening, whichever worker tells of it."""
    return _derive("opening-ended", opening_id)


def delivered_event(hold_id: str) -> str:
    """One first delivery a hold."""
    return _derive("delivered", hold_id)


def decision_id(hold_id: str, version: int, kind: str, person: str, said: str) -> str:
    """Names a proposal by what it says: repeated it is the same, contradicted it is another."""
    return _derive("proposal", hold_id, str(version), kind, person, said)


def _derive(*parts: str) -> str:
    digest = hashlib.sha256(b"\0".join(part.encode() for part in ("sekisho-hold", *parts))).digest()
    value = int.from_bytes(digest[:16], "big")
    return str(uuid.UUID(int=value & ~_UUID_FIXED_BITS | _UUID_VERSION | _UUID_VARIANT))
