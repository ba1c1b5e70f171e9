"""The desk for callers at a distance: the same roles, asked before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.adapters.opa_signed import BundleNotTrusted
from sekisho.adapters.policy_desk import PolicyDesk
from sekisho.adapters.policy_store import PolicyStoreUnusable
from sekisho.errors import Forbidden
from sekisho.model.principal import Role
from support.revisions import (
    ACTIVATOR,
    AUTHOR,
    DENY_ALL,
    Rules,
    person,
    remote_desk_in,
    settings_in,
)


def test_roles_come_first(tmp_path: Path) -> None:
    """Whoever may not is refused before a byte of what they sent is looked at."""
    desk = remote_desk_in(settings_in(tmp_path, Rules(tmp_path / "rules").write()))
    with pytest.raises(Forbidden):
        desk.draft_signed(ACTIVATOR, b"no bundle", "x")
    with pytest.raises(Forbidden):
        desk.compared(person("auditor-1", Role.AUDITOR), "aaaaaa", None, b"no line")
    with pytest.raises(BundleNotTrusted, match="verification_key"):
        desk.draft_signed(AUTHOR, b"no bundle", "x")


def test_a_damaged_revision_is_compared_with_nothing(tmp_path: Path) -> None:
    """As it would never be put in force."""
    rules = Rules(tmp_path / "rules")
    settings = settings_in(tmp_path, rules.write())
    desk = remote_desk_in(settings)
    assert isinstance(desk, PolicyDesk)
    row = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL))
    file = desk.place_of(row.revision) / "packs/team/closed.rego"
    file.chmod(0o600)
    file.write_text(DENY_ALL.replace("closed", "open"))
    with pytest.raises(PolicyStoreUnusable, match="edited"):
        desk.compared(AUTHOR, row.revision, None, b"")
