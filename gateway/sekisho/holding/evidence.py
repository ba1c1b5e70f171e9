"""Events of a hold, one named constructor each. Their ids are derived (names.py), so that a step
whose reply was lost can be repeated without being recorded twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sekisho.holding import names, record
from sekisho.model.decision import FIRST_STEP
from sekisho.model.hold import Hold, HoldState, Justification, Review
from sekisho.model.notification import Notification, notification_id
from sekisho_audit.events import Event, Payload


def filed(hold: Hold) -> Event:
    """The hold, with everything needed to build it again; `outgoing` is what may leave."""
    data = _terms(hold) | {
        "backend": hold.backend,
        "model": hold.model,
        "revision": hold.revision,
    }
    if hold.justify:
        data["justify"] = True
    if hold.background:
        data["background"] = True
    if hold.person != hold.principal:
        data["person"] = hold.person
    if hold.editor:
        data |= {"editor": hold.editor, "narrowed": hold.narrowed}
        data |= {"step": hold.edit_step} if hold.edit_step != FIRST_STEP else {}
    return Event(
        id=names.filed_event(hold.id, hold.version),
        type="hold.filed",
        exchange=hold.exchange,
        principal=hold.principal,
        data=data,
        payloads=_whole(hold),
    )


def seeded(hold: Hold) -> Event:
    """A test item, which is no request: another event, so that nothing takes it for one."""
    return Event(
        id=names.filed_event(hold.id),
        type="hold.seeded",
        exchange=hold.exchange,
        principal=hold.principal,
        actor=hold.seeded_by,
        data=_terms(hold) | {"person": hold.seeded_by, "rule": hold.seed},
        payloads=_whole(hold),
    )


def _terms(hold: Hold) -> dict[str, Any]:
    """What reviewers are asked, and until when."""
    asked = [one.told() for one in hold.thresholds]
    return {
        "hold": hold.id,
        "version": hold.version,
        "stage": hold.stage,
        "binding": hold.binding,
        "expires_us": hold.expires_us,
        "risk": hold.risk,
        **({"thresholds": asked} if asked else {}),
        **({"relief_us": hold.relief_us} if hold.relief_us else {}),
    }


def _whole(hold: Hold) -> tuple[Payload, Payload]:
    whole = record.encode(hold)
    return Payload("hold", whole, whole), Payload("outgoing", hold.outgoing)


def reviewed(hold: Hold, review: Review) -> Event:
    """One person's answer; the reason is content, so it is a payload.

    `person` is told where it is not the reviewer: then a delegate answered in that person's name.
    `step` is told where it is not the first, `relief` where others were asked.
    """
    reason = review.reason.encode()
    more: dict[str, Any] = {} if review.person == review.reviewer else {"person": review.person}
    if review.step > FIRST_STEP:
        more["step"] = review.step
    if review.relief:
        more["relief"] = review.relief
    return Event(
        id=review.id,
        type="hold.review",
        exchange=hold.exchange,
        principal=hold.principal,
        actor=review.reviewer,
        data={
            "hold": hold.id,
            "version": review.version,
            "decision": review.decision,
            "binding": review.binding,
            "counts_for": list(review.counts_for),
            **more,
        },
        payloads=(Payload("reason", reason, reason),),
    )


def justified(hold: Hold, said: Justification) -> Event:
    """Whoever asked said why; the reason is content, so it is a payload."""
    reason = said.reason.encode()
    return Event(
        id=said.id,
        type="hold.justified",
        exchange=hold.exchange,
        principal=hold.principal,
        actor=said.person,
        data={"hold": hold.id, "version": said.version, "binding": said.binding},
        payloads=(Payload("reason", reason, reason),),
    )


def settled(hold: Hold, state: HoldState, reviews: Sequence[Review]) -> Event:
    """The outcome of a hold, citing the reviews that led to it."""
    return Event(
        id=names.settled_event(hold.id, hold.version),
        type="hold.settled",
        exchange=hold.exchange,
        principal=hold.principal,
        data={
            "hold": hold.id,
            "version": hold.version,
            "state": state.value,
            "binding": hold.binding,
            "reviews": [review.id for review in reviews],
        },
    )


def released(hold: Hold) -> Event:
    """The answer that people approved is about to be given to who asked: exactly these bytes."""
    return Event(
        id=names.released_event(hold.id, hold.version),
        type="hold.released",
        exchange=hold.exchange,
        principal=hold.principal,
        data={
            "hold": hold.id,
            "version": hold.version,
            "binding": hold.binding,
            "stage": hold.stage,
        },
        payloads=(Payload("answer", hold.outgoing),),
    )


def delivered(hold: Hold) -> Event:
    """The requester got the answer, for the first time."""
    return Event(
        id=names.delivered_event(hold.id),
        type="hold.delivered",
        exchange=hold.exchange,
        principal=hold.principal,
        data={"hold": hold.id},
    )


def given_up(told: Notification, attempts: int, cause: str) -> Event:
    """Nobody was told over this channel: a message did not get there in its time."""
    data: dict[str, Any] = {
        "channel": told.channel,
        "notification": told.id,
        "moment": told.moment.value,
        "attempts": attempts,
        "cause": cause,
    }
    if told.hold:
        data["hold"] = told.hold
    elif told.exchange:
        data["about"] = told.exchange
    elif told.opening:
        data["about"] = told.opening
    return Event(
        id=notification_id("given_up", told.id),
        type="notification.given_up",
        exchange=None,
        principal=None,
        data=data,
    )
