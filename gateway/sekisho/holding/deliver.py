"""Hands the stored answer of a held exchange to its requester; the first time is recorded.

The event comes before the mark: if a reply is lost in between, the next read repeats both, and the
derived event id keeps the record single.
"""

from __future__ import annotations

import orjson

from sekisho.content import assemble
from sekisho.errors import NotFound
from sekisho.holding import evidence
from sekisho.model.hold import ANSWER_HELD, HoldState, HoldView, StoredAnswer
from sekisho.ports import HoldStore, Ledger


async def deliver(store: HoldStore, ledger: Ledger, view: HoldView) -> StoredAnswer:
    """The answer of a ready or delivered hold. Raises NotFound when its time of keeping is over,
    Unavailable when it cannot be read or its delivery cannot be recorded.
    """
    answer = await store.answer(view.hold.id)
    if answer is None or answer.content_type == ANSWER_HELD:
        raise NotFound("The answer to this request is no longer kept.")
    if view.state is not HoldState.DELIVERED:
        await ledger.append([evidence.delivered(view.hold)])
        await store.deliver(view.hold.id)
    return answer


def json_of(answer: StoredAnswer) -> bytes:
    """What a stored answer says as one JSON document: a stream put together, else its own bytes."""
    if answer.content_type.startswith("text/event-stream"):
        return orjson.dumps(assemble.completion(answer.body))
    return answer.body
