from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from sekisho.holding import names
from sekisho.web import pages


async def _get(path: str) -> httpx.Response:
    app = FastAPI()
    app.include_router(pages.router)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        return await client.get(path)


async def test_a_link_to_a_hold_says_what_to_do() -> None:
    """Commands with the id, for requester and reviewer; it needs no key, so it shows no more."""
    hold_id = names.new_hold_id()
    answer = await _get(f"/approvals/{hold_id}")

    assert 200 == answer.status_code
    assert f"sekisho hold approve {hold_id}" in answer.text
    assert f'retrieve("chatcmpl-{hold_id}")' in answer.text


async def test_the_page_may_load_nothing_and_be_kept_by_nobody() -> None:
    """No script can run in it, also on the page that says there is none."""
    for path in (f"/approvals/{names.new_hold_id()}", "/approvals/x"):
        headers = (await _get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "no-store" == headers["cache-control"]
        assert "no-referrer" == headers["referrer-policy"]


@pytest.mark.parametrize(
    "odd", ["hold_1", "<script>alert(1)</script>", "hold_" + "0" * 32 + "%0A", "hold_" + "G" * 32]
)
async def test_what_is_no_id_is_not_repeated(odd: str) -> None:
    """Nothing of a stranger's link comes back in the page."""
    answer = await _get(f"/approvals/{odd}")

    assert 404 == answer.status_code
    assert "script" not in answer.text
    assert odd not in answer.text
