"""`GET /v1/approvals/figures`: how people review, counted from the ledger's index.

For operators and auditors everybody's, recorded like a search before it is told; for reviewers
their own. Below `[reviews] people_min` people nobody is named: docs/adr/0027 says why, and what is
still told then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from sekisho.errors import Forbidden
from sekisho.model.principal import Principal, Role, Scope
from sekisho.web.callers import Caller, Now, Parts, ProblemRoute, needs
from sekisho.web.exchanges_schema import ReceiptOut
from sekisho.web.services import Services

DAYS_MAX = 366
NARROW_DECISIONS = 100
NARROW_RATE = 0.95
_DAY_US = 86_400 * 1_000_000
_RATE_DIGITS = 4

router = APIRouter(prefix="/v1/approvals", tags=["approvals"], route_class=ProblemRoute)


class FiguresOut(BaseModel):
    """How a group of answers came about. Null: nothing to divide, or of too few people to tell.

    An answer took from when the reviewer was first shown that version; where that is not on record,
    from when it was filed.
    """

    decisions: int
    approvals: int
    approval_rate: float | None
    median_s: float | None = Field(description="Half of the answers took no longer.")
    under_5_s: int | None = Field(description="Answers that took less than 5 s.")
    under_5_s_rate: float | None
    edits: int | None = Field(description="New versions that reviewers wrote.")
    edit_rate: float | None = Field(description="Their share in edits and answers together.")
    together: int | None = Field(description="Versions that several people answered.")
    agreement: float | None = Field(description="The share of these with all answers alike.")
    decisions_per_hour: float | None = Field(
        description="In the hours in which a person decided anything."
    )
    people: int | None = Field(description="Who answered.")
    caught: int | None = Field(description="Test items that were denied.")
    missed: int | None = Field(description="Test items that were approved.")


class RuleFigures(FiguresOut):
    """Answers to holds that a rule asked for. A hold of several rules counts for each."""

    rule: str
    narrow: bool = Field(
        description="Nearly everything it asks about is approved: let it ask about less."
    )


class PersonFigures(FiguresOut):
    """Answers of one person."""

    person: str


class ReviewFigures(BaseModel):
    """Everybody's figures, or one's own (`own`). `people` is null where they are too few."""

    object: Literal["approval.figures"] = "approval.figures"
    days: int
    own: FiguresOut | None = None
    total: FiguresOut | None = None
    rules: list[RuleFigures] | None = None
    people: list[PersonFigures] | None = None
    people_min: int
    indexed: int = Field(description="Events of the ledger that were counted.")
    size: int = Field(description="Events in the ledger when it was asked.")
    recorded: ReceiptOut | None = Field(None, description="The event that says that it was asked.")


@router.get("/figures")
async def show_figures(
    parts: Parts,
    principal: Caller,
    now: Now,
    days: Annotated[int, Query(ge=1, le=DAYS_MAX)] = 30,
    *,
    mine: Annotated[
        bool | None, Query(description="Only one's own; without it, all one may see.")
    ] = None,
) -> ReviewFigures:
    """How people reviewed in the last days: operators and auditors everybody, others themselves."""
    return await figures_for(parts, principal, now, days, mine=mine)


# The page (web/figure_pages.py) calls it too: there is one way to ask.


async def figures_for(
    parts: Services, principal: Principal, now: int, days: int, *, mine: bool | None
) -> ReviewFigures:
    """The figures of the last `days` that `principal` may see; see `show_figures`."""
    needs(principal, Scope.REVIEW, Scope.AUDIT, Scope.ADMIN)
    everybody = oversees(principal)
    if mine is False and not everybody:
        message = "Figures of others are for operators and auditors. Leave out mine=false."
        raise Forbidden(message, code="role_missing")
    since_us, people_min = now - days * _DAY_US, parts.hold_limits.care.people_min
    if mine or not everybody:
        found = await parts.searches.own_figures(principal.id, since_us)
        return _answer(found, days, people_min, own=FiguresOut(**_figures(found["own"])))
    found = await parts.searches.figures(principal.id, since_us, people_min)
    return _answer(
        found,
        days,
        people_min,
        total=FiguresOut(**_figures(found["total"])),
        rules=[_rule(rule, one) for rule, one in found["rules"].items()],
        people=None
        if found["people"] is None
        else [PersonFigures(person=who, **_figures(one)) for who, one in found["people"].items()],
        recorded=ReceiptOut(origin=parts.ledger.origin, **found["recorded"]),
    )


def oversees(principal: Principal) -> bool:
    """Whether this is an operator or auditor, with a credential made for what they do."""
    return (Role.AUDITOR in principal.roles and Scope.AUDIT in principal.scopes) or (
        Role.OPERATOR in principal.roles and Scope.ADMIN in principal.scopes
    )


def _answer(found: Mapping[str, Any], days: int, people_min: int, **told: Any) -> ReviewFigures:
    how_far = {"indexed": found["indexed"], "size": found["size"]}
    return ReviewFigures(days=days, people_min=people_min, **how_far, **told)


def _rule(rule: str, found: Mapping[str, Any]) -> RuleFigures:
    figures = _figures(found)
    rate = figures["approval_rate"]
    narrow = found["decisions"] >= NARROW_DECISIONS and rate is not None and rate > NARROW_RATE
    return RuleFigures(rule=rule, narrow=narrow, **figures)


def _figures(found: Mapping[str, Any]) -> dict[str, Any]:
    decisions, edits, median_us = found["decisions"], found["edits"], found["median_us"]
    return {
        "decisions": decisions,
        "approvals": found["approved"],
        "approval_rate": _share(found["approved"], decisions),
        "median_s": None if median_us is None else median_us / 1_000_000,
        "under_5_s": found["under_5_s"],
        "under_5_s_rate": _share(found["under_5_s"], decisions),
        "edits": edits,
        "edit_rate": None if edits is None else _share(edits, edits + decisions),
        "together": found["together"],
        "agreement": _share(found["agreed"], found["together"]),
        "decisions_per_hour": _share(decisions, found["hours"]),
        "people": found["people"],
        "caught": found["caught"],
        "missed": found["missed"],
    }


def _share(part: int | None, whole: int | None) -> float | None:
    return round(part / whole, _RATE_DIGITS) if part is not None and whole else None
