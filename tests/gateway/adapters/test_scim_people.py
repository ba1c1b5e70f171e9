"""Names, tables, and how little is kept of a person."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scim2_models import InvalidValueException

from sekisho.adapters.scim_people import (
    EMAILS_MAX,
    MEMBERS_MAX,
    Group,
    Table,
    User,
    group_key,
    kept_of_group,
    kept_of_user,
    members_of,
    provider,
    user_key,
)
from sekisho.adapters.sql_registry import check_id
from sekisho.model.principal import Role
from support.scim import scim_settings

_NEAR = st.text("akKA\u212asS\u017f1.", min_size=1, max_size=3)  # letters that case makes equal
SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"


def test_a_user_name_is_an_id_in_lower_case() -> None:
    """As the rest of the gateway compares principals."""
    assert user_key("Staff.7@Example.com") == "staff.7@example.com"


@pytest.mark.parametrize(
    "name",
    ["", "sta\u212af-7", "ſtaff-7", "ｓtaff-7", "staff 7", "../staff-7", "-staff", "a" * 129, "İ"],
)
def test_what_is_no_id_is_no_user_name(name: str) -> None:
    """Also letters that only become ASCII when case or width is evened out."""
    with pytest.raises(InvalidValueException, match="Map an attribute"):
        user_key(name)


@given(_NEAR, _NEAR)
def test_different_spellings_give_the_same_id_only_by_ascii_case(one: str, other: str) -> None:
    """Two names that are one id differ in nothing but a-z against A-Z."""
    keys = []
    for name in (one, other):
        try:
            keys.append(user_key(name))
        except InvalidValueException:
            return
    check_id(keys[0])
    assert (keys[0] == keys[1]) == (one.lower() == other.lower())


@given(st.text(max_size=40))
def test_evening_out_a_group_s_name_twice_changes_nothing(name: str) -> None:
    """So what is stored is what is compared."""
    assert group_key(group_key(name)) == group_key(name)


def test_tables_are_read_as_groups_are_compared() -> None:
    """The operator may write a name as the directory shows it."""
    table = Table.of(scim_settings({"All of Sales": "sales"}, {"ALL OF SALES": ["reviewer"]}))
    assert table.given(["all of sales"]) == (
        frozenset({"sales"}),
        frozenset({Role.EMPLOYEE, Role.REVIEWER}),
    )


def test_a_group_with_roles_needs_no_name_of_ours() -> None:
    """It may be called anything in the directory."""
    table = Table.of(scim_settings(roles={"Sekisho reviewers": ["reviewer"]}))
    assert table.meaning("sekisho reviewers").group is None


def test_a_name_that_can_mean_nothing_is_refused() -> None:
    """With the table to write it into."""
    with pytest.raises(InvalidValueException, match=r"\[scim\.groups\]"):
        Table().meaning("the whole east")


def test_without_employees_only_the_table_gives_roles() -> None:
    """`employees = false`: a group says who asks."""
    settings = scim_settings(roles={"askers": ["employee"]}).model_copy(update={"employees": False})
    table = Table.of(settings)
    assert table.given([])[1] == frozenset()
    assert table.given(["askers"])[1] == {Role.EMPLOYEE}


def test_attributes_are_found_before_anything_was_made() -> None:
    """The first question of a directory to a new process is a filter."""
    program = (
        "from scim2_models import SearchRequest\n"
        "from sekisho.adapters.scim_people import Group, User\n"
        'SearchRequest[User](filter=\'userName eq "a" and groups.value eq "b"\')\n'
        'SearchRequest[Group](filter=\'displayName eq "a" and members.value eq "b"\')\n'
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_what_is_not_served_is_not_kept() -> None:
    """A directory sends telephone numbers, titles and passwords; none of them is stored."""
    sent: dict[str, Any] = {
        "schemas": [SCHEMA],
        "userName": "staff-7",
        "password": "secret",
        "title": "x",
        "phoneNumbers": [{"value": "1"}],
        "roles": [{"value": "operator"}],
        "groups": [{"value": "g"}],
        "active": "False",
        "externalId": "e",
    }
    with provider():
        user = User.model_validate(sent)

    assert kept_of_user(user) == {"userName": "staff-7", "externalId": "e", "active": False}


@pytest.mark.parametrize(
    "more",
    [
        {"displayName": "x" * 321},
        {"externalId": "a\u202eb"},
        {"name": {"familyName": "x\n"}},
        {"emails": [{"value": "x@example.com"}] * (EMAILS_MAX + 1)},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_is_kept_is_short_and_printable(more: dict[str, Any]) -> None:
    """No text turns round what a page shows, and no document grows without end."""
    with pytest.raises(InvalidValueException):
        kept_of_user(User.model_validate({"userName": "staff-7", **more}))


@pytest.mark.parametrize("name", ["", "  ", "x" * 321, "a\u200bb"])
def test_a_group_has_a_readable_name(name: str) -> None:
    """Nothing invisible tells two groups apart."""
    with pytest.raises(InvalidValueException):
        kept_of_group(Group(display_name=name))


def test_members_are_counted_once() -> None:
    """A member said twice is one."""
    group = Group.model_validate({"displayName": "g", "members": [{"value": "a"}] * 2})
    assert members_of(group) == ["a"]


@pytest.mark.parametrize(
    "members",
    [[{"value": "a", "type": "Group"}], [{}], [{"value": str(n)} for n in range(MEMBERS_MAX + 1)]],
    ids=["group", "empty", "many"],
)
def test_members_are_users_and_not_too_many(members: list[dict[str, str]]) -> None:
    """No groups in groups, no member without an id, no hundred thousand."""
    with pytest.raises(InvalidValueException):
        members_of(Group.model_validate({"displayName": "g", "members": members}))


def test_only_what_is_true_is_announced() -> None:
    """No bulk, no passwords, pages by index."""
    config = provider().config
    assert config is not None
    said = config.model_dump()
    supported = {name for name, part in said.items() if isinstance(part, dict)}
    assert {name for name in supported if said[name].get("supported")} == {
        "patch",
        "filter",
        "sort",
        "etag",
    }
