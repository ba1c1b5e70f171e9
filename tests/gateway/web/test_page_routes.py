from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from sekisho.errors import NotAuthenticated, SekishoError, TooManyFailures, Unavailable
from sekisho.web.page_routes import HEADERS, PageRoute

EVIL = "\"><script>alert(1)</script>'&\u202e"


async def ask(
    error: SekishoError, path: str = "/approvals/x", wish: str = "", public_url: str = "http://gate"
) -> httpx.Response:
    """The page of this error, met at this path."""
    app, router = FastAPI(), APIRouter(route_class=PageRoute)

    @router.get("/{rest:path}")
    async def fails(rest: str) -> None:
        raise error

    app.include_router(router)
    app.state.sign_in = SimpleNamespace(public_url=public_url, language="ja")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as browser:
        return await browser.get(path, headers={"accept-language": wish})


async def test_an_error_is_a_page_that_says_it_and_leads_on() -> None:
    """With its status and code, to what was wanted, in the headers of all pages."""
    page = await ask(Unavailable("Try again <soon>."), wish="en")

    assert page.status_code == 503
    assert "Try again &lt;soon&gt;." in page.text
    assert "unavailable" in page.text
    assert 'href="/approvals/x">Look again' in page.text
    assert page.headers["retry-after"] == "2"
    assert HEADERS.items() <= dict(page.headers).items()


async def test_messages_and_paths_are_text() -> None:
    """Whatever came into them."""
    page = await ask(Unavailable(EVIL), path=f"/approvals/{EVIL}")

    assert "<script>alert" not in page.text
    assert "\u202e" not in page.text


async def test_who_is_not_known_is_led_to_sign_in_and_back() -> None:
    """Also below the path of a proxy."""
    page = await ask(NotAuthenticated("Who?"), public_url="http://gate/llm")
    assert 'href="/llm/login?return_to=%2Fllm%2Fapprovals%2Fx"' in page.text
    assert 'href="/llm/static/page-' in page.text


async def test_a_page_of_no_hold_leads_to_sign_in() -> None:
    """There is nothing else to go to."""
    page = await ask(TooManyFailures("Slower.", retry_after_s=7), path="/login")
    assert 'href="/login"' in page.text
    assert page.headers["retry-after"] == "7"


@pytest.mark.parametrize(("wish", "tag"), [("", "ja"), ("zh-TW", "zh-Hans"), ("de, en;q=.5", "en")])
async def test_the_language_is_the_readers_else_the_installations(wish: str, tag: str) -> None:
    """Among those that pages speak."""
    assert f'<html lang="{tag}">' in (await ask(Unavailable("x"), wish=wish)).text
