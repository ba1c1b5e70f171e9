"""Nobody is let in who is not on record, and who is let in can be put out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit import officer_desk
from sekisho_audit.canon import decode
from sekisho_audit.errors import Refused
from sekisho_audit.officer_client import OfficerClient, OfficerError
from sekisho_audit.officer_desk import REFUSALS_A_MINUTE, OfficerDesk
from sekisho_audit.officers import FILE, mint, remove, set_two
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.verify import verify
from support.ledgers import Auditd
from support.officers import OFFICER, SECOND, appoint, socket_of


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    made = Auditd(tmp_path)
    await made.start()
    yield made
    await made.end()


def leaves(auditd: Auditd, kind: str) -> list[dict[str, Any]]:
    found = [
        decode(frame.body)
        for segment in segments(auditd.ledger, EVENTS)
        for frame in frames(segment, EVENTS)
    ]
    return [leaf for leaf in found if leaf["type"] == kind]


async def present(auditd: Auditd, name: str, secret: str) -> Any:
    def asked() -> Any:
        with OfficerClient(socket_of(auditd)) as client:
            return client.present(name, secret)

    return await asyncio.to_thread(asked)


async def test_an_office_is_recorded_before_it_is_used(auditd: Auditd, tmp_path: Path) -> None:
    """Whoever is let in finds their office in the ledger, also if the file was written by hand."""
    secret = appoint(tmp_path)
    told = await present(auditd, OFFICER, secret)
    [leaf] = leaves(auditd, "officer.changed")
    assert told["size"] > leaf["n"]
    assert leaf["data"]["removed"] is False
    assert "erase" in leaf["data"]["duties"]
    assert OFFICER not in str(leaf)
    assert secret.split("-")[3] not in str(leaf)
    # The same again is no change.
    await present(auditd, OFFICER, secret)
    assert len(leaves(auditd, "officer.changed")) == 1


async def test_a_change_is_recorded_though_nobody_comes(auditd: Auditd, tmp_path: Path) -> None:
    """Within a second or so."""
    appoint(tmp_path)
    async with asyncio.timeout(20):
        while not leaves(auditd, "officer.changed"):
            await asyncio.sleep(0.05)


async def test_a_change_while_auditd_is_down_is_recorded_at_its_start(tmp_path: Path) -> None:
    first = Auditd(tmp_path)
    await first.start()
    await first.end()
    appoint(tmp_path)
    again = Auditd(tmp_path)
    await again.start()
    async with asyncio.timeout(20):
        while not leaves(again, "officer.changed"):
            await asyncio.sleep(0.05)
    await again.end()
    assert verify(again.ledger).verdict is Verdict.SOUND


async def test_a_wrong_secret_is_refused_and_recorded(auditd: Auditd, tmp_path: Path) -> None:
    """Of a known and of an unknown name alike, with the account it came from; hung up after."""
    appoint(tmp_path)
    for name in (OFFICER, "nobody"):
        with OfficerClient(socket_of(auditd)) as client:
            with pytest.raises(OfficerError) as refused:
                await asyncio.to_thread(client.present, name, mint())
            assert refused.value.code == "unknown_officer"
            with pytest.raises(OfficerError, match="did not answer"):
                await asyncio.to_thread(client.present, name, mint())
    async with asyncio.timeout(20):
        while len(leaves(auditd, "credential.refused")) < 2:
            await asyncio.sleep(0.05)
    known, unknown = leaves(auditd, "credential.refused")
    assert known["data"]["where"] == "officers"
    assert "credential" in known["data"]
    assert "credential" not in unknown["data"]
    assert [entry["name"] for entry in known["pl"]] == ["source"]


def test_refusals_are_summed_beyond_a_rate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A guesser does not fill the ledger, and no guess goes unrecorded."""
    now, said = [0.0], []
    desk = OfficerDesk(tmp_path, now_s=lambda: now[0])
    monkeypatch.setattr(
        desk, "_submit", lambda run: run(type("L", (), {"record_all": said.append}))
    )
    monkeypatch.setattr(officer_desk, "changes", lambda *_: [])
    for _ in range(1_000):
        with pytest.raises(Refused):
            desk.admit("nobody", mint(), "uid 1, pid 2")
    assert len(said) == REFUSALS_A_MINUTE
    desk.tick()
    assert len(said) == REFUSALS_A_MINUTE
    now[0] = 61.0
    desk.tick()
    counts = [events[0].data["count"] for events in said]
    assert counts == [1] * REFUSALS_A_MINUTE + [1_000 - REFUSALS_A_MINUTE]


async def test_a_broken_file_lets_nobody_in(auditd: Auditd, tmp_path: Path) -> None:
    """Not even those it had let in before; a mended one does again."""
    secret = appoint(tmp_path)
    path = tmp_path / "keys" / FILE
    whole = path.read_bytes()
    await present(auditd, OFFICER, secret)
    path.write_bytes(whole[:-20])
    with pytest.raises(OfficerError, match="is not a file of officers"):
        await present(auditd, OFFICER, secret)
    path.write_bytes(whole)
    await present(auditd, OFFICER, secret)
    assert auditd.process.returncode is None


def test_a_duty_that_was_taken_away_is_gone(tmp_path: Path) -> None:
    """Also for who is let in already; what two must do takes two who both may."""
    keys = tmp_path / "keys"
    keys.mkdir()
    appoint(tmp_path, OFFICER, ["erase"])
    desk = OfficerDesk(keys)
    desk.check([OFFICER], "erase")
    with pytest.raises(Refused, match="not the duty"):
        desk.check([OFFICER], "disclose")
    with pytest.raises(Refused, match="begin with `present`"):
        desk.check([], "erase")
    set_two(keys, ("erase",))
    with pytest.raises(Refused, match="two officers"):
        desk.check([OFFICER], "erase")
    appoint(tmp_path, SECOND, ["disclose"])
    with pytest.raises(Refused, match="not the duty"):
        desk.check([OFFICER, SECOND], "erase")
    appoint(tmp_path, SECOND, ["erase"])
    desk.check([OFFICER, SECOND], "erase")
    remove(keys, OFFICER)
    with pytest.raises(Refused, match="not the duty"):
        desk.check([OFFICER, SECOND], "erase")
