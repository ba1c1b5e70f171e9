"""Control routes: one entrance, one shape of errors, and purposes of credentials."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from sekisho.errors import Forbidden, Overloaded
from sekisho.model.hold import HoldLimits
from sekisho.model.principal import Scope
from sekisho.web.callers import Caller, ProblemRoute, needs, now_us
from sekisho.web.services import Services
from support.entrances import Notebook, StaticDirectory, entrance
from support.holds import STAFF

router = APIRouter(route_class=ProblemRoute)


@router.get("/v1/who")
async def who(principal: Caller) -> dict[str, str]:
    """Who calls."""
    return {"id": principal.id}


@router.get("/v1/fails")
async def fails() -> None:
    """Says what went wrong, and where."""
    error = Overloaded("Too much.")
    error.exchange = "x1"
    raise error


async def ask(path: str, key: str = "", book: Notebook | None = None) -> httpx.Response:
    app = FastAPI()
    app.include_router(router)
    nothing: Any = None
    directory = StaticDirectory({"k1": STAFF})
    app.state.services = Services(
        nothing, nothing, nothing, nothing, directory, entrance(book), HoldLimits()
    )
    headers = {"authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        return await http.get(path, headers=headers)


async def test_whoever_is_let_in_is_known() -> None:
    """And the answer stays in no cache."""
    answer = await ask("/v1/who", "k1")
    assert (200, {"id": "staff-7"}) == (answer.status_code, answer.json())
    assert "no-store" == answer.headers["cache-control"]


async def test_whoever_is_not_is_recorded_first() -> None:
    """With a fixed word for the place, whatever the path."""
    book = Notebook()
    answer = await ask("/v1/who", "wrong", book)
    assert 401 == answer.status_code
    (event,) = book.events
    assert ("unknown", "control route") == (event.data["cause"], event.data["where"])


async def test_errors_have_the_shape_of_the_data_path() -> None:
    """With the exchange they are about."""
    answer = await ask("/v1/fails")
    assert (503, "overloaded") == (answer.status_code, answer.json()["error"]["code"])
    assert "x1" == answer.headers["x-sekisho-exchange"]


def test_a_credential_serves_the_purposes_it_was_made_for() -> None:
    """One of those asked for is enough; none is a refusal with its own code."""
    narrow = replace(STAFF, scopes=frozenset({Scope.SELF}))
    needs(narrow, Scope.REVIEW, Scope.SELF)
    with pytest.raises(Forbidden) as caught:
        needs(narrow, Scope.REVIEW)
    assert "scope_missing" == cast("Forbidden", caught.value).code


def test_wall_time_is_in_microseconds() -> None:
    """As everywhere."""
    before_us = time.time_ns() // 1000
    assert before_us <= now_us() <= time.time_ns() // 1000
