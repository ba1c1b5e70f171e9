"""Limits on use: whose they are, what an exchange may cost at most, and what is left.

Money is counted in millionths of the currency that the price table names, so that sums are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

MICROS = 1_000_000  # to one unit of the currency


@dataclass(frozen=True, slots=True)
class Spender:
    """Everything a limit can be set for, of one exchange. `principal` is the person or service
    account that asks; `groups` are charged all.
    """

    principal: str
    groups: frozenset[str]
    model: str
    backend: str
    assistant: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one exchange may use at most: tokens of the prompt as estimated, and of all answers
    (`max_tokens` times `n`; the limiter's default where the request has no cap: 0).
    """

    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left before this exchange, the least over all limits that apply; None: no limit.

    Percentages are rounded down to tens, so that decisions that look at them can be kept.
    """

    requests_left: int | None = None
    tokens_left: int | None = None
    day_micros: int = 0
    month_micros: int = 0
    day_percent: int = 0
    month_percent: int = 0
