"""Who makes a grant and who ends it: two reviewers, one reviewer; nobody for themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from sekisho.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    LedgerRefused,
    NotFound,
    SekishoError,
)
from sekisho.holding.grant_desk import REASON_CHARS_MAX, Asked, GrantLimits
from sekisho.model.principal import Authentication, Principal, Role
from support.grants import (
    AUDITOR,
    CALLS,
    FOR_STAFF,
    ONE,
    REQUESTS,
    TWO,
    Office,
    open_office,
    wanted,
)
from support.holds import STAFF, STRANGER, person
from support.switchboards import running_auditd

OTHER_KEY = replace(ONE, credential="k-2", authentication=Authentication.SESSION)
DEPUTY_OF_ONE = replace(TWO, stands_in_for=frozenset({"reviewer-1"}))
LEGAL = person("legal-1", groups=("legal",))


@pytest.fixture(scope="module")
def auditd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_auditd(tmp_path_factory.mktemp("d")) as socket:
        yield socket


@pytest.fixture
async def office(auditd: str) -> AsyncIterator[Office]:
    """A worker at a ledger in which nothing is granted."""
    one = await open_office(auditd, GrantLimits(hours_max=8, uses_max=20, risk_below=60))
    yield one
    await one.granting.consult()
    for left in one.granting.standing:
        await one.desk.revoke(ONE if "legal" not in left.reviewers else LEGAL, left.id, "end")
    await one.close()


async def code(error: type[SekishoError], step: Awaitable[object]) -> str:
    """The code with which the step is refused."""
    with pytest.raises(error) as caught:
        await step
    return caught.value.code


async def test_two_reviewers_make_a_grant(office: Office) -> None:
    """What the ledger tells afterwards is what they agreed to; before, it answers nothing."""
    proposed = await office.desk.propose(ONE, CALLS)
    assert not await office.granting.answer(FOR_STAFF, [wanted()])

    made = await office.desk.confirm(TWO, proposed.id)

    assert (made.proposed_by, made.confirmed_by) == ("reviewer-1", "reviewer-2")
    assert (made.rules, made.backend, made.tool) == (CALLS.rules, "demo", "kb.read")
    assert (made.principal, made.group, made.pattern) == ("staff-7", None, CALLS.pattern)
    assert (made.count, made.remaining, made.hours, made.risk_below) == (2, 2, 1, 60)
    assert made.reason == "The report of the quarter."
    assert await office.granting.answer(FOR_STAFF, [wanted()])


@pytest.mark.parametrize(
    ("who", "refused"),
    [
        (ONE, "self_confirmation"),
        (OTHER_KEY, "self_confirmation"),
        (DEPUTY_OF_ONE, "self_confirmation"),
    ],
    ids=["same", "other key", "deputy"],
)
async def test_nobody_confirms_their_own(office: Office, who: Principal, refused: str) -> None:
    """Persons are compared, not keys."""
    proposed = await office.desk.propose(ONE, CALLS)

    assert await code(Forbidden, office.desk.confirm(who, proposed.id)) == refused


@pytest.mark.parametrize(
    ("who", "asked", "refused"),
    [
        (STAFF, CALLS, "not_eligible"),
        (AUDITOR, CALLS, "not_eligible"),
        (replace(ONE, owner="boss-1"), CALLS, "not_eligible"),
        (
            replace(
                STRANGER,
                roles=frozenset({Role.REVIEWER}),
                lent=frozenset({(Role.REVIEWER, "reviewer-1")}),
                stands_in_for=frozenset({"reviewer-1"}),
            ),
            CALLS,
            "not_eligible",
        ),
        (ONE, replace(CALLS, reviewers=("legal",)), "not_eligible"),
        (ONE, replace(CALLS, principal="reviewer-1"), "self_approval"),
        (
            replace(ONE, stands_in_for=frozenset({"staff-7"})),
            CALLS,
            "self_approval",
        ),
        (ONE, replace(CALLS, principal=None, group="risk"), "self_approval"),
    ],
    ids=["asker", "auditor", "robot", "delegate", "other rule", "self", "deputy", "own group"],
)
async def test_who_may_not_propose(
    office: Office, who: Principal, asked: Asked, refused: str
) -> None:
    """Only reviewers of the rules, in their own right, and never for themselves."""
    assert await code(Forbidden, office.desk.propose(who, asked)) == refused


@pytest.mark.parametrize(
    ("who", "refused"),
    [
        (person("staff-7", Role.REVIEWER, groups=("risk",)), "self_approval"),
        (replace(TWO, stands_in_for=frozenset({"staff-7"})), "self_approval"),
        (replace(TWO, owner="boss-1"), ""),
        (STRANGER, ""),
    ],
    ids=["self", "deputy", "robot", "stranger"],
)
async def test_who_may_not_confirm(office: Office, who: Principal, refused: str) -> None:
    """Whom it is for does not, under any name; for others it is not there."""
    proposed = await office.desk.propose(ONE, CALLS)

    if refused:
        assert await code(Forbidden, office.desk.confirm(who, proposed.id)) == refused
    else:
        await code(NotFound, office.desk.confirm(who, proposed.id))


async def test_a_member_of_the_group_does_not_confirm(office: Office) -> None:
    proposed = await office.desk.propose(ONE, replace(CALLS, principal=None, group="sales"))
    member = replace(TWO, groups=frozenset({"sales"}))

    assert await code(Forbidden, office.desk.confirm(member, proposed.id)) == "self_approval"


async def test_two_groups_of_reviewers_agree(office: Office) -> None:
    """Each counts for their own: a rule that asks both is answered by one of each."""
    both = replace(CALLS, reviewers=("reviewer", "legal"))
    proposed = await office.desk.propose(LEGAL, both)

    made = await office.desk.confirm(TWO, proposed.id)

    assert (made.counts_for, made.confirmed_counts_for) == (("legal",), ("reviewer",))


@pytest.mark.parametrize(
    ("other", "param"),
    [
        ({"principal": None}, "principal"),
        ({"group": "sales"}, "principal"),
        ({"count": 0}, "count"),
        ({"count": 21}, "count"),
        ({"hours": 0}, "hours"),
        ({"hours": 9}, "hours"),
        ({"rules": ()}, "rules"),
        ({"rules": ("default.gone",)}, "rules"),
        ({"rules": ("default.ladder\u202e",)}, "rules"),
        ({"tool": "kb\nread"}, "rules"),
        ({"backend": "other"}, "backend"),
        ({"pattern": None}, "arguments"),
        ({"tool": None}, "arguments"),
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * (REASON_CHARS_MAX + 1)}, "reason"),
        ({"reviewers": ()}, "reviewers"),
    ],
    ids=repr,
)
async def test_a_grant_has_bounds(office: Office, other: dict[str, Any], param: str) -> None:
    """For one person or group, a rule in force, a backend that is there, few and short."""
    with pytest.raises(BadRequest) as caught:
        await office.desk.propose(ONE, replace(CALLS, **other))

    assert caught.value.param == param


@pytest.mark.parametrize("name", ["staff-7", "staff-990"])
async def test_it_does_not_tell_who_there_is(office: Office, name: str) -> None:
    """Else a reviewer could tell test items, which are in the name of nobody."""
    made = await office.desk.propose(ONE, replace(CALLS, principal=name))
    assert made.principal == name


async def test_it_is_confirmed_once(office: Office) -> None:
    made = await office.granted()
    third = person("reviewer-3", Role.REVIEWER, groups=())
    assert await code(Conflict, office.desk.confirm(third, made.id)) == "grant_confirmed"


async def test_of_two_that_confirm_at_once_one_does(office: Office, auditd: str) -> None:
    """At two workers: the ledger takes the first."""
    other, third = await open_office(auditd), person("reviewer-3", Role.REVIEWER, groups=())
    proposed = await office.desk.propose(ONE, CALLS)

    done = await asyncio.gather(
        office.desk.confirm(TWO, proposed.id),
        other.desk.confirm(third, proposed.id),
        return_exceptions=True,
    )

    [lost] = [one for one in done if isinstance(one, SekishoError)]
    assert lost.code == "grant_confirmed"
    await other.close()


async def test_one_reviewer_ends_it_at_once(office: Office) -> None:
    """A third one too; then it is not there, for nobody."""
    made = await office.granted()
    third = person("reviewer-3", Role.REVIEWER, groups=())

    assert (await office.desk.revoke(third, made.id, "Enough.")).id == made.id

    assert not await office.granting.answer(FOR_STAFF, [wanted()])
    await code(NotFound, office.desk.revoke(third, made.id, "Enough."))
    await code(NotFound, office.desk.confirm(third, made.id))


async def test_a_delegate_ends_it_and_agrees_to_nothing(office: Office) -> None:
    """Ending is the safe side; and who proposed it takes it back without any role."""
    deputy = replace(
        STRANGER,
        roles=frozenset({Role.REVIEWER}),
        lent=frozenset({(Role.REVIEWER, "reviewer-3")}),
        stands_in_for=frozenset({"reviewer-3"}),
    )
    first, second = [await office.desk.propose(ONE, CALLS) for _ in range(2)]
    assert await code(Forbidden, office.desk.confirm(deputy, first.id)) == "not_eligible"

    await office.desk.revoke(deputy, first.id, "Not now.")
    await office.desk.revoke(replace(ONE, roles=frozenset()), second.id, "A mistake.")

    assert not await office.desk.listed(AUDITOR)


async def test_who_has_it_does_not_end_it(office: Office) -> None:
    """They may see it, as everybody whom it is about."""
    made = await office.granted()

    assert [one.id for one in await office.desk.listed(STAFF)] == [made.id]
    assert await code(Forbidden, office.desk.revoke(STAFF, made.id, "x")) == "not_eligible"
    await code(BadRequest, office.desk.revoke(ONE, made.id, " "))


async def test_who_sees_what_is_granted(office: Office) -> None:
    """Reviewers of its rules, auditors, who has it; nobody else."""
    await office.granted()
    await office.desk.propose(ONE, REQUESTS)

    seen = {who.id: len(await office.desk.listed(who)) for who in (TWO, AUDITOR, STAFF, STRANGER)}

    assert seen == {"reviewer-2": 2, "auditor-1": 2, "staff-7": 2, "staff-8": 0}


async def test_the_ledgers_refusal_is_told(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows better than a copy a second old."""
    proposed = await office.desk.propose(ONE, CALLS)
    real = office.ledger.append
    said = {
        "too_many_grants": Conflict,
        "unknown_grant": NotFound,
        "grant_confirmed": Conflict,
        "grant_over": Conflict,
        "self_confirmation": Forbidden,
        "malformed": LedgerRefused,
    }

    for name, error in said.items():

        async def refuse(_: object, name: str = name) -> None:
            raise LedgerRefused("no", code=name)

        monkeypatch.setattr(office.ledger, "append", refuse)
        await code(error, office.desk.confirm(TWO, proposed.id))
    monkeypatch.setattr(office.ledger, "append", real)
