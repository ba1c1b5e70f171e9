"""What the doctor says of reviewers: too few, none in relief, no time for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sekisho.adapters.diagnosis_reviewers import reviewers
from sekisho.adapters.sql_registry import Registry
from sekisho.config import Settings
from sekisho.model.principal import Role
from support.revisions import Rules, settings_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation with the rules that ship, and nobody in it."""
    return settings_in(tmp_path, Rules(tmp_path / "rules").write())


def grant(settings: Settings, principal: str, *, role: str = "", group: str = "") -> None:
    """Somebody with a role or a group."""
    settings.registry_path.parent.mkdir(parents=True, exist_ok=True)
    with Registry.open(settings.registry_path).change() as registry:
        registry.put_principal(principal, kind="person", owner=None)
        registry.set_roles(principal, {Role(role)} if role else set())
        registry.set_groups(principal, {group} if group else set())


def hold(settings: Settings, **more: object) -> None:
    """The rules with these members of `hold`."""
    place = settings.policy.bundle / "data.yaml"
    data = yaml.safe_load(place.read_text())
    data["hold"] |= more
    place.write_text(yaml.safe_dump(data, allow_unicode=True))


def said(settings: Settings) -> list[str]:
    """What is found, each with something to do or nothing."""
    found = list(reviewers(settings))
    assert all(one.ok and one.part == "reviewers" for one in found)
    return [one.said for one in found if one.mend] or [one.said for one in found]


def test_nothing_is_said_before_anybody_is_known(settings: Settings) -> None:
    """Of a registry that cannot be read others say it."""
    assert said(settings) == []
    grant(settings, "reviewer-1", role="reviewer")
    settings.registry_path.write_bytes(b"no database")
    assert said(settings) == []


def test_somebody_has_to_be_there(settings: Settings) -> None:
    """A person who is not shut out, by role."""
    grant(settings, "staff-7", role="employee")
    assert said(settings) == ["1 must approve as reviewer, and 0 can: what is held ends unanswered"]
    grant(settings, "reviewer-1", role="reviewer")
    assert said(settings) == ["1 can answer as reviewer"]
    with Registry.open(settings.registry_path).change() as registry:
        registry.set_disabled("reviewer-1", disabled=True)
    assert "and 0 can" in said(settings)[0]


def test_two_have_to_be_two(settings: Settings) -> None:
    """And a group is one by its own name."""
    hold(settings, reviewers="desk", approve=2)
    grant(settings, "reviewer-1", role="reviewer", group="desk")
    assert said(settings) == ["2 must approve as desk, and 1 can: what is held ends unanswered"]
    grant(settings, "staff-8", group="desk")
    assert said(settings) == ["2 can answer as desk"]


def test_relief_needs_people_and_time(settings: Settings) -> None:
    hold(settings, relief=["head", "legal"], ttl_s=200)
    grant(settings, "reviewer-1", role="reviewer")
    grant(settings, "staff-8", group="legal")
    assert said(settings) == [
        "nobody is in head, who answer when reviewer do not",
        "those in relief have 50 s of 200 s to answer",
    ]


def test_rules_that_cannot_be_read_are_for_others_to_tell(settings: Settings) -> None:
    grant(settings, "reviewer-1", role="reviewer")
    (settings.policy.bundle / "data.yaml").write_text("hold: [")
    assert said(settings) == []
