"""`/v1/samples`: review after the fact over HTTP: reviewers read and judge what was drawn."""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from sekisho.errors import Forbidden, NotFound
from sekisho.holding.sample_desk import REASON_CHARS_MAX, SampleDesk
from sekisho.model.principal import Principal, Role, Scope
from sekisho.model.samples import Sample
from sekisho.web.bodies import read_model
from sekisho.web.callers import Caller, Parts, ProblemRoute, needs
from sekisho.web.openapi import body_of
from sekisho.web.services import Services

BODY_BYTES_MAX = 16 * 1024
BODY_DEPTH_MAX = 4
LISTED_MAX = 500

router = APIRouter(prefix="/v1/samples", tags=["samples"], route_class=ProblemRoute)

Named = Annotated[str, Path(max_length=80, description="The id of the sample, as the list has it.")]


class VerdictIn(BaseModel):
    """What one person found."""

    model_config = ConfigDict(extra="forbid", strict=True)

    verdict: Literal["fine", "concern"]
    reason: str = Field("", max_length=REASON_CHARS_MAX, description="A concern needs one.")


class VerdictOut(BaseModel):
    """What somebody found."""

    by: str
    verdict: Literal["fine", "concern"]
    at_us: int


class SampleOut(BaseModel):
    """A sample. `verdicts` are told only to who has given theirs; else it is empty."""

    id: str
    principal: str
    model: str
    backend: str
    rules: list[str]
    risk: int
    opening: str | None = Field(description="The break-glass that let it go on without people.")
    drawn_us: int
    until_us: int = Field(description="After this nobody is asked any more.")
    mine: Literal["fine", "concern"] | None = Field(description="What the caller found.")
    verdicts: list[VerdictOut]


class SampleList(BaseModel):
    """What waits for the caller, the oldest first."""

    object: Literal["list"] = "list"
    data: list[SampleOut]


class PartOut(BaseModel):
    """`text` if the bytes are UTF-8, else `base64`."""

    bytes: int
    text: str | None
    base64: str | None


class ContentOut(SampleOut):
    """A sample with what is still there of its content. `content` is `none` where nothing is."""

    content: Literal["whole", "cut", "none"]
    request: PartOut | None = Field(description="As it left; null if it is not there any more.")
    answer: PartOut | None = Field(description="As it was given out.")


class JudgedOut(BaseModel):
    """A verdict that is on record, and the outcome where it decided the sample."""

    id: str
    verdict: Literal["fine", "concern"]
    outcome: Literal["fine", "concern"] | None
    by: Literal["agreement", "third"] | None


class FigureOut(BaseModel):
    """What was drawn in a month, of one model or because of one rule, and what came of it."""

    month: str
    kind: Literal["model", "rule"]
    name: str
    drawn: int
    judged: int
    concerns: int
    disputed: int = Field(description="Two differed, so that a third was asked.")
    unjudged: int


class SampleFigures(BaseModel):
    """Counted from the ledger; a sample of several rules counts for each."""

    object: Literal["sample.figures"] = "sample.figures"
    data: list[FigureOut]


@router.get("")
async def list_samples(parts: Parts, principal: Caller) -> SampleList:
    """What waits for the caller's verdict."""
    needs(principal, Scope.REVIEW)
    found = await desk_of(parts).queue(principal)
    return SampleList(data=[SampleOut(**_told(one, principal)) for one in found[:LISTED_MAX]])


@router.get("/figures")
async def sample_figures(parts: Parts, principal: Caller) -> SampleFigures:
    """What came of samples, by month, model and rule: for reviewers, auditors and operators."""
    needs(principal, Scope.REVIEW, Scope.AUDIT, Scope.ADMIN)
    desk = desk_of(parts)
    if not desk.reviews(principal) and principal.roles.isdisjoint({Role.AUDITOR, Role.OPERATOR}):
        raise Forbidden("These are for reviewers, auditors and operators.", code="role_missing")
    figures = (await desk.standing()).figures
    rows = [
        FigureOut(
            month=month,
            kind="model" if kind == "model" else "rule",
            name=name,
            drawn=one.drawn,
            judged=one.judged,
            concerns=one.concerns,
            disputed=one.disputed,
            unjudged=one.unjudged,
        )
        for (month, kind, name), one in figures.items()
    ]
    return SampleFigures(data=sorted(rows, key=lambda row: (row.month, row.kind, row.name)))


@router.get("/{sample_id}")
async def show_sample(sample_id: Named, parts: Parts, principal: Caller) -> ContentOut:
    """What was asked and answered; that it is shown is on record."""
    needs(principal, Scope.REVIEW)
    sample, content = await desk_of(parts).show(principal, sample_id)
    said = _told(sample, principal)
    if content is None:
        return ContentOut(**said, content="none", request=None, answer=None)
    return ContentOut(
        **said,
        content="cut" if content.cut else "whole",
        request=_part(content.request) if content.request else None,
        answer=_part(content.answer),
    )


@router.post("/{sample_id}/verdict", openapi_extra=body_of(VerdictIn))
async def judge_sample(
    sample_id: Named, request: Request, parts: Parts, principal: Caller
) -> JudgedOut:
    """Say what you found. What others found is told afterwards."""
    needs(principal, Scope.REVIEW)
    said = await read_model(
        request, VerdictIn, what="a verdict", bytes_max=BODY_BYTES_MAX, depth_max=BODY_DEPTH_MAX
    )
    judged = await desk_of(parts).judge(principal, sample_id, said.verdict, said.reason)
    told = {"outcome": judged.outcome or None, "by": judged.by or None}
    return JudgedOut.model_validate({"id": sample_id, "verdict": said.verdict, **told})


def desk_of(parts: Services) -> SampleDesk:
    """Where samples are judged. Raises NotFound where there are none."""
    if parts.samples is None:
        raise NotFound("There are no samples here.")
    return parts.samples


def _told(sample: Sample, who: Principal) -> dict[str, object]:
    mine = sample.said_by(who.id)
    others = sample.verdicts if mine else ()
    return {
        "id": sample.id,
        "principal": sample.principal,
        "model": sample.model,
        "backend": sample.backend,
        "rules": list(sample.rules),
        "risk": sample.risk,
        "opening": sample.opening or None,
        "drawn_us": sample.drawn_us,
        "until_us": sample.until_us,
        "mine": mine.verdict if mine else None,
        "verdicts": [{"by": o.by, "verdict": o.verdict, "at_us": o.at_us} for o in others],
    }


def _part(body: bytes) -> PartOut:
    try:
        return PartOut(bytes=len(body), text=body.decode(), base64=None)
    except UnicodeDecodeError:
        return PartOut(bytes=len(body), text=None, base64=base64.b64encode(body).decode())
