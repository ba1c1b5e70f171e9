"""Holds with the real auditd: arrows broken, both stores killed, and the verifier agrees."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.errors import Conflict, LedgerRefused, LedgerUnavailable, Unavailable
from sekisho.holding.deliver import deliver
from sekisho.holding.sweep import Sweep
from sekisho.model import steps
from sekisho.model.decision import Threshold
from sekisho.model.hold import Hold, HoldState, StoredAnswer
from sekisho.model.ids import uuid7
from sekisho.ports import ExchangeKeys, LedgerHold
from sekisho_audit import verify
from sekisho_audit.events import Appended, Event, Payload
from support.faulty_redis import ALWAYS, FaultyRedis
from support.holds import (
    LIMITS,
    ONE_REVIEW,
    REVIEWER,
    REVIEWER_2,
    STAFF,
    TWO_REVIEWS,
    WHY,
    Desk,
    open_desk,
    person,
    until,
)
from support.ledgers import Auditd
from support.valkey import Valkey

ARROWS = [
    (arrow, form) for arrow in ("propose", "append", "settle") for form in ("before", "after")
]


class FaultyLedger:
    """A real ledger whose appends are lost on demand, in both forms."""

    def __init__(self, real: AuditdLedger) -> None:
        self.real = real
        self.lose_before = 0
        self.lose_after = 0

    @property
    def origin(self) -> str:
        return self.real.origin

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        if self.lose_before:
            self.lose_before -= 1
            raise LedgerUnavailable("lost before")
        places = await self.real.append(events)
        if self.lose_after:
            self.lose_after -= 1
            raise LedgerUnavailable("reply lost")
        return places

    async def exchange_keys(self, principal: str, exchange: str) -> ExchangeKeys:
        return await self.real.exchange_keys(principal, exchange)

    async def open_holds(self) -> Sequence[LedgerHold]:
        return await self.real.open_holds()


@pytest.fixture
async def auditd() -> AsyncIterator[Auditd]:
    # Not tmp_path: the path of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        one = Auditd(Path(folder))
        await one.start()
        yield one
        await one.end()


@pytest.fixture
async def real(auditd: Auditd) -> AsyncIterator[FaultyLedger]:
    ledger = AuditdLedger(auditd.socket)
    await ledger.start()
    yield FaultyLedger(ledger)
    await ledger.close()


def intent(hold: Hold, session: str) -> Event:
    """The approved bytes are about to leave."""
    data = {
        "session": session,
        "attempt": 1,
        "backend": hold.backend,
        "model": hold.model,
        "path": hold.path,
        "bytes": len(hold.outgoing),
        "revision": hold.revision,
        "hold": hold.id,
        "version": hold.version,
        "binding": hold.binding,
    }
    body = (Payload("outgoing", hold.outgoing),)
    return Event(uuid7(), "backend.intent", hold.exchange, hold.principal, data, payloads=body)


async def send(desk: Desk, ledger: FaultyLedger, hold_id: str) -> None:
    """Claim, record the intent and its outcome, keep the answer, deliver it."""
    hold = await desk.store.claim(hold_id, "w-1")
    assert hold is not None
    leaving = intent(hold, ledger.real.session)
    await ledger.append([leaving])
    data = {"intent": leaving.id, "status": "released"}
    await ledger.append([Event(uuid7(), "backend.outcome", hold.exchange, hold.principal, data)])
    assert await desk.store.finish(hold_id, "w-1", StoredAnswer(200, "", b"x"))
    view = await desk.store.get(hold_id)
    assert view is not None
    await deliver(desk.store, ledger, view)


async def complaints(auditd: Auditd, real: FaultyLedger) -> list[verify.Fault]:
    """What the offline verifier finds wrong with the ledger after a clean stop."""
    await real.real.close()
    await auditd.end()
    report = verify.verify(auditd.ledger)
    return [*report.faults, *report.doubts]


@pytest.mark.parametrize(("arrow", "form"), ARROWS)
async def test_a_lost_reply_at_any_arrow_leaves_a_sound_ledger(
    valkey: Valkey, auditd: Auditd, real: FaultyLedger, arrow: str, form: str
) -> None:
    """The reviewer asks again, the hold is sent and delivered, the verifier has no complaint."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, real, client=client)
    view = await desk.file(thresholds=TWO_REVIEWS)
    await desk.approve(view)
    if arrow == "append":
        setattr(real, f"lose_{form}", 1)
    else:
        getattr(client, f"lose_{form}")[arrow] = ALWAYS
    with pytest.raises(Unavailable):
        await desk.approve(view, REVIEWER_2)
    client.lose_before.clear()
    client.lose_after.clear()
    assert (await desk.approve(view, REVIEWER_2)).state is HoldState.APPROVED
    await send(desk, real, view.hold.id)
    await desk.close()
    assert await complaints(auditd, real) == []


@pytest.mark.parametrize("thresholds", [(), ONE_REVIEW], ids=["alone", "with reviewers"])
@pytest.mark.parametrize("arrow", ARROWS, ids="-".join)
async def test_a_reason_over_broken_arrows_verifies(
    auditd: Auditd,
    valkey: Valkey,
    real: FaultyLedger,
    arrow: tuple[str, str],
    thresholds: tuple[Threshold, ...],
) -> None:
    """Given again it is one; store and ledger lost and killed, it stands, and the hold is sent."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, real, client=client)
    view = await desk.file(justify=True, thresholds=thresholds)
    assert await desk.store.claim(view.hold.id, "w-1") is None
    where, form = arrow
    if where == "append":
        setattr(real, f"lose_{form}", 1)
    else:
        getattr(client, f"lose_{form}")[where] = ALWAYS
    with pytest.raises(Unavailable):
        await desk.justify(view)
    client.lose_before.clear()
    client.lose_after.clear()
    before = await desk.justify(view)
    await client.flushall()
    found = await desk.store.get(view.hold.id)
    assert found is not None
    assert found.state is before.state
    assert found.justification is not None
    assert (found.justification.person, found.justification.reason) == (STAFF.id, WHY)
    if thresholds:
        await desk.approve(view)
    await send(desk, real, view.hold.id)
    await desk.close()
    assert await complaints(auditd, real) == []


async def test_an_unjustified_hold_cannot_be_sent_even_by_a_false_store(
    valkey: Valkey, real: FaultyLedger
) -> None:
    """If the live state lies about the reason, too, the ledger refuses the intent."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, real, client=client)
    view = await desk.file(justify=True, thresholds=())
    key = "{sekisho-holds}:hold:" + view.hold.id
    await client.hset(key, mapping={"state": "approved", "execute_until_us": 2**52})
    hold = await desk.store.claim(view.hold.id, "w-1")
    assert hold is not None
    with pytest.raises(LedgerRefused):
        await real.append([intent(hold, real.real.session)])
    around = intent(hold, real.real.session)
    data = {k: v for k, v in around.data.items() if k not in {"hold", "version", "binding"}}
    with pytest.raises(LedgerRefused):
        await real.append([replace(around, data=data)])
    await desk.close()


async def test_both_killed_and_all_live_state_lost(auditd: Auditd, real: FaultyLedger) -> None:
    """Auditd and Valkey die, Valkey loses all: decisions stand, used approvals stay used."""
    valkey = Valkey()
    valkey.start()
    desk = open_desk(valkey.url, real, replace(LIMITS, lease_s=60))
    try:
        used, approved, pending = [await desk.file(text) for text in ("a", "b", "c")]
        for view in (used, approved):
            await desk.approve(view)
        hold = await desk.store.claim(used.hold.id, "w-1")
        assert hold is not None
        await real.append([intent(hold, real.real.session)])
        await auditd.end(kill=True)
        valkey.restart(lose_data=True)
        with pytest.raises(Unavailable):
            await desk.store.state(used.hold.id)
        await auditd.start()

        async def back() -> bool:
            try:
                return await desk.store.state(used.hold.id) == HoldState.UNKNOWN
            except Unavailable:
                return False

        await until(back, 10)
        assert await desk.store.claim(used.hold.id, "w-2") is None
        with pytest.raises(LedgerRefused):
            await real.append([intent(hold, real.real.session)])
        assert await desk.store.state(approved.hold.id) == HoldState.APPROVED
        assert (await desk.review(pending, REVIEWER, "deny", "no")).state is HoldState.DENIED
        again = await desk.store.get(pending.hold.id)
        assert again is not None
        assert [one.reason for one in again.reviews] == ["no"]
        await send(desk, real, approved.hold.id)
    finally:
        await desk.close()
        valkey.close()
    assert await complaints(auditd, real) == []


async def test_an_unreviewed_hold_cannot_be_sent_even_by_a_false_store(
    valkey: Valkey, real: FaultyLedger
) -> None:
    """If the live state lies about an approval, the ledger refuses the intent."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, real, client=client)
    view = await desk.file()
    key = "{sekisho-holds}:hold:" + view.hold.id
    await client.hset(key, mapping={"state": "approved", "execute_until_us": 2**52})
    hold = await desk.store.claim(view.hold.id, "w-1")
    assert hold is not None
    with pytest.raises(LedgerRefused) as caught:
        await real.append([intent(hold, real.real.session)])
    assert caught.value.code == "unapproved_intent"
    await desk.close()


async def test_expired_holds_and_withdrawn_ones_verify(
    valkey: Valkey, auditd: Auditd, real: FaultyLedger
) -> None:
    """Outcomes without reviews are sound as well."""
    desk = open_desk(valkey.url, real)
    view = await desk.file(ttl_s=0.01)
    await asyncio.sleep(0.02)

    async def nothing(_: str) -> None:
        """Nothing is approved here."""

    await Sweep(desk.store, real, nothing).once()
    assert await desk.store.state(view.hold.id) == HoldState.EXPIRED
    await desk.close()
    assert await complaints(auditd, real) == []


IN_ORDER = (Threshold("team-lead", 1, 1), Threshold("compliance", 1, 1, 2))
LEAD, COMPLIANCE = (person(f"{group}-1", groups=(group,)) for group in ("team-lead", "compliance"))


@pytest.mark.parametrize(("arrow", "form"), ARROWS)
async def test_reviews_in_order_over_broken_arrows_verify(
    valkey: Valkey, auditd: Auditd, real: FaultyLedger, arrow: str, form: str
) -> None:
    """The first step is given again, Valkey loses all, the second is open: sent, and sound."""
    client = FaultyRedis.to(valkey.url)
    desk = open_desk(valkey.url, real, client=client)
    view = await desk.file(thresholds=IN_ORDER)
    if arrow == "append":
        setattr(real, f"lose_{form}", 1)
    else:
        getattr(client, f"lose_{form}")[arrow] = ALWAYS
    with pytest.raises(Unavailable):
        await desk.approve(view, LEAD)
    client.lose_before.clear()
    client.lose_after.clear()
    assert (await desk.approve(view, LEAD)).state is HoldState.PENDING
    await client.flushall()
    with pytest.raises(Conflict) as caught:
        await desk.approve(view, person("team-lead-2", groups=("team-lead",)))
    assert caught.value.code == "not_your_turn"
    assert (await desk.approve(view, COMPLIANCE)).state is HoldState.APPROVED
    await send(desk, real, view.hold.id)
    await desk.close()
    assert await complaints(auditd, real) == []


async def test_a_worker_that_knows_no_order_is_refused_by_the_ledger(
    valkey: Valkey, auditd: Auditd, real: FaultyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is asked second does not answer first, whatever a gateway thinks of it."""
    desk = open_desk(valkey.url, real)
    view = await desk.file(thresholds=IN_ORDER)
    with monkeypatch.context() as patch:
        patch.setattr(steps, "at", lambda thresholds, _: tuple(thresholds))
        with pytest.raises(Conflict):
            await desk.approve(view, COMPLIANCE)
    now = await desk.store.get(view.hold.id)
    assert now is not None
    assert (now.state, now.reviews) == (HoldState.PENDING, ())
    await desk.approve(view, LEAD)
    assert (await desk.approve(view, COMPLIANCE)).state is HoldState.APPROVED
    await desk.close()
    assert await complaints(auditd, real) == []
