from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from sekisho.web.security_headers import Sealed, constant


@pytest.fixture
def site() -> Any:
    app = FastAPI()

    @app.get("/plain")
    async def plain() -> dict[str, str]:
        return {}

    @app.get("/page")
    async def page() -> HTMLResponse:
        own = {
            "Content-Security-Policy": "default-src 'self'",
            "Cache-Control": "max-age=60",
            "X-Content-Type-Options": "nosniff",
            "Server": "secret/1.0",
        }
        return HTMLResponse("<p>hi", headers=own)

    return Sealed(app)


async def _get(site: Any, path: str) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(site), base_url="http://gate.example"
    ) as client:
        return await client.get(path)


@pytest.mark.parametrize("path", ["/plain", "/missing"])
async def test_an_answer_loads_nothing_and_stays_in_no_cache(site: Any, path: str) -> None:
    """Errors as well."""
    answer = await _get(site, path)

    assert (
        "default-src 'none'; frame-ancestors 'none'" == (answer.headers["content-security-policy"])
    )
    assert "no-store" == answer.headers["cache-control"]


async def test_a_page_may_say_it_differently(site: Any) -> None:
    """Its own policy stands alone: two would both apply."""
    answer = await _get(site, "/page")

    assert ["default-src 'self'"] == answer.headers.get_list("content-security-policy")
    assert ["max-age=60"] == answer.headers.get_list("cache-control")


async def test_what_the_server_says_is_not_said_twice(site: Any) -> None:
    """And no answer names its software."""
    answer = await _get(site, "/page")

    assert "x-content-type-options" not in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize("https", [True, False])
def test_https_is_asked_for_where_it_is(https: bool) -> None:
    """Only then: a site reached over plain HTTP would lock itself out."""
    headers = dict(constant(https=https))

    assert "nosniff" == headers["x-content-type-options"]
    assert "no-referrer" == headers["referrer-policy"]
    assert "same-origin" == headers["cross-origin-resource-policy"]
    assert https == ("strict-transport-security" in headers)
