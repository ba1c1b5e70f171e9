from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sekisho.adapters.recorded_decisions import decisions, from_file, with_inputs
from sekisho.errors import BadRequest, LedgerUnavailable
from sekisho.model.replays import Recorded
from sekisho_audit.canon import decode
from sekisho_audit.officer_client import OfficerClient, OfficerError
from sekisho_audit.scan import EVENTS, frames, segments
from support.ledgers import CANARY, Auditd, open_ledger, run_exchange
from support.officers import OFFICER, appoint, socket_of
from support.replays import append, auditd_in, decided
from support.rules import SHIPPED


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    ledger.close()
    made = await auditd_in(tmp_path)
    yield made
    await made.end()


def read(auditd: Auditd, secret: str, found: list[Recorded]) -> list[Recorded]:
    with OfficerClient(socket_of(auditd)) as client:
        client.present(OFFICER, secret)
        return with_inputs(client, found, purpose="a change of rules", ticket="T-1")


async def test_inputs_and_nothing_else_are_read(auditd: Auditd, tmp_path: Path) -> None:
    """With a record for everybody whose input it is, and one that counts exactly the inputs."""
    made = await decided(SHIPPED)
    await append(auditd, [event for event, _ in made])
    secret = appoint(tmp_path)
    found = decisions(auditd.ledger)
    assert len(found) == len(made) + 1  # one of an exchange with a prompt and an answer

    opened = await asyncio.to_thread(read, auditd, secret, found)

    assert [one.document for one in opened][1:] == [seen for _, seen in made]
    leaves = [
        decode(frame.body)
        for part in segments(auditd.ledger, EVENTS)
        for frame in frames(part, EVENTS)
    ]
    [told] = [leaf for leaf in leaves if leaf["type"] == "audit.disclosed"]
    assert told["data"]["payloads"] == sum(one.document is not None for one in opened)
    assert all(one.document != CANARY for one in opened[1:])
    reads = [leaf["exchange"] for leaf in leaves if leaf["type"] == "record.read"]
    assert {one.exchange for one in opened if one.document is not None} == set(reads)


async def test_no_duty_no_inputs(auditd: Auditd, tmp_path: Path) -> None:
    """An officer who may only erase is refused, and nothing was opened."""
    await append(auditd, [event for event, _ in await decided(SHIPPED, [{}])])
    secret = appoint(tmp_path, duties=("erase",))
    with pytest.raises(OfficerError):
        await asyncio.to_thread(read, auditd, secret, decisions(auditd.ledger))


async def test_found_by_time_and_exchange(auditd: Auditd) -> None:
    """Only decisions, oldest first."""
    made = await decided(SHIPPED, [{}, {}])
    await append(auditd, [event for event, _ in made])
    every = decisions(auditd.ledger)
    assert [one.index for one in every] == sorted(one.index for one in every)
    [one] = decisions(auditd.ledger, exchange=str(made[1][0].exchange))
    assert one == every[-1]
    assert not decisions(auditd.ledger, since_us=every[-1].ts_us + 1)
    assert not decisions(auditd.ledger, exchange="0192e4a0-0000-7000-8000-00000000ffff")


def test_a_file_of_inputs(tmp_path: Path) -> None:
    """The lines of `sekisho-audit disclose --json`; other payloads in it are passed over."""
    path = tmp_path / "inputs"
    line = {"name": "input", "type": "policy.decision", "index": 3, "exchange": "e", "ts": 5}
    lines = [
        {**line, "content": '{"a":"\u00fc"}'},
        {**line, "content": None},
        {**line, "name": "prompt"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")

    found = from_file(path)

    assert [one.document for one in found] == ['{"a":"ü"}'.encode(), None]
    for bad in ("[]", "{}", "nonsense", '{"name":"input","type":"policy.decision"}'):
        path.write_text(bad)
        with pytest.raises(BadRequest, match="inputs:1"):
            from_file(path)
    with pytest.raises(BadRequest):
        from_file(tmp_path / "missing")


def test_no_ledger(tmp_path: Path) -> None:
    """A ledger that is not there has no decisions; one that is broken says so."""
    (tmp_path / "events").mkdir(parents=True)
    assert decisions(tmp_path) == []
    (tmp_path / "events" / "00000000000000000000").write_bytes(b"nonsense")
    with pytest.raises(LedgerUnavailable):
        decisions(tmp_path)
