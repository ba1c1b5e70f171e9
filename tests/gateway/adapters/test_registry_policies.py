from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.adapters import registry_policies
from sekisho.adapters.sql_registry import Registry
from sekisho.errors import BadRequest, NotFound
from sekisho.model.revisions import Report
from support.revisions import ACTIVATOR, AUTHOR

ONE, TWO = "sha256:" + "aa" * 32, "sha256:" + "ab" * 32
FILES = "sha256:" + "cc" * 32


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "registry.sqlite")
    yield opened
    opened.close()


def test_authors_are_only_ever_added(registry: Registry) -> None:
    """Who puts the same in again is one more; nobody is written out."""
    with registry.change() as change:
        registry_policies.draft(change, ONE, FILES, "dir", AUTHOR)
        registry_policies.draft(change, ONE, FILES, "dir", ACTIVATOR)
        row = registry_policies.draft(change, ONE, FILES, "settings", None)
    assert row.authors == ("activator-1", "author-1")
    assert row.source == "dir"


def test_each_change_is_seen_by_its_serial(registry: Registry) -> None:
    """Activating and shadowing grow it; a shadow that becomes active is none any more."""
    with registry.change() as change:
        for name in (ONE, TWO):
            registry_policies.draft(change, name, FILES, "dir", AUTHOR)
        assert registry_policies.in_force(change).serial == 0
        registry_policies.set_shadow(change, TWO)
        registry_policies.activate(change, ONE, None, "x", rollback=False)
        state = registry_policies.in_force(change)
        assert (state.serial, state.active.revision, state.shadow.revision) == (2, ONE, TWO)  # type: ignore[union-attr]
        registry_policies.activate(change, TWO, ONE, "x", rollback=False)
        assert registry_policies.in_force(change).shadow is None
    with registry.reading() as look:
        assert [one.previous for one in registry_policies.activations(look)] == [None, ONE]


def test_a_beginning_names_one_revision_or_none(registry: Registry) -> None:
    """Two that begin alike are told apart by more digits."""
    with registry.change() as change:
        for name in (ONE, TWO):
            registry_policies.draft(change, name, FILES, "dir", AUTHOR)
        assert registry_policies.get(change, "aaaaaa").revision == ONE
        assert registry_policies.get(change, TWO).revision == TWO
        with pytest.raises(NotFound):
            registry_policies.get(change, "ffffff")
        with pytest.raises(BadRequest):
            registry_policies.get(change, "%")


def test_the_latest_report_counts(registry: Registry) -> None:
    """One for each pair of revisions."""
    with registry.change() as change:
        registry_policies.draft(change, ONE, FILES, "dir", AUTHOR)
        for count in (1, 2):
            made = Report(ONE, TWO, FILES, f"event-{count}", count, {"decisions": count})
            registry_policies.put_report(change, made)
        assert registry_policies.report(change, ONE, TWO) == made
        assert registry_policies.reports(change, ONE) == [made]
        assert registry_policies.report(change, ONE, None) is None
