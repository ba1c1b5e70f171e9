"""`POST /v1/approvals/seeds`: an operator or auditor puts a test item before reviewers."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from sekisho.errors import Forbidden
from sekisho.holding.seed import Seed, plant
from sekisho.model.decision import Threshold
from sekisho.web.approvals_schema import HoldDetail, detail
from sekisho.web.bodies import read_model
from sekisho.web.callers import Caller, Parts, ProblemRoute
from sekisho.web.figures import oversees
from sekisho.web.openapi import body_of

BODY_BYTES_MAX = 65_536  # a made-up request is a page of text
BODY_DEPTH_MAX = 1
NAME_CHARS_MAX = 128
TEXT_CHARS_MAX = 16_384
MESSAGE_CHARS_MAX = 500
TTL_S_MAX = 7 * 86_400
APPROVE_MAX = 8
RISK_USUAL = 50
TTL_S_USUAL = 8 * 3600

router = APIRouter(prefix="/v1/approvals", tags=["approvals"], route_class=ProblemRoute)


class SeedRequest(BaseModel):
    """What reviewers are to see. It should be denied for `rule`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    principal: str = Field(
        min_length=1,
        max_length=NAME_CHARS_MAX,
        description="Who seems to ask: a name that nobody has.",
    )
    text: str = Field(min_length=1, max_length=TEXT_CHARS_MAX)
    model: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    backend: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    rule: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    message: str = Field(
        max_length=MESSAGE_CHARS_MAX, description="What this rule says when it holds something."
    )
    reviewers: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    approve: int = Field(default=1, ge=1, le=APPROVE_MAX)
    risk: int = Field(default=RISK_USUAL, ge=0, le=100)
    ttl_s: int = Field(default=TTL_S_USUAL, ge=60, le=TTL_S_MAX)


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
    seed = Seed(
        principal=said.principal,
        text=said.text,
        model=said.model,
        backend=said.backend,
        rule=said.rule,
        message=said.message,
        thresholds=(Threshold(said.reviewers, said.approve, 1),),
        risk=said.risk,
        ttl_s=min(said.ttl_s, parts.hold_limits.ttl_s_max),
        revision=parts.revision(),
    )
    view = await plant(parts.holds, parts.ledger, parts.directory, principal, seed)
    return detail(view, principal)
