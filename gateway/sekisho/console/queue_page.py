"""The queue: what waits for the reader's answer, and what the reader waits for.

In front stands what has the least time left, risk counted in: of two holds that end at the same
time the riskier comes first, and one of risk 50 is as urgent as one of no risk with half its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sekisho.holding.review import is_others_turn, is_own, may_review
from sekisho.model.hold import HoldCard
from sekisho.model.principal import Principal, Scope

_MICROS = 1_000_000
_RISKS = 101  # risk goes from 0 to 100


@dataclass(frozen=True, slots=True)
class Line:
    """One hold of the queue; `left_s` are the seconds until it ends."""

    card: HoldCard
    left_s: int

    @property
    def expires(self) -> int:
        """When it ends, in seconds since the epoch."""
        return self.card.expires_us // _MICROS


@dataclass(frozen=True, slots=True)
class QueuePage:
    """The values of `queue.html`. `reviews` says whether the reader reviews at all; `others_turn`
    is what they are asked about at another step than the open one.
    """

    waiting: tuple[Line, ...]
    others_turn: tuple[Line, ...]
    own: tuple[Line, ...]
    reviews: bool
    now: int


def queue_page(cards: Sequence[HoldCard], reader: Principal, now_us: int) -> QueuePage:
    """The queue of `reader`, of cards that they may see."""
    lines = sorted((_line(card, now_us) for card in cards), key=_urgency)
    reviewing = Scope.REVIEW in reader.scopes and reader.owner is None
    waiting = [line for line in lines if reviewing and may_review(reader, line.card)]
    return QueuePage(
        waiting=tuple(waiting),
        others_turn=tuple(
            line for line in lines if reviewing and is_others_turn(reader, line.card)
        ),
        own=tuple(line for line in lines if is_own(reader, line.card)),
        reviews=Scope.REVIEW in reader.usable_scopes or bool(waiting),
        now=now_us // _MICROS,
    )


def _line(card: HoldCard, now_us: int) -> Line:
    return Line(card, max(0, (card.expires_us - now_us) // _MICROS))


def _urgency(line: Line) -> tuple[int, int, str]:
    return (line.left_s * (_RISKS - line.card.risk), -line.card.risk, line.card.id)
