"""What the pages of break-glass show: what is open or waits for review, and one opening.

Pure. Whoever may see an opening sees all of it; what they may do with it the desk says.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sekisho.holding.break_glass_desk import REASON_CHARS_MAX, OpeningLimits
from sekisho.model.break_glass import Opening

_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class OpeningView:
    """An opening at a moment. Times are seconds since the epoch."""

    opening: Opening
    now_us: int

    @property
    def state(self) -> str:
        """`open`, `unreviewed` or `overdue`."""
        return self.opening.status_at(self.now_us)

    @property
    def opened(self) -> int:
        """When it was opened."""
        return self.opening.opened_us // _MICROS

    @property
    def until(self) -> int:
        """When it ends, or did."""
        return self.opening.until_us // _MICROS

    @property
    def review_by(self) -> int:
        """Until when it has to be reviewed."""
        return self.opening.review_by_us // _MICROS

    @property
    def left_s(self) -> int:
        """How long it is still open."""
        return max(0, self.until - self.now)

    @property
    def ended(self) -> str:
        """Why it ended; empty while it is open."""
        return self.opening.ended_at(self.now_us)

    @property
    def now(self) -> int:
        """The moment."""
        return self.now_us // _MICROS


@dataclass(frozen=True, slots=True)
class OpeningsPage:
    """The values of `openings.html`. `may_open`: the reader holds the role. `said`: they have just
    reviewed one.
    """

    open: tuple[OpeningView, ...]
    waiting: tuple[OpeningView, ...]
    may_open: bool
    limits: OpeningLimits
    said: bool
    now: int

    @property
    def reason_chars_max(self) -> int:
        """How long a reason may be."""
        return REASON_CHARS_MAX


@dataclass(frozen=True, slots=True)
class OpeningPage:
    """The values of `opening.html`. `acts` is what the reader may do: `end`, `review`."""

    view: OpeningView
    acts: frozenset[str]

    @property
    def reason_chars_max(self) -> int:
        """How long a reason may be."""
        return REASON_CHARS_MAX


def openings_page(
    openings: Sequence[Opening], now_us: int, limits: OpeningLimits, *, may_open: bool, said: bool
) -> OpeningsPage:
    """What one reader may see: what is open before what waits, the most urgent first."""
    views = [OpeningView(one, now_us) for one in openings]
    open_now = sorted((one for one in views if one.state == "open"), key=lambda one: one.until)
    waiting = sorted((one for one in views if one.state != "open"), key=lambda one: one.review_by)
    return OpeningsPage(tuple(open_now), tuple(waiting), may_open, limits, said, now_us // _MICROS)


def opening_page(opening: Opening, acts: Collection[str], now_us: int) -> OpeningPage:
    """One opening for who may see it."""
    return OpeningPage(OpeningView(opening, now_us), frozenset(acts))
