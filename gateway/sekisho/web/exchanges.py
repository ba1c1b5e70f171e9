"""`/v1/exchanges`: one's own history, what it cost and who read it, and appeals.

Everybody sees what was asked under their own id and nothing else: an exchange of somebody else is
a 404, like one that never was. The history is derived from the ledger and says how far it is
complete; it shows no content, so reading it is no reading of content. An appeal is durable before
it is acknowledged, and its reason is sealed like a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from sekisho.errors import Conflict, LedgerRefused, NotFound
from sekisho.model import evidence
from sekisho.model.ids import is_exchange
from sekisho.model.limits import MICROS
from sekisho.model.principal import Principal, Scope
from sekisho.ports import Ledger
from sekisho.web.bodies import read_model
from sekisho.web.callers import Caller, Now, Parts, ProblemRoute, needs
from sekisho.web.exchanges_schema import (
    AppealOut,
    AppealRequest,
    ExchangeDetail,
    ExchangeList,
    UsageOut,
    appeal,
    listed,
    shown,
    usage,
)
from sekisho.web.openapi import body_of
from sekisho.web.services import Services

LISTED_MAX = 100  # auditd tells no more at once
APPEALS_MAX = 5  # the ledger's rules say the same
BODY_BYTES_MAX = 16_384  # a reason is a paragraph, in any script
BODY_DEPTH_MAX = 1

router = APIRouter(prefix="/v1/exchanges", tags=["exchanges"], route_class=ProblemRoute)


@router.get("")
async def list_exchanges(
    parts: Parts,
    principal: Caller,
    now: Now,
    limit: Annotated[int, Query(ge=1, le=LISTED_MAX)] = 20,
    after: Annotated[str, Query(pattern="^([0-9]{1,16})?$")] = "",
) -> ExchangeList:
    """One's own exchanges, newest first, with what was used today and this month."""
    needs(principal, Scope.SELF)
    page = await parts.ledger.exchanges(principal.id, after, limit)
    return listed(page, await _usage(parts, principal, now))


@router.get("/{exchange_id}")
async def show_exchange(exchange_id: str, parts: Parts, principal: Caller) -> ExchangeDetail:
    """One of one's own exchanges with everything known of it but its content."""
    needs(principal, Scope.SELF)
    return shown(await find_exchange(parts.ledger, principal, exchange_id))


@router.post(
    "/{exchange_id}/appeal",
    status_code=201,
    openapi_extra=body_of(AppealRequest),
)
async def appeal_exchange(
    exchange_id: str, request: Request, parts: Parts, principal: Caller
) -> AppealOut:
    """Disagree with how one's own exchange ended. The same reason again is the same appeal."""
    needs(principal, Scope.SELF)
    said = await read_model(
        request,
        AppealRequest,
        what="an appeal",
        bytes_max=BODY_BYTES_MAX,
        depth_max=BODY_DEPTH_MAX,
    )
    line = await appeal_against(parts.ledger, principal, exchange_id, said.reason)
    return appeal(exchange_id, line)


async def appeal_against(
    ledger: Ledger, principal: Principal, exchange_id: str, reason: str
) -> Mapping[str, Any]:
    """Record that `principal` disagrees with how their exchange ended; the appeal as the history
    tells it. Pages call it too. Raises NotFound, Conflict (`too_many_appeals`), LedgerUnavailable.
    """
    found = await find_exchange(ledger, principal, exchange_id)
    keys = await ledger.exchange_keys(principal.id, exchange_id)
    event = evidence.appealed(exchange_id, principal.id, principal.id, reason, keys.commit)
    for line in found["appeals"]:
        if line["id"] == event.id:
            known: Mapping[str, Any] = line
            return known
    if len(found["appeals"]) >= APPEALS_MAX:
        raise _too_many()
    try:
        [place] = await ledger.append([event])
    except LedgerRefused as error:
        if error.code == "too_many_appeals":  # others came while the index was behind
            raise _too_many() from error
        raise
    receipt = {"origin": ledger.origin, "index": place.index, "leaf": place.leaf}
    return {"id": event.id, "by": principal.id, "receipt": receipt}


async def find_exchange(
    ledger: Ledger, principal: Principal, exchange_id: str
) -> Mapping[str, Any]:
    """One of the principal's own exchanges. Raises NotFound, LedgerUnavailable."""
    known = is_exchange(exchange_id)
    found = await ledger.exchange(principal.id, exchange_id) if known else None
    if found is None:
        raise NotFound("There is no such exchange, or it is not yours to see.")
    return found


async def _usage(parts: Services, principal: Principal, now: int) -> UsageOut:
    today = datetime.fromtimestamp(now // MICROS, UTC)
    day, month = f"{today:%Y-%m-%d}", f"{today:%Y-%m}"
    asked = [("principal", principal.id, f"d{day}"), ("principal", principal.id, f"M{month}")]
    return usage(await parts.ledger.used(asked), day, month, parts.currency())


def _too_many() -> Conflict:
    message = f"An exchange has at most {APPEALS_MAX} appeals. Talk to a person about this one."
    return Conflict(message, code="too_many_appeals")
