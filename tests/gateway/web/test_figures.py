"""Figures over HTTP with a real auditd: who sees whose, what is withheld, what is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sekisho.web.figures import NARROW_DECISIONS
from support.figure_site import Site, figure_site
from support.holds import REVIEWER, Desk


@pytest.fixture
async def site(desk: Desk, tmp_path: Path) -> AsyncIterator[Site]:
    async with figure_site(desk, tmp_path) as one:
        yield one


async def test_a_group_that_is_too_small_is_told_as_one(site: Site) -> None:
    """Four people answered: nobody is named, and their rule does not tell how they work."""
    for number in range(4):
        await site.answered(f"reviewer-{number}")
    found = await site.told("key-auditor")
    assert found["people"] is None
    assert found["people_min"] == 5
    assert found["total"]["decisions"] == 4
    assert found["total"]["median_s"] is not None
    [rule] = found["rules"]
    assert (rule["decisions"], rule["approval_rate"], rule["people"]) == (4, 1.0, None)
    assert rule["median_s"] is rule["under_5_s"] is rule["decisions_per_hour"] is None
    assert found["recorded"]["index"] > 0


async def test_a_group_that_is_large_enough_is_told_by_name(site: Site) -> None:
    """With the fifth they stand in it, those with most answers first; operators see it too."""
    for number in range(5):
        await site.answered(f"reviewer-{number}", times=1 + (number == 3))
    await site.answered("reviewer-3", "deny")
    found = await site.told("key-operator")
    assert found["people"][0]["person"] == "reviewer-3"
    assert found["people"][0]["approval_rate"] == round(2 / 3, 4)
    assert len(found["people"]) == 5
    assert found["rules"][0]["people"] == 5


async def test_reviewers_see_their_own_and_nothing_else(site: Site) -> None:
    """However few they are; an answer of a colleague changes nothing in it."""
    await site.answered(REVIEWER.id, "deny")
    await site.answered("reviewer-other", times=2)
    for asked in ({}, {"mine": True}):
        found = await site.told("key-reviewer", **asked)
        assert found["own"]["decisions"] == 1
        assert found["own"]["approval_rate"] == 0
        assert found["total"] is found["rules"] is found["people"] is found["recorded"] is None
    refused = await site.get("key-reviewer", mine=False)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "role_missing")


@pytest.mark.parametrize("key", ["key-staff", "key-auditor-asks"])
async def test_others_and_other_credentials_see_nothing(site: Site, key: str) -> None:
    """Who does not review has no figures; a credential of an auditor must be made for it."""
    refused = await site.get(key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")


async def test_an_auditors_key_for_reviewing_shows_their_own(site: Site) -> None:
    """A scope takes away what the role gives."""
    await site.answered("reviewer-other")
    found = await site.told("key-auditor-reviews")
    assert found["own"]["decisions"] == 0
    assert found["total"] is None


async def test_a_rule_that_is_nearly_always_approved_is_to_be_narrowed(site: Site) -> None:
    """From a hundred answers on, and above 95 in a hundred: at 95 it is not yet."""
    await site.answered("reviewer-1", "deny", times=5)
    await site.answered("reviewer-1", times=NARROW_DECISIONS - 6)
    [rule] = (await site.told("key-auditor"))["rules"]
    assert not rule["narrow"]  # 94 of 99
    await site.answered("reviewer-2")
    [rule] = (await site.told("key-auditor"))["rules"]
    assert (rule["approval_rate"], rule["narrow"]) == (0.95, False)
    await site.answered("reviewer-2")
    [rule] = (await site.told("key-auditor"))["rules"]
    assert rule["narrow"]


@pytest.mark.parametrize("days", [0, 367, "x"])
async def test_only_days_that_make_sense_are_asked_about(site: Site, days: object) -> None:
    """At most a year."""
    assert (await site.get("key-auditor", days=days)).status_code == 422
