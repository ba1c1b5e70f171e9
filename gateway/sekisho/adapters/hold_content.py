"""The content of a hold in the live store: what is sealed, as which bytes, in which field."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from sekisho.adapters.hold_cipher import seal, unseal
from sekisho.errors import HoldStoreUnavailable
from sekisho.holding import record
from sekisho.model.hold import (
    Hold,
    HoldState,
    HoldView,
    Justification,
    Proposal,
    Review,
    StoredAnswer,
)
from sekisho.model.steps import DENY

_OF_ALL_VERSIONS = 1  # a reason is for the bytes, which asking anew leaves as they are
_ANSWER_HEAD = struct.Struct(">HH")  # status, length of the content type


def seal_hold(key: bytes, hold: Hold) -> bytes:
    """The whole hold, outgoing bytes included."""
    return seal(key, hold.id, "record", hold.version, record.encode(hold))


def seal_review(key: bytes, review: Review) -> bytes:
    """One review, its reason included."""
    return seal(key, review.hold, "review", review.version, record.encode_review(review))


def seal_justification(key: bytes, said: Justification) -> bytes:
    """Why it was asked, in the words of who asked."""
    content = record.encode_justification(said)
    return seal(key, said.hold, "justification", _OF_ALL_VERSIONS, content)


def _open_justification(key: bytes, hold_id: str, sealed: bytes | None) -> Justification | None:
    if not sealed:
        return None
    content = unseal(key, hold_id, "justification", _OF_ALL_VERSIONS, sealed)
    return record.decode_justification(content)


def seal_proposal(key: bytes, proposal: Proposal) -> bytes:
    """A decision on its way."""
    content = record.encode_proposal(proposal)
    return seal(key, proposal.hold, "proposal", proposal.version, content)


def open_proposal(key: bytes, hold_id: str, version: int, sealed: bytes, at_us: int) -> Proposal:
    """The decision on its way, with the time the store accepted it."""
    return record.decode_proposal(unseal(key, hold_id, "proposal", version, sealed), at_us)


def seal_answer(key: bytes, hold_id: str, version: int, answer: StoredAnswer) -> bytes:
    """The answer of a backend, body as it came."""
    kind = answer.content_type.encode()
    content = _ANSWER_HEAD.pack(answer.status, len(kind)) + kind + answer.body
    return seal(key, hold_id, "answer", version, content)


def open_answer(key: bytes, hold_id: str, version: int, sealed: bytes) -> StoredAnswer:
    """The answer again."""
    content = unseal(key, hold_id, "answer", version, sealed)
    status, kind_bytes = _ANSWER_HEAD.unpack_from(content)
    body_at = _ANSWER_HEAD.size + kind_bytes
    return StoredAnswer(status, content[_ANSWER_HEAD.size : body_at].decode(), content[body_at:])


def open_view(
    hold_id: str, key: bytes, row: Mapping[str, bytes | None], reviews: Sequence[bytes]
) -> HoldView:
    """The hold with its reviews. Raises HoldStoreUnavailable if anything in it is not ours."""
    version = int(row["version"] or 0)
    index, sealed = row["settled_index"], row["proposal"]
    try:
        opened = tuple(
            record.decode_review(unseal(key, hold_id, "review", version, one)) for one in reviews
        )
        return HoldView(
            hold=record.decode(unseal(key, hold_id, "record", version, row["record"] or b"")),
            state=HoldState((row["state"] or b"").decode()),
            reviews=opened,
            outcome_reason=(row["outcome"] or b"").decode() or _denied_because(opened),
            settled_index=int(index) if index else None,
            hops=int(row["hops"] or 0),
            proposal=open_proposal(key, hold_id, version, sealed, int(row["deciding_us"] or 0))
            if sealed
            else None,
            justification=_open_justification(key, hold_id, row["justification"]),
        )
    except ValueError as error:
        message = "The stored hold cannot be read. Nothing was sent; send the request again."
        raise HoldStoreUnavailable(message, code="hold_unreadable") from error


def _denied_because(reviews: Sequence[Review]) -> str:
    """What the person who denied it wrote; the requester is told."""
    return next((one.reason for one in reversed(reviews) if one.decision == DENY), "")
