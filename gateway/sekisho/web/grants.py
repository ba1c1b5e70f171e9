"""`/v1/grants`: standing grants over HTTP. Proposed by one reviewer, confirmed by another."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from sekisho.errors import BadRequest, NotFound
from sekisho.holding.grant_desk import Asked, GrantDesk
from sekisho.model.argument_pattern import NAMED_MAX, BadPattern, Pattern
from sekisho.model.argument_pattern import read as read_pattern
from sekisho.model.grants import Grant
from sekisho.model.principal import Scope
from sekisho.web.bodies import read_model
from sekisho.web.callers import Caller, Parts, ProblemRoute, needs
from sekisho.web.openapi import body_of
from sekisho.web.services import Services

BODY_BYTES_MAX = 64 * 1024
BODY_DEPTH_MAX = 12  # what an argument equals may be nested

router = APIRouter(prefix="/v1/grants", tags=["grants"], route_class=ProblemRoute)

Named = Annotated[str, Path(max_length=80, description="The id of the grant, as the list has it.")]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class GrantIn(BaseModel):
    """What is proposed. Whatever is not named here is not granted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rules: list[Name] = Field(
        min_length=1, max_length=16, description="Rules whose holds it answers, as a hold names."
    )
    principal: Name | None = Field(None, description="The person or service account it is for.")
    group: Name | None = Field(None, description="Or the group it is for.")
    backend: Name = Field(description="The only backend that it is for.")
    tool: Name | None = Field(None, description="The function whose calls it is for.")
    arguments: dict[str, Any] = Field(
        default={},
        max_length=NAMED_MAX,
        description='What each argument must be: `{"equals": …}`, `{"prefix": "…"}` or '
        '`{"glob": "…"}`.',
    )
    other_arguments: Literal["absent", "any"] = Field(
        "absent", description="Whether a call may have arguments that are not named."
    )
    count: int = Field(ge=1, description="How often it may be used.")
    hours: int = Field(ge=1, description="How long it is good once it was confirmed.")
    reviewers: list[Name] = Field(
        default=["reviewer"], max_length=8, description="Whom the rules ask, roles or groups."
    )
    reason: str = Field(min_length=1, max_length=500, description="Kept as evidence.")


class RevokeIn(BaseModel):
    """Why it ends."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(min_length=1, max_length=500)


class GrantOut(BaseModel):
    """A grant. `until_us` is its end, of a proposal the time until which it can be confirmed."""

    id: str
    status: Literal["proposed", "standing"]
    rules: list[str]
    principal: str | None
    group: str | None
    backend: str
    tool: str | None
    arguments: dict[str, Any]
    other_arguments: str
    count: int
    remaining: int
    hours: int
    risk_below: int
    reviewers: list[str]
    reason: str
    proposed_by: str
    confirmed_by: str | None
    until_us: int


class RevokedOut(BaseModel):
    """What was ended."""

    id: str
    revoked: Literal[True] = True


class GrantList(BaseModel):
    """All that stand or are proposed."""

    object: Literal["list"] = "list"
    data: list[GrantOut]


@router.get("")
async def list_grants(parts: Parts, principal: Caller) -> GrantList:
    """Grants that the caller may review, or has; all of them for auditors."""
    needs(principal, Scope.REVIEW, Scope.SELF, Scope.AUDIT)
    return GrantList(data=[_told(one) for one in await _desk(parts).listed(principal)])


@router.post("", status_code=201, openapi_extra=body_of(GrantIn))
async def propose_grant(request: Request, parts: Parts, principal: Caller) -> GrantOut:
    """Propose a grant; nothing is granted before another reviewer confirms it."""
    needs(principal, Scope.REVIEW)
    said = await read_model(
        request,
        GrantIn,
        what="a grant",
        bytes_max=BODY_BYTES_MAX,
        depth_max=BODY_DEPTH_MAX,
        written=True,
    )
    asked = Asked(
        rules=tuple(said.rules),
        backend=said.backend,
        count=said.count,
        hours=said.hours,
        reason=said.reason,
        principal=said.principal,
        group=said.group,
        tool=said.tool,
        pattern=_pattern(said),
        reviewers=tuple(said.reviewers),
    )
    return _told(await _desk(parts).propose(principal, asked))


@router.post("/{grant_id}/confirm")
async def confirm_grant(grant_id: Named, parts: Parts, principal: Caller) -> GrantOut:
    """Confirm what another reviewer proposed: from then on it answers holds."""
    needs(principal, Scope.REVIEW)
    return _told(await _desk(parts).confirm(principal, grant_id))


@router.post("/{grant_id}/revoke", openapi_extra=body_of(RevokeIn))
async def revoke_grant(
    grant_id: Named, request: Request, parts: Parts, principal: Caller
) -> RevokedOut:
    """End a grant at once, or deny a proposed one."""
    needs(principal, Scope.REVIEW)
    said = await read_model(
        request, RevokeIn, what="a reason", bytes_max=BODY_BYTES_MAX, depth_max=BODY_DEPTH_MAX
    )
    return RevokedOut(id=(await _desk(parts).revoke(principal, grant_id, said.reason)).id)


def _desk(parts: Services) -> GrantDesk:
    if parts.grants is None:
        raise NotFound("There are no grants here.")
    return parts.grants


def _pattern(said: GrantIn) -> Pattern | None:
    if said.tool is None:
        if said.arguments or said.other_arguments != "absent":
            message = "Arguments are those of a tool: name one, or leave them out."
            raise BadRequest(message, param="arguments")
        return None
    try:
        return read_pattern({"named": said.arguments, "others": said.other_arguments})
    except BadPattern as error:
        raise BadRequest(f"This pattern does not read: {error}.", param="arguments") from error


def _told(grant: Grant) -> GrantOut:
    pattern = grant.pattern.document() if grant.pattern else {"named": {}, "others": "absent"}
    return GrantOut(
        id=grant.id,
        status="proposed" if grant.confirmed_by is None else "standing",
        rules=list(grant.rules),
        principal=grant.principal,
        group=grant.group,
        backend=grant.backend,
        tool=grant.tool,
        arguments=pattern["named"],
        other_arguments=pattern["others"],
        count=grant.count,
        remaining=grant.remaining,
        hours=grant.hours,
        risk_below=grant.risk_below,
        reviewers=list(grant.reviewers),
        reason=grant.reason,
        proposed_by=grant.proposed_by,
        confirmed_by=grant.confirmed_by,
        until_us=grant.until_us,
    )
