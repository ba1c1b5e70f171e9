"""What became of an answer: recorded, by whoever asked, for what was answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho.web import acceptance
from support.exchange_site import NOW_US, Client, ran, served
from support.holds import CANARY, Desk
from support.memory_ledger import MemoryLedger

DRAFT, FINAL = "a" * 64, "b" * 64


@pytest.fixture
async def client(desk: Desk, ledger: MemoryLedger) -> AsyncIterator[Client]:
    ledger.now_us = lambda: NOW_US
    async with served(desk, ledger, lambda: NOW_US) as made:
        yield made


async def say(client: Client, exchange: str, key: str = "key-staff", **said: Any) -> Any:
    return await client.post(key, f"/{exchange}/acceptance", json=said)


def recorded(ledger: MemoryLedger) -> list[Any]:
    return [event for event in ledger.events if event.type == "draft.answered"]


@pytest.mark.parametrize(
    "said",
    [
        {"decision": "accepted"},
        {"decision": "accepted", "output_sha256": DRAFT},
        {"decision": "edited", "output_sha256": DRAFT, "final_sha256": FINAL},
        {"decision": "rejected"},
    ],
)
async def test_what_became_of_an_answer_is_recorded_and_shown(
    client: Client, ledger: MemoryLedger, said: dict[str, Any]
) -> None:
    """With its receipt; hashes are commitments in the ledger, never to be read there."""
    exchange = await ran(ledger)
    assert (await client.get("key-staff", f"/{exchange}")).json()["draft"] is None

    answer = await say(client, exchange, **said)

    assert answer.status_code == 201
    told = answer.json()
    assert (told["decision"], told["receipt"]["origin"]) == (said["decision"], ledger.origin)
    (event,) = recorded(ledger)
    assert (event.actor, event.data) == ("staff-7", {"decision": said["decision"]})
    assert [payload.stored for payload in event.payloads] == [None] * (len(said) - 1)
    shown = (await client.get("key-staff", f"/{exchange}")).json()["draft"]
    assert (shown["decision"], shown["by"]) == (said["decision"], "staff-7")
    assert shown["receipt"]["index"] == told["receipt"]["index"]


async def test_it_waits_for_the_history(
    client: Client, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer is accepted the moment it is there, and the word about it is there when it is
    acknowledged; a history that stays behind is not waited for.
    """
    exchange = await ran(ledger)
    exchanges = ledger.exchanges

    async def catches_up(principal: str, before: str, limit: int) -> Any:
        ledger.behind = max(0, ledger.behind - 1)
        return await exchanges(principal, before, limit)

    ledger.behind = 5
    monkeypatch.setattr(ledger, "exchanges", catches_up)
    assert (await say(client, exchange, decision="accepted")).status_code == 201
    assert ledger.behind == 0

    monkeypatch.setattr(ledger, "exchanges", exchanges)
    monkeypatch.setattr(acceptance, "CATCH_UP_S", 0.05)
    ledger.behind = 1
    assert (await say(client, exchange, decision="rejected")).status_code == 201


async def test_the_same_again_is_one_record_and_a_new_mind_another(
    client: Client, ledger: MemoryLedger
) -> None:
    """What is said last counts."""
    exchange = await ran(ledger)
    first = await say(client, exchange, decision="accepted")
    again = await say(client, exchange, decision="accepted")
    assert first.json() == again.json()

    await say(client, exchange, decision="rejected")

    assert len(recorded(ledger)) == 2
    shown = (await client.get("key-staff", f"/{exchange}")).json()["draft"]
    assert shown["decision"] == "rejected"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"decision": "maybe"},
        {"decision": "edited"},
        {"decision": "accepted", "final_sha256": FINAL},
        {"decision": "accepted", "output_sha256": DRAFT[1:]},
        {"decision": "accepted", "output_sha256": DRAFT.upper()},
        {"decision": "accepted", "text": CANARY},
    ],
)
async def test_what_says_nothing_clear_is_refused(
    client: Client, ledger: MemoryLedger, said: dict[str, Any]
) -> None:
    """Nothing is recorded, and nothing of it repeated."""
    exchange = await ran(ledger)

    answer = await say(client, exchange, **said)

    assert answer.status_code == 400
    assert CANARY not in answer.text
    assert recorded(ledger) == []


@pytest.mark.parametrize("key", ["key-stranger", "key-reviewer", "key-robot"])
async def test_for_anyone_else_there_is_no_such_exchange(
    client: Client, ledger: MemoryLedger, key: str
) -> None:
    """Nobody accepts an answer for somebody else."""
    exchange = await ran(ledger)

    assert (await say(client, exchange, key, decision="accepted")).status_code == 404
    assert (await say(client, uuid7(), decision="accepted")).status_code == 404
    assert (await say(client, exchange, "key-ask-only", decision="accepted")).status_code == 403
    assert recorded(ledger) == []


async def test_what_gave_no_answer_is_not_accepted(client: Client, ledger: MemoryLedger) -> None:
    """There is no draft."""
    exchange = await ran(ledger, status="stopped")

    answer = await say(client, exchange, decision="accepted")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_draft")


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_what_is_not_certain_is_not_acknowledged(
    client: Client, ledger: MemoryLedger, fault: str
) -> None:
    """Failed before it took effect, or after: 503, and sent again it is recorded once."""
    exchange = await ran(ledger)
    setattr(ledger, fault, 1)
    assert (await say(client, exchange, decision="accepted")).status_code == 503

    assert (await say(client, exchange, decision="accepted")).status_code == 201

    assert len(recorded(ledger)) == 1
