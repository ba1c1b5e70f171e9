"""`/v1/exchanges` over HTTP: one's own history and nobody else's, appeals that are recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.model import evidence
from sekisho.model.ids import uuid7
from sekisho.web import bodies as module
from sekisho.web.callers import now_us
from sekisho.web.exchanges import APPEALS_MAX, BODY_BYTES_MAX
from sekisho.web.exchanges_schema import REASON_CHARS_MAX
from sekisho_audit import rules
from sekisho_audit.report import Verdict
from sekisho_audit.verify import verify
from support.exchange_site import NOW_US, Client, ran, served
from support.holds import CANARY, ROBOT, STAFF, STRANGER, Desk
from support.holds import exchange as asked_now
from support.holds import outgoing as leaving
from support.ledgers import Auditd
from support.memory_ledger import MemoryLedger

REASON = "It was a public figure, not a salary."


@pytest.fixture
async def client(desk: Desk, ledger: MemoryLedger) -> AsyncIterator[Client]:
    ledger.now_us = lambda: NOW_US
    async with served(desk, ledger, lambda: NOW_US) as made:
        yield made


async def appeal(
    client: Client, exchange: str, reason: Any = REASON, key: str = "key-staff"
) -> Any:
    return await client.post(key, f"/{exchange}/appeal", json={"reason": reason})


def appeals(ledger: MemoryLedger) -> list[Any]:
    return [event for event in ledger.events if event.type == "exchange.appealed"]


# -- the list


async def test_own_exchanges_newest_first(client: Client, ledger: MemoryLedger) -> None:
    """With model, decision, outcome, receipts and cost; nothing of anyone else."""
    first = await ran(ledger)
    await ran(ledger, STRANGER)
    second = await ran(ledger)
    found = (await client.get("key-staff")).json()
    assert [item["id"] for item in found["data"]] == [second, first]
    item = found["data"][0]
    assert (item["object"], item["status"], item["model"]) == ("exchange", "released", "gpt-x")
    assert item["decisions"][0]["reasons"] == [
        {"code": "held", "msg": "Salaries are looked at by a person first."}
    ]
    assert item["sends"][0]["outcome"]["finish"] == "stop"
    assert item["sends"][0]["receipt"]["origin"] == ledger.origin
    assert item["charged"] == {"requests": 1, "tokens": 40, "spend_micros": 7}
    assert found["index"] == {"indexed": 12, "size": 12, "complete": True}
    assert (found["has_more"], found["after"]) == (False, None)


async def test_usage_is_that_of_the_limits(client: Client, ledger: MemoryLedger) -> None:
    """Sums of today and this month, of this principal only."""
    await ran(ledger)
    await ran(ledger, STRANGER, tokens=1_000)
    ledger.now_us = lambda: NOW_US - 2 * 86_400 * 1_000_000
    await ran(ledger)
    usage = (await client.get("key-staff")).json()["usage"]
    assert usage["day"] == {
        "since": "2026-11-24",
        "requests": 1,
        "tokens": 40,
        "spend_micros": 7,
    }
    assert usage["currency"] == "USD"
    assert usage["month"]["since"] == "2026-11"
    assert usage["month"]["tokens"] == 80


async def test_index_that_is_behind_says_so(client: Client, ledger: MemoryLedger) -> None:
    """Whoever misses something sees that it may be there already."""
    await ran(ledger)
    exchange = await ran(ledger)
    ledger.behind = 4
    found = (await client.get("key-staff")).json()
    assert len(found["data"]) == 1
    assert found["index"] == {"indexed": 4, "size": 8, "complete": False}
    ledger.behind = 1
    found = (await client.get("key-staff", f"/{exchange}")).json()
    assert found["index"]["complete"] is False
    assert found["status"] == "sent"


async def test_pages_never_skip_or_repeat(client: Client, ledger: MemoryLedger) -> None:
    """While new exchanges come, a walk over the pages sees each old one once."""
    made = [await ran(ledger) for _ in range(7)]
    seen: list[str] = []
    after = ""
    while True:
        found = (await client.get("key-staff", limit=3, after=after)).json()
        seen += [item["id"] for item in found["data"]]
        await ran(ledger)
        if not found["has_more"]:
            break
        after = found["after"]
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"after": "-1"}, {"after": "1" * 17}]
)
async def test_strange_pages_are_refused(client: Client, params: dict[str, Any]) -> None:
    """A page has a hundred lines at most, and a cursor is one we gave."""
    assert (await client.get("key-staff", **params)).status_code == 422


async def test_nothing_of_the_content_is_told(client: Client, ledger: MemoryLedger) -> None:
    """The history says what happened, not what was said; and reading it is no record.read."""
    exchange = await ran(ledger)
    await appeal(client, exchange, f"about {CANARY}")
    before = len(ledger.events)
    for path in ("", f"/{exchange}"):
        answer = await client.get("key-staff", path)
        assert CANARY not in answer.text
        assert answer.headers["cache-control"] == "no-store"
    assert len(ledger.events) == before


# -- one of them


async def test_one_exchange_with_its_hold_and_its_readers(
    client: Client, desk: Desk, ledger: MemoryLedger
) -> None:
    """The requester sees that it is held, and who was shown it."""
    view = await desk.file()
    hold = view.hold
    told = evidence.read(
        hold.exchange, STAFF.id, "reviewer-1", purpose="review", part="outgoing", hold=hold.id
    )
    await ledger.append([told])
    found = (await client.get("key-staff", f"/{hold.exchange}")).json()
    assert (found["status"], found["hold"]["id"]) == ("held", hold.id)
    assert found["hold"]["expires_at"] == hold.expires_us // 1_000_000
    assert [(line["by"], line["purpose"], line["count"]) for line in found["reads"]] == [
        ("reviewer-1", "review", 1)
    ]
    assert found["index"]["complete"] is True


async def test_refused_exchange_says_why(client: Client, ledger: MemoryLedger) -> None:
    """Code, stage and rules of a refusal."""
    asked = asked_now()
    out = leaving(asked, STAFF, None)  # type: ignore[arg-type]
    refused = evidence.refused(asked.id, STAFF.id, "policy_denied", 403, "clear")
    await ledger.append([*out.before, refused])
    found = (await client.get("key-staff", f"/{asked.id}")).json()
    assert found["status"] == "refused"
    assert (found["refused"]["code"], found["refused"]["status"]) == ("policy_denied", 403)


@pytest.mark.parametrize("key", ["key-stranger", "key-reviewer", "key-robot"])
async def test_what_is_not_ones_own_is_not_there(
    client: Client, ledger: MemoryLedger, key: str
) -> None:
    """Somebody else's exchange and one that never was get the same answer, for every route."""
    exchange = await ran(ledger)
    before = len(ledger.events)
    answers = []
    for one in (exchange, uuid7(), "x", "..%2f", exchange.upper()):
        answers.append(await client.get(key, f"/{one}"))
        answers.append(await appeal(client, one, key=key))
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers if "such exchange" in answer.text}) == 1
    assert len(ledger.events) == before


async def test_service_account_has_a_history_of_its_own(
    client: Client, ledger: MemoryLedger
) -> None:
    """What a service account asked is shown under its own key, not under its owner's."""
    exchange = await ran(ledger, ROBOT)
    assert (await client.get("key-robot", f"/{exchange}")).status_code == 200
    assert (await client.get("key-reviewer")).json()["data"] == []


@pytest.mark.parametrize(("key", "status"), [("", 401), ("key-nobody", 401), ("key-ask-only", 403)])
async def test_credential_must_be_good_and_made_for_it(
    client: Client, ledger: MemoryLedger, key: str, status: int
) -> None:
    """No key, an unknown one, or one without the scope `self`."""
    exchange = await ran(ledger)
    assert (await client.get(key)).status_code == status
    assert (await client.get(key, f"/{exchange}")).status_code == status
    assert (await appeal(client, exchange, key=key)).status_code == status
    assert appeals(ledger) == []


# -- appeals


async def test_appeal_is_recorded_before_it_is_told(client: Client, ledger: MemoryLedger) -> None:
    """With the reason as sealed content, whose it is, and a receipt; then it is in the history."""
    exchange = await ran(ledger)
    answer = await appeal(client, exchange, f"  {REASON}  ")
    [event] = appeals(ledger)
    told = answer.json()
    assert answer.status_code == 201
    assert (told["object"], told["id"], told["by"]) == ("exchange.appeal", event.id, STAFF.id)
    assert told["receipt"] == {"origin": ledger.origin, "index": 4, "leaf": "00"}
    assert (event.principal, event.actor, event.exchange) == (STAFF.id, STAFF.id, exchange)
    assert event.payloads[0].exact == REASON.encode()
    assert REASON not in str(event.data)
    found = (await client.get("key-staff", f"/{exchange}")).json()
    assert [line["id"] for line in found["appeals"]] == [event.id]


async def test_same_reason_is_the_same_appeal(client: Client, ledger: MemoryLedger) -> None:
    """Sent again, also while the index is behind, it is recorded once and told the same."""
    exchange = await ran(ledger)
    first = (await appeal(client, exchange)).json()
    ledger.behind = 1
    again = (await appeal(client, exchange)).json()
    ledger.behind = 0
    third = (await appeal(client, exchange)).json()
    assert len(appeals(ledger)) == 1
    assert first["id"] == again["id"] == third["id"]
    assert first["receipt"]["index"] == again["receipt"]["index"] == third["receipt"]["index"]


async def test_appeals_are_few(client: Client, ledger: MemoryLedger) -> None:
    """Five, then 409, also while the index is behind; what was said before is still answered."""
    exchange = await ran(ledger)
    for number in range(APPEALS_MAX):
        assert (await appeal(client, exchange, f"reason {number}")).status_code == 201
    for behind in (0, 3):
        ledger.behind = behind
        answer = await appeal(client, exchange, "another reason")
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "too_many_appeals"
        assert (await appeal(client, exchange, "reason 4")).status_code == 201
    assert len(appeals(ledger)) == APPEALS_MAX


async def test_appeals_at_the_same_time_are_few(client: Client, ledger: MemoryLedger) -> None:
    """A crowd of different reasons is counted by the ledger, not by who was first to look."""
    exchange = await ran(ledger)
    answers = await asyncio.gather(*(appeal(client, exchange, f"reason {n}") for n in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [409] * 7
    assert len(appeals(ledger)) == APPEALS_MAX


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_appeal_that_is_not_certain_is_not_acknowledged(
    client: Client, ledger: MemoryLedger, fault: str
) -> None:
    """Failed before it took effect, or after: 503, and sent again it is recorded once."""
    exchange = await ran(ledger)
    setattr(ledger, fault, 1)
    assert (await appeal(client, exchange)).status_code == 503
    assert (await appeal(client, exchange)).status_code == 201
    assert len(appeals(ledger)) == 1


async def test_without_the_ledger_there_is_no_history(client: Client, ledger: MemoryLedger) -> None:
    """503 for all of it, never an empty list."""
    exchange = await ran(ledger)
    ledger.down = True
    for answer in (
        await client.get("key-staff"),
        await client.get("key-staff", f"/{exchange}"),
        await appeal(client, exchange),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")


BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "no JSON": (b"why?", 400),
    "no object": (b'["why"]', 400),
    "no reason": (b"{}", 400),
    "an empty reason": (b'{"reason":""}', 400),
    "only blanks": (b'{"reason":" \\n "}', 400),
    "a number": (b'{"reason":7}', 400),
    "null": (b'{"reason":null}', 400),
    "nested": (b'{"reason":{"a":"b"}}', 400),
    "twice": (b'{"reason":"a","reason":"b"}', 400),
    "an unknown field": (b'{"reason":"a","urgent":true}', 400),
    "NUL": (b'{"reason":"a\\u0000"}', 400),
    "a lone surrogate": (b'{"reason":"\\ud800"}', 400),
    "no UTF-8": (b'{"reason":"\xff"}', 400),
    "a longer one": (b'{"reason":"' + b"a" * (REASON_CHARS_MAX + 1) + b'"}', 400),
    "too many bytes": (b'{"reason":"' + b"a" * BODY_BYTES_MAX + b'"}', 413),
}


@pytest.mark.parametrize("story", BODIES)
async def test_appeal_is_read_strictly(client: Client, ledger: MemoryLedger, story: str) -> None:
    """Exactly one field, a text of 1 to 2000 characters, said once."""
    body, status = BODIES[story]
    exchange = await ran(ledger)
    answer = await client.post("key-staff", f"/{exchange}/appeal", content=body)
    assert answer.status_code == status, answer.text
    assert appeals(ledger) == []


@pytest.mark.parametrize("reason", ["x", "理由" * (REASON_CHARS_MAX // 2), "\u202e\u200b?"])
async def test_any_script_may_appeal(client: Client, ledger: MemoryLedger, reason: str) -> None:
    """The longest reason in three bytes a character fits, and is kept as it was said."""
    exchange = await ran(ledger)
    assert (await appeal(client, exchange, reason)).status_code == 201
    assert appeals(ledger)[0].payloads[0].exact == reason.encode()


async def test_slow_appeal_is_given_up(
    client: Client, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that never ends keeps nobody waiting."""
    monkeypatch.setattr(module, "BODY_S", 0.05)
    exchange = await ran(ledger)

    async def dribble() -> AsyncIterator[bytes]:
        yield b'{"reason":"'
        await asyncio.sleep(30)

    answer = await client.post("key-staff", f"/{exchange}/appeal", content=dribble())
    assert answer.status_code == 408
    assert appeals(ledger) == []


def test_ledger_and_router_allow_as_many() -> None:
    """Two numbers that must be one."""
    assert rules.APPEALS_MAX == APPEALS_MAX


async def test_the_same_with_a_real_ledger(desk: Desk, tmp_path: Path) -> None:
    """A real auditd between: history, usage, appeals, receipts; sound afterwards."""
    auditd = Auditd(tmp_path)
    await auditd.start()
    ledger = AuditdLedger(auditd.socket)
    await ledger.start()
    async with served(desk, ledger, now_us) as client:
        made = [await ran(ledger, session=ledger.session) for _ in range(3)]
        await ran(ledger, STRANGER, session=ledger.session)
        found: dict[str, Any] = {"index": {"complete": False}}
        async with asyncio.timeout(20):
            while not found["index"]["complete"]:
                answer = await client.get("key-staff")
                found = answer.json() if answer.status_code == 200 else found
        assert [item["id"] for item in found["data"]] == made[::-1]
        assert [item["status"] for item in found["data"]] == ["released"] * 3
        assert found["usage"]["month"]["tokens"] == 120
        assert (await client.get("key-stranger", f"/{made[0]}")).status_code == 404
        first = (await appeal(client, made[0])).json()
        assert (await appeal(client, made[0])).json() == first
        for number in range(4):
            assert (await appeal(client, made[0], f"reason {number}")).status_code == 201
        sixth = await appeal(client, made[0], "once more")
        assert (sixth.status_code, sixth.json()["error"]["code"]) == (409, "too_many_appeals")
        shown = (await client.get("key-staff", f"/{made[0]}")).json()
        assert shown["appeals"][0] == first
    await ledger.close()
    await auditd.end()
    report = verify(auditd.ledger)
    assert (report.verdict, report.types["exchange.appealed"]) == (Verdict.SOUND, 5)
