"""The socket to a real auditd: lost replies in both forms, deadlines, bounds, strangers."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.auditd_socket import LedgerLimits
from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.model.ids import uuid7
from sekisho_audit.canon import decode
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.wire import Malformed
from support.ledgers import (
    Auditd,
    decision,
    intent,
    received,
)
from support.relay import Relay

LIMIT_S = 20.0


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    running = Auditd(tmp_path)
    await running.start()
    yield running
    await running.end()


@pytest.fixture
async def client(auditd: Auditd) -> AsyncIterator[AuditdLedger]:
    ledger = AuditdLedger(auditd.socket)
    await ledger.start()
    yield ledger
    await ledger.close()


def types_of(ledger: Path) -> list[str]:
    return [
        decode(frame.body)["type"]
        for segment in segments(ledger, EVENTS)
        for frame in frames(segment, EVENTS)
    ]


@pytest.fixture
async def relay(auditd: Auditd, tmp_path: Path) -> AsyncIterator[Relay]:
    made = Relay(auditd.socket, str(tmp_path / "r.sock"))
    await made.start()
    yield made
    await made.stop()


async def through(relay: Relay, **limits: float) -> AuditdLedger:
    ledger = AuditdLedger(relay.path, limits=LedgerLimits(**limits))  # type: ignore[arg-type]
    await ledger.start()
    return ledger


def test_it_works_on_uvloop(tmp_path: Path) -> None:
    """The loop that the gateway runs on is another one than the tests'."""

    async def run() -> int:
        auditd = Auditd(tmp_path)
        await auditd.start()
        client = AuditdLedger(auditd.socket)
        await client.start()
        [place] = await client.append([received(uuid7())])
        await client.close()
        await auditd.end()
        return place.index

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()) == 2


async def test_calls_of_one_turn_go_out_in_one_write(client: AuditdLedger, relay: Relay) -> None:
    """Many callers cost one system call."""
    ours = await through(relay)
    before = relay.requests
    small = [received(uuid7(), b"x") for _ in range(20)]
    await asyncio.gather(*(ours.append([event]) for event in small))
    assert relay.requests == before + 1
    await ours.close()


async def test_closing_ends_the_session_at_once(auditd: Auditd) -> None:
    """A worker that says goodbye leaves nothing to wait for."""
    client = AuditdLedger(auditd.socket)
    await client.start()
    exchange = uuid7()
    await client.append([received(exchange), decision(exchange), intent(exchange, client.session)])
    await client.close()
    assert types_of(auditd.ledger)[-2:] == ["backend.outcome", "session.closed"]


async def test_request_lost_with_the_connection_is_sent_again(auditd: Auditd, relay: Relay) -> None:
    """Failed before it took effect: after the reconnect the same call succeeds."""
    ours = await through(relay)
    relay.drop_requests = True
    event = received(uuid7())
    call = asyncio.create_task(ours.append([event]))
    await asyncio.sleep(0.05)
    relay.drop_requests = False
    relay.cut()
    [place] = await asyncio.wait_for(call, LIMIT_S)
    assert not place.duplicate
    assert types_of(auditd.ledger).count("request.received") == 1
    await ours.close()


async def test_reply_lost_with_the_connection_is_asked_again(auditd: Auditd, relay: Relay) -> None:
    """Took effect but the reply was lost: written once, and not called a duplicate."""
    ours = await through(relay)
    relay.drop_replies = True
    event = received(uuid7())
    call = asyncio.create_task(ours.append([event]))
    while "request.received" not in types_of(auditd.ledger):
        await asyncio.sleep(0.01)
    relay.drop_replies = False
    relay.cut()
    [place] = await asyncio.wait_for(call, LIMIT_S)
    assert not place.duplicate
    assert types_of(auditd.ledger).count("request.received") == 1
    await ours.close()


@pytest.mark.parametrize("lost", ["drop_requests", "drop_replies"])
async def test_silence_fails_within_the_deadline(relay: Relay, lost: str) -> None:
    """No answer is LedgerUnavailable, in both forms, and a late answer harms nobody."""
    ours = await through(relay, append_deadline_s=0.2)
    setattr(relay, lost, True)
    calls = [ours.append([received(uuid7())]) for _ in range(5)]
    async with asyncio.timeout(LIMIT_S):
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(item, LedgerUnavailable) for item in results)
    setattr(relay, lost, False)
    assert await ours.append([received(uuid7())])
    await ours.close()


async def test_absent_auditd_fails_at_once_after_a_while_and_recovers(auditd: Auditd) -> None:
    """Gone longer than its limit: no call waits any more; back again: calls pass."""
    ours = AuditdLedger(auditd.socket, limits=LedgerLimits(append_deadline_s=60, down_max_s=0.1))
    await ours.start()
    await auditd.end(kill=True)
    async with asyncio.timeout(LIMIT_S):
        for _ in range(2):
            with pytest.raises(LedgerUnavailable):
                await ours.append([received(uuid7())])
        await auditd.start()
        while not ours.connected:
            await asyncio.sleep(0.02)
        assert await ours.append([received(uuid7())])
    await ours.close()


async def test_start_without_auditd_fails(tmp_path: Path) -> None:
    """A worker does not begin without a ledger."""
    ours = AuditdLedger(str(tmp_path / "none.sock"))
    with pytest.raises(LedgerUnavailable):
        await ours.start(wait_s=0.1)
    with pytest.raises(LedgerUnavailable):
        _ = ours.origin
    await ours.close()


async def test_calls_in_flight_are_bounded(relay: Relay) -> None:
    """A stuck auditd does not fill the worker's memory: beyond the bound calls fail at once."""
    ours = await through(relay, in_flight_max=3, append_deadline_s=60)
    relay.drop_requests = True
    waiting = [asyncio.create_task(ours.append([received(uuid7())])) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(LedgerUnavailable):
        await ours.append([received(uuid7())])
    await ours.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(item, LedgerUnavailable) for item in results)


async def test_bytes_in_flight_are_bounded(relay: Relay) -> None:
    """Large bodies count by their size."""
    ours = await through(relay, in_flight_bytes_max=10_000)
    with pytest.raises(LedgerUnavailable):
        await ours.append([received(uuid7(), bytes(10_000))])
    assert await ours.append([received(uuid7(), bytes(1_000))])
    await ours.close()


async def test_cancelled_call_does_not_disturb_others(client: AuditdLedger) -> None:
    """A caller that goes away leaves the connection as it was."""
    gone = asyncio.create_task(client.append([received(uuid7())]))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await client.append([received(uuid7())])


async def test_refusal_is_told_from_absence(client: AuditdLedger) -> None:
    """Auditd's reason is an error of its own with its code; the next call is fine."""
    exchange = uuid7()
    with pytest.raises(LedgerRefused) as caught:
        await client.append([decision(exchange, "deny"), intent(exchange, client.session)])
    assert caught.value.code == "denied_intent"
    assert await client.append([received(exchange)])


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(struct.pack(">II", 2**32 - 1, 0))
    await reader.read()
    writer.close()


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("answer", [_garbage, _hang_up])
async def test_stranger_on_the_socket_is_no_ledger(
    tmp_path: Path, answer: Callable[..., Awaitable[None]]
) -> None:
    """Whoever answers nonsense or hangs up is not connected to, and not called without a pause."""
    path = str(tmp_path / "x.sock")
    calls = 0

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await answer(reader, writer)

    server = await asyncio.start_unix_server(counted, path)
    ours = AuditdLedger(path)
    with pytest.raises(LedgerUnavailable):
        await ours.start(wait_s=0.2)
    await ours.close()
    server.close()
    assert 1 <= calls < 10


def test_long_socket_path_is_refused() -> None:
    """The kernel would cut it."""
    with pytest.raises(Malformed, match="shorter"):
        AuditdLedger("/" + "x" * 200)
