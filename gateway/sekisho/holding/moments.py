"""Whom a hold has to be told to by now. Pure: from the hold as it stands and the time.

    open      the reviewers of the open step, once for each step of each version; again at half of
              its time; later the next group, and whoever relieves them, who may answer from then on
    settled   whoever asked, where a channel is there for them, and the channels that rules named

What was told before is in marks, so looking again tells nobody twice; a version that was asked anew
has a time of its own, and is told of like another hold. Where several are due at once
(nobody could look for a while) the later word stands for the earlier to the same people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sekisho.holding.outbox import Changed
from sekisho.model.decision import Decision
from sekisho.model.hold import HoldCard, HoldState
from sekisho.model.notification import (
    Channel,
    Moment,
    Notification,
    notification_id,
    told_rules,
)
from sekisho.model.office import Office
from sekisho.model.steps import at, numbers

OPEN = frozenset({HoldState.PENDING, HoldState.DECIDING})
_APPROVED = frozenset(
    {HoldState.APPROVED, HoldState.DISPATCHING, HoldState.READY, HoldState.DELIVERED}
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """At which part of a hold's time people are told again, in percent; of office time where that
    is what they have.
    """

    reminder_percent: int = 50
    escalation_percent: int = 75
    office: Office = field(default_factory=Office)

    def at_us(self, card: HoldCard, percent: int) -> int:
        """When this part of a hold's time is over."""
        if card.office_s:
            part_s = card.office_s * percent / 100
            return min(card.expires_us, self.office.after(card.created_us, part_s))
        return card.created_us + (card.expires_us - card.created_us) * percent // 100


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What has to be told now, what is told then, and when to look again by itself."""

    notifications: tuple[Notification, ...]
    told: frozenset[str]
    again_us: int | None


def outstanding(
    changed: Changed, channels: Sequence[Channel], schedule: Schedule, now_us: int
) -> Outstanding:
    """What has to be told of a hold at `now_us`, the store's time."""
    card = changed.card
    if not card.thresholds:
        return Outstanding((), changed.told, None)  # nobody was asked, so nobody decided anything
    if card.state not in OPEN:
        marks = frozenset({_mark(card, Moment.SETTLED)})
        tell = () if marks <= changed.told else _settled(card, channels)
        return Outstanding(tuple(_told(card, tell, now_us)), changed.told | marks, None)
    if card.justify and not card.justified:
        # Nobody but whoever asked can do anything now; when they have, the hold changes.
        return Outstanding((), changed.told, None)
    waits: list[tuple[Moment, Channel]] = []
    marks = changed.told
    filed = f"{Moment.FILED.value}-{_opening(card)}"
    reminder_us = schedule.at_us(card, schedule.reminder_percent)
    escalation_us = card.relief_us or schedule.at_us(card, schedule.escalation_percent)
    asked = _asked(card) | (_relief(card) if now_us >= card.relief_us > 0 else frozenset())
    if filed not in marks:
        waits += [(Moment.FILED, one) for one in _to_begin(card, asked, channels)]
        marks |= {filed}
        if now_us >= reminder_us:
            marks |= {_mark(card, Moment.REMINDER)}
    if now_us >= reminder_us and _mark(card, Moment.REMINDER) not in marks:
        waits += [(Moment.REMINDER, one) for one in _reviewers(card, asked, channels)]
        marks |= {_mark(card, Moment.REMINDER)}
    if now_us >= escalation_us and _mark(card, Moment.ESCALATION) not in marks:
        waits += [(Moment.ESCALATION, one) for one in _next(card, channels)]
        marks |= {_mark(card, Moment.ESCALATION)}
    ahead = [due_us for due_us in (reminder_us, escalation_us) if due_us > now_us]
    return Outstanding(tuple(_told(card, waits, now_us)), marks, min(ahead, default=None))


def decided(
    exchange: str, stage: str, decision: Decision, channels: Sequence[str], now_us: int
) -> tuple[Notification, ...]:
    """What is told of a decision after which nothing waits: that these rules spoke, and how."""
    rules = told_rules(list(dict.fromkeys(reason.rule for reason in decision.reasons)))
    effect = decision.effect.value
    return tuple(
        Notification(
            id=notification_id(exchange, stage, effect, *rules, name),
            channel=name,
            moment=Moment.DECIDED,
            rules=rules,
            stage=stage,
            state=effect,
            exchange=exchange,
            created_us=now_us,
        )
        for name in channels
    )


def _opening(card: HoldCard) -> str:
    """What names one opening of a hold to reviewers: its version, and a step but the first."""
    later = card.open_step != numbers(card.thresholds)[0]
    return f"{card.version}-{card.open_step}" if later else str(card.version)


def _mark(card: HoldCard, moment: Moment) -> str:
    """What says that it was told; of each version that was asked anew once more."""
    return f"{moment.value}-{card.version}" if card.asked_anew else moment.value


def _asked(card: HoldCard) -> frozenset[str]:
    """Whose turn it is."""
    return frozenset(threshold.reviewers for threshold in at(card.thresholds, card.open_step))


def _relief(card: HoldCard) -> frozenset[str]:
    """Who may answer in the place of those whose turn it is, when it is time."""
    open_ = at(card.thresholds, card.open_step)
    return frozenset(group for threshold in open_ for group in threshold.relief)


def _to_begin(card: HoldCard, asked: frozenset[str], channels: Sequence[Channel]) -> list[Channel]:
    """Who is told that a step opened; channels that rules named hear of the hold once."""
    if card.open_step == numbers(card.thresholds)[0]:
        return _reviewers(card, asked, channels)
    return [one for one in channels if asked & one.groups]


def _reviewers(card: HoldCard, asked: frozenset[str], channels: Sequence[Channel]) -> list[Channel]:
    return [one for one in channels if asked & one.groups or one.name in card.notify]


def _next(card: HoldCard, channels: Sequence[Channel]) -> list[Channel]:
    asked, relief = _asked(card), _relief(card)
    return [one for one in channels if asked & one.escalation_of or relief & one.groups]


def _settled(card: HoldCard, channels: Sequence[Channel]) -> list[tuple[Moment, Channel]]:
    asked = frozenset(card.groups)
    return [
        (Moment.SETTLED, one)
        for one in channels
        if asked & one.requesters or one.name in card.notify
    ]


def _told(
    card: HoldCard, waits: Sequence[tuple[Moment, Channel]], now_us: int
) -> Iterator[Notification]:
    state = ""
    if card.state not in OPEN:
        state = HoldState.APPROVED.value if card.state in _APPROVED else card.state.value
    for moment, channel in waits:
        version = str(card.version) if card.asked_anew else ""
        version = _opening(card) if moment is Moment.FILED else version
        yield Notification(
            id=notification_id(card.id, moment.value, version, channel.name),
            channel=channel.name,
            moment=moment,
            rules=told_rules(card.rules),
            stage=card.stage,
            risk=card.risk,
            state=state,
            hold=card.id,
            created_us=now_us,
            expires_us=0 if moment is Moment.SETTLED else card.expires_us,
        )
