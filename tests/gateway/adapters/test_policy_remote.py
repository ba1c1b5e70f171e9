"""The desk for callers at a distance: the same roles, asked before anything is read."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sekisho.adapters.opa_signed import BundleNotTrusted
from sekisho.adapters.policy_desk import PolicyDesk
from sekisho.adapters.policy_store import PolicyStoreUnusable
from sekisho.adapters.policy_trial import Trials
from sekisho.errors import Forbidden, PolicyRejected, PolicyUnavailable
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

_NO_END = """count([1 |
		some a in numbers.range(1, 20000)
		some b in numbers.range(1, 20000)
		a + b == -1
	]) == 1"""


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


def test_a_draft_that_does_not_end_runs_nowhere_in_the_worker(tmp_path: Path) -> None:
    """Neither its rules, at the check, nor its tests: no thread is left that runs them on."""
    rules = Rules(tmp_path / "rules")
    settings = settings_in(tmp_path, rules.write())
    desk = remote_desk_in(settings, Trials(limit_s=4))
    endless = f"package packs.team.endless_test\n\ntest_endless if {{\n\t{_NO_END}\n}}\n"
    before = threading.active_count()
    row = desk.draft(AUTHOR, rules.write(packs__team__endless_test=endless))
    assert "does not end" in desk.tested(AUTHOR, row.revision).failed[0]
    rule = f'{{"code": "endless", "msg": "Endless."}} if {{\n\t{_NO_END}\n}}\n'
    source = f"package packs.team.endless\n\ndeny contains {rule}"
    with pytest.raises((PolicyRejected, PolicyUnavailable)):
        desk.draft(AUTHOR, rules.write(packs__team__endless=source))
    assert threading.active_count() == before


def test_a_file_that_ends_its_reader_is_read_in_no_worker(tmp_path: Path) -> None:
    """Brackets as deep as no reader of YAML goes."""
    rules = Rules(tmp_path / "rules")
    desk = remote_desk_in(settings_in(tmp_path, rules.write()))
    place = rules.write()
    files = {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }
    files["data.yaml"] += b"more: " + b"[" * 1_000_000 + b"]" * 1_000_000
    with pytest.raises(PolicyUnavailable, match="nested too deeply"):
        desk.draft_files(AUTHOR, files, "deep")
