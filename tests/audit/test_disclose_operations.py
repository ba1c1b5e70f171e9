"""Nothing is opened before it is on record, and not one payload more than is on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho_audit import disclose_operations
from sekisho_audit.canon import decode
from sekisho_audit.disclose_operations import EXCHANGES_MAX
from sekisho_audit.disclosure import Item
from sekisho_audit.officers import set_two
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.verify import verify
from support.ledgers import (
    CANARY,
    REVIEWER,
    STAFF,
    Auditd,
    open_ledger,
    run_exchange,
    run_held_exchange,
)
from support.officers import OFFICER, SECOND, appoint, ask, ask_as

WHY = {"op": "disclose", "purpose": "complaint 42 <b>", "ticket": "T-1"}


def leaves(ledger: Path, kind: str = "") -> list[dict[str, Any]]:
    found = [
        decode(frame.body) for part in segments(ledger, EVENTS) for frame in frames(part, EVENTS)
    ]
    return [leaf for leaf in found if not kind or leaf["type"] == kind]


@pytest.fixture
async def auditd(tmp_path: Path) -> AsyncIterator[Auditd]:
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    run_held_exchange(ledger, "s-1")
    ledger.close()
    made = Auditd(tmp_path)
    await made.start()
    yield made
    await made.end()


def exchanges(auditd: Auditd) -> list[str]:
    return list(
        dict.fromkeys(leaf["exchange"] for leaf in leaves(auditd.ledger, "policy.decision"))
    )


async def test_texts_come_after_their_record(auditd: Auditd, tmp_path: Path) -> None:
    """The record names the officer and how much; purpose and ticket are sealed; whose content it
    is finds the reading in their own history.
    """
    secret = appoint(tmp_path)
    [first, held] = exchanges(auditd)
    one, other = await ask(
        auditd, secret, {**WHY, "exchanges": [first]}, {**WHY, "exchanges": [held]}
    )
    assert one[1] == [CANARY, CANARY]
    assert b"reason: " + CANARY in other[1]
    recorded = leaves(auditd.ledger, "audit.disclosed")
    assert [leaf["exchange"] for leaf in recorded] == [first, held]
    assert recorded[0]["data"]["payloads"] == len(one[0]["payloads"]) == 3
    assert recorded[0]["data"]["keys"] is False
    assert [entry["name"] for entry in recorded[0]["pl"]] == ["purpose", "ticket"]
    assert "complaint" not in str(recorded)
    reads = leaves(auditd.ledger, "record.read")
    assert {leaf["exchange"] for leaf in reads} == {first, held}
    assert {leaf["actor"] for leaf in reads} == {recorded[0]["actor"]}
    client = AuditdLedger(auditd.socket)
    await client.start()
    mine = await client.exchange(STAFF, first)
    await client.close()
    assert mine is not None
    assert OFFICER in str(mine["reads"])
    assert verify(auditd.ledger).verdict is Verdict.SOUND


async def test_keys_come_after_their_record(auditd: Auditd, tmp_path: Path) -> None:
    """For several exchanges in one file."""
    secret = appoint(tmp_path)
    both = exchanges(auditd)
    [(answer, _)] = await ask(auditd, secret, {**WHY, "exchanges": both, "keys": True})
    assert [one["exchange"] for one in answer["disclosure"]["keys"]] == both
    [recorded] = leaves(auditd.ledger, "audit.disclosed")
    data = recorded["data"]
    assert (data["keys"], data["exchanges"], recorded["exchange"]) == (True, 2, None)
    assert data["payloads"] == len(answer["disclosure"]["payloads"])


async def test_one_event_is_disclosed_alone(auditd: Auditd, tmp_path: Path) -> None:
    """Also one that belongs to no exchange: the purpose of an earlier disclosure."""
    secret = appoint(tmp_path)
    [first, *_] = exchanges(auditd)
    await ask(auditd, secret, {**WHY, "exchanges": [first]})
    [recorded] = leaves(auditd.ledger, "audit.disclosed")
    [(answer, blobs)] = await ask(auditd, secret, {**WHY, "index": recorded["n"]})
    assert blobs == [b"complaint 42 <b>", b"T-1"]
    assert {one["index"] for one in answer["payloads"]} == {recorded["n"]}


async def test_pages_are_bounded_and_each_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One payload at least, then as many as fit."""
    monkeypatch.setattr(disclose_operations, "_PAGE_BYTES", 100)
    items = [Item({"n": 0}, {"len": size}) for size in (1_000, 60, 40, 1)]
    sizes = []
    while items:
        page = disclose_operations._page(items)
        sizes.append(len(page))
        items = items[len(page) :]
    assert sizes == [1, 2, 1]


async def test_the_rest_is_asked_for_with_skip(auditd: Auditd, tmp_path: Path) -> None:
    secret = appoint(tmp_path)
    [first, _] = exchanges(auditd)
    [(answer, blobs)] = await ask(auditd, secret, {**WHY, "exchanges": [first], "skip": 2})
    assert [one["name"] for one in answer["payloads"]] == ["answer"]
    assert (blobs, answer["more"]) == ([CANARY], False)
    [recorded] = leaves(auditd.ledger, "audit.disclosed")
    assert recorded["data"]["payloads"] == 1


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "bad_request"),
    ({"exchanges": ["x"]}, "bad_request"),
    ({"exchanges": [7]}, "bad_request"),
    ({"exchanges": ["0" * 36] * (EXCHANGES_MAX + 1)}, "bad_request"),
    ({"index": 3, "purpose": " "}, "bad_request"),
    ({"index": 3, "ticket": "x" * 2_001}, "bad_request"),
    ({"index": 0}, "not_found"),
    ({"index": 1_000_000}, "not_found"),
    ({"exchanges": ["01890000-0000-7000-8000-000000000000"]}, "not_found"),
    ({"index": "3"}, "malformed"),
    ({"index": 3, "keys": 1}, "malformed"),
    ({"index": 3, "skip": -1}, "malformed"),
    ({"index": 3, "purpose": None}, "malformed"),
]


async def test_what_cannot_be_disclosed_is_refused(auditd: Auditd, tmp_path: Path) -> None:
    """And nothing is recorded as disclosed."""
    secret = appoint(tmp_path)
    for more, code in REFUSED:
        [error] = await ask(auditd, secret, {**WHY, **more})
        assert (more, error.code) == (more, code)
    assert leaves(auditd.ledger, "audit.disclosed") == []


async def test_without_the_duty_nothing_is_disclosed(auditd: Auditd, tmp_path: Path) -> None:
    secret = appoint(tmp_path, OFFICER, ["erase", "search", "export", "legal_hold", "retention"])
    [error] = await ask(auditd, secret, {**WHY, "exchanges": exchanges(auditd)})
    assert error.code == "no_duty"


async def test_two_can_be_asked_for(auditd: Auditd, tmp_path: Path) -> None:
    """Then one alone gets nothing, and the record names both."""
    one, other = appoint(tmp_path), appoint(tmp_path, SECOND)
    set_two(tmp_path / "keys", ("disclose",))
    question = {**WHY, "exchanges": exchanges(auditd)[:1]}
    [error] = await ask(auditd, one, question)
    assert error.code == "two_officers"
    [(_, blobs)] = await ask_as(auditd, {OFFICER: one, SECOND: other}, question)
    assert blobs == [CANARY, CANARY]
    [recorded] = leaves(auditd.ledger, "audit.disclosed")
    people = {recorded["actor"], recorded["data"]["second"]}
    assert len(people) == 2
    assert REVIEWER not in str(recorded)


async def test_one_kind_of_payload_is_opened_alone(auditd: Auditd, tmp_path: Path) -> None:
    """Whoever needs what policy saw is given no prompt, and the record counts no more than that."""
    secret = appoint(tmp_path)
    [exchange, _] = exchanges(auditd)
    question = {**WHY, "exchanges": [exchange]}
    every, some, none, odd = await ask(
        auditd,
        secret,
        question,
        {**question, "names": ["prompt"]},
        {**question, "names": ["no_such"]},
        {**question, "names": "prompt"},
    )
    assert len(every[0]["payloads"]) > len(some[0]["payloads"])
    assert {told["name"] for told in some[0]["payloads"]} == {"prompt"}
    assert none.code == "not_found"
    assert odd.code == "malformed"
    counts = [leaf["data"]["payloads"] for leaf in leaves(auditd.ledger, "audit.disclosed")]
    assert counts == [len(every[0]["payloads"]), len(some[0]["payloads"])]
