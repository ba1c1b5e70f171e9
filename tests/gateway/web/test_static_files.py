from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from sekisho.console.assets import SERVED
from sekisho.errors import NotFound
from sekisho.web import static_files


@pytest.fixture
def site() -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(static_files.router)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gate")


@pytest.mark.parametrize("name", sorted(SERVED))
async def test_our_files_are_served_to_be_kept(site: httpx.AsyncClient, name: str) -> None:
    """As what they are: a browser guesses nothing."""
    async with site:
        answer = await site.get(f"/static/{name}")

    assert answer.content == SERVED[name].content
    assert answer.headers["content-type"] == SERVED[name].content_type
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("name", ["page.css", "page-0000000000000000.css", "assets.py", "%00"])
async def test_nothing_else_is(site: httpx.AsyncClient, name: str) -> None:
    """A name is looked up in a table and never on disk."""
    async with site:
        with pytest.raises(NotFound):
            await site.get(f"/static/{name}")
