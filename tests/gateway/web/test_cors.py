"""Pages of listed origins, of others, and of none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from sekisho.web.answering import Receive, Scope, Send
from sekisho.web.cors import HEADERS_MAX, with_cors

CHAT_PAGE = "https://chat.example"
ASKED = "content-type,authorization,x-stainless-lang,idempotency-key,x-api-key"


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"x-request-id", b"r"), (b"X-Sekisho-Exchange", b"e"), (b"x-inner", b"i")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"answer"})


async def _call(
    method: str, headers: Mapping[str, str], path: str = "/v1/chat/completions"
) -> httpx.Response:
    app: Any = with_cors(_app, (CHAT_PAGE, "http://localhost:3000"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://gate.example"
    ) as client:
        return await client.request(method, path, headers=dict(headers))


def _preflight(origin: str, asked: str = ASKED) -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": asked,
    }


def test_without_origins_nothing_stands_in_the_way() -> None:
    """Off is off: the application itself, at no cost."""
    assert with_cors(_app, ()) is _app


async def test_a_listed_page_may_ask_with_a_key() -> None:
    """What OpenAI's client in a browser wants to send is allowed, for a while."""
    answer = await _call("OPTIONS", _preflight(CHAT_PAGE))
    allowed = answer.headers["access-control-allow-headers"].split(", ")

    assert 204 == answer.status_code
    assert CHAT_PAGE == answer.headers["access-control-allow-origin"]
    assert set(ASKED.split(",")) == set(allowed)
    assert "GET, POST" == answer.headers["access-control-allow-methods"]
    assert int(answer.headers["access-control-max-age"]) > 0
    assert "origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "https://chat.example.evil.example", "http://chat.example",
     "https://chat.example:8443", "https://CHAT.example", "*", ""],
)  # fmt: skip
@pytest.mark.parametrize("method", ["OPTIONS", "POST", "GET"])
async def test_nobody_else_may_read(origin: str, method: str) -> None:
    """Exactly the listed origins: no prefix, no other scheme, no sandboxed page."""
    answer = await _call(method, _preflight(origin))

    assert not [name for name in answer.headers if name.startswith("access-control-allow")]
    assert "origin" in answer.headers["vary"]


async def test_a_preflight_from_elsewhere_is_told_why() -> None:
    """In the shape of every other error."""
    answer = await _call("OPTIONS", _preflight("https://evil.example"))

    assert (403, "origin_not_allowed") == (answer.status_code, answer.json()["error"]["code"])


async def test_the_answer_is_readable_with_what_governance_says() -> None:
    """Ids, limits and our own headers, but no other; never a star, never credentials."""
    answer = await _call("POST", {"origin": CHAT_PAGE})

    assert (200, b"answer") == (answer.status_code, answer.content)
    assert CHAT_PAGE == answer.headers["access-control-allow-origin"]
    assert "x-request-id, x-sekisho-exchange" == answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "name", ["cookie", "x-user", "x-forwarded-for", "x-stainless-\x80", "x-stainless-a b", "*"]
)
async def test_other_headers_are_not_allowed(name: str) -> None:
    """A page may not speak as a proxy, and nothing odd is repeated in our answer."""
    asked = f"content-type, {name}".encode("latin-1")
    answer = await _call(
        "OPTIONS", {**_preflight(CHAT_PAGE), "access-control-request-headers": asked}
    )  # type: ignore[dict-item]

    assert "content-type" == answer.headers["access-control-allow-headers"]


async def test_a_preflight_names_only_so_many_headers() -> None:
    """What is repeated in an answer is bounded."""
    answer = await _call(
        "OPTIONS", _preflight(CHAT_PAGE, ",".join(f"x-stainless-{n}" for n in range(500)))
    )

    assert HEADERS_MAX == len(answer.headers["access-control-allow-headers"].split(","))


@pytest.mark.parametrize("path", ["/approvals/hold_1", "/readyz", "/console", "/v1"])
async def test_pages_and_operators_routes_stay_closed(path: str) -> None:
    """Only /v1 is for programs of others."""
    answer = await _call("GET", {"origin": CHAT_PAGE}, path)

    assert "access-control-allow-origin" not in answer.headers


async def test_options_without_a_preflight_goes_on() -> None:
    """It is the application's to answer."""
    assert b"answer" == (await _call("OPTIONS", {"origin": CHAT_PAGE})).content
