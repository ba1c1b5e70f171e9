"""`/v1/admin/policies`: the life of a revision over HTTP, by the same desk as the command.

Two persons here too: who drafts does not activate. A replay needs an officer, whose secret never
passes through a worker, so reports are made by `sekisho policy diff --record` and read here. What
an officer disclosed before can be compared here, for a look; that goes on no record.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from sekisho.errors import PolicyUnavailable
from sekisho.model.revisions import Activation, Known, Report, may_draft, may_look
from sekisho.web.bodies import read_body, read_model
from sekisho.web.callers import Caller, Parts, ProblemRoute
from sekisho.web.openapi import body_of, bytes_of
from sekisho.web.policy_port import Policies
from sekisho.web.services import Services

BODY_BYTES_MAX = 8 * 1024 * 1024  # data of 10,000 principals takes 2 MiB
BODY_DEPTH_MAX = 4
FILES_MAX = 2_000
INPUTS_BYTES_MAX = 16 * 1024 * 1024  # 5,000 disclosed inputs take some 10 MiB
INPUTS_S_MAX = 30.0  # for all of them, also over a slow line

router = APIRouter(prefix="/v1/admin/policies", tags=["policy"], route_class=ProblemRoute)

Named = Annotated[str, Path(max_length=80, description="The digest, or the first digits of it.")]


class DraftIn(BaseModel):
    """A bundle: its files by their path in it, as `packs/team/rules.rego`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    files: dict[str, str] = Field(min_length=1, max_length=FILES_MAX)
    source: str = Field("http", max_length=200, description="Where it comes from, for the list.")


class DraftOut(BaseModel):
    """What the bundle is called from now on."""

    revision: str


class ReportOut(BaseModel):
    """What recorded decisions would be under this revision instead of `against`."""

    against: str
    made_us: int
    event: str
    report: dict[str, Any]


class ActivationOut(BaseModel):
    """Who put `revision` in force, in place of what."""

    revision: str
    previous: str | None
    activator: str
    rollback: bool
    at_us: int


class RevisionOut(BaseModel):
    """One revision and all that is known of it."""

    revision: str
    contents: str
    source: str
    state: str
    authors: list[str]
    drafted_us: int
    reports: list[ReportOut]
    activations: list[ActivationOut]


class ShadowOut(BaseModel):
    """Which revision decides beside the one in force, or (`ended`) does no longer."""

    revision: str
    ended: bool


class ComparedOut(BaseModel):
    """What the sent inputs would be by `revision` instead of `base`. On no record."""

    base: str
    revision: str
    report: dict[str, Any]


class RevisionList(BaseModel):
    """All revisions, the newest first."""

    object: Literal["list"] = "list"
    data: list[RevisionOut]


class TestsOut(BaseModel):
    """What the revision's own tests say."""

    tests: int
    passed: bool
    coverage_percent: float
    failed: list[str]


@router.get("")
async def list_revisions(parts: Parts, principal: Caller) -> RevisionList:
    """All revisions."""
    found = await asyncio.to_thread(_desk(parts).listed, principal)
    return RevisionList(data=[_revision(known) for known in found])


@router.post("", status_code=201, openapi_extra=body_of(DraftIn))
async def draft_revision(request: Request, parts: Parts, principal: Caller) -> DraftOut:
    """Put a bundle in; the caller is an author of it for good."""
    desk = _desk(parts)
    sent = await read_model(
        request,
        DraftIn,
        what="a bundle",
        bytes_max=BODY_BYTES_MAX,
        depth_max=BODY_DEPTH_MAX,
    )
    files = {name: text.encode() for name, text in sent.files.items()}
    row = await asyncio.to_thread(desk.draft_files, principal, files, sent.source)
    return DraftOut(revision=row.revision)


@router.post("/signed", status_code=201, openapi_extra=bytes_of("application/gzip"))
async def draft_signed(
    request: Request,
    parts: Parts,
    principal: Caller,
    source: Annotated[str, Query(max_length=200, description="For the list.")] = "http",
) -> DraftOut:
    """Put a bundle file in that was signed with the key in the settings (`opa sign`)."""
    desk = _desk(parts)
    may_draft(principal)
    packed = await read_body(request, bytes_max=BODY_BYTES_MAX, timeout_s=INPUTS_S_MAX)
    row = await asyncio.to_thread(desk.draft_signed, principal, packed, source)
    return DraftOut(revision=row.revision)


@router.delete("/shadow")
async def end_shadow(parts: Parts, principal: Caller) -> ShadowOut:
    """Nothing decides beside the revision in force any more."""
    which = await asyncio.to_thread(_desk(parts).shadow, principal, None)
    return ShadowOut(revision=which, ended=True)


@router.post("/rollback")
async def roll_back(parts: Parts, principal: Caller) -> ActivationOut:
    """Go back to the revision before the one in force."""
    return _activation(await asyncio.to_thread(_desk(parts).rollback, principal))


@router.get("/{revision}")
async def show_revision(revision: Named, parts: Parts, principal: Caller) -> RevisionOut:
    """One revision, with the reports on it."""
    return _revision(await asyncio.to_thread(_desk(parts).known, principal, revision))


@router.get("/{revision}/tests")
async def test_revision(revision: Named, parts: Parts, principal: Caller) -> TestsOut:
    """Run the revision's own tests, with the lines they reach."""
    tested = await asyncio.to_thread(_desk(parts).tested, principal, revision)
    return TestsOut(
        tests=tested.tests,
        passed=tested.passed,
        coverage_percent=tested.coverage_percent,
        failed=list(tested.failed),
    )


@router.post("/{revision}/diff", openapi_extra=bytes_of("application/x-ndjson"))
async def compare_revision(
    request: Request,
    revision: Named,
    parts: Parts,
    principal: Caller,
    base: Annotated[
        str | None, Query(max_length=80, description="Compared with; else what is in force.")
    ] = None,
) -> ComparedOut:
    """What disclosed inputs (the lines of `sekisho-audit disclose --json`) would be by it."""
    desk = _desk(parts)
    may_look(principal)
    lines = await read_body(request, bytes_max=INPUTS_BYTES_MAX, timeout_s=INPUTS_S_MAX)
    found = await asyncio.to_thread(desk.compared, principal, revision, base, lines)
    return ComparedOut.model_validate(found)


@router.post("/{revision}/shadow")
async def cast_shadow(revision: Named, parts: Parts, principal: Caller) -> ShadowOut:
    """Let a colleague's revision decide beside the one in force; nothing follows from it."""
    which = await asyncio.to_thread(_desk(parts).shadow, principal, revision)
    return ShadowOut(revision=which, ended=False)


@router.post("/{revision}/activate")
async def activate_revision(revision: Named, parts: Parts, principal: Caller) -> ActivationOut:
    """Put a colleague's revision in force: tests green, replayed, and by none of its authors."""
    return _activation(await asyncio.to_thread(_desk(parts).activate, principal, revision))


def _desk(parts: Services) -> Policies:
    if parts.policies is None:
        raise PolicyUnavailable("Revisions of policy cannot be changed here.")
    return parts.policies


def _revision(known: Known) -> RevisionOut:
    row = known.revision
    return RevisionOut(
        revision=row.revision,
        contents=row.contents,
        source=row.source,
        state=known.state,
        authors=list(row.authors),
        drafted_us=row.drafted_us,
        reports=[_report(one) for one in known.reports],
        activations=[_activation(one) for one in known.activations],
    )


def _report(made: Report) -> ReportOut:
    return ReportOut(
        against=made.against, made_us=made.made_us, event=made.event, report=dict(made.summary)
    )


def _activation(done: Activation) -> ActivationOut:
    return ActivationOut(
        revision=done.revision,
        previous=done.previous,
        activator=done.activator,
        rollback=done.rollback,
        at_us=done.at_us,
    )
