"""Who opens, ends and reviews: one person for themselves, another one afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho.errors import BadRequest, NotFound, SekishoError
from sekisho.holding.break_glass_desk import OpeningLimits
from sekisho.model.ids import uuid7
from sekisho.model.principal import Authentication, Principal, Role, Scope
from sekisho_audit.events import Event, Payload
from support.break_glass import (
    AUDITOR,
    CHIEF,
    CHIEF_2,
    FOR_CHIEF,
    OPERATOR,
    OTHER_RULE,
    REVIEWER,
    RULE,
    WHY,
    Plant,
    needed,
    open_plant,
)
from support.holds import STAFF, SystemClock, person
from support.switchboards import running_auditd

ROBOT = replace(CHIEF, id="robot-1", owner="chief-1")
# The registry lends no such role; somebody may have edited its file.
LENT = replace(
    CHIEF_2,
    stands_in_for=frozenset({"chief-1"}),
    lent=frozenset({(Role.BREAK_GLASS, "chief-1")}),
)
ADMIN = frozenset({Scope.ADMIN})
SECOND_US = 1_000_000


@pytest.fixture(scope="module")
def auditd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("d")
    with running_auditd(home) as socket:
        yield socket


@pytest.fixture
async def plant(auditd: str) -> AsyncIterator[Plant]:
    """A worker at a ledger in which nothing is open."""
    one = await open_plant(auditd)
    yield one
    await one.tidy()
    await one.ledger.close()


def signed_in(who: Principal, ago_s: float) -> Principal:
    """The same person, with a session that began so long ago."""
    begun_us = SystemClock().now_us() - int(ago_s * SECOND_US)
    return replace(who, authentication=Authentication.SESSION, signed_in_us=begun_us)


async def code_of(step: Awaitable[object]) -> str:
    """The code with which this is refused."""
    with pytest.raises(SekishoError) as caught:
        await step
    return caught.value.code


async def test_it_is_opened_for_named_rules_and_minutes(plant: Plant) -> None:
    """And says so, with the reason, to who may read it."""
    made = await plant.desk.open(CHIEF, [RULE, RULE, OTHER_RULE], f" {WHY} ", 5)

    assert (made.person, made.rules, made.reason) == ("chief-1", (RULE, OTHER_RULE), WHY)
    assert made.until_us - made.opened_us == 5 * 60 * SECOND_US
    assert made.review_by_us - made.until_us == 24 * 3_600 * SECOND_US
    assert plant.desk.open_count == 1
    assert await plant.desk.listed(CHIEF) == [made]


async def test_without_a_word_it_is_a_quarter_of_an_hour(plant: Plant) -> None:
    """As the settings say."""
    assert (await plant.opened()).minutes == 15


@pytest.mark.parametrize(
    "who",
    [STAFF, REVIEWER, OPERATOR, ROBOT, replace(STAFF, owner="chief-1"), LENT],
    ids=["employee", "reviewer", "operator", "robot with the role", "robot", "a lent role"],
)
async def test_who_has_not_the_role_opens_nothing(plant: Plant, who: Principal) -> None:
    """Nor does a service account of whoever has it."""
    assert await code_of(plant.desk.open(who, [RULE], WHY, None)) == "role_missing"


async def test_a_session_that_was_left_open_opens_nothing(plant: Plant) -> None:
    """Five minutes; a key proves who asks each time and is taken as it is."""
    assert await code_of(plant.desk.open(signed_in(CHIEF, 301), [RULE], WHY, None)) == (
        "sign_in_again"
    )
    unknown = replace(CHIEF, authentication=Authentication.SESSION)
    assert await code_of(plant.desk.open(unknown, [RULE], WHY, None)) == "sign_in_again"

    assert await plant.desk.open(signed_in(CHIEF, 200), [RULE], WHY, None)
    assert await plant.opened(CHIEF_2)


@pytest.mark.parametrize(
    ("rules", "reason", "minutes", "param"),
    [
        ([], WHY, None, "rules"),
        ([f"rule.{number}" for number in range(21)], WHY, None, "rules"),
        (["team.*"], WHY, None, "rules"),
        ([RULE, "no.such"], WHY, None, "rules"),
        (["a\u202eb"], WHY, None, "rules"),
        ([RULE], "  ", None, "reason"),
        ([RULE], "x" * 501, None, "reason"),
        ([RULE], WHY, 0, "minutes"),
        ([RULE], WHY, 61, "minutes"),
    ],
)
async def test_what_is_opened_has_bounds(
    plant: Plant, rules: list[str], reason: str, minutes: int | None, param: str
) -> None:
    """Rules are exact names of what is in force; each has a reason and an end."""
    with pytest.raises(BadRequest) as caught:
        await plant.desk.open(CHIEF, rules, reason, minutes)
    assert caught.value.param == param
    assert plant.desk.open_count == 0


async def test_settings_bound_it_further(auditd: str, plant: Plant) -> None:
    """Fewer minutes and a nearer review."""
    strict = await open_plant(
        auditd, OpeningLimits(minutes_default=2, minutes_max=5, review_hours=1)
    )
    assert await code_of(strict.desk.open(CHIEF, [RULE], WHY, 6)) == "invalid_request"

    made = await strict.desk.open(CHIEF, [RULE], WHY, None)
    assert (made.minutes, made.review_hours) == (2, 1)
    await strict.ledger.close()


async def test_one_person_has_one_open(plant: Plant) -> None:
    """A second is refused by the ledger, whatever a worker knows."""
    await plant.opened()

    assert await code_of(plant.opened()) == "break_glass_open"
    assert await plant.opened(CHIEF_2)


async def test_few_wait_for_review(plant: Plant) -> None:
    """After four somebody has to look before the next."""
    for _ in range(4):
        await plant.desk.end(CHIEF, (await plant.opened()).id)

    assert await code_of(plant.opened()) == "break_glass_unreviewed"


async def test_nothing_is_opened_while_everything_is_stopped(plant: Plant) -> None:
    """The ledger says so, also to a worker that has not heard of the switch."""
    why = (Payload("reason", b"A leak.", b"A leak."),)
    stop = Event(uuid7(), "halt.set", None, None, {"scope": "all", "name": ""}, "operator-1", why)
    await plant.ledger.append([stop])
    try:
        assert await code_of(plant.opened()) == "halted_opening"
    finally:
        lift = Event(
            uuid7(), "halt.lift_proposed", None, None, {"halt": stop.id}, "operator-1", why
        )
        await plant.ledger.append([lift])
        done = {"halt": stop.id, "proposed": lift.id}
        await plant.ledger.append([Event(uuid7(), "halt.lifted", None, None, done, "operator-2")])


async def test_whoever_opened_it_or_an_operator_ends_it(plant: Plant) -> None:
    """At once, with who did it; nobody else does."""
    mine, theirs = await plant.opened(), await plant.opened(CHIEF_2)

    assert (await plant.desk.end(CHIEF, mine.id)).ended == "person"
    assert await code_of(plant.desk.end(CHIEF, theirs.id)) == "not_found"
    assert await code_of(plant.desk.end(REVIEWER, theirs.id)) == "role_missing"
    assert (await plant.desk.end(OPERATOR, theirs.id)).ended == "operator"
    assert await code_of(plant.desk.end(CHIEF, mine.id)) == "break_glass_over"
    assert plant.desk.open_count == 0


async def test_what_is_open_is_seen_by_who_watches_over_it(plant: Plant) -> None:
    """Reviewers, auditors and operators; of others only whose it is."""
    made = await plant.opened()

    for who in (CHIEF, REVIEWER, AUDITOR, OPERATOR):
        assert await plant.desk.listed(who) == [made]
    narrow = replace(AUDITOR, scopes=frozenset({Scope.REVIEW}))
    for who in (STAFF, CHIEF_2, replace(REVIEWER, owner="reviewer-9"), narrow):
        assert await plant.desk.listed(who) == []


async def test_another_person_reviews_it_when_it_is_over(plant: Plant) -> None:
    """A reviewer or an auditor, for all its uses; then it is known no more."""
    made = await plant.opened()
    await plant.glass.answer(FOR_CHIEF, "demo", [needed()])
    assert await code_of(plant.desk.review(REVIEWER, made.id, "justified", "ok")) == (
        "break_glass_open"
    )
    await plant.desk.end(CHIEF, made.id)

    seen = await plant.desk.review(REVIEWER, made.id, "not_justified", "It could have waited.")

    assert seen.used == 1
    assert plant.glass.standing == ()
    assert await code_of(plant.desk.review(AUDITOR, made.id, "justified", "ok")) == "not_found"


def _delegate_of(lender: str) -> Principal:
    return replace(
        person("staff-9", Role.REVIEWER),
        stands_in_for=frozenset({lender}),
        lent=frozenset({(Role.REVIEWER, lender)}),
    )


@pytest.mark.parametrize(
    ("who", "code"),
    [
        (replace(CHIEF, roles=CHIEF.roles | {Role.REVIEWER}), "self_confirmation"),
        (
            replace(CHIEF, roles=CHIEF.roles | {Role.REVIEWER}, credential="k-2"),
            "self_confirmation",
        ),
        (replace(REVIEWER, stands_in_for=frozenset({"chief-1"})), "self_confirmation"),
        (_delegate_of("chief-1"), "self_confirmation"),
        (replace(REVIEWER, id="robot-1", owner="chief-1"), "not_found"),
        (replace(REVIEWER, id="robot-2", owner="reviewer-1"), "not_found"),
        (OPERATOR, "role_missing"),
        (replace(OPERATOR, roles=OPERATOR.roles | {Role.REVIEWER}, scopes=ADMIN), "role_missing"),
        (CHIEF_2, "not_found"),
        (STAFF, "not_found"),
    ],
    ids=[
        "oneself", "another key", "in their place", "their delegate", "their robot", "a robot",
        "operator", "a key made for operators", "another chief", "anybody",
    ],
)  # fmt: skip
async def test_nobody_else_reviews_it(plant: Plant, who: Principal, code: str) -> None:
    """Persons count, not keys: not whoever opened it under any name, and no program."""
    made = await plant.opened()
    await plant.desk.end(CHIEF, made.id)

    assert await code_of(plant.desk.review(who, made.id, "justified", "ok")) == code


async def test_a_delegate_reviews_in_the_place_of_who_lent_the_role(plant: Plant) -> None:
    """The ledger has both."""
    made = await plant.opened()
    await plant.desk.end(CHIEF, made.id)

    assert await plant.desk.review(_delegate_of("reviewer-1"), made.id, "justified", "ok")


@pytest.mark.parametrize(("verdict", "reason"), [("fine", "ok"), ("justified", " ")])
async def test_a_review_says_what_and_why(plant: Plant, verdict: str, reason: str) -> None:
    """In words that can be counted, and in words that can be read."""
    made = await plant.opened()
    await plant.desk.end(CHIEF, made.id)

    with pytest.raises(BadRequest):
        await plant.desk.review(REVIEWER, made.id, verdict, reason)


async def test_what_is_not_there_is_not_there(plant: Plant) -> None:
    """Whatever is asked of it."""
    for step in (
        plant.desk.end(OPERATOR, uuid7()),
        plant.desk.review(REVIEWER, uuid7(), "justified", "ok"),
    ):
        with pytest.raises(NotFound):
            await step


async def test_opening_it_is_an_error_in_the_log(
    plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    """Loud, and without the reason or whose it is."""
    await plant.opened()

    out = "".join(capsys.readouterr())
    assert "break-glass was opened" in out
    assert "error" in out
    assert WHY not in out
    assert "chief-1" not in out
