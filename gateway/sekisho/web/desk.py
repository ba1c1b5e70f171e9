"""`/v1/approvals` for whoever works through the queue: live updates, claims, several at once.

What is decided here goes the same way as a single review, so nothing that slows an approval down is
gone around by asking here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from sekisho.holding import desk
from sekisho.holding.bulk import Asked, review_all
from sekisho.model.principal import Principal, Scope
from sekisho.web.answering import Receive, Send
from sekisho.web.answering import Scope as ASGIScope
from sekisho.web.approvals_schema import BulkOut, BulkRequest, ClaimOut, bulk, claimed
from sekisho.web.bodies import read_model
from sekisho.web.callers import Caller, Parts, ProblemRoute, authenticated, needs
from sekisho.web.live_queue import LiveQueue, events
from sekisho.web.openapi import body_of

BULK_BYTES_MAX = 65_536  # twenty bindings and a paragraph
BULK_DEPTH_MAX = 3  # a list of holds
LAST_ID_MAX = 64


class _Listening(StreamingResponse):
    """A stream that gives its place back when it ends, however it ends."""

    def __init__(self, frames: AsyncIterator[bytes], live: LiveQueue, listener: str) -> None:
        super().__init__(frames, media_type="text/event-stream")
        self._live = live
        self._listener = listener

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._live.give_back(self._listener)


router = APIRouter(prefix="/v1/approvals", tags=["approvals"], route_class=ProblemRoute)


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events."}},
)
async def listen(
    request: Request,
    parts: Parts,
    principal: Caller,
    last_event_id: Annotated[str, Header(max_length=LAST_ID_MAX)] = "",
) -> Response:
    """The open holds that the caller may review, as they change; cards only, no content."""
    needs(principal, Scope.REVIEW)

    async def again() -> Principal:
        return await authenticated(request, parts)

    parts.live.take(principal.id)
    frames = events(parts.live, parts.holds, again, last_event_id)
    return _Listening(frames, parts.live, principal.id)


@router.post("/bulk", openapi_extra=body_of(BulkRequest))
async def review_many(request: Request, parts: Parts, principal: Caller) -> BulkOut:
    """Deny any, or approve alike ones of low risk: up to 20, each with its own binding."""
    needs(principal, Scope.REVIEW)
    said = await read_model(
        request,
        BulkRequest,
        what="a review of several holds",
        bytes_max=BULK_BYTES_MAX,
        depth_max=BULK_DEPTH_MAX,
    )
    asked = [Asked(one.id, one.binding, one.version) for one in said.holds]
    done = await review_all(
        parts.holds, parts.ledger, principal, asked, decision=said.decision, reason=said.reason
    )
    return bulk(done)


@router.post("/{hold_id}/claim")
async def claim_hold(hold_id: str, parts: Parts, principal: Caller) -> ClaimOut:
    """Tell the others that one looks at this hold. Asked again it is held for longer."""
    needs(principal, Scope.REVIEW)
    return claimed(await desk.claim(parts.holds, principal, hold_id))


@router.delete("/{hold_id}/claim", status_code=204)
async def leave_hold(hold_id: str, parts: Parts, principal: Caller) -> Response:
    """Give it back; one that is not there, or another's, is left alone."""
    needs(principal, Scope.REVIEW)
    await desk.leave(parts.holds, principal, hold_id)
    return Response(status_code=204)
