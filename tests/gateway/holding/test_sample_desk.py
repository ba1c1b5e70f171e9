"""Who looks at samples: people who had no part in them, each alone, a third if they differ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import replace

import pytest
from redis import Redis

from sekisho.errors import BadRequest, Conflict, Forbidden, NotFound, SekishoError, Unavailable
from sekisho.holding.sample_desk import REASON_CHARS_MAX
from sekisho.model.principal import Authentication, Role
from sekisho.model.samples import Terms
from support.holds import ROBOT, STAFF, STRANGER, person
from support.line import ANSWER, CHAT_BODY
from support.samples import ALL, AUDITOR, FOUR, ONE, THREE, TWO, Table, open_table
from support.switchboards import running_auditd
from support.valkey import Valkey

DAY_US = 86_400 * 1_000_000


@pytest.fixture(scope="module")
def auditd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_auditd(tmp_path_factory.mktemp("d")) as socket:
        yield socket


@pytest.fixture
async def table(auditd: str, valkey: Valkey) -> AsyncIterator[Table]:
    one = await open_table(auditd, valkey.url)
    yield one
    await one.close()


async def code(error: type[SekishoError], step: Awaitable[object]) -> str:
    """The code with which the step is refused."""
    with pytest.raises(error) as caught:
        await step
    return caught.value.code


async def test_two_look_and_agree(table: Table) -> None:
    """Both are shown what left and what was given out; then it is closed and waits for nobody."""
    sample = await table.sample()
    _, content = await table.desk.show(ONE, sample.id)
    assert content is not None
    assert (content.request, content.answer, content.cut) == (CHAT_BODY, ANSWER, False)

    assert await table.judge(ONE, sample) == ""
    assert await table.judge(TWO, sample) == "fine"

    assert sample.id not in {one.id for one in await table.standing()}
    assert await table.store.get(sample) is None
    assert await code(NotFound, table.desk.show(THREE, sample.id)) == "not_found"


async def test_a_third_is_asked_only_where_two_differ(table: Table) -> None:
    """After one verdict a second is asked, after two that differ a third, whose word is the
    outcome; nobody after that.
    """
    sample = await table.sample()
    await table.judge(ONE, sample, "fine")
    assert await table.judge(TWO, sample, "concern") == ""
    waiting = {one.id for one in await table.desk.queue(THREE)}
    assert sample.id in waiting
    judged = await table.desk.show(THREE, sample.id)
    assert judged[0].said_by(THREE.id) is None
    last = await table.desk.judge(THREE, sample.id, "concern", "a customer's name")
    assert (last.outcome, last.by) == ("concern", "third")
    assert await code(NotFound, table.desk.judge(FOUR, sample.id, "fine", "")) == "not_found"


async def test_nobody_sees_or_judges_what_they_asked(table: Table) -> None:
    """Not as a reviewer, not with another key, not as the delegate of who asked; it is as if there
    were no such sample, so that nobody learns that they were drawn.
    """
    sample = await table.sample(ONE)
    other_key = replace(ONE, credential="k-2", authentication=Authentication.SESSION)
    deputy = replace(TWO, stands_in_for=frozenset({ONE.id}))
    for who in (ONE, other_key, deputy):
        assert sample.id not in {one.id for one in await table.desk.queue(who)}
        assert await code(NotFound, table.desk.show(who, sample.id)) == "not_found"
        assert await code(NotFound, table.desk.judge(who, sample.id, "fine", "")) == "not_found"
    assert sample.id in {one.id for one in await table.desk.queue(TWO)}


async def test_the_owner_of_a_service_account_does_not_judge_it(table: Table) -> None:
    sample = await table.sample(ROBOT)

    assert ROBOT.owner == ONE.id
    assert await code(NotFound, table.desk.show(ONE, sample.id)) == "not_found"
    assert await table.judge(TWO, sample) == ""


async def test_only_reviewers_in_their_own_right_look(table: Table) -> None:
    """Neither employees nor auditors, service accounts, or who was lent the role."""
    sample = await table.sample()
    lent = replace(STRANGER, roles=ONE.roles, lent=frozenset({(Role.REVIEWER, ONE.id)}))
    robot = replace(ROBOT, roles=ONE.roles)
    for who in (STAFF, STRANGER, AUDITOR, lent, robot):
        assert await code(Forbidden, table.desk.queue(who)) == "not_eligible"
        assert await code(Forbidden, table.desk.show(who, sample.id)) == "not_eligible"
        judging = table.desk.judge(who, sample.id, "fine", "")
        assert await code(Forbidden, judging) == "not_eligible"


async def test_reviewers_may_be_a_group(auditd: str, valkey: Valkey) -> None:
    """A role of that name makes nobody one, and the role reviewer neither."""
    table = await open_table(auditd, valkey.url, session="s-group", reviewers="quality")
    try:
        assert table.desk.reviews(person("staff-9", groups=("quality",)))
        assert not table.desk.reviews(ONE)
    finally:
        await table.close()


async def test_a_verdict_is_given_once(table: Table) -> None:
    """The same again is the same; another one is refused, and a concern has a reason."""
    sample = await table.sample()
    await table.judge(ONE, sample, "concern")
    again = await table.desk.judge(ONE, sample.id, "concern", "other words")
    assert again.outcome == ""
    other = table.desk.judge(ONE, sample.id, "fine", "")
    assert await code(Conflict, other) == "already_reviewed"
    [now] = [one for one in await table.standing() if one.id == sample.id]
    assert [one.verdict for one in now.verdicts] == ["concern"]
    empty = table.desk.judge(TWO, sample.id, "concern", "  ")
    assert await code(BadRequest, empty) == "reason_required"
    long = table.desk.judge(TWO, sample.id, "fine", "x" * (REASON_CHARS_MAX + 1))
    assert await code(BadRequest, long) == "reason_required"
    assert (
        await code(BadRequest, table.desk.judge(TWO, sample.id, "maybe", "")) == "invalid_request"
    )


async def test_nobody_judges_what_they_were_not_shown(table: Table) -> None:
    """The ledger has no record that they looked; to click through a list judges nothing."""
    sample = await table.sample()

    judging = table.desk.judge(ONE, sample.id, "fine", "")
    assert await code(Conflict, judging) == "not_shown"


async def test_two_at_the_same_moment_are_two(table: Table) -> None:
    """Of three at once two are heard, or all if they differ; whoever came too late is told."""
    sample = await table.sample()
    for who in (ONE, TWO, THREE):
        await table.desk.show(who, sample.id)

    said = await asyncio.gather(
        *(table.desk.judge(who, sample.id, "fine", "") for who in (ONE, TWO, THREE)),
        return_exceptions=True,
    )

    late = [one for one in said if isinstance(one, SekishoError)]
    assert len(late) <= 1
    assert all(one.code in {"sample_over", "not_found"} for one in late)
    await table.desk.sweep()
    assert sample.id not in {one.id for one in await table.standing()}


async def test_silence_is_closed_as_unjudged(table: Table) -> None:
    """Only after its days, by the ledger's clock: a worker whose clock is ahead closes nothing."""
    sample = await table.sample()
    await table.judge(ONE, sample)
    table.clock.ahead_us = 8 * DAY_US
    await table.desk.sweep()

    assert sample.id in {one.id for one in await table.standing()}
    assert sample.id not in {one.id for one in await table.desk.queue(TWO)}


async def test_one_person_is_enough_where_settings_say_so(auditd: str, valkey: Valkey) -> None:
    table = await open_table(auditd, valkey.url, replace(ALL, verdicts=1), session="s-one")
    try:
        sample = await table.sample()
        assert await table.judge(ONE, sample, "concern") == "concern"
    finally:
        await table.close()


async def test_a_lost_store_loses_content_and_no_record(table: Table, valkey: Valkey) -> None:
    """The sample stands with its first verdict; there is nothing to look at and to judge."""
    sample = await table.sample()
    await table.judge(ONE, sample)
    with Redis.from_url(valkey.url) as client:
        client.flushall()

    found, content = await table.desk.show(TWO, sample.id)
    assert (found.id, content) == (sample.id, None)
    assert len(found.verdicts) == 1
    judging = table.desk.judge(TWO, sample.id, "fine", "")
    assert await code(Conflict, judging) == "not_shown"


async def test_a_store_that_is_away_says_so(table: Table, valkey: Valkey) -> None:
    """Within its deadline, and nothing is on record as shown that was not."""
    sample = await table.sample()
    valkey.pause()
    try:
        failing = table.desk.show(ONE, sample.id)
        assert await code(Unavailable, failing) == "sample_store_unavailable"
    finally:
        valkey.unpause()
    judging = table.desk.judge(ONE, sample.id, "fine", "")
    assert await code(Conflict, judging) == "not_shown"


async def test_another_worker_closes_what_one_left(auditd: str, valkey: Valkey) -> None:
    """A worker that died between the last verdict and the end: the sweep of any other ends it."""
    first = await open_table(auditd, valkey.url, session="s-first")
    second = await open_table(auditd, valkey.url, session="s-second")
    try:
        sample = await second.sample()
        for who in (ONE, TWO):
            await first.desk.show(who, sample.id)
            await first.desk._record(who, sample, "fine", "")
        assert sample.id in {one.id for one in await second.standing()}
        await asyncio.gather(first.desk.sweep(), second.desk.sweep())
        assert sample.id not in {one.id for one in await second.standing()}
    finally:
        await first.close()
        await second.close()


async def test_terms_of_another_time_still_hold_for_what_was_drawn(
    auditd: str, valkey: Valkey
) -> None:
    """Whoever lowers the number of people afterwards closes nothing with it."""
    before = await open_table(auditd, valkey.url, session="s-before")
    sample = await before.sample()
    await before.close()
    after = await open_table(auditd, valkey.url, Terms(0, 0, verdicts=1), session="s-after")
    try:
        assert await after.judge(ONE, sample) == ""
        assert await after.judge(TWO, sample) == "fine"
    finally:
        await after.close()


async def test_auditd_tells_no_draw_as_lost_that_is_about_to_be_told(table: Table) -> None:
    """What was just given out is its worker's to draw; from where to go on is told all the same."""
    await table.sample()

    assert await table.ledger.undrawn(-1) == ([], -1)
