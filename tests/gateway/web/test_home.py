from __future__ import annotations

from types import SimpleNamespace

import httpx
from fastapi import FastAPI

from sekisho.web import home
from sekisho.web.page_routes import HEADERS


async def test_the_address_alone_says_what_this_is() -> None:
    """Under the policy of the other pages, and without asking who is there."""
    app = FastAPI()
    app.include_router(home.router)
    app.state.sign_in = SimpleNamespace(public_url="https://gate.example", language="en")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as browser:
        answer = await browser.get("/")

    assert answer.status_code == 200
    assert "https://gate.example/v1" in answer.text
    assert HEADERS.items() <= dict(answer.headers).items()
