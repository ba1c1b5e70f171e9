"""Two workers and the kill switch, with a real auditd and Valkey: what is lost stops, or stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import redis

from sekisho.adapters.halt_watch import HaltWatch
from sekisho.adapters.redis_halts import KEY, HaltStore
from sekisho.adapters.redis_holds import connect
from support.holds import SystemClock
from support.ledgers import ORIGIN, Auditd
from support.memory_ledger import MemoryLedger
from support.switchboards import ANYBODY, ONE, TWO, Board, open_board
from support.valkey import Valkey

WAIT_S = 20.0


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    running = Auditd(tmp_path)
    await running.start()
    yield running
    await running.end()


@pytest.fixture
async def boards(auditd: Auditd, valkey: Valkey) -> AsyncIterator[tuple[Board, Board]]:
    """Two workers of one host."""
    pair = await open_board(auditd.socket, valkey.url), await open_board(auditd.socket, valkey.url)
    yield pair
    for one in pair:
        await one.close()


async def becomes(expected: str, ask: Callable[[], Awaitable[str]]) -> None:
    """Wait until the answer is the expected one."""
    async with asyncio.timeout(WAIT_S):
        while await ask() != expected:
            await asyncio.sleep(0.02)


def by_hand(valkey: Valkey, *command: str | bytes) -> None:
    """An administrator of Valkey at work."""
    with redis.Redis.from_url(valkey.url) as client:
        client.execute_command(*command)


async def lift(board: Board, other: Board, halt_id: str) -> None:
    """Two persons lift it."""
    proposed = (await board.desk.propose(ONE, halt_id, "over")).proposed
    assert proposed is not None
    await becomes("", lambda: _sees(other, halt_id, proposed.id))
    await other.desk.confirm(TWO, halt_id, proposed.id)


async def _sees(board: Board, halt_id: str, proposed: str) -> str:
    [found] = [one for one in board.watch.standing.halts if one.id == halt_id]
    return "" if found.proposed and found.proposed.id == proposed else "not yet"


async def test_a_switch_stands_on_every_worker_until_two_lift_it(
    boards: tuple[Board, Board], capsys: pytest.CaptureFixture[str]
) -> None:
    """Set on one, heard on the other, lifted on the other, heard on the one; and no false alarm."""
    here, there = boards
    assert await here.refused() == ""
    halt, told = await here.desk.set(ONE, "all", "", "There is a leak.")

    assert (await here.refused(), told) == ("halted", True)
    await becomes("halted", there.refused)
    assert there.watch.standing.everything
    await lift(here, there, halt.id)

    assert await there.refused() == ""
    await becomes("", here.refused)
    assert here.told[-1] == there.told[-1] == 0
    assert "not in Valkey" not in "".join(capsys.readouterr())


async def test_valkey_that_is_wiped_gets_it_back_from_the_ledger(
    boards: tuple[Board, Board], valkey: Valkey
) -> None:
    """Killed and without its files: still stopped, at every moment, and written back."""
    here, there = boards
    halt, _ = await here.desk.set(ONE, "team", "sales", "There is a leak.")
    await becomes("halted", there.refused)

    valkey.restart(lose_data=True)

    for _ in range(20):
        assert await here.refused() in {"halted", "halt_unknown"}
        assert await there.refused() in {"halted", "halt_unknown"}
        await asyncio.sleep(0.05)
    with redis.Redis.from_url(valkey.url) as client:
        async with asyncio.timeout(WAIT_S):
            while not client.hexists(KEY, halt.id):
                await asyncio.sleep(0.05)
    assert await here.refused() == await there.refused() == "halted"


async def test_a_worker_that_starts_after_a_wipe_knows_it(
    boards: tuple[Board, Board], auditd: Auditd, valkey: Valkey
) -> None:
    """It asks the ledger before it lets the first exchange in."""
    here, there = boards
    await here.desk.set(ONE, "all", "", "There is a leak.")
    await here.watch.close()
    await there.watch.close()
    by_hand(valkey, "FLUSHALL")

    fresh = await open_board(auditd.socket, valkey.url, start=False)

    assert await fresh.refused() == "halted"
    await fresh.close()


@pytest.mark.parametrize("how", ["deleted", "emptied", "lifted", "narrowed", "later", "garbage"])
async def test_what_an_administrator_of_valkey_writes_lifts_nothing(
    boards: tuple[Board, Board], valkey: Valkey, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """The ledger's word is written back, and the log says so."""
    here, there = boards
    halt, _ = await here.desk.set(ONE, "all", "", "There is a leak.")
    await becomes("halted", there.refused)
    await asyncio.sleep(2.5)  # until both have seen it there, as the ledger has it
    with redis.Redis.from_url(valkey.url) as client:
        [row] = client.hgetall(KEY).values()
    stood = orjson.loads(row)
    commands: dict[str, tuple[str | bytes, ...]] = {
        "deleted": ("HDEL", KEY, halt.id),
        "emptied": ("DEL", KEY),
        "lifted": ("HSET", KEY, halt.id, orjson.dumps({"lifted": True, "at_us": 1, "last": 10**9})),
        "narrowed": ("HSET", KEY, halt.id, orjson.dumps({**stood, "scope": "team", "name": "x"})),
        "later": ("HSET", KEY, halt.id, orjson.dumps({**stood, "scope": "tool", "last": 10**9})),
        "garbage": ("HSET", KEY, halt.id, b"{"),
    }

    by_hand(valkey, *commands[how])

    with redis.Redis.from_url(valkey.url) as client:
        async with asyncio.timeout(WAIT_S):
            while client.hget(KEY, halt.id) != row:
                assert await here.refused() == await there.refused() == "halted"
                await asyncio.sleep(0.02)
    assert await here.refused() == await there.refused() == "halted"
    said = ""
    async with asyncio.timeout(WAIT_S):
        while "not in Valkey as the ledger has it" not in said:
            said += "".join(capsys.readouterr())
            await asyncio.sleep(0.02)


async def test_a_switch_that_no_ledger_has_is_taken_out(
    boards: tuple[Board, Board], valkey: Valkey
) -> None:
    """It stops until the ledger was asked: to stop is the side to err on."""
    here, there = boards
    halt, _ = await here.desk.set(ONE, "team", "sales", "There is a leak.")
    with redis.Redis.from_url(valkey.url) as client:
        said = orjson.loads(client.hget(KEY, halt.id))
    forged = {**said, "id": "forged", "scope": "all", "name": "", "last": 10**9}

    by_hand(valkey, "HSET", KEY, "forged", orjson.dumps(forged))

    with redis.Redis.from_url(valkey.url) as client:
        async with asyncio.timeout(WAIT_S):
            while b'"lifted":true' not in client.hget(KEY, "forged"):
                await asyncio.sleep(0.02)
    other = replace(ANYBODY, groups=("hr",))
    await becomes("", lambda: there.refused(other))
    await becomes("", lambda: here.refused(other))
    assert await here.refused() == "halted"


async def test_another_ledgers_switch_stands_until_it_is_said_to_be_lifted(
    boards: tuple[Board, Board], valkey: Valkey
) -> None:
    """A host cannot ask another one's ledger, so what vanishes is not lifted."""
    here, there = boards
    halt, _ = await here.desk.set(ONE, "team", "hr", "x")
    with redis.Redis.from_url(valkey.url) as client:
        said = orjson.loads(client.hget(KEY, halt.id))
    foreign = {**said, "id": "elsewhere", "scope": "all", "name": "", "origin": "host-2.example/l"}
    by_hand(valkey, "HSET", KEY, "elsewhere", orjson.dumps(foreign))
    await becomes("halted", there.refused)
    await becomes("halted", here.refused)

    by_hand(valkey, "HDEL", KEY, "elsewhere")
    await asyncio.sleep(1.5)

    assert await here.refused() == await there.refused() == "halted"
    gone = {"lifted": True, "origin": "host-2.example/l", "last": 99, "at_us": 10**18}
    by_hand(valkey, "HSET", KEY, "elsewhere", orjson.dumps(gone))
    await becomes("", there.refused)
    await becomes("", here.refused)


async def test_who_does_not_hear_valkey_lets_nothing_through(
    boards: tuple[Board, Board], valkey: Valkey
) -> None:
    """Silent or dead; and everything goes on when it is back."""
    here, _ = boards
    assert await here.refused() == ""

    valkey.pause()
    await becomes("halt_unknown", here.refused)
    valkey.unpause()
    await becomes("", here.refused)
    valkey.kill()
    await becomes("halt_unknown", here.refused)
    valkey.start()

    await becomes("", here.refused)


async def test_what_was_set_while_valkey_was_away_stands_when_it_is_back(
    boards: tuple[Board, Board], valkey: Valkey
) -> None:
    """The setter is told; the other worker asks the ledger before it believes Valkey again."""
    here, there = boards
    valkey.kill()
    await becomes("halt_unknown", there.refused)

    _, told = await here.desk.set(ONE, "all", "", "There is a leak.")

    assert (told, await here.refused()) == (False, "halt_unknown")
    valkey.start()
    for _ in range(20):
        assert await there.refused() in {"halted", "halt_unknown"}
        await asyncio.sleep(0.05)
    await becomes("halted", there.refused)


async def test_a_dead_auditd_does_not_keep_anybody_from_stopping(
    boards: tuple[Board, Board], auditd: Auditd
) -> None:
    """It stands on every worker at once and is recorded when auditd is back, by who set it."""
    here, there = boards
    assert await here.refused() == await there.refused() == ""
    await auditd.end(kill=True)

    halt, told = await here.desk.set(ONE, "all", "", "There is a leak.")

    assert (halt.recorded, told, await here.refused()) == (False, True, "halted")
    await becomes("halted", there.refused)
    await auditd.start()
    async with asyncio.timeout(WAIT_S):
        while not all(one.recorded for at in boards for one in at.watch.standing.halts):
            await asyncio.sleep(0.05)
    [recorded] = there.watch.standing.halts
    assert (recorded.id, recorded.by, recorded.reason) == (halt.id, "operator-1", halt.reason)
    await lift(here, there, halt.id)
    await becomes("", here.refused)


async def test_what_a_dead_worker_could_not_record_is_recorded_by_who_repeats_it(
    boards: tuple[Board, Board], auditd: Auditd, valkey: Valkey
) -> None:
    """Until then it stands, and cannot be lifted: there is no word about it to confirm."""
    here, there = boards
    assert await here.refused() == await there.refused() == ""
    await auditd.end(kill=True)
    halt, _ = await here.desk.set(ONE, "all", "", "There is a leak.")
    await becomes("halted", there.refused)
    await here.watch.close()
    await auditd.start()
    await asyncio.sleep(1.2)
    assert not there.watch.standing.halts[0].recorded

    again, _ = await there.desk.set(TWO, "all", "", "Still a leak.")

    assert (again.id, again.recorded, again.by) == (halt.id, True, "operator-2")


async def test_callers_share_one_question(valkey: Valkey) -> None:
    """A stale worker under load asks Valkey once, not once an exchange."""
    reads: list[int] = []

    class Counting(HaltStore):
        async def read(self) -> dict[str, bytes]:
            reads.append(1)
            return dict(await super().read())

    store = Counting(connect(valkey.url))
    # Longer than any machine is busy: here it is about how often, not how soon.
    watch = HaltWatch(store, MemoryLedger(), SystemClock(), silence_s=60.0)
    try:
        await asyncio.gather(*(watch.check(ANYBODY) for _ in range(100)))
    finally:
        await watch.close()

    assert len(reads) == 1
    assert MemoryLedger.origin == ORIGIN


async def test_what_was_heard_is_as_old_as_its_question(valkey: Valkey) -> None:
    """An answer that lay around in a busy worker is none: the question is asked once more."""
    now_s = [100.0]

    class Slow(HaltStore):
        late = True

        async def read(self) -> dict[str, bytes]:
            rows = dict(await super().read())
            now_s[0] += 5.0 * self.late  # the loop was busy meanwhile
            self.late = False
            reads.append(1)
            return rows

    reads: list[int] = []
    store = Slow(connect(valkey.url))
    watch = HaltWatch(store, MemoryLedger(), SystemClock(), silence_s=1.0, now_s=lambda: now_s[0])

    await watch.check(ANYBODY)

    assert len(reads) == 2
    await watch.close()
