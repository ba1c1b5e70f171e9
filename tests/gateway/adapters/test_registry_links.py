"""Identities elsewhere, and roles lent to delegates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.adapters.registry_links import (
    LENDING_US_MAX,
    LINKS_MAX,
    end_lending,
    find_link,
    lend,
    lendings,
    link,
    links,
    note_claims,
    unlink,
)
from sekisho.adapters.sql_registry import Registry, now_us
from sekisho.errors import BadRequest, Conflict, Forbidden, NotFound
from sekisho.model.principal import Role

HOUR_US = 3_600_000_000


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    one = Registry.open(tmp_path / "registry.sqlite")
    with one.change() as change:
        for name in ("staff-7", "staff-8", "staff-9"):
            change.put_principal(name, kind="person", owner=None)
        change.put_principal("svc-batch", kind="service", owner="staff-7")
        change.set_roles("staff-7", {Role.REVIEWER, Role.POLICY_ACTIVATOR})
        change.set_roles("staff-8", {Role.AUDITOR})
    yield one
    one.close()


def test_one_identity_is_one_principal(registry: Registry) -> None:
    """It cannot come to mean a second one; linking it again changes nothing."""
    with registry.change() as change:
        link(change, "corp", "s-1", "staff-7")
        link(change, "corp", "s-1", "staff-7")
        link(change, "other", "s-1", "staff-8")
    with pytest.raises(Conflict) as caught, registry.change() as change:
        link(change, "corp", "s-1", "staff-8")
    assert caught.value.code == "identity_linked"
    with registry.reading() as look:
        assert [row.issuer for row in links(look, "staff-7")] == ["corp"]


def test_an_unlinked_identity_means_nobody(registry: Registry) -> None:
    """And unlinking what is not there is said."""
    with registry.change() as change:
        link(change, "corp", "s-1", "staff-7")
        note_claims(change, "corp", "s-1", "digest", 5)
        assert unlink(change, "corp", "s-1").claims == "digest"
        assert find_link(change, "corp", "s-1") is None
        with pytest.raises(NotFound):
            unlink(change, "corp", "s-1")


@pytest.mark.parametrize("subject", ["", "x" * 256, "a\nb", "\u202eabc"])
def test_odd_subjects_are_refused(registry: Registry, subject: str) -> None:
    """They are shown to people and compared byte for byte."""
    with pytest.raises(BadRequest), registry.change() as change:
        link(change, "corp", subject, "staff-7")


def test_links_of_one_principal_are_bounded(registry: Registry) -> None:
    """A principal that anything leads to is a mistake."""
    with registry.change() as change:
        for number in range(LINKS_MAX):
            link(change, "corp", f"s-{number}", "staff-7")
        with pytest.raises(Conflict):
            link(change, "corp", "one-more", "staff-7")


def test_a_role_is_lent_for_a_time_and_taken_back(registry: Registry) -> None:
    """Ending it twice keeps the first end."""
    now = now_us()
    with registry.change() as change:
        row = lend(change, "staff-7", "staff-9", Role.REVIEWER, from_us=now, until_us=now + HOUR_US)
        ended = end_lending(change, row.id)
        assert end_lending(change, row.id) == ended
        assert [one.ended_us for one in lendings(change, "staff-7")] == [ended.ended_us]
        with pytest.raises(NotFound):
            end_lending(change, "absent")


def test_a_role_is_not_lent_twice_for_the_same_time(registry: Registry) -> None:
    """Taking one of the two back would look as if it had ended. Before and after it is another."""
    now = now_us()

    def lent(begins: int, ends: int, delegate: str = "staff-9") -> str:
        with registry.change() as change:
            times = {"from_us": now + begins * HOUR_US, "until_us": now + ends * HOUR_US}
            return lend(change, "staff-7", delegate, Role.REVIEWER, **times).id

    first = lent(2, 4)
    for begins, ends in ((2, 4), (1, 3), (3, 5), (1, 5), (3, 4)):
        with pytest.raises(Conflict, match=first):
            lent(begins, ends)
    lent(2, 4, "staff-8")
    assert len({first, lent(1, 2), lent(4, 5)}) == 3
    with registry.change() as change:
        end_lending(change, first)
    assert lent(2, 4) != first


@pytest.mark.parametrize(
    ("lender", "delegate", "role"),
    [
        ("staff-7", "staff-7", Role.REVIEWER),
        ("staff-8", "staff-9", Role.AUDITOR),
        ("staff-7", "staff-8", Role.POLICY_ACTIVATOR),
    ],
)
def test_what_must_not_meet_is_not_lent(
    registry: Registry, lender: str, delegate: str, role: Role
) -> None:
    """Not to oneself, not the roles that check others, not to someone who checks that very role."""
    now = now_us()
    with pytest.raises(Forbidden) as caught, registry.change() as change:
        lend(change, lender, delegate, role, from_us=now, until_us=now + HOUR_US)
    assert caught.value.code == "duties_conflict"
    with registry.reading() as look:
        assert lendings(look) == []


def test_what_was_lent_counts_when_roles_are_granted_later(registry: Registry) -> None:
    """Borrowing first and being made auditor afterwards is the same conflict."""
    now = now_us()
    with registry.change() as change:
        lend(
            change, "staff-7", "staff-9", Role.POLICY_ACTIVATOR,
            from_us=now + HOUR_US, until_us=now + 2 * HOUR_US,
        )  # fmt: skip
    with pytest.raises(Forbidden), registry.change() as change:
        change.set_roles("staff-9", {Role.OPERATOR})


@pytest.mark.parametrize(
    ("lender", "delegate", "begins", "ends"),
    [
        ("staff-7", "staff-9", 0, -1),
        ("staff-7", "staff-9", 2 * HOUR_US, HOUR_US),
        ("staff-7", "staff-9", 0, LENDING_US_MAX + HOUR_US),
        ("staff-7", "svc-batch", 0, HOUR_US),
        ("svc-batch", "staff-9", 0, HOUR_US),
        ("staff-9", "staff-8", 0, HOUR_US),
    ],
)
def test_delegations_that_make_no_sense_are_refused(
    registry: Registry, lender: str, delegate: str, begins: int, ends: int
) -> None:
    """Over before they begin, endless, among machines, or of a role one does not hold."""
    now = now_us()
    with pytest.raises(BadRequest), registry.change() as change:
        lend(change, lender, delegate, Role.REVIEWER, from_us=now + begins, until_us=now + ends)
