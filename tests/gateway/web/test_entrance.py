from __future__ import annotations

from typing import Any

import pytest

from sekisho.config.identity import IdentitySettings
from sekisho.errors import DirectoryUnavailable, Forbidden, NotAuthenticated, TooManyFailures
from sekisho.model.principal import Principal, Role, Shown
from sekisho.web.credentials import Reader
from sekisho.web.entrance import Entrance
from sekisho.web.refusals import Refusals
from support.memory_ledger import MemoryLedger

STAFF = Principal("staff-7", frozenset({Role.EMPLOYEE}), frozenset())


async def _find(shown: Shown) -> Principal:
    if shown.secret == "good":
        return STAFF
    if shown.secret == "down":
        raise DirectoryUnavailable("the registry is away")
    raise NotAuthenticated("no", cause="unknown")


def _scope(*secrets: str, ip: str = "203.0.113.5") -> dict[str, Any]:
    headers = [(b"x-api-key", secret.encode()) for secret in secrets]
    return {"type": "http", "method": "POST", "client": (ip, 1), "headers": headers}


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def refusals(ledger: MemoryLedger) -> Refusals:
    return Refusals(ledger, 2, lambda _: None, key_id=lambda _: None, counted=lambda _: None)


@pytest.fixture
def entrance(refusals: Refusals) -> Entrance:
    return Entrance(Reader(IdentitySettings(), "http://gate.example"), refusals)


async def test_whoever_is_known_gets_in(entrance: Entrance, ledger: MemoryLedger) -> None:
    """With what was shown, for the facts; nothing is recorded here."""
    principal, shown = await entrance.enter(_scope("good"), "chat", _find)

    assert (STAFF, "203.0.113.5") == (principal, shown.ip)
    assert not ledger.events


async def test_whoever_is_not_is_recorded_and_stays_out(
    entrance: Entrance, ledger: MemoryLedger
) -> None:
    """The same error comes back out."""
    with pytest.raises(NotAuthenticated) as refused:
        await entrance.enter(_scope("bad"), "chat", _find)

    assert "unknown" == refused.value.cause == ledger.events[0].data["cause"]
    assert refused.value.__cause__ is None


async def test_a_head_that_cannot_be_read_is_recorded_with_its_source(
    entrance: Entrance, ledger: MemoryLedger
) -> None:
    """Even what is refused before anybody was looked up."""
    with pytest.raises(NotAuthenticated):
        await entrance.enter(_scope("good", "good"), "chat", _find)

    assert "malformed" == ledger.events[0].data["cause"]
    assert b"203.0.113.5" == ledger.events[0].payloads[0].stored


async def test_a_sign_in_misused_by_another_site_is_counted(
    entrance: Entrance, refusals: Refusals, ledger: MemoryLedger
) -> None:
    """The person in front has done nothing wrong: no failure of theirs, but a trace of it."""
    scope = _scope()
    scope["headers"] = [(b"cookie", b"sekisho=s"), (b"sec-fetch-site", b"cross-site")]
    with pytest.raises(Forbidden):
        await entrance.enter(scope, "chat", _find)
    await refusals.flush()

    assert {"cause": "cross_site", "count": 1, "where": "chat"} == ledger.events[0].data


async def test_whoever_may_not_is_no_failure(
    entrance: Entrance, refusals: Refusals, ledger: MemoryLedger
) -> None:
    """A known person without the right is told so; it is counted, and slows down nobody."""

    async def find(_: Shown) -> Principal:
        raise Forbidden("no role")

    with pytest.raises(Forbidden):
        await entrance.enter(_scope("good"), "chat", find)
    await refusals.flush()

    (event,) = ledger.events
    assert event.data == {"cause": "forbidden", "count": 1, "where": "chat"}


async def test_a_good_key_works_beside_a_flood(entrance: Entrance) -> None:
    """A colleague behind the same address is never asked to wait for somebody else."""
    for _ in range(2):
        with pytest.raises(NotAuthenticated):
            await entrance.enter(_scope("bad"), "chat", _find)
    with pytest.raises(TooManyFailures):
        await entrance.enter(_scope("bad"), "chat", _find)

    assert STAFF == (await entrance.enter(_scope("good"), "chat", _find))[0]


async def test_a_directory_that_is_away_is_nobodys_failure(
    entrance: Entrance, ledger: MemoryLedger
) -> None:
    """503 is not held against the address."""
    with pytest.raises(DirectoryUnavailable):
        await entrance.enter(_scope("down"), "chat", _find)

    assert not ledger.events
