"""`POST /v1/exchanges/{id}/acceptance`: what became of an answer, in the word of whoever asked.

Every answer is a draft until a person takes it. That they used it, changed it or did not use it is
recorded before it is acknowledged; silence is never counted as acceptance. Hashes tie it to texts
that others have, and are kept as commitments only, since a text could be guessed from its hash.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sekisho.errors import Conflict
from sekisho.model import evidence
from sekisho.model.draft import DraftSaid
from sekisho.model.principal import Principal, Scope
from sekisho.ports import Ledger
from sekisho.web.bodies import read_model
from sekisho.web.callers import Caller, Parts, ProblemRoute, needs
from sekisho.web.exchanges import find_exchange
from sekisho.web.exchanges_schema import ReceiptOut, status_of
from sekisho.web.openapi import body_of
from sekisho_audit.events import Appended

BODY_BYTES_MAX = 1024  # two hashes and a word
BODY_DEPTH_MAX = 1
CATCH_UP_S = 2.0  # the history is a moment behind; under heavy load nobody waits longer for it

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

router = APIRouter(prefix="/v1/exchanges", tags=["exchanges"], route_class=ProblemRoute)


class AcceptanceRequest(BaseModel):
    """What became of the answer; hashes are SHA-256 in hex, of the texts in UTF-8."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Literal["accepted", "edited", "rejected"]
    output_sha256: Sha256 | None = Field(None, description="Of the answer as it was used.")
    final_sha256: Sha256 | None = Field(None, description="Of what was made of it.")

    @model_validator(mode="after")
    def _final_if_edited(self) -> Self:
        if (self.final_sha256 is not None) != (self.decision == "edited"):
            raise ValueError("final_sha256 is told for what was edited, and for nothing else")
        return self


class AcceptanceOut(BaseModel):
    """It is recorded; the same again is the same record."""

    object: Literal["exchange.acceptance"] = "exchange.acceptance"
    exchange: str
    decision: str
    receipt: ReceiptOut


@router.post("/{exchange_id}/acceptance", status_code=201, openapi_extra=body_of(AcceptanceRequest))
async def accept_exchange(
    exchange_id: str, request: Request, parts: Parts, principal: Caller
) -> AcceptanceOut:
    """Say what became of the answer of one's own exchange; what is said last counts."""
    needs(principal, Scope.SELF)
    said = await read_model(
        request,
        AcceptanceRequest,
        what="an acceptance",
        bytes_max=BODY_BYTES_MAX,
        depth_max=BODY_DEPTH_MAX,
    )
    answer = DraftSaid(said.decision, said.output_sha256 or "", said.final_sha256 or "")
    place = await say_of_draft(parts.ledger, principal, exchange_id, answer)
    receipt = ReceiptOut(origin=parts.ledger.origin, index=place.index, leaf=place.leaf)
    return AcceptanceOut(exchange=exchange_id, decision=said.decision, receipt=receipt)


async def say_of_draft(
    ledger: Ledger, principal: Principal, exchange_id: str, answer: DraftSaid
) -> Appended:
    """Record what `principal` made of an answer of theirs; where it stands. Pages call it too.
    Raises NotFound, Conflict (`no_draft`), LedgerUnavailable.
    """
    await _caught_up(ledger, principal)
    found = await find_exchange(ledger, principal, exchange_id)
    if status_of(found) not in {"released", "cancelled"} or not found["sends"]:
        message = "This exchange gave no answer, so there is nothing to accept. See its status."
        raise Conflict(message, code="no_draft")
    keys = await ledger.exchange_keys(principal.id, exchange_id)
    event = evidence.draft_answered(exchange_id, principal.id, principal.id, answer, keys.commit)
    [place] = await ledger.append([event])
    await _caught_up(ledger, principal)
    return place


async def _caught_up(ledger: Ledger, principal: Principal) -> None:
    """Wait a moment until the history has all that is in the ledger by now: an answer is accepted
    the moment it is there, and whoever goes on at once is not told that their word is missing.
    """
    size = None
    with suppress(TimeoutError):
        async with asyncio.timeout(CATCH_UP_S):
            while True:
                page = await ledger.exchanges(principal.id, "", 1)
                size = page.size if size is None else size
                if page.indexed >= size:
                    return
                await asyncio.sleep(CATCH_UP_S / 100)
