"""`/v1/audit/exchanges`: why somebody disagrees with how their exchange ended, for auditors.

Each reading is an event before anything is shown, and the person whose exchange it is sees in its
`reads` who was shown it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from sekisho.errors import NotFound
from sekisho.model import evidence
from sekisho.model.ids import is_exchange
from sekisho.web.callers import Caller, Parts, ProblemRoute, needs_auditor
from sekisho.web.exchanges_schema import ReceiptOut

PART = "appeal"  # what the record of the reading names; auditd compares it

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=ProblemRoute)


class AppealRead(BaseModel):
    """An appeal with its reason, None where the key was destroyed since (erasure)."""

    id: str
    by: str
    reason: str | None
    receipt: ReceiptOut


class AppealList(BaseModel):
    """The appeals of one exchange, and the receipt of this reading."""

    object: Literal["list"] = "list"
    exchange: str
    principal: str
    data: list[AppealRead]
    read: ReceiptOut


@router.get("/exchanges/{exchange_id}/appeals")
async def read_appeals(
    exchange_id: str,
    parts: Parts,
    principal: Caller,
    purpose: Annotated[
        Literal["audit"], Query(description="Why it is read; it stands in the record.")
    ],
) -> AppealList:
    """Why somebody disagrees with how their exchange ended. That it was read is recorded first."""
    needs_auditor(principal)
    ledger = parts.ledger
    found = await ledger.appealed(exchange_id) if is_exchange(exchange_id) else None
    if found is None or found["principal"] == "erased":
        raise NotFound("There is no such exchange, or nobody appealed against how it ended.")
    noted = evidence.read(exchange_id, found["principal"], principal.id, purpose=purpose, part=PART)
    [place] = await ledger.append([noted])
    reasons = await ledger.appeal_reasons(exchange_id, place.index)
    return AppealList(
        exchange=exchange_id,
        principal=found["principal"],
        data=[
            AppealRead(
                id=line["id"],
                by=line["by"],
                reason=reasons.get(line["id"]),
                receipt=line["receipt"],
            )
            for line in found["appeals"]
        ],
        read=ReceiptOut(origin=ledger.origin, index=place.index, leaf=place.leaf),
    )
