from __future__ import annotations

from typing import cast

import httpx
import pytest
from fastapi import FastAPI, Query
from starlette.exceptions import HTTPException

from sekisho.app import create_app
from sekisho.errors import Overloaded
from sekisho.model.hold import HoldLimits
from sekisho.ports import Log, Searches
from sekisho.telemetry import Metrics
from sekisho.web.answering import Receive, Scope, Send
from sekisho.web.services import Services
from sekisho.web.sign_in import SignIn
from support.entrances import entrance
from support.holds import Desk
from support.line import People


async def _elsewhere(_: Scope, __: Receive, send: Send) -> None:
    """What is mounted beside the routes."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def app(desk: Desk) -> FastAPI:
    """The application, with routes that fail in every way."""
    services = Services(
        holds=desk.store,
        ledger=desk.ledger,
        log=cast("Log", None),
        searches=cast("Searches", None),
        directory=People(),
        entrance=entrance(desk.ledger),
        hold_limits=HoldLimits(),
    )
    made = create_app(services, cast("SignIn", None), _elsewhere, {}, Metrics())

    @made.get("/fails/ours")
    async def ours() -> None:
        raise Overloaded("Too much.")

    @made.get("/fails/bug")
    async def bug() -> None:
        raise KeyError("secret prompt")

    @made.get("/fails/framework")
    async def framework() -> None:
        raise HTTPException(418, "secret prompt")

    @made.get("/fails/shape")
    async def shape(count: int = Query()) -> None:
        """Wants a number."""

    @made.get("/fails/page")
    async def page(after: str = Query("", pattern="^[0-9]*$")) -> None:
        """Wants a cursor."""

    return made


async def _get(app: FastAPI, path: str, method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        return await client.request(method, path)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/fails/ours", 503, "overloaded"),
        ("/fails/bug", 500, "internal_fault"),
        ("/fails/framework", 500, "internal_fault"),
        ("/fails/shape", 400, "invalid_request"),
        ("/fails/shape?count=x", 400, "invalid_request"),
        ("/nowhere", 404, "unknown_path"),
        ("/v1/approvals/", 404, "unknown_path"),
        ("/docs", 404, "unknown_path"),
    ],
)
async def test_every_error_has_the_same_shape(
    app: FastAPI, path: str, status: int, code: str
) -> None:
    """As on the data path; what an exception says stays inside."""
    answer = await _get(app, path)

    assert (status, code) == (answer.status_code, answer.json()["error"]["code"])
    assert "secret" not in answer.text


async def test_a_fault_in_a_query_is_told_in_words(app: FastAPI) -> None:
    """With what it must be, and for a cursor an example."""
    said = (await _get(app, "/fails/shape?count=x")).json()["error"]["message"]
    assert "count must be a whole number" in said
    said = (await _get(app, "/fails/page?after=x")).json()["error"]["message"]
    assert "after=4711" in said
    assert "pattern" not in said


async def test_a_method_that_is_not_offered_is_not_found(app: FastAPI) -> None:
    """405 is a 404 with words."""
    answer = await _get(app, "/healthz", method="DELETE")

    assert (404, "unknown_path") == (answer.status_code, answer.json()["error"]["code"])


async def test_what_is_ours_is_described(app: FastAPI) -> None:
    """/openapi.json names the approvals and says nothing of pages."""
    paths = (await _get(app, "/openapi.json")).json()["paths"]

    assert "/v1/approvals" in paths
    assert "/approvals/{hold_id}" not in paths
