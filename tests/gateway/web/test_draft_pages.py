"""The page of drafts: one's own answers that wait for a word, and forms that say it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from sekisho.model.principal import Scope
from sekisho.web import draft_pages
from sekisho.web.page_routes import HEADERS
from support.exchange_site import NOW_US, ran
from support.holds import STAFF, STRANGER, Desk
from support.memory_ledger import MemoryLedger
from support.page_site import Browser, http_of

PEOPLE = {
    "staff": STAFF,
    "stranger": STRANGER,
    "asks": replace(STAFF, scopes=frozenset({Scope.ASK})),
}


@pytest.fixture
async def browser(desk: Desk, ledger: MemoryLedger) -> AsyncIterator[Browser]:
    ledger.now_us = lambda: NOW_US
    async with http_of(draft_pages.router, desk, PEOPLE, "/gate") as http:
        yield Browser(http)


def words(ledger: MemoryLedger) -> list[Any]:
    """What was said, as recorded."""
    return [event for event in ledger.events if event.type == "draft.answered"]


@pytest.mark.parametrize("act", ["accepted", "edited", "rejected"])
async def test_a_word_is_said_by_form(browser: Browser, ledger: MemoryLedger, act: str) -> None:
    """Recorded, answered with a redirect, and then it does not wait any more; of what was made of
    it nothing is kept but a commitment to its hash.
    """
    exchange, other = await ran(ledger, drafts_max=2), await ran(ledger, drafts_max=2)
    page = await browser.get("staff", "/drafts")
    assert f'action="/gate/drafts/{exchange}"' in page.text

    final = "Dear Ms 李,\n…"
    said = await browser.post("staff", f"/drafts/{exchange}", act=act, final=final)
    assert (said.status_code, said.headers["location"]) == (303, "/gate/drafts?done=true")
    [event] = words(ledger)
    assert (event.exchange, event.actor, event.data) == (exchange, STAFF.id, {"decision": act})
    digest = hashlib.sha256(final.encode()).hexdigest().encode()
    assert [(one.name, one.stored) for one in event.payloads] == (
        [("final", None)] if act == "edited" else []
    )
    assert [digest in one.exact for one in event.payloads] == [True] * len(event.payloads)
    page = await browser.get("staff", "/drafts?done=true")
    assert "on record" in page.text
    assert exchange not in page.text
    assert other in page.text


async def test_what_waits_for_no_word_is_not_listed(browser: Browser, ledger: MemoryLedger) -> None:
    """Answers for which no rule wants one, that failed, and those of others."""
    await ran(ledger)
    await ran(ledger, status="failed", drafts_max=1)
    await ran(ledger, STRANGER, drafts_max=1)
    page = await browser.get("staff", "/drafts")

    assert page.status_code == 200
    assert "No answer waits" in page.text
    for name, value in HEADERS.items():
        assert page.headers[name] == value


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"act": "edited", "final": " \r\n"}, "invalid_request"),
        ({"act": "edited"}, "invalid_request"),
        ({"act": "seen"}, "invalid_request"),
        ({}, "invalid_request"),
    ],
)
async def test_a_fault_is_told_above_the_list(
    browser: Browser, ledger: MemoryLedger, fields: dict[str, str], code: str
) -> None:
    """And nothing is on record."""
    exchange = await ran(ledger, drafts_max=2)
    page = await browser.post("staff", f"/drafts/{exchange}", **{"none": "", **fields})

    assert page.status_code == 400
    assert f"({code})" in page.text
    assert exchange in page.text
    assert words(ledger) == []


async def test_nobody_speaks_for_others(browser: Browser, ledger: MemoryLedger) -> None:
    """Somebody else's answer is answered like one that never was; a key made for asking, and a
    form of another site, say nothing.
    """
    theirs = await ran(ledger, drafts_max=2)
    for path in (theirs, "none"):
        page = await browser.post("stranger", f"/drafts/{path}", act="accepted")
        assert page.status_code == 404
        assert theirs not in page.text
    foreign = {"sec-fetch-site": "cross-site"}
    assert (await browser.get("asks", "/drafts")).status_code == 403
    assert (await browser.post("asks", f"/drafts/{theirs}", act="accepted")).status_code == 403
    said = await browser.post("staff", f"/drafts/{theirs}", foreign, act="accepted")
    assert said.status_code == 403
    assert words(ledger) == []


async def test_what_gave_no_answer_is_no_draft(browser: Browser, ledger: MemoryLedger) -> None:
    failed = await ran(ledger, status="failed", drafts_max=1)
    page = await browser.post("staff", f"/drafts/{failed}", act="accepted")

    assert (page.status_code, "(no_draft)" in page.text) == (409, True)


async def test_who_is_not_signed_in_signs_in_and_comes_back(browser: Browser) -> None:
    answer = await browser.get("", "/drafts")

    assert answer.headers["location"] == "/gate/login?return_to=%2Fgate%2Fdrafts"


@pytest.mark.parametrize(("language", "title"), [("zh", "草稿"), ("ja", "下書き")])
async def test_the_page_speaks_three_languages(browser: Browser, language: str, title: str) -> None:
    page = await browser.get("staff", "/drafts", **{"accept-language": language})

    assert title in page.text
