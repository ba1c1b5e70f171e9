from __future__ import annotations

import asyncio
import hmac
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.adapters.registry_keys import KeyTerms, create, revoke
from sekisho.adapters.registry_links import end_lending, lend, link, unlink
from sekisho.adapters.registry_schema import RegistryUnusable
from sekisho.adapters.sql_directory import STALE_S, SqlDirectory
from sekisho.adapters.sql_registry import Registry, now_us
from sekisho.errors import DirectoryUnavailable, Forbidden, NotAuthenticated
from sekisho.model.principal import Authentication, Principal, Role, Scope

PEPPER = bytes(range(32))
BEGUN_US = 4_000_000_000_000_000  # long after everything else


class Clocks:
    """A monotonic clock and wall time that stand still until told."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self.wall_us = 1_700_000_000_000_000

    def monotonic_s(self) -> float:
        return self.monotonic

    def now_us(self) -> int:
        return self.wall_us


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.sqlite"


@pytest.fixture
def registry(path: Path) -> Iterator[Registry]:
    one = Registry.open(path)
    with one.change() as change:
        change.put_principal("staff-7", kind="person", owner=None)
        change.set_roles("staff-7", {Role.EMPLOYEE, Role.REVIEWER})
        change.set_groups("staff-7", {"sales"})
        change.put_principal("bot", kind="service", owner="staff-7")
    yield one
    one.close()


@pytest.fixture
async def directory(registry: Registry, path: Path, clocks: Clocks) -> SqlDirectory:
    one = SqlDirectory(path, PEPPER, monotonic_s=clocks.monotonic_s, now_us=clocks.now_us)
    await one.refresh()
    return one


def key_of(registry: Registry, name: str = "staff-7", expires_us: int | None = None) -> str:
    with registry.change() as change:
        return create(change, name, PEPPER, KeyTerms(expires_us=expires_us)).plaintext


def who(directory: SqlDirectory, secret: str) -> Principal | None:
    try:
        return directory.by_key(secret)
    except NotAuthenticated:
        return None


async def test_a_key_leads_to_its_principal(registry: Registry, directory: SqlDirectory) -> None:
    """Roles, groups and the key's id come with it; a service account brings its owner."""
    mine, its = key_of(registry), key_of(registry, "bot")
    await directory.refresh()
    assert who(directory, mine) == Principal(
        id="staff-7",
        roles=frozenset({Role.EMPLOYEE, Role.REVIEWER}),
        groups=frozenset({"sales"}),
        credential=mine.split("-")[2],
    )
    found = who(directory, its)
    assert found is not None
    assert found.person == "staff-7"


async def test_whether_anybody_is_in_a_group_or_has_a_role(
    registry: Registry, directory: SqlDirectory
) -> None:
    """A person, not a service account, not who is shut out, and not who is left out by name."""
    with registry.change() as change:
        change.put_principal("robot", kind="service", owner="staff-7")
        change.set_groups("robot", {"machines"})
        change.put_principal("gone", kind="person", owner=None)
        change.set_groups("gone", {"leavers"})
    await directory.refresh()
    assert directory.anybody_in("leavers", ())
    with registry.change() as change:
        change.set_disabled("gone", disabled=True)
    await directory.refresh()

    found = {
        name: directory.anybody_in(name, ())
        for name in ("sales", "reviewer", "machines", "leavers", "sale", "auditor", "")
    }
    assert [name for name, there in found.items() if there] == ["sales", "reviewer"]
    assert not directory.anybody_in("sales", {"staff-7"})


async def test_what_is_not_a_known_key_leads_to_nobody(
    registry: Registry, directory: SqlDirectory
) -> None:
    """A wrong secret of a known id, an unknown id and rubbish look the same."""
    key = key_of(registry)
    await directory.refresh()
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    for presented in (wrong, "sk-sekisho-00000000-" + "A" * 43, "", "Bearer x", key + "\n"):
        assert who(directory, presented) is None


async def test_a_revoked_key_is_nobody_after_one_refresh(
    registry: Registry, directory: SqlDirectory
) -> None:
    """Workers see a revocation at their next look at the revision."""
    key = key_of(registry)
    await directory.refresh()
    with registry.change() as change:
        revoke(change, key.split("-")[2])
    await directory.refresh()
    assert who(directory, key) is None


async def test_the_poll_sees_changes_by_itself(registry: Registry, path: Path) -> None:
    """Between `start` and `close` nobody has to ask for a refresh."""
    directory = SqlDirectory(path, PEPPER)
    await directory.start()
    await directory.check()
    key = key_of(registry)
    async with asyncio.timeout(30):
        while who(directory, key) is None:
            await asyncio.sleep(0.01)
        with registry.change() as change:
            revoke(change, key.split("-")[2])
        while who(directory, key) is not None:
            await asyncio.sleep(0.01)
    await directory.close()


async def test_a_fresh_installation_starts_with_nobody_in_it(tmp_path: Path) -> None:
    """Workers that start before the first key was made build the registry, also all at once."""
    path = tmp_path / "registry.sqlite"
    workers = [SqlDirectory(path, PEPPER) for _ in range(4)]
    await asyncio.gather(*(worker.start() for worker in workers))
    for worker in workers:
        assert who(worker, "sk-sekisho-00000000-" + "A" * 43) is None
        await worker.close()


async def test_a_broken_registry_stops_the_start(tmp_path: Path) -> None:
    """A worker that could never say who asks must not look started."""
    path = tmp_path / "registry.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(RegistryUnusable):
        await SqlDirectory(path, PEPPER).start()


async def test_a_disabled_person_takes_keys_and_service_accounts_along(
    registry: Registry, directory: SqlDirectory
) -> None:
    """Whoever leaves does not stay in through a bot; letting them in again restores both."""
    keys = [key_of(registry), key_of(registry, "bot")]
    for disabled in (True, False):
        with registry.change() as change:
            change.set_disabled("staff-7", disabled)
        await directory.refresh()
        found = [who(directory, key) for key in keys]
        assert [one is None for one in found] == [disabled, disabled]


async def test_a_key_ends_at_its_hour_without_any_change(
    registry: Registry, path: Path, clocks: Clocks
) -> None:
    """Expiry is looked at with each use, not when the copy was made."""
    real_us = now_us() + 3_600_000_000
    key = key_of(registry, expires_us=real_us)
    directory = SqlDirectory(path, PEPPER, now_us=clocks.now_us)
    await directory.refresh()
    clocks.wall_us = real_us - 1
    assert who(directory, key) is not None
    clocks.wall_us = real_us
    assert who(directory, key) is None


async def test_an_unreadable_registry_closes_the_door_in_time(
    registry: Registry, directory: SqlDirectory, path: Path, clocks: Clocks
) -> None:
    """The last copy serves until it is too old, then nobody is let in; it recovers by itself."""
    key = key_of(registry)
    await directory.refresh()
    hidden = path.rename(path.with_suffix(".away"))
    clocks.monotonic += STALE_S
    await directory.refresh()
    assert who(directory, key) is not None
    clocks.monotonic += 0.1
    await directory.refresh()
    with pytest.raises(DirectoryUnavailable):
        who(directory, key)
    with pytest.raises(DirectoryUnavailable):
        await directory.check()
    hidden.rename(path)
    await directory.refresh()
    assert who(directory, key) is not None


async def test_nobody_is_let_in_before_the_first_look(path: Path, registry: Registry) -> None:
    """A directory that has never read anything knows nobody, and says so."""
    with pytest.raises(DirectoryUnavailable):
        SqlDirectory(path, PEPPER).by_key(key_of(registry))


async def test_another_pepper_opens_nothing(registry: Registry, path: Path) -> None:
    """A registry moved to an installation with other keys is useless there."""
    key = key_of(registry)
    stranger = SqlDirectory(path, bytes(32))
    await stranger.refresh()
    assert who(stranger, key) is None


async def test_a_refusal_says_for_the_record_why(
    registry: Registry, path: Path, clocks: Clocks
) -> None:
    """The client hears one sentence for all; the record has the cause and the key's public name."""
    real_us = now_us() + 3_600_000_000
    key = key_of(registry, expires_us=real_us)
    name = key.split("-")[2]
    directory = SqlDirectory(path, PEPPER, now_us=lambda: real_us)
    await directory.refresh()
    said = set()
    for secret, cause, credential in (
        ("rubbish", "malformed", ""),
        (f"sk-sekisho-{name}-{'A' * 43}", "unknown", name),
        ("sk-sekisho-00000000-" + "A" * 43, "unknown", "00000000"),
        (key, "expired", name),
    ):
        with pytest.raises(NotAuthenticated) as caught:
            directory.by_key(secret)
        assert (cause, credential) == (caught.value.cause, caught.value.credential)
        said.add(caught.value.message)
    assert len(said) == 1


async def test_a_narrowed_key_brings_its_terms(registry: Registry, directory: SqlDirectory) -> None:
    """Scopes and models come with the key, not with its principal; unknown scopes grant nothing."""
    terms = KeyTerms(scopes=("self",), models=("gpt-*",))
    with registry.change() as change:
        narrow = create(change, "staff-7", PEPPER, terms).plaintext
    wide = key_of(registry)
    await directory.refresh()
    found = directory.by_key(narrow)
    assert (found.scopes, found.models) == (frozenset({Scope.SELF}), ("gpt-*",))
    assert Scope.SCIM not in directory.by_key(wide).scopes
    assert directory.by_key(wide).models is None


async def test_a_lent_role_comes_and_goes_by_itself(
    registry: Registry, path: Path, clocks: Clocks
) -> None:
    """A delegate has the role between two times, as long as the lender holds it and is there."""
    begin_us = 4_000_000_000_000_000
    with registry.change() as change:
        change.put_principal("staff-8", kind="person", owner=None)
        row = lend(
            change, "staff-7", "staff-8", Role.REVIEWER,
            from_us=begin_us, until_us=begin_us + 10,
        )  # fmt: skip
    key = key_of(registry, "staff-8")
    directory = SqlDirectory(path, PEPPER, now_us=clocks.now_us)
    await directory.refresh()

    def lent_at(time_us: int) -> bool:
        clocks.wall_us = time_us
        found = directory.by_key(key)
        lent = found.lent == {(Role.REVIEWER, "staff-7")}
        assert lent == (Role.REVIEWER in found.roles)
        assert found.persons == ({"staff-7", "staff-8"} if lent else {"staff-8"})
        return lent

    around = (begin_us - 1, begin_us, begin_us + 9, begin_us + 10)
    assert [lent_at(time_us) for time_us in around] == [False, True, True, False]
    with registry.change() as change:
        change.set_roles("staff-7", {Role.EMPLOYEE})
    await directory.refresh()
    assert not lent_at(begin_us)
    with registry.change() as change:
        change.set_roles("staff-7", {Role.REVIEWER})
        end_lending(change, row.id)
    await directory.refresh()
    assert not lent_at(begin_us)


async def test_identities_elsewhere_lead_to_principals(
    registry: Registry, directory: SqlDirectory
) -> None:
    """By issuer and subject together; whoever is shut out is nobody by any way."""
    with registry.change() as change:
        link(change, "corp", "S-1-5", "staff-7")
    await directory.refresh()
    known = directory.link("corp", "S-1-5")
    assert known is not None
    assert directory.link("other", "S-1-5") is None
    found = directory.by_id(known.principal, "oidc:corp", Authentication.OIDC)
    assert ("oidc:corp", Authentication.OIDC) == (found.credential, found.authentication)
    with registry.change() as change:
        change.set_disabled("staff-7", True)
    await directory.refresh()
    with pytest.raises(NotAuthenticated) as caught:
        directory.by_id(known.principal, "oidc:corp", Authentication.OIDC)
    assert caught.value.cause == "no_principal"


async def test_a_session_is_worth_what_it_was_begun_with(
    registry: Registry, directory: SqlDirectory
) -> None:
    """A narrowed key gives a narrowed session, a revoked key none; an issuer's stands by itself."""
    with registry.change() as change:
        narrow = create(change, "staff-7", PEPPER, KeyTerms(scopes=("self",)))
        link(change, "corp", "s-1", "staff-7")
    await directory.refresh()
    found = directory.by_session("staff-7", narrow.id, BEGUN_US)
    assert ({Scope.SELF}, Authentication.SESSION) == (found.scopes, found.authentication)
    assert found.signed_in_us == BEGUN_US
    linked = directory.by_session("staff-7", "oidc:corp", BEGUN_US)
    assert (linked.id, linked.signed_in_us) == ("staff-7", BEGUN_US)
    assert directory.by_id("staff-7", "oidc:corp", Authentication.OIDC).signed_in_us is None
    with pytest.raises(NotAuthenticated):
        directory.by_session("bot", narrow.id, BEGUN_US)
    with registry.change() as change:
        revoke(change, narrow.id)
        unlink(change, "corp", "s-1")
    await directory.refresh()
    for credential in (narrow.id, "oidc:corp"):
        with pytest.raises(NotAuthenticated) as caught:
            directory.by_session("staff-7", credential, BEGUN_US)
        assert caught.value.cause == "session_over"


@pytest.mark.parametrize("what", ["unlink", "disable", "leave"])
async def test_sessions_that_began_before_are_over(
    registry: Registry, directory: SqlDirectory, what: str
) -> None:
    """Also of another identity of the same principal, and also when they are let in again."""
    with registry.change() as change:
        for subject in ("s-old", "s-new"):
            link(change, "corp", subject, "staff-7")
    await directory.refresh()
    before_us = now_us()
    assert directory.by_session("staff-7", "oidc:corp", before_us)
    with registry.change() as change:
        if what == "unlink":
            unlink(change, "corp", "s-old")
        elif what == "leave":
            change.leave("staff-7")
        else:
            change.set_disabled("staff-7", True)
            change.set_disabled("staff-7", False)
    await directory.refresh()
    with pytest.raises(NotAuthenticated) as caught:
        directory.by_session("staff-7", "oidc:corp", before_us)
    assert caught.value.cause == "session_over"


async def test_a_registry_edited_by_hand_makes_nobody_of_two_powers(
    registry: Registry, directory: SqlDirectory, path: Path
) -> None:
    """Whoever wrote the rows: such a person is refused."""
    key = key_of(registry)
    with sqlite3.connect(path) as raw:
        raw.executemany(
            "INSERT INTO principal_roles VALUES ('staff-7', ?, 'local')",
            [("operator",), ("auditor",)],
        )
        raw.execute("UPDATE registry_revision SET revision = revision + 1")
    await directory.refresh()
    with pytest.raises(Forbidden) as caught:
        directory.by_key(key)
    assert caught.value.code == "duties_conflict"
    assert not directory.holds("staff-7", Role.OPERATOR)


async def test_who_holds_a_role_is_a_person_with_a_role_of_their_own(
    registry: Registry, directory: SqlDirectory
) -> None:
    """Not a service account, nobody unknown, and not whoever was shut out meanwhile."""
    await directory.refresh()
    asked = [directory.holds(who, Role.EMPLOYEE) for who in ("staff-7", "bot", "nobody")]
    assert asked == [True, False, False]
    assert not directory.holds("staff-7", Role.BREAK_GLASS)

    with registry.change() as change:
        change.set_disabled("staff-7", True)
    await directory.refresh()
    assert not directory.holds("staff-7", Role.EMPLOYEE)


async def test_whoever_left_or_is_no_employee_may_not_ask(
    registry: Registry, directory: SqlDirectory
) -> None:
    """Asked again for what waited for people."""
    assert [directory.may_ask(name) for name in ("staff-7", "bot", "absent")] == [
        True, False, False,
    ]  # fmt: skip
    with registry.change() as change:
        change.leave("staff-7")
    await directory.refresh()
    assert not directory.may_ask("staff-7")


async def test_a_wrong_secret_takes_the_same_work_as_an_unknown_id(
    registry: Registry, directory: SqlDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One keyed hash and one comparison of all bytes, so that time tells no id; also for a key that
    has expired, was revoked, or belongs to somebody who was shut out.
    """
    known, revoked, shut = key_of(registry), key_of(registry), key_of(registry, "bot")
    with registry.change() as change:
        revoke(change, revoked.split("-")[2])
        change.set_disabled("bot", True)
    await directory.refresh()
    work: list[tuple[str, int]] = []
    real_digest, real_compare = hmac.digest, hmac.compare_digest

    def digest(key: bytes, message: bytes, name: str) -> bytes:
        work.append(("digest", len(message)))
        return real_digest(key, message, name)

    def compare(one: bytes, other: bytes) -> bool:
        work.append(("compare", len(one) + len(other)))
        return real_compare(one, other)

    monkeypatch.setattr(hmac, "digest", digest)
    monkeypatch.setattr(hmac, "compare_digest", compare)
    seen = set()
    for secret in (
        known[:-1] + ("A" if known[-1] != "A" else "B"),
        "sk-sekisho-00000000-" + "A" * 43,
        revoked,
        shut,
    ):
        work.clear()
        assert who(directory, secret) is None
        seen.add(tuple(work))
    assert seen == {(("digest", len(known)), ("compare", 64))}
