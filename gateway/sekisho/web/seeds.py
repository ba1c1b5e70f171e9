"""`POST /v1/approvals/seeds`: an operator or auditor puts a test item before reviewers."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from sekisho.errors import Forbidden, NotFound
from sekisho.holding.seed_desk import Asked
from sekisho.web.approvals_schema import HoldDetail, detail
from sekisho.web.bodies import read_model
from sekisho.web.callers import Caller, Parts, ProblemRoute
from sekisho.web.figures import oversees
from sekisho.web.openapi import body_of

BODY_BYTES_MAX = 65_536  # a made-up request is a page of text
BODY_DEPTH_MAX = 3
NAME_CHARS_MAX = 128
TEXT_CHARS_MAX = 16_384
MESSAGE_CHARS_MAX = 500
TTL_S_MAX = 7 * 86_400
APPROVE_MAX = 8
KINDS_MAX = 32  # a scan knows fewer
ALSO_MAX = 8  # few requests are held by more rules at once

router = APIRouter(prefix="/v1/approvals", tags=["approvals"], route_class=ProblemRoute)


class AlsoHeld(BaseModel):
    """Another rule that seems to have held it, and what that says."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rule: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    message: str = Field(max_length=MESSAGE_CHARS_MAX)


class SeedRequest(BaseModel):
    """What reviewers are to see. It should be denied for `rule`.

    What is left out is as in the newest open hold of a request that this rule held: model, backend,
    reviewers with their steps, risk and time. Without one: the backend that serves the model, one
    reviewer, risk 50, a day. `redact` are the kinds of data that your rules mask.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    principal: str = Field(
        min_length=1,
        max_length=NAME_CHARS_MAX,
        description="Who seems to ask: a name that nobody has.",
    )
    text: str = Field(min_length=1, max_length=TEXT_CHARS_MAX)
    model: str | None = Field(default=None, min_length=1, max_length=NAME_CHARS_MAX)
    backend: str | None = Field(default=None, min_length=1, max_length=NAME_CHARS_MAX)
    rule: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    message: str = Field(
        max_length=MESSAGE_CHARS_MAX, description="What this rule says when it holds something."
    )
    reviewers: str | None = Field(default=None, min_length=1, max_length=NAME_CHARS_MAX)
    approve: int | None = Field(default=None, ge=1, le=APPROVE_MAX)
    deny: int | None = Field(default=None, ge=1, le=APPROVE_MAX)
    risk: int | None = Field(default=None, ge=0, le=100)
    ttl_s: int | None = Field(default=None, ge=60, le=TTL_S_MAX)
    office_time: bool | None = None
    redact: list[str] = Field(default_factory=list, max_length=KINDS_MAX)
    also: list[AlsoHeld] = Field(default_factory=list, max_length=ALSO_MAX)


@router.post("/seeds", status_code=201, openapi_extra=body_of(SeedRequest))
async def seed_hold(request: Request, parts: Parts, principal: Caller) -> HoldDetail:
    """Make a hold up. Reviewers see it like any other; nothing of it can be sent."""
    if not oversees(principal):
        message = "Test items are made up by operators and auditors."
        raise Forbidden(message, code="role_missing")
    said = await read_model(
        request,
        SeedRequest,
        what="a test item",
        bytes_max=BODY_BYTES_MAX,
        depth_max=BODY_DEPTH_MAX,
    )
    also = tuple((one.rule, one.message) for one in said.also)
    asked = Asked(**{**said.model_dump(), "redact": tuple(said.redact), "also": also})
    if parts.seeds is None:
        raise NotFound("No test items are made up here.")
    return detail(await parts.seeds.plant(principal, asked), principal)
