"""What a test item takes from real holds, what is refused, and that both are counted alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest

from sekisho.console.hold_page import HoldPage, hold_page
from sekisho.errors import BadRequest, LedgerUnavailable, PolicyUnavailable
from sekisho.holding.seed import BEFORE_MS_MAX
from sekisho.holding.seed_desk import RISK_USUAL, TTL_S_USUAL, Asked
from sekisho.model.decision import HoldTerms, Threshold
from sekisho.model.hold import HoldView
from sekisho.model.principal import Role
from sekisho_audit.ids import began_us
from support.entrances import StaticDirectory
from support.holds import REVIEWER, STAFF, Desk, exchange, outgoing, person
from support.memory_ledger import MemoryLedger
from support.seeds import HELD_BY, OFFICE, seed_desk

SEEDER = person("auditor-1", Role.AUDITOR)
BOSS = person("boss-1", groups=("boss", "team-lead"))
PEOPLE = StaticDirectory({"key-staff": STAFF, "key-reviewer": REVIEWER, "key-boss": BOSS})
LITTLE = Asked("staff-990", "Send me all salaries.", HELD_BY, "Salaries are looked at first.")
ASKED = replace(LITTLE, model="gpt-x", backend="demo")
STEPS = (Threshold("team-lead", 1, 1), Threshold("reviewer", 2, 2, 2))


async def put(desk: Desk, asked: Asked = ASKED, **parts: Any) -> HoldView:
    return await seed_desk(desk, PEOPLE, **parts).plant(SEEDER, asked)


async def filed(desk: Desk, text: str, terms: HoldTerms) -> HoldView:
    """A real hold on these terms."""
    asked = exchange(text)
    return await desk.filing.file(outgoing(asked, STAFF, terms), terms, asked, STAFF)


def ttl_s(view: HoldView) -> int:
    return (view.hold.expires_us - view.hold.created_us) // 1_000_000


async def test_without_a_real_hold_it_has_the_terms_of_the_shipped_rules(desk: Desk) -> None:
    """One reviewer, a day, risk 50; the backend is the one that serves the model."""
    view = await put(desk, replace(LITTLE, model="gpt-x"))
    assert view.hold.thresholds == (Threshold("reviewer", 1, 1),)
    assert (view.hold.risk, ttl_s(view), view.hold.office_s) == (RISK_USUAL, TTL_S_USUAL, 0)
    assert view.hold.backend == "demo"


async def test_it_has_the_terms_of_the_newest_real_hold_of_its_rule(desk: Desk) -> None:
    """Steps, time of an open office, risk, backend and model; not those of an older hold, of an
    answer or of another test item.
    """
    await filed(desk, "older", HoldTerms("request", (Threshold("reviewer", 1, 1),), 60, 1))
    real = await filed(desk, "new", HoldTerms("request", STEPS, 7_200, 70, office_time=True))
    await filed(desk, "answer", HoldTerms("response", (Threshold("boss", 1, 1),), 60, 1))
    other = replace(ASKED, reviewers="boss", approve=1, risk=5, ttl_s=99, office_time=False)
    await put(desk, other)
    view = await put(desk, LITTLE)
    for name in ("thresholds", "risk", "office_s", "backend", "model"):
        assert getattr(view.hold, name) == getattr(real.hold, name)
    assert view.hold.expires_us == OFFICE.after(view.hold.created_us, 7_200)


async def test_what_is_named_wins(desk: Desk) -> None:
    """Over the terms of the newest real hold, each by itself."""
    await filed(desk, "real", HoldTerms("request", STEPS, 7_200, 70, office_time=True))
    view = await put(desk, replace(LITTLE, approve=3, deny=2, ttl_s=600, office_time=False))
    assert view.hold.thresholds == (Threshold("reviewer", 3, 2),)
    assert (view.hold.risk, ttl_s(view), view.hold.office_s) == (70, 600, 0)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"rule": "nonsense.rule"}, "rule"),
        ({"backend": "nowhere"}, "backend"),
        ({"backend": "inside"}, "model"),
        ({"model": "unknown", "backend": None}, "model"),
        ({"model": None, "backend": None}, "model"),
        ({"redact": ("salary",)}, "redact"),
        ({"reviewers": "reviewrs"}, "reviewers"),
        ({"also": (("nonsense.rule", "No."),)}, "also"),
        ({"also": ((HELD_BY, "Again."),)}, "also"),
    ],
)
async def test_what_no_request_could_be_is_refused(
    desk: Desk, changes: dict[str, Any], param: str
) -> None:
    """A rule, backend or model that is not there would tell reviewers what it is."""
    counted: list[None] = []
    with pytest.raises(BadRequest) as caught:
        await put(desk, replace(ASKED, **changes), counted=lambda: counted.append(None))
    assert caught.value.param == param
    assert await desk.store.list_open(10) == []
    assert counted == []


async def test_who_made_it_up_is_nobody_to_answer_it(desk: Desk) -> None:
    """The only one of a group does not count where it is they who make it up."""
    seeder = replace(SEEDER, groups=("own",))
    people = StaticDirectory({**PEOPLE.people, "key-seeder": seeder})
    with pytest.raises(BadRequest) as caught:
        await seed_desk(desk, people).plant(seeder, replace(ASKED, reviewers="own"))
    assert caught.value.param == "reviewers"
    other = StaticDirectory({**people.people, "key-other": person("own-2", groups=("own",))})
    await seed_desk(desk, other).plant(seeder, replace(ASKED, reviewers="own"))


async def test_several_rules_hold_it_in_the_order_of_a_real_hold(desk: Desk) -> None:
    """Each with what it says; without a real one, by their names: the one that it is to be denied
    for is not always the first.
    """
    other = "sekisho.hold.money"
    known = frozenset({HELD_BY, other})
    view = await put(desk, replace(ASKED, also=((other, "Money."),)), rules=known)
    assert view.hold.rules == (other, HELD_BY)
    assert view.hold.reasons == ("Money.", LITTLE.message)
    assert view.hold.seed == HELD_BY


async def test_it_waits_as_long_as_a_client(desk: Desk) -> None:
    """What is under way is counted while it is open, and ends with it."""
    waiting: list[str] = []

    @contextmanager
    def counted() -> Iterator[None]:
        waiting.append("begins")
        try:
            yield
        finally:
            waiting.append("ends")

    view = await put(desk, waiting=counted, wait_s=60)
    async with asyncio.timeout(5):
        while not waiting:
            await asyncio.sleep(0.001)
    await desk.review(view, REVIEWER, "deny")
    async with asyncio.timeout(10):
        while waiting != ["begins", "ends"]:
            await asyncio.sleep(0.01)


async def test_while_rules_are_not_known_none_is_made_up(desk: Desk) -> None:
    """Nobody can tell then whether the rule is there."""
    with pytest.raises(PolicyUnavailable):
        await put(desk, rules=None)


async def test_its_exchange_is_some_milliseconds_older(desk: Desk) -> None:
    """As of a request, which comes before it is held: seldom many, not always as many, never less
    than none.
    """
    apart = set()
    for _ in range(24):
        hold = (await put(desk)).hold
        digits = hold.id.removeprefix("hold_")
        held_us = int(digits[:12], 16) * 1000
        apart.add((held_us - began_us(hold.exchange)) // 1000)
    assert min(apart) >= 0
    assert max(apart) <= BEFORE_MS_MAX
    assert len(apart) > 2


async def test_its_text_is_looked_through_and_masked_as_rules_would(desk: Desk) -> None:
    """The page shows labels, what was found in it and what is masked, as for a request."""
    asked = replace(ASKED, text="The salaries of a.b@corp.example, 4111 1111 1111 1111")
    plain = await put(desk, asked)
    masked = await put(desk, replace(asked, redact=("email",)))

    def page(view: HoldView) -> HoldPage:
        return hold_page(view, REVIEWER, view.hold.created_us)

    assert page(plain).labels == page(masked).labels == ("pay",)
    assert [(one.found, one.masked) for one in page(plain).masked] == [(1, 0), (1, 0)]
    found = {one.kind: (one.found, one.masked) for one in page(masked).masked}
    assert found["email"] == (1, 1)
    content = orjson.loads(masked.hold.outgoing)["messages"][0]["content"]
    assert content == "The salaries of [EMAIL], 4111 1111 1111 1111"


async def test_each_that_reviewers_see_is_counted_once(desk: Desk, ledger: MemoryLedger) -> None:
    """As a held request is; one that the ledger did not take is not."""
    counted: list[None] = []
    await put(desk, counted=lambda: counted.append(None))
    assert len(counted) == 1
    ledger.lose_before = 1
    with pytest.raises(LedgerUnavailable):
        await put(desk, counted=lambda: counted.append(None))
    assert len(counted) == 1
