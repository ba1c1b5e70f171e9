"""`/v1/admin/break-glass`: opened by one person in an emergency, reviewed by another afterwards."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from sekisho.errors import NotFound
from sekisho.holding.break_glass_desk import BreakGlassDesk
from sekisho.model.break_glass import Ended, Opening, Status
from sekisho.model.principal import Scope
from sekisho.web.bodies import read_model
from sekisho.web.callers import Caller, Parts, ProblemRoute, needs
from sekisho.web.openapi import body_of
from sekisho.web.services import Services

BODY_BYTES_MAX = 16 * 1024
BODY_DEPTH_MAX = 4

router = APIRouter(prefix="/v1/admin/break-glass", tags=["break-glass"], route_class=ProblemRoute)

Named = Annotated[str, Path(max_length=80, description="The id, as the list has it.")]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="Kept as evidence.")]


class OpenIn(BaseModel):
    """What is opened. Rules that are not named hold as ever."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rules: list[Name] = Field(
        min_length=1, max_length=20, description="Rules whose holds it answers, as a hold names."
    )
    reason: Reason
    minutes: int | None = Field(None, ge=1, description="How long; without it, as settings say.")


class ReviewIn(BaseModel):
    """What another person says of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    verdict: Literal["justified", "not_justified"]
    reason: Reason


class OpeningOut(BaseModel):
    """An opening that is open or waits for its review. `ended` says why it ended, if it did."""

    id: str
    status: Status
    person: str
    rules: list[str]
    reason: str
    minutes: int
    opened_us: int
    until_us: int
    review_by_us: int
    uses: int
    ended: Ended


class OpeningList(BaseModel):
    """All that are open or wait for review, as far as the caller may see them."""

    object: Literal["list"] = "list"
    data: list[OpeningOut]


class ReviewedOut(BaseModel):
    """What was reviewed."""

    id: str
    verdict: Literal["justified", "not_justified"]


@router.get("")
async def list_openings(parts: Parts, principal: Caller) -> OpeningList:
    """What is open or waits for review: one's own; all of it for reviewers, auditors, operators."""
    needs(principal, Scope.ADMIN, Scope.REVIEW, Scope.AUDIT)
    desk = desk_of(parts)
    found = await desk.listed(principal)
    return OpeningList(data=[_told(one, desk.now_us()) for one in found])


@router.post("", status_code=201, openapi_extra=body_of(OpenIn))
async def open_break_glass(request: Request, parts: Parts, principal: Caller) -> OpeningOut:
    """Let one's own requests go on that the named rules would hold, for minutes."""
    needs(principal, Scope.ADMIN)
    said = await read_model(
        request, OpenIn, what="an opening", bytes_max=BODY_BYTES_MAX, depth_max=BODY_DEPTH_MAX
    )
    desk = desk_of(parts)
    opened = await desk.open(principal, said.rules, said.reason, said.minutes)
    return _told(opened, desk.now_us())


@router.post("/{opening_id}/end")
async def end_break_glass(opening_id: Named, parts: Parts, principal: Caller) -> OpeningOut:
    """End it at once: whoever opened it, or an operator."""
    needs(principal, Scope.ADMIN)
    desk = desk_of(parts)
    return _told(await desk.end(principal, opening_id), desk.now_us())


@router.post("/{opening_id}/review", openapi_extra=body_of(ReviewIn))
async def review_break_glass(
    opening_id: Named, request: Request, parts: Parts, principal: Caller
) -> ReviewedOut:
    """Say whether it was justified, as another person, when it is over."""
    needs(principal, Scope.REVIEW, Scope.AUDIT)
    said = await read_model(
        request, ReviewIn, what="a review", bytes_max=BODY_BYTES_MAX, depth_max=BODY_DEPTH_MAX
    )
    found = await desk_of(parts).review(principal, opening_id, said.verdict, said.reason)
    return ReviewedOut(id=found.id, verdict=said.verdict)


def desk_of(parts: Services) -> BreakGlassDesk:
    """The desk, where there is one. Raises NotFound."""
    if parts.break_glass is None:
        raise NotFound("There is no break-glass here.")
    return parts.break_glass


def _told(opening: Opening, now_us: int) -> OpeningOut:
    return OpeningOut(
        id=opening.id,
        status=opening.status_at(now_us),
        person=opening.person,
        rules=list(opening.rules),
        reason=opening.reason,
        minutes=opening.minutes,
        opened_us=opening.opened_us,
        until_us=opening.until_us,
        review_by_us=opening.review_by_us,
        uses=opening.used,
        ended=opening.ended_at(now_us),
    )
