"""Proved identities become principals: by link, by provision, by a trusted peer; never by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from sekisho.adapters import identity_desk
from sekisho.adapters.identity_desk import IdentityDesk, Mapped, worker_evidence
from sekisho.adapters.ledger_desk import Append
from sekisho.adapters.registry_links import CERTIFICATE, HEADER, link, unlink
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.adapters.sql_registry import Registry
from sekisho.errors import Forbidden, LedgerUnavailable, NotAuthenticated
from sekisho.model.identity import Identity
from sekisho.model.principal import Authentication, Role
from sekisho_audit.events import Event, check_data, check_payload_names

PEPPER = bytes(32)
CORP = Mapped(
    provision=True,
    groups={"Sales EMEA": "sales"},
    roles={"staff": ("employee",), "reviewers": ("reviewer",), "root": ("operator",)},
)
WHO = Identity("corp", "S-1-5-7", "Staff-7", ("staff", "Sales EMEA", "unknown"), 1_000)
OIDC = Authentication.OIDC


@dataclass
class Book:
    """Evidence that can fail before it took effect, or after."""

    events: list[Event] = field(default_factory=list)
    fails: str = ""

    @contextmanager
    def open(self) -> Iterator[Append]:
        yield self.append

    def append(self, events: Sequence[Event]) -> None:
        for event in events:
            check_data(event.type, event.data)
            check_payload_names(event.type, [one.name for one in event.payloads])
        if self.fails == "before":
            raise LedgerUnavailable("down")
        self.events += events
        if self.fails == "after":
            raise LedgerUnavailable("the reply was lost")

    @property
    def kinds(self) -> list[tuple[str, object]]:
        return [(event.type, event.data.get("change")) for event in self.events]


@dataclass
class World:
    """A registry, a directory of one worker and its desk."""

    registry: Registry
    directory: SqlDirectory
    book: Book
    desk: IdentityDesk


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    path = tmp_path / "registry.sqlite"
    registry = Registry.open(path)
    with registry.change() as change:
        change.put_principal("operator-1", kind="person", owner=None)
        change.set_roles("operator-1", {Role.OPERATOR})
        change.put_principal("svc-batch", kind="service", owner="operator-1")
    directory = SqlDirectory(path, PEPPER)
    await directory.refresh()
    book = Book()
    shut = replace(CORP, provision=False)
    desk = IdentityDesk(directory, registry, book.open, {"corp": CORP, "shut": shut})
    yield World(registry, directory, book, desk)
    registry.close()


async def test_a_stranger_with_a_good_token_is_made_known(world: World) -> None:
    """With what the issuer's table gives, each step on record; the second time nothing changes."""
    found = await world.desk.principal_for(WHO, OIDC)

    assert ("staff-7", frozenset({Role.EMPLOYEE})) == (found.id, found.roles)
    assert (frozenset({"sales"}), "oidc:corp", OIDC) == (
        found.groups,
        found.credential,
        found.authentication,
    )
    assert world.book.kinds == [
        ("principal.changed", "created"),
        ("principal.linked", None),
        ("principal.changed", "claims"),
    ]
    assert found == await world.desk.principal_for(WHO, OIDC)
    assert 3 == len(world.book.events)


async def test_without_provision_somebody_links_first(world: World) -> None:
    """A good token of a stranger opens nothing."""
    stranger = replace(WHO, issuer="shut")
    with pytest.raises(NotAuthenticated) as caught:
        await world.desk.principal_for(stranger, OIDC)
    assert "not_linked" == caught.value.cause
    assert "identity_not_linked" == caught.value.code
    assert f"as {WHO.subject}" in caught.value.message
    command = f"sekisho principal link ID --issuer shut --subject={WHO.subject}"
    assert caught.value.message.endswith(command)

    with world.registry.change() as change:
        link(change, "shut", WHO.subject, "operator-1")
    await world.directory.refresh()
    found = await world.desk.principal_for(stranger, OIDC)
    assert ("operator-1", {Role.OPERATOR, Role.EMPLOYEE}) == (found.id, found.roles)


@pytest.mark.parametrize("name", ["operator-1", "OPERATOR-1", "svc-batch", "../x", "", "ｓtaff"])
async def test_a_chosen_name_never_becomes_somebody_who_is_here(world: World, name: str) -> None:
    """A claim that people can edit must not lead to another's roles."""
    with pytest.raises(NotAuthenticated) as caught:
        await world.desk.principal_for(replace(WHO, name=name), OIDC)
    assert "name_taken" == caught.value.cause
    assert f"--issuer corp --subject={WHO.subject}" in caught.value.message
    assert not world.book.events


async def test_the_same_name_from_another_subject_is_somebody_else(world: World) -> None:
    """Issuer and subject identify; a reused name does not inherit."""
    await world.desk.principal_for(WHO, OIDC)
    with pytest.raises(NotAuthenticated) as caught:
        await world.desk.principal_for(replace(WHO, subject="S-1-5-8"), OIDC)
    assert "name_taken" == caught.value.cause


async def test_what_the_issuer_takes_away_is_gone(world: World) -> None:
    """A newer token changes groups and roles; an older one never brings them back."""
    older = replace(WHO, groups=("staff", "reviewers"), issued_us=500)
    await world.desk.principal_for(WHO, OIDC)
    assert Role.REVIEWER not in (await world.desk.principal_for(older, OIDC)).roles

    newer = replace(WHO, groups=("staff", "reviewers"), issued_us=2_000)
    assert Role.REVIEWER in (await world.desk.principal_for(newer, OIDC)).roles
    newest = replace(WHO, issued_us=4_000)
    between = replace(newer, issued_us=3_000)
    assert Role.REVIEWER not in (await world.desk.principal_for(newest, OIDC)).roles
    assert Role.REVIEWER not in (await world.desk.principal_for(between, OIDC)).roles


async def test_an_unused_token_from_before_a_change_does_not_undo_it(world: World) -> None:
    """Also where the newer token said nothing new: its time counts, on every worker."""
    await world.desk.principal_for(WHO, OIDC)
    await world.desk.principal_for(replace(WHO, issued_us=3_000), OIDC)
    kept = replace(WHO, groups=("staff", "reviewers"), issued_us=2_000)
    other = IdentityDesk(world.directory, world.registry, world.book.open, {"corp": CORP})
    for desk in (world.desk, other):
        assert Role.REVIEWER not in (await desk.principal_for(kept, OIDC)).roles


async def test_roles_that_must_not_meet_do_not_meet_by_way_of_an_issuer(world: World) -> None:
    """What an operator granted and what the issuer says are looked at together."""
    await world.desk.principal_for(WHO, OIDC)
    with world.registry.change() as change:
        change.set_roles("staff-7", {Role.AUDITOR})
    with pytest.raises(Forbidden) as caught:
        await world.desk.principal_for(replace(WHO, groups=("root",), issued_us=2_000), OIDC)
    assert "duties_conflict" == caught.value.code
    await world.directory.refresh()
    found = world.directory.by_id("staff-7", "", OIDC)
    assert Role.OPERATOR not in found.roles


@pytest.mark.parametrize("fails", ["before", "after"])
async def test_without_evidence_nobody_is_made(world: World, fails: str) -> None:
    """Refused before, or the reply lost: nothing is kept, and trying again works."""
    world.book.fails = fails
    with pytest.raises(LedgerUnavailable):
        await world.desk.principal_for(WHO, OIDC)
    assert "staff-7" not in {row.id for row in world.registry.principals()}
    world.book.fails = ""
    assert "staff-7" == (await world.desk.principal_for(WHO, OIDC)).id


async def test_who_is_shut_out_stays_out(world: World) -> None:
    """A good token does not open what an operator closed, and leaving is for good."""
    await world.desk.principal_for(WHO, OIDC)
    with world.registry.change() as change:
        change.set_disabled("staff-7", True)
    await world.directory.refresh()
    with pytest.raises(NotAuthenticated) as caught:
        await world.desk.principal_for(WHO, OIDC)
    assert ("no_principal", "identity_shut_out") == (caught.value.cause, caught.value.code)
    assert "staff-7 is shut out" in caught.value.message
    assert "key" not in caught.value.message
    with world.registry.change() as change:
        change.leave("staff-7")
    await world.directory.refresh()
    with pytest.raises(NotAuthenticated) as caught:
        await world.desk.principal_for(WHO, OIDC)
    assert "not_linked" == caught.value.cause


async def test_who_was_unlinked_does_not_come_back_as_somebody_new(world: World) -> None:
    """One human being would be two; and an older word of the issuer does not return either."""
    newer = replace(WHO, groups=("staff",), issued_us=5_000)
    older = replace(WHO, groups=("staff", "reviewers"), issued_us=4_000)
    await world.desk.principal_for(newer, OIDC)
    with world.registry.change() as change:
        unlink(change, "corp", WHO.subject)
    await world.directory.refresh()
    with pytest.raises(NotAuthenticated) as caught:
        await world.desk.principal_for(replace(newer, name="staff-7b", issued_us=6_000), OIDC)
    assert "not_linked" == caught.value.cause
    with world.registry.change() as change:
        link(change, "corp", WHO.subject, "staff-7")
    await world.directory.refresh()
    other = IdentityDesk(world.directory, world.registry, world.book.open, {"corp": CORP})
    assert Role.REVIEWER not in (await other.principal_for(older, OIDC)).roles


async def test_a_trusted_peer_names_only_persons_who_are_here(world: World) -> None:
    """In any spelling it uses; its groups are taken over, it gives no roles."""
    found = await world.desk.named("Operator-1", ("sales", "Not An Id"), 5)
    assert ("operator-1", frozenset({"sales"})) == (found.id, found.groups)
    assert Authentication.HEADER is found.authentication
    before = len(world.book.events)
    assert found == await world.desk.named("Operator-1", ("sales",), 6)
    assert before == len(world.book.events)
    for stranger in ("staff-9", "svc-batch"):
        with pytest.raises(NotAuthenticated) as caught:
            await world.desk.named(stranger, (), 7)
        assert "not_linked" == caught.value.cause
        assert f"--issuer header --subject={stranger}" in caught.value.message


async def test_a_name_that_a_peer_gives_is_linked_where_it_is_no_id(world: World) -> None:
    """What the refusal tells an operator to run works, also for a name with a shell's signs."""
    with pytest.raises(NotAuthenticated) as caught:
        await world.desk.named("J Doe; x", (), 5)
    assert "--subject='J Doe; x'" in caught.value.message
    with world.registry.change() as change:
        link(change, HEADER, "J Doe; x", "operator-1")
    await world.directory.refresh()
    assert "operator-1" == (await world.desk.named("J Doe; x", (), 6)).id


async def test_a_certificate_means_whom_it_is_linked_to(world: World) -> None:
    """And nobody else, whatever name stands in it."""
    with pytest.raises(NotAuthenticated) as caught:
        world.desk.certified("operator-1")
    assert "--issuer certificate --subject=operator-1" in caught.value.message
    with world.registry.change() as change:
        link(change, CERTIFICATE, "spiffe://corp/batch", "svc-batch")
    await world.directory.refresh()
    found = world.desk.certified("spiffe://corp/batch")
    assert ("svc-batch", Authentication.CERTIFICATE) == (found.id, found.authentication)


class Ledger:
    """As much of a ledger as evidence needs; `answers` false: it never does."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.appended: list[Event] = []

    async def append(self, events: Sequence[Event]) -> Sequence[object]:
        self.appended += events
        if not self.answers:
            await asyncio.Event().wait()
        return ()


EVENT = Event("e", "key.revoked", None, "staff-7", {"key": "k"})


async def test_a_thread_waits_until_the_workers_loop_has_appended() -> None:
    """The change goes on only when the event is durable."""
    ledger = Ledger(answers=True)
    opened = worker_evidence(cast("Any", ledger), asyncio.get_running_loop())

    def change() -> None:
        with opened() as append:
            append([EVENT])
            assert [EVENT] == ledger.appended

    await asyncio.to_thread(change)


async def test_a_ledger_that_never_answers_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread gives up with an error, so that the transaction is rolled back."""
    monkeypatch.setattr(identity_desk, "APPEND_S", 0.05)
    ledger = Ledger(answers=False)
    opened = worker_evidence(cast("Any", ledger), asyncio.get_running_loop())

    def change() -> None:
        with opened() as append:
            append([EVENT])

    with pytest.raises(LedgerUnavailable):
        await asyncio.to_thread(change)


async def test_a_token_that_says_nothing_of_groups_changes_none(world: World) -> None:
    """Access tokens often carry none, and must not undo what signing in said."""
    await world.desk.principal_for(replace(WHO, groups=("staff", "reviewers")), OIDC)
    silent = replace(WHO, groups=None, issued_us=9_000)
    found = await world.desk.principal_for(silent, OIDC)
    assert Role.REVIEWER in found.roles
    stranger = replace(silent, subject="s-9", name="staff-9")
    assert frozenset() == (await world.desk.principal_for(stranger, OIDC)).roles
