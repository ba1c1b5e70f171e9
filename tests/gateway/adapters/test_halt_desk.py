"""Who sets and who lifts: one operator, two persons, and each step is safe to repeat."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

import pytest

from sekisho.adapters.halt_desk import REASON_CHARS_MAX
from sekisho.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    LedgerUnavailable,
    NotFound,
    SekishoError,
)
from sekisho.model.principal import Authentication, Principal, Role
from sekisho_audit.events import Appended, Event
from support.holds import STAFF, person
from support.switchboards import AUDITOR, ONE, TWO, Board, open_board, running_auditd
from support.valkey import Valkey

OTHER_KEY = replace(ONE, credential="k-2", authentication=Authentication.SESSION)
DEPUTY = replace(TWO, stands_in_for=frozenset({"operator-1"}))
ROBOT = Principal("robot-1", frozenset({Role.OPERATOR}), frozenset(), owner="operator-2")


@pytest.fixture(scope="module")
def auditd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_auditd(tmp_path_factory.mktemp("d")) as socket:
        yield socket


@pytest.fixture
async def board(auditd: str, valkey: Valkey) -> AsyncIterator[Board]:
    """A worker at a ledger in which nothing stands."""
    one = await open_board(auditd, valkey.url)
    await one.refused()
    yield one
    for halt in one.watch.standing.halts:
        proposed = (await one.desk.propose(ONE, halt.id, "done")).proposed
        assert proposed is not None
        other = TWO if proposed.by == ONE.id else ONE
        await one.desk.confirm(other, halt.id, proposed.id)
    await one.close()


async def code(error: type[SekishoError], step: object) -> str:
    """The code with which it is refused."""
    with pytest.raises(error) as caught:
        await step  # type: ignore[misc]
    return caught.value.code


@pytest.mark.parametrize("who", [STAFF, AUDITOR, ROBOT, person("p", Role.POLICY_ACTIVATOR)])
async def test_only_operators_touch_it(board: Board, who: Principal) -> None:
    """Neither auditors nor activators, nor a service account of an operator."""
    assert await code(Forbidden, board.desk.set(who, "all", "", "x")) == "role_missing"
    halt, _ = await board.desk.set(ONE, "team", "sales", "x")
    proposed = (await board.desk.propose(ONE, halt.id, "over")).proposed
    assert proposed is not None

    assert await code(Forbidden, board.desk.propose(who, halt.id, "x")) == "role_missing"
    assert await code(Forbidden, board.desk.confirm(who, halt.id, proposed.id)) == "role_missing"
    assert board.watch.standing.halts


async def test_auditors_see_it(board: Board) -> None:
    """And staff do not: the list tells whom an operator mistrusts."""
    halt, _ = await board.desk.set(ONE, "team", "sales", "x")

    assert [one.id for one in board.desk.listed(AUDITOR)] == [halt.id]
    with pytest.raises(Forbidden):
        board.desk.listed(STAFF)


@pytest.mark.parametrize("who", [ONE, OTHER_KEY, DEPUTY], ids=["self", "key", "deputy"])
async def test_nobody_confirms_what_they_proposed(board: Board, who: Principal) -> None:
    """Not with another key, and not as the deputy of who proposed."""
    halt, _ = await board.desk.set(TWO, "team", "sales", "x")
    proposed = (await board.desk.propose(ONE, halt.id, "over")).proposed
    assert proposed is not None

    step = board.desk.confirm(who, halt.id, proposed.id)

    assert await code(Forbidden, step) == "self_confirmation"
    assert board.watch.standing.halts


async def test_the_ledger_refuses_it_too(board: Board) -> None:
    """Whatever a worker believes of who proposed."""
    halt, _ = await board.desk.set(ONE, "team", "sales", "x")
    proposed = (await board.desk.propose(ONE, halt.id, "over")).proposed
    assert proposed is not None
    lifted = Event(
        "018f7f3a-0000-7000-8000-00000000000a",
        "halt.lifted",
        None,
        None,
        {"halt": halt.id, "proposed": proposed.id},
        ONE.id,
    )

    assert await code(SekishoError, board.ledger.append([lifted])) == "self_confirmation"


async def test_what_was_proposed_is_what_is_confirmed(board: Board) -> None:
    """Nothing, something else, or what somebody else proposed since: none of it lifts."""
    halt, _ = await board.desk.set(ONE, "team", "sales", "x")
    assert await code(Conflict, board.desk.confirm(TWO, halt.id, "")) == "unproposed_lift"
    first = (await board.desk.propose(ONE, halt.id, "over")).proposed
    assert first is not None
    last = (await board.desk.propose(TWO, halt.id, "over")).proposed
    assert last is not None

    assert await code(Conflict, board.desk.confirm(TWO, halt.id, first.id)) == "unproposed_lift"
    await board.desk.confirm(ONE, halt.id, last.id)
    assert await code(NotFound, board.desk.confirm(ONE, halt.id, last.id)) == "not_found"
    assert await code(NotFound, board.desk.propose(ONE, halt.id, "x")) == "not_found"


async def test_setting_twice_is_setting_once(board: Board) -> None:
    """By whomever, and however the name is written; so is proposing twice."""
    halt, _ = await board.desk.set(ONE, "model", "gpt-4o", "x")

    again, told = await board.desk.set(TWO, "model", " GPT-4o ", "y")

    assert (again.id, again.by, told) == (halt.id, "operator-1", True)
    first = await board.desk.propose(ONE, halt.id, "over")
    assert await board.desk.propose(ONE, halt.id, "over") == first


@pytest.mark.parametrize("took_effect", [False, True], ids=["before", "after"])
async def test_a_lost_reply_of_the_ledger_still_stops(
    board: Board, monkeypatch: pytest.MonkeyPatch, took_effect: bool
) -> None:
    """It stands at once; it is in the ledger once, with the same id, whichever way it was lost."""
    real = board.ledger.append
    lost = [1]

    async def append(events: Sequence[Event]) -> Sequence[Appended]:
        if events[0].type == "halt.set" and lost:
            lost.pop()
            if took_effect:
                await real(events)
            raise LedgerUnavailable("the reply was lost")
        return await real(events)

    monkeypatch.setattr(board.ledger, "append", append)

    halt, told = await board.desk.set(ONE, "team", "sales", "x")

    assert (halt.recorded, told, await board.refused()) == (False, True, "halted")
    again, _ = await board.desk.set(ONE, "team", "sales", "x")
    found, _ = await board.ledger.halts()
    assert [(one.id, one.scope) for one in found] == [(halt.id, "team")]
    assert (again.id, again.recorded) == (halt.id, True)


async def test_two_workers_set_it_at_once(board: Board, auditd: str, valkey: Valkey) -> None:
    """One wins, and the other is told which."""
    deaf = await open_board(auditd, valkey.url, start=False)
    await deaf.refused()
    halt, _ = await board.desk.set(ONE, "team", "sales", "x")

    again, told = await deaf.desk.set(TWO, "team", "sales", "y")

    assert (again.id, told) == (halt.id, True)
    await deaf.close()


@pytest.mark.parametrize(
    ("scope", "name", "reason", "param"),
    [
        ("none", "x", "x", "scope"),
        ("all", "x", "x", "name"),
        ("team", " ", "x", "name"),
        ("team", "x" * 257, "x", "name"),
        ("model", "gpt\u202e", "x", "name"),
        ("backend", "opneai", "x", "name"),
        ("all", "", " ", "reason"),
        ("all", "", "x" * (REASON_CHARS_MAX + 1), "reason"),
    ],
)
async def test_a_switch_that_stops_nothing_is_refused(
    board: Board, scope: str, name: str, reason: str, param: str
) -> None:
    """An operator who mistypes a backend must not believe that it is stopped."""
    with pytest.raises(BadRequest) as caught:
        await board.desk.set(ONE, scope, name, reason)

    assert caught.value.param == param
    assert not board.watch.standing.halts


async def test_another_ledgers_switch_is_lifted_there(board: Board) -> None:
    """And one that is not recorded yet is recorded first."""
    halt, _ = await board.desk.set(ONE, "team", "sales", "x")
    real = board.watch.standing

    board.watch.standing = type(real)([replace(halt, origin="host-2.example/l")])
    assert await code(Conflict, board.desk.propose(ONE, halt.id, "x")) == "halt_elsewhere"
    board.watch.standing = type(real)([replace(halt, last=-1)])
    assert await code(Conflict, board.desk.propose(ONE, halt.id, "x")) == "halt_unrecorded"
    board.watch.standing = real
