"""The page of figures with a real auditd: the same as over the interface, for the same people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sekisho.web.page_routes import HEADERS
from support.figure_site import Site, figure_site
from support.holds import REVIEWER, Desk


@pytest.fixture
async def site(desk: Desk, tmp_path: Path) -> AsyncIterator[Site]:
    async with figure_site(desk, tmp_path) as one:
        yield one


async def test_an_auditor_sees_rules_and_no_names_of_few(site: Site) -> None:
    """As over the interface; the shares are drawn, and nothing needs a style of its own."""
    for number in range(4):
        await site.answered(f"reviewer-{number}")
    await site.told("key-auditor")
    page = await site.page("key-auditor")
    assert page.status_code == 200
    assert "By rule" in page.text
    assert '<meter min="0" max="1" value="1.0" aria-label="Approved">' in page.text
    assert "People are named where at least 5 of them answered." in page.text
    assert "reviewer-" not in page.text
    assert " style=" not in page.text
    assert page.headers["content-security-policy"] == HEADERS["content-security-policy"]


async def test_enough_people_stand_in_it_by_name(site: Site) -> None:
    """And what is in a name drives nothing."""
    for number in range(4):
        await site.answered(f"reviewer-{number}")
    await site.answered("<b>reviewer\u202e")
    await site.told("key-operator")
    page = await site.page("key-operator", days=7)
    assert "reviewer-3" in page.text
    assert "<b>" not in page.text
    assert "\u202e" not in page.text


async def test_reviewers_see_only_their_own(site: Site) -> None:
    """Also where they ask for more."""
    await site.answered(REVIEWER.id)
    await site.answered("reviewer-other")
    await site.told("key-reviewer")
    page = await site.page("key-reviewer")
    assert "My answers" in page.text
    assert "By rule" not in page.text
    assert "reviewer-other" not in page.text


async def test_it_is_no_hold_and_needs_a_sign_in(site: Site) -> None:
    """The address is that of the page, and who is not signed in is led there and back."""
    page = await site.page("")
    assert page.status_code == 303
    assert page.headers["location"] == "/login?return_to=%2Fapprovals%2Ffigures"
    assert (await site.page("key-auditor-asks")).status_code == 403
