"""What a directory changes, and what it must not reach."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scim2_models import (
    ForbiddenException,
    InvalidValueException,
    NotFoundException,
    PayloadTooLargeException,
    PreconditionFailedException,
    SCIMException,
    UniquenessException,
)

from sekisho.adapters import registry_links, scim_change, scim_rows
from sekisho.adapters.scim_people import Group, User
from sekisho.adapters.sql_registry import now_us
from sekisho.errors import LedgerUnavailable, SekishoError
from sekisho.model.duties import APART
from sekisho.model.principal import Role
from support.scim import CLIENT, OWNER, Scim, scim_settings

ROLES = {
    "Sekisho reviewers": ["reviewer"],
    "Sekisho operators": ["operator"],
    "Sekisho auditors": ["auditor"],
}
DAY_US = 86_400_000_000


@pytest.fixture
def scim(tmp_path: Path) -> Scim:
    return Scim(tmp_path, scim_settings({"All of Sales": "sales"}, ROLES))


def test_a_user_is_a_person_who_asks(scim: Scim) -> None:
    """The principal has the userName in lower case and the role employee, from scim."""
    scim.user("Staff-7")

    row = scim.principal("staff-7")
    assert (row.kind, row.roles, row.disabled) == ("person", ("employee",), False)
    with scim.registry.reading() as look:
        assert look.given("staff-7", "scim") == ({"employee"}, frozenset())
    assert scim.told() == [("staff-7", "created")]


def test_every_event_names_the_directory_s_account(scim: Scim) -> None:
    """Who changed it is the client's principal, what decides is scim."""
    scim.group("sales", scim.user("staff-7"))

    assert {event.actor for event in scim.ledger.events} == {CLIENT.id}
    assert {event.data["source"] for event in scim.ledger.events} == {"scim"}


def test_a_group_gives_what_the_tables_say(scim: Scim) -> None:
    """A mapped group gives our name, a mapped role the role; other groups keep their name."""
    user = scim.user("staff-7")
    scim.group("ALL of sales", user)
    scim.group("Sekisho Reviewers", user)
    scim.group("Night-Shift", user)

    row = scim.principal("staff-7")
    assert row.groups == ("night-shift", "sales")
    assert row.roles == ("employee", "reviewer")


def test_leaving_a_group_takes_away_what_only_it_gave(scim: Scim) -> None:
    """Two groups that mean the same one of ours: the other still gives it."""
    user = scim.user("staff-7")
    first, second = scim.group("All of Sales", user), scim.group("sales", user)
    scim.change_group(first, "All of Sales")
    assert scim.principal("staff-7").groups == ("sales",)

    scim.delete(second)
    assert scim.principal("staff-7").groups == ()


def test_a_renamed_group_gives_what_its_new_name_means(scim: Scim) -> None:
    """Whoever is in it loses the old and gets the new."""
    user = scim.user("staff-7")
    group = scim.group("night-shift", user)
    scim.change_group(group, "Sekisho reviewers", user)

    row = scim.principal("staff-7")
    assert (row.groups, row.roles) == ((), ("employee", "reviewer"))


def test_what_operators_gave_by_hand_stays(scim: Scim) -> None:
    """Sources do not touch one another."""
    user = scim.user("staff-7")
    with scim.registry.change() as change:
        change.set_roles("staff-7", {Role.POLICY_AUTHOR})
    group = scim.group("Sekisho reviewers", user)
    scim.delete(group)

    assert scim.principal("staff-7").roles == ("employee", "policy_author")


def test_inactive_shuts_out_and_active_lets_in_again(scim: Scim) -> None:
    """Also when a user is made inactive at once."""
    user = scim.user("staff-7", active=False)
    assert scim.principal("staff-7").disabled

    scim.change_user(user, active=True)
    assert not scim.principal("staff-7").disabled
    assert scim.told()[-1] == ("staff-7", "state")


def test_a_user_without_active_stays_as_it_is(scim: Scim) -> None:
    """Leaving the attribute out must not let anybody in."""
    user = scim.user("staff-7", active=False)
    scim.change_user(user, active=None)

    assert scim.principal("staff-7").disabled


def test_a_directory_does_not_let_in_whom_an_operator_shut_out(scim: Scim) -> None:
    """Not with active=true, nor by saying false before."""
    user = scim.user("staff-7", active=True)
    with scim.registry.change() as change:
        change.set_disabled("staff-7", disabled=True)

    for said in (False, True):
        if said:
            with pytest.raises(ForbiddenException):
                scim.change_user(user, active=said)
        else:
            scim.change_user(user, active=said)
    assert scim.principal("staff-7").disabled
    assert scim.told()[-1] == ("staff-7", "refused")


def test_letting_in_ends_what_the_directory_may_undo(scim: Scim) -> None:
    """It shut the person out once and let them in; what an operator does after that is another."""
    user = scim.change_user(scim.user("staff-7", active=False), active=True)
    with scim.registry.change() as change:
        change.set_disabled("staff-7", disabled=True)
    with pytest.raises(ForbiddenException):
        scim.change_user(user, active=True)
    assert scim.principal("staff-7").disabled


def test_a_user_is_in_a_bounded_number_of_groups(
    scim: Scim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a request of theirs carries into the rules stays small."""
    monkeypatch.setattr(scim_change, "GROUPS_MAX", 2)
    user = scim.user("staff-7")
    for name in ("a", "b"):
        scim.group(name, user)
    with pytest.raises(InvalidValueException):
        scim.group("c", user)


def test_a_deleted_user_has_left_for_good(scim: Scim) -> None:
    """Groups, roles and the person's data are gone; the id is never given again."""
    user = scim.user("staff-7", display_name="x")
    scim.group("sales", user)
    scim.delete(user)

    row = scim.principal("staff-7")
    assert (row.roles, row.groups, row.disabled) == ((), (), True)
    assert row.left_us is not None
    assert scim.told()[-1] == ("staff-7", "left")
    with pytest.raises(UniquenessException):
        scim.user("STAFF-7")


def test_a_deleted_user_is_in_no_group(scim: Scim) -> None:
    """The group's own list does not keep the id."""
    user = scim.user("staff-7")
    group = scim.group("sales", user, scim.user("staff-8"))
    scim.delete(user)

    shown = scim.storage.get(scim._type("Group"), str(group.id))
    assert len(shown.members) == 1  # type: ignore[attr-defined]


def test_an_employee_who_is_here_already_is_taken_over(scim: Scim) -> None:
    """A directory connected later finds those who only ask; their keys go on working."""
    with scim.registry.change() as change:
        change.put_principal("staff-7", kind="person", owner=None)
        change.set_roles("staff-7", {Role.EMPLOYEE})
    scim.user("staff-7")

    assert scim.told() == [("staff-7", "granted")]


def _local(scim: Scim, **more: Any) -> None:
    with scim.registry.change() as change:
        change.put_principal("staff-9", kind=more.get("kind", "person"), owner=more.get("owner"))
        if "roles" in more:
            change.set_roles("staff-9", more["roles"])
        if more.get("disabled"):
            change.set_disabled("staff-9", disabled=True)
        if more.get("owns"):
            change.put_principal("svc-x", kind="service", owner="staff-9")
        if more.get("left"):
            change.leave("staff-9")


@pytest.mark.parametrize(
    "what",
    [
        {"roles": {Role.OPERATOR}},
        {"roles": {Role.REVIEWER}},
        {"roles": {Role.EMPLOYEE, Role.AUDITOR}},
        {"kind": "service", "owner": OWNER},
        {"disabled": True},
        {"owns": True},
        {"left": True},
    ],
    ids=["operator", "reviewer", "auditor", "service", "disabled", "owner", "left"],
)
def test_nobody_with_more_than_asking_is_taken_over(scim: Scim, what: dict[str, Any]) -> None:
    """Whoever may say userNames must not become, shut out or end the local operator."""
    _local(scim, **what)
    before = scim.principal("staff-9")

    for spelling in ("staff-9", "STAFF-9"):
        with pytest.raises(UniquenessException, match="who owns a service"):
            scim.user(spelling)
    assert scim.principal("staff-9") == before
    assert scim.told() == [("staff-9", "refused")] * 2


def test_nobody_with_a_lent_role_is_taken_over(scim: Scim) -> None:
    """A delegate has the power of another person."""
    with scim.registry.change() as change:
        for name in ("staff-1", "staff-2"):
            change.put_principal(name, kind="person", owner=None)
        change.set_roles("staff-1", {Role.REVIEWER})
        registry_links.lend(
            change,
            "staff-1",
            "staff-2",
            Role.REVIEWER,
            from_us=now_us(),
            until_us=now_us() + DAY_US,
        )
    with pytest.raises(UniquenessException):
        scim.user("staff-2")


def test_the_client_and_its_owner_are_out_of_reach(tmp_path: Path) -> None:
    """Also when the directory provisioned the owner before, and through a group."""
    scim = Scim(tmp_path)
    user = scim.user("staff-7", active=True)
    with scim.registry.change() as change:
        change.set_owner(CLIENT.id, "staff-7")
    own = scim.kept.of(scim_client("staff-7"))

    user.active = False
    with pytest.raises(ForbiddenException):
        own.update(scim._type("User"), user)
    with pytest.raises(ForbiddenException):
        own.delete(scim._type("User"), str(user.id))
    group = scim.group("sales")
    group.members = [{"value": user.id}]  # type: ignore[list-item]
    with pytest.raises(ForbiddenException):
        own.update(scim._type("Group"), type(group).model_validate(group.model_dump()))
    assert not scim.principal("staff-7").disabled
    assert scim.principal("staff-7").groups == ()


def scim_client(owner: str) -> Any:
    """The client with another owner."""
    return type(CLIENT)(
        **{name: getattr(CLIENT, name) for name in ("id", "roles", "groups")},
        owner=owner,
        scopes=CLIENT.scopes,
    )


def test_two_groups_do_not_give_roles_that_must_not_meet(scim: Scim) -> None:
    """Nothing of the request takes effect, for nobody in it, and the attempt is recorded."""
    both, other = scim.user("staff-7"), scim.user("staff-8")
    scim.group("Sekisho operators", both)
    auditors = scim.group("Sekisho auditors")

    with pytest.raises(InvalidValueException, match="staff-7: One person cannot be"):
        scim.change_group(auditors, "Sekisho auditors", other, both)
    assert scim.principal("staff-7").roles == ("employee", "operator")
    assert scim.principal("staff-8").roles == ("employee",)
    assert scim.told()[-1] == ("staff-7", "refused")


def test_roles_given_by_hand_count_too(scim: Scim) -> None:
    """Separation of duties is over all sources."""
    user = scim.user("staff-7")
    with scim.registry.change() as change:
        change.set_roles("staff-7", {Role.AUDITOR})
    with pytest.raises(InvalidValueException):
        scim.group("Sekisho operators", user)


def test_renaming_a_group_is_judged_like_joining_it(scim: Scim) -> None:
    """A harmless group renamed to one with a role gives that role to everybody in it."""
    user = scim.user("staff-7")
    scim.group("Sekisho operators", user)
    harmless = scim.group("night-shift", user)
    with pytest.raises(InvalidValueException):
        scim.change_group(harmless, "Sekisho auditors", user)
    assert scim.principal("staff-7").groups == ("night-shift",)


@pytest.mark.parametrize("name", ["operator", "roles:operator", "sekisho operators ", "OPERATOR"])
def test_a_group_gives_a_role_only_by_the_table(tmp_path: Path, name: str) -> None:
    """Without a table no name means a role."""
    scim = Scim(tmp_path, scim_settings({name: "x"}))
    scim.group(name, scim.user("staff-7"))

    assert scim.principal("staff-7").roles == ("employee",)


@pytest.mark.parametrize("name", ["ｓekisho operators", "SEKISHO OPERATORS", "Sekisho operators "])
def test_two_spellings_are_never_two_groups(scim: Scim, name: str) -> None:
    """Wide letters, capitals and blanks at the end do not make another group."""
    scim.group("Sekisho operators")
    with pytest.raises(UniquenessException):
        scim.group(name)


def test_a_group_that_could_mean_nothing_is_refused(scim: Scim) -> None:
    """A rule may deny by group, so none is lost silently."""
    with pytest.raises(InvalidValueException, match=r"\[scim\.groups\]"):
        scim.group("Everybody in the East")


def test_members_are_users_that_exist(scim: Scim) -> None:
    """No group in a group, no stranger, no path."""
    inner = scim.group("inner")
    stranger = type(scim.user("staff-7"))(id="../Users/x", user_name="x")
    for member in (inner, stranger):
        with pytest.raises(InvalidValueException):
            scim.group("outer", member)  # type: ignore[arg-type]


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "part", "rename", "drop", "hand", "off", "on", "leave"]),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=25,
)
_NAMES = ("sales", *ROLES)


@settings(max_examples=25, deadline=None)
@given(_STEPS)
def test_no_sequence_of_changes_gives_anybody_what_must_not_meet(
    steps: list[tuple[str, int, int]],
) -> None:
    """Whatever a directory and an operator do: both sides of a membership agree, and everybody has
    what the table says for it and never two roles that check one another.
    """
    with TemporaryDirectory() as folder:
        scim = Scim(Path(folder), scim_settings(roles=ROLES))
        people = [scim.user(f"staff-{number}", active=True) for number in range(3)]
        groups = {number: scim.group(name) for number, name in enumerate(_NAMES)}
        for what, person, group in steps:
            with suppress(SCIMException, SekishoError):
                _step(scim, what, people[person], groups[group])
        _agrees(scim)


def _step(scim: Scim, what: str, user: User, group: Group) -> None:
    now = scim.storage.get(scim._type("Group"), str(group.id))
    assert isinstance(now, Group)
    members = {str(one.value) for one in now.members or []}
    if what == "join":
        members.add(str(user.id))
    elif what == "part":
        members.discard(str(user.id))
    elif what == "rename":
        now.display_name = _NAMES[(_NAMES.index(str(now.display_name)) + 1) % len(_NAMES)]
    elif what == "drop":
        scim.delete(group)
        return
    elif what == "hand":
        with scim.registry.change() as change:
            change.set_roles(str(user.user_name), {Role.POLICY_ACTIVATOR})
        return
    elif what in {"on", "off"}:
        scim.change_user(user, active=what == "on")
        return
    else:
        scim.delete(user)
        return
    listed = [{"value": one} for one in sorted(members)]
    described = Group.model_validate({"displayName": now.display_name, "members": listed})
    described.id = now.id
    scim.storage.update(scim._type("Group"), described)


def _agrees(scim: Scim) -> None:
    with scim.registry.reading() as look:
        users = scim_rows.page(look, ["User"], 0, None)
        groups = scim_rows.page(look, ["Group"], 0, None)
        for user in users:
            inside = {group.id: group.name for group in groups if user.id in group.members}
            assert set(user.groups) == set(inside)
            ours, roles = scim.kept.table.given(inside.values())
            given_now = look.given(str(user.principal), "scim")
            assert given_now == ({role.value for role in roles}, ours)
        for row in look.principals():
            assert len(APART.intersection(Role(role) for role in row.roles)) < 2
            assert row.left_us is None or not row.roles


def test_too_many_at_once_are_refused(scim: Scim, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that others wait for is bounded; taking away is not."""
    users = [scim.user(f"staff-{n}") for n in range(3)]
    group = scim.group("sales", *users)
    monkeypatch.setattr(scim_change, "JOINS_MAX", 2)
    with pytest.raises(PayloadTooLargeException):
        scim.group("others", *users)
    with pytest.raises(PayloadTooLargeException):
        scim.change_group(group, "others", *users)
    scim.delete(group)
    assert scim.principal("staff-0").groups == ()


def test_a_principal_that_left_by_hand_gets_nothing_more(scim: Scim) -> None:
    """What an operator ended stays ended, and does not stand in the way of the group."""
    gone, here = scim.user("staff-7"), scim.user("staff-8")
    with scim.registry.change() as change:
        change.leave("staff-7")
    scim.group("sales", gone, here)

    assert scim.principal("staff-7").groups == ()
    assert scim.principal("staff-8").groups == ("sales",)
    with pytest.raises(ForbiddenException):
        scim.change_user(gone, active=True)


def test_an_operator_s_change_by_hand_is_another_version(scim: Scim) -> None:
    """What is served changes with the principal's state."""
    user = scim.user("staff-7", active=True)
    with scim.registry.change() as change:
        change.set_disabled("staff-7", disabled=True)
    with pytest.raises(PreconditionFailedException):
        scim.storage.update(scim._type("User"), user, expected_version=user.meta.version)


def test_without_evidence_nothing_changes(scim: Scim) -> None:
    """The ledger failed before it took the event."""
    user = scim.user("staff-7")
    scim.ledger.lose_before = 3
    with pytest.raises(LedgerUnavailable):
        scim.user("staff-8")
    with pytest.raises(LedgerUnavailable):
        scim.group("sales", user)
    with pytest.raises(LedgerUnavailable):
        scim.delete(user)

    with scim.registry.reading() as look:
        assert look.find("staff-8") is None
    assert scim.principal("staff-7").groups == ()
    assert scim.principal("staff-7").left_us is None


def test_a_lost_reply_of_the_ledger_changes_nothing_either(scim: Scim) -> None:
    """The ledger names a change that did not happen; doing it again works."""
    scim.ledger.lose_after = 1
    with pytest.raises(LedgerUnavailable):
        scim.user("staff-7")
    with scim.registry.reading() as look:
        assert look.find("staff-7") is None
    scim.user("staff-7")
    assert scim.told() == [("staff-7", "created")] * 2


def test_a_refusal_that_cannot_be_recorded_is_told_as_an_outage(scim: Scim) -> None:
    """Nobody probes for names unrecorded."""
    scim.ledger.down = True
    with pytest.raises(LedgerUnavailable):
        scim.user(OWNER)


def test_a_user_that_is_gone_is_not_found(scim: Scim) -> None:
    """Nothing is told of what was."""
    user = scim.user("staff-7")
    scim.delete(user)
    with pytest.raises(NotFoundException):
        scim.delete(user)


def test_a_directory_ends_nobody_whom_operators_made_more_than_an_employee(scim: Scim) -> None:
    """They are shut out, which an operator can undo; the id is not gone."""
    user = scim.user("staff-7", active=True)
    with scim.registry.change() as change:
        change.set_roles("staff-7", {Role.OPERATOR})
    scim.delete(user)
    row = scim.principal("staff-7")
    assert (row.disabled, row.left_us, row.roles[-1]) == (True, None, "operator")
