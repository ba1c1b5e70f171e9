"""How long people took lately: noted once, told when there is enough, never in the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_paces import KEPT_MAX, TOLD_MIN, Paces
from sekisho.holding import settle
from sekisho.model.decision import Threshold
from sekisho.model.hold import Hold, Pace
from support.holds import REVIEWER, Desk
from support.installation import free_port
from support.valkey import Valkey

SECOND_US = 1_000_000


async def some_hold(desk: Desk, *reviewers: str) -> Hold:
    """A hold that these are asked about, filed at nought."""
    view = await desk.file()
    thresholds = tuple(Threshold(name, 1, 1) for name in reviewers)
    return replace(view.hold, thresholds=thresholds, created_us=0)


async def test_told_when_there_is_enough(desk: Desk, valkey: Valkey) -> None:
    """The median of each group; the same hold counts once, a stranger's group is not there."""
    client = connect(valkey.url)
    paces = Paces(client, "{t}:pace-a:")
    hold = await some_hold(desk, "reviewer", "legal")
    for number in range(TOLD_MIN):
        assert {} == await paces.lately(["reviewer"])
        for _ in range(2):
            await paces.took(replace(hold, id=f"hold_{number}"), (number + 1) * 60 * SECOND_US)

    told = Pace(TOLD_MIN, 180)
    assert {"reviewer": told, "legal": told} == await paces.lately(["reviewer", "legal", "other"])
    await client.aclose()


async def test_only_the_last_are_kept(desk: Desk, valkey: Valkey) -> None:
    """Bounded, and of today: old answers make room."""
    client = connect(valkey.url)
    paces = Paces(client, "{t}:pace-b:")
    hold = await some_hold(desk, "reviewer")
    for number in range(KEPT_MAX + 20):
        settled_us = (1 if number < 20 else 10) * SECOND_US + number
        await paces.took(replace(hold, id=f"hold_{number}"), settled_us)

    assert {"reviewer": Pace(KEPT_MAX, 10)} == await paces.lately(["reviewer"])
    await client.aclose()


async def test_without_valkey_nothing_is_known_and_nothing_fails(desk: Desk) -> None:
    """A hint costs nobody a decision."""
    client = connect(f"redis://127.0.0.1:{free_port()}")
    paces = Paces(client, "{t}:pace-c:")
    await paces.took(await some_hold(desk, "reviewer"), SECOND_US)

    assert {} == await paces.lately(["reviewer"])
    await client.aclose()


@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_a_review_that_settles_is_noted(desk: Desk, decision: str) -> None:
    """Through the desk at which people decide."""
    for _ in range(TOLD_MIN):
        await desk.review(await desk.file(f"{decision} {_}"), REVIEWER, decision)

    (pace,) = (await desk.store.lately(["reviewer"])).values()
    assert pace.count >= TOLD_MIN


async def test_what_nobody_answered_is_not_noted(desk: Desk) -> None:
    """Neither a withdrawal nor a clock is people who took their time."""
    before = await desk.store.lately(["reviewer"])
    for number in range(TOLD_MIN):
        view = await desk.file(f"mine {number}")
        await settle.decide(
            desk.store, desk.ledger, view.hold, settle.withdrawal(view.hold, desk.ledger.origin)
        )

    assert before == await desk.store.lately(["reviewer"])
