"""What reviewers take upon themselves before they approve, and who is looking at what.

An approval that costs nothing is worth nothing: people who answer prompts all day approve nearly
all of them. So a hold of some risk has to have been in front of the person for as long as reading
it takes, and somebody who decides faster than anyone reads pauses. Denying is never slowed down.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

RISK_OF_CARE = 40
"""From here on an approval needs a reason and time, and is given one by one."""

LETTERS_A_WORD = 6  # an English word with its space; JSON and code have few spaces to count
WIDE_LETTERS_A_WORD = 2  # of Chinese, Japanese and Korean
_SECOND_US = 1_000_000
_WIDE = frozenset({"W", "F"})


@dataclass(frozen=True, slots=True)
class Care:
    """The settings of section [reviews]; reasons are in docs/reference/settings.md.

    `dwell_s` 0: no time is asked for. Rates are of one person: all decisions count, and only
    approvals are paused. `people_min`: how many people have to have reviewed for figures to name
    them.
    """

    dwell_s: float = 3
    words_per_s: int = 50
    dwell_s_max: float = 120
    decisions_warn: int = 30
    decisions_max: int = 60
    pause_s: float = 600
    claim_s: float = 600
    people_min: int = 5

    def dwell_us(self, risk: int, outgoing: bytes) -> int:
        """How long this must have been shown before it is approved, in microseconds."""
        if risk < RISK_OF_CARE or self.dwell_s == 0:
            return 0
        wanted_s = self.dwell_s + words(outgoing) / self.words_per_s
        return int(min(wanted_s, max(self.dwell_s, self.dwell_s_max)) * _SECOND_US)


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that they are looking at a hold. Advice for others: it binds nobody."""

    hold: str
    reviewer: str
    until_us: int


@dataclass(frozen=True, slots=True)
class Rate:
    """How many decisions of one person are known of the last hour, and until when approvals of
    theirs are paused (0: they are not).
    """

    decisions: int
    paused_until_us: int = 0


def words(outgoing: bytes) -> int:
    """About how many words a reader has in front of them. Never more than the bytes."""
    text = outgoing.decode(errors="replace")
    wide = 0 if text.isascii() else sum(unicodedata.east_asian_width(one) in _WIDE for one in text)
    return (len(text) - wide) // LETTERS_A_WORD + wide // WIDE_LETTERS_A_WORD
