"""Rows of what a directory provisioned."""

from __future__ import annotations

from pathlib import Path

import pytest
from scim2_models import NotFoundException, ScimFilter

from sekisho.adapters import scim_rows
from sekisho.adapters.scim_people import GROUP, USER, User
from support.scim import Scim


@pytest.fixture
def scim(tmp_path: Path) -> Scim:
    return Scim(tmp_path)


def test_a_row_is_found_under_its_kind_only(scim: Scim) -> None:
    """A user's id is no group's."""
    user = scim.user("staff-7")
    with scim.registry.reading() as look:
        assert scim_rows.get(look, USER, user.id).name == "staff-7"
        with pytest.raises(NotFoundException):
            scim_rows.get(look, GROUP, user.id)


@pytest.mark.parametrize(
    "asked",
    ['userName eq "STAFF-7"', f'{User.__schema__}:userName eq "staff-7"', 'externalId eq "Ex-7"'],
)
def test_what_directories_always_ask_reads_one_row(scim: Scim, asked: str) -> None:
    """Whether a user is here already, by name or by the directory's own id."""
    for number in range(5, 9):
        scim.user(f"staff-{number}", external_id=f"Ex-{number}")
    with scim.registry.reading() as look:
        tree = ScimFilter[User](asked).ast
        assert [row.name for row in scim_rows.candidates(look, [USER], tree)] == ["staff-7"]


def test_other_filters_read_all_rows(scim: Scim) -> None:
    """The filter decides; rows left out before would be lost."""
    for number in range(3):
        scim.user(f"staff-{number}")
    with scim.registry.reading() as look:
        for asked in ('not (userName eq "staff-1")', 'userName ne "staff-1"', 'id eq "x"'):
            tree = ScimFilter[User](asked).ast
            assert len(list(scim_rows.candidates(look, [USER], tree))) == 3


def test_more_ids_than_a_statement_takes(scim: Scim, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked for in parts."""
    monkeypatch.setattr(scim_rows, "IDS_AT_ONCE", 2)
    ids = [str(scim.user(f"staff-{number}").id) for number in range(5)]
    with scim.registry.reading() as look:
        assert set(scim_rows.by_ids(look, USER, ids)) == set(ids)
        assert scim_rows.by_ids(look, USER, []) == {}


def test_pages_are_in_the_order_of_making(scim: Scim) -> None:
    """So a page never changes by what is made later."""
    names = [f"staff-{number}" for number in (3, 1, 2)]
    for name in names:
        scim.user(name)
    with scim.registry.reading() as look:
        assert [row.name for row in scim_rows.page(look, [USER], 0, None)] == names
        assert [row.name for row in scim_rows.page(look, [USER], 1, 1)] == names[1:2]
        assert scim_rows.count(look, [USER, GROUP]) == 3


def test_a_user_shows_its_groups(scim: Scim) -> None:
    """Told from the groups, and another version each time they change."""
    user = scim.user("staff-7")
    group = scim.group("sales", user)
    with scim.registry.reading() as look:
        shown = scim_rows.served(scim_rows.get(look, USER, user.id))
    assert isinstance(shown, User)
    assert shown.meta is not None
    assert user.meta is not None
    assert [one.value for one in shown.groups or []] == [group.id]
    assert shown.meta.version != user.meta.version
