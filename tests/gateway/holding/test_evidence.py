"""Events of a hold: what the ledger accepts, with no content outside payloads."""

from __future__ import annotations

import orjson

from sekisho.holding import evidence, names, record
from sekisho.model.hold import HoldState, Review
from sekisho_audit.events import Event, check_data, check_payload_names
from support.holds import CANARY, ROBOT, Desk

REASON = f"{CANARY} is fine"


async def events(desk: Desk) -> list[Event]:
    """One of each, for a hold of a service account."""
    hold = (await desk.file(principal=ROBOT)).hold
    review = Review(
        names.review_event(b"k" * 32, hold.id, 1, "reviewer-2"),
        *(hold.id, 1, "reviewer-2", "reviewer-2", "approve", REASON, hold.binding, 0),
        counts_for=("reviewer",),
    )
    return [
        evidence.filed(hold),
        evidence.reviewed(hold, review),
        evidence.settled(hold, HoldState.APPROVED, [review]),
        evidence.delivered(hold),
    ]


async def test_each_event_is_what_the_table_of_the_ledger_asks_for(desk: Desk) -> None:
    """Types, fields and payload names pass the ledger's own check; all name the hold."""
    made = await events(desk)
    for event in made:
        check_data(event.type, event.data)
        check_payload_names(event.type, [payload.name for payload in event.payloads])
        assert (event.principal, event.data["hold"]) == ("robot-1", made[0].data["hold"])
    assert made[1].actor == "reviewer-2"
    assert made[2].data["reviews"] == [made[1].id]


async def test_no_content_stands_in_the_data(desk: Desk) -> None:
    """Prompt and reason are payloads; a leaf holds neither."""
    for event in await events(desk):
        assert CANARY.encode() not in orjson.dumps(dict(event.data))


async def test_the_filing_is_enough_to_build_the_hold_again(desk: Desk) -> None:
    """Its payload decodes to the hold; the outgoing bytes are committed to once more."""
    filed = (await events(desk))[0]
    payloads = {payload.name: payload for payload in filed.payloads}
    hold = record.decode(payloads["hold"].stored or b"")
    assert (hold.id, hold.person) == (filed.data["hold"], filed.data["person"])
    assert payloads["outgoing"].exact == hold.outgoing
    assert payloads["outgoing"].stored is None
