"""`/v1/audit/search`: finding exchanges by what happened in them and what was said, for auditors.

One query language, the same as on the command line. What is found are exchanges with the places of
their events, never content; who searched for what is in the ledger before an answer is told. Each
answer says how far the index had read the ledger, and how much it could not search.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from sekisho.model.limits import MICROS
from sekisho.web.callers import Caller, Parts, ProblemRoute, needs_auditor
from sekisho.web.exchanges_schema import ReceiptOut

FOUND_MAX = 200  # auditd tells no more at once
QUERY_CHARS_MAX = 2_000  # auditd takes no longer ones
CURSOR_CHARS_MAX = 40

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=ProblemRoute)

Asked = Annotated[
    str,
    Query(
        alias="q",
        max_length=QUERY_CHARS_MAX,
        description="Items between blanks, all of which must hold: `principal:staff-7 effect:deny "
        'rule:dlp.* after:2026-03-01 "身份证" -"draft"`. Empty: everything.',
    ),
]


class Completeness(BaseModel):
    """How far a search could see."""

    indexed: int = Field(description="Events of the ledger that the index had read.")
    size: int = Field(description="Events in the ledger when it was asked.")
    erased: int = Field(
        description="Exchanges that meet everything but the text, and whose text cannot be "
        "searched: erased, or not kept."
    )
    forgotten: int = Field(description="Events of erased people, which are in no index.")


class FoundOut(BaseModel):
    """An exchange, or an event that belongs to none (`exchange` is null)."""

    exchange: str | None
    principal: str | None = Field(description="`erased` once nobody knows any more who it was.")
    created_at: int = Field(description="When it began, seconds since 1970, UTC.")
    events: list[int] = Field(description="The places of its events in the ledger.")
    fields: dict[str, list[str]] = Field(description="What it can be found by, field by field.")
    spend_micros: int = Field(description="What it was charged, millionths of the currency.")
    tokens: int


class FoundList(BaseModel):
    """One page, newest first. `after` asks for the next one; null at the end."""

    object: Literal["list"] = "list"
    data: list[FoundOut]
    after: str | None
    completeness: Completeness
    recorded: ReceiptOut = Field(description="The event that says that this was asked.")


class FacetOut(BaseModel):
    """The most frequent words of a field."""

    counts: dict[str, int] = Field(description="Exact numbers of exchanges that have a word.")
    more: int = Field(description="How many words there are beside these.")


class FacetList(BaseModel):
    """How much meets a query, and what kinds of it there are."""

    object: Literal["facets"] = "facets"
    total: int
    fields: dict[str, FacetOut]
    completeness: Completeness
    recorded: ReceiptOut


@router.get("/search")
async def search(
    parts: Parts,
    principal: Caller,
    query: Asked = "",
    after: Annotated[str, Query(max_length=CURSOR_CHARS_MAX)] = "",
    limit: Annotated[int, Query(ge=1, le=FOUND_MAX)] = 50,
) -> FoundList:
    """Exchanges that meet a query. All pages tell what held when the first was asked for."""
    needs_auditor(principal)
    found = await parts.searches.search(principal.id, query, after, limit)
    return FoundList(
        data=[
            FoundOut(created_at=one["begun_us"] // MICROS, **_without(one, "begun_us"))
            for one in found["data"]
        ],
        after=found["after"] or None,
        completeness=_completeness(found),
        recorded=_recorded(parts, found),
    )


@router.get("/search/facets")
async def facets(parts: Parts, principal: Caller, query: Asked = "") -> FacetList:
    """How many exchanges meet a query, by effect, rule, model, type and principal."""
    needs_auditor(principal)
    found = await parts.searches.facets(principal.id, query)
    return FacetList(
        total=found["total"],
        fields={
            name: FacetOut(counts=dict(facet["counts"]), more=facet["more"])
            for name, facet in found["fields"].items()
        },
        completeness=_completeness(found),
        recorded=_recorded(parts, found),
    )


def _without(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {member: value for member, value in found.items() if member != name}


def _completeness(found: Mapping[str, Any]) -> Completeness:
    return Completeness(**{name: found[name] for name in Completeness.model_fields})


def _recorded(parts: Parts, found: Mapping[str, Any]) -> ReceiptOut:
    place = found["recorded"]
    return ReceiptOut(origin=parts.ledger.origin, index=place["index"], leaf=place["leaf"])
