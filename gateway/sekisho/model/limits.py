"""Limits on use: whose they are, how high, what an exchange may cost at most, and what is left.

Money is counted in millionths of the currency that the price table names, so that sums are exact.
A table of rows says how much each principal, group, assistant, model and backend may use; every
concrete name has a counter of its own, and an exchange is charged to all that it falls under.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import IntEnum, StrEnum
from fnmatch import fnmatchcase

MICROS = 1_000_000  # to one unit of the currency
DECIMALS_MAX = 6  # so a millionth is the smallest amount there is
MONEY_MAX = 1_000_000_000  # above any budget; with six decimals still exact as YAML reads it

DIMENSIONS = ("principal", "group", "assistant", "model", "backend")


class Unit(IntEnum):
    """What a limit counts; also the place of that count in the amounts of one exchange."""

    REQUESTS = 0
    TOKENS = 1
    MICROS = 2
    PLACES = 3


class Window(StrEnum):
    """The fixed time (UTC) a limit counts over. Places are not counted over time but returned."""

    NONE = "p"
    MINUTE = "m"
    DAY = "d"
    MONTH = "M"


class Metric(StrEnum):
    """What a row of `limits:` may set."""

    REQUESTS_PER_MIN = "requests_per_min"
    TOKENS_PER_MIN = "tokens_per_min"
    SPEND_PER_DAY = "spend_per_day"
    SPEND_PER_MONTH = "spend_per_month"
    CONCURRENT = "concurrent"

    @property
    def unit(self) -> Unit:
        """What it counts."""
        return _KINDS[self][0]

    @property
    def window(self) -> Window:
        """Over which time."""
        return _KINDS[self][1]


_KINDS = {
    Metric.REQUESTS_PER_MIN: (Unit.REQUESTS, Window.MINUTE),
    Metric.TOKENS_PER_MIN: (Unit.TOKENS, Window.MINUTE),
    Metric.SPEND_PER_DAY: (Unit.MICROS, Window.DAY),
    Metric.SPEND_PER_MONTH: (Unit.MICROS, Window.MONTH),
    Metric.CONCURRENT: (Unit.PLACES, Window.NONE),
}


_FORMATS = {Window.MINUTE: "%Y-%m-%dT%H:%M", Window.DAY: "%Y-%m-%d", Window.MONTH: "%Y-%m"}


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

    @property
    def names(self) -> Iterator[tuple[str, str]]:
        """Dimension and name of all that this exchange is charged to."""
        yield "principal", self.principal
        for group in sorted(self.groups):
            yield "group", group
        if self.assistant:
            yield "assistant", self.assistant
        yield "model", self.model
        if self.backend:
            yield "backend", self.backend


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

    `day_micros` and `day_percent` are what was spent today of the budget that is nearest to its
    end, 0 where there is none; the same for the month. Percentages are rounded down to tens, so
    that decisions that look at them can be kept.
    """

    requests_left: int | None = None
    tokens_left: int | None = None
    day_micros: int = 0
    month_micros: int = 0
    day_percent: int = 0
    month_percent: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one line of `limits:`. `pattern` is a name, or has `*` and `?` in it."""

    dimension: str
    pattern: str
    metric: Metric
    amount: int

    @property
    def exact(self) -> bool:
        """Whether it is for one name only."""
        return not ("*" in self.pattern or "?" in self.pattern)


@dataclass(frozen=True, slots=True)
class Limit:
    """What applies to one concrete name."""

    dimension: str
    name: str
    metric: Metric
    amount: int


def matches(pattern: str, name: str) -> bool:
    """Whether `pattern` fits: `*` is any text and `?` one character; all else is itself."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


class LimitTable:
    """All rows of one policy revision. Never changes; another revision is another table.

    For one name and metric a row with exactly that name wins over patterns, else the first pattern
    of the list that fits.
    """

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self._exact: dict[tuple[str, str, Metric], Row] = {}
        self._patterns: dict[tuple[str, Metric], list[Row]] = {}
        for row in rows:
            if row.exact:
                self._exact.setdefault((row.dimension, row.pattern, row.metric), row)
            else:
                self._patterns.setdefault((row.dimension, row.metric), []).append(row)

    def limits_of(self, spender: Spender) -> tuple[Limit, ...]:
        """Every limit the exchange falls under."""
        return tuple(
            Limit(dimension, name, metric, row.amount)
            for dimension, name in spender.names
            for metric in Metric
            if (row := self._row(dimension, name, metric)) is not None
        )

    def _row(self, dimension: str, name: str, metric: Metric) -> Row | None:
        exact = self._exact.get((dimension, name, metric))
        if exact is not None:
            return exact
        patterns = self._patterns.get((dimension, metric), ())
        return next((row for row in patterns if matches(row.pattern, name)), None)


def micros(amount: float | str) -> int:
    """An amount of money in millionths, exactly. Raises ValueError.

    A float is taken for the shortest decimal that reads as it, which is what stood in the file;
    nothing is ever computed with it.
    """
    try:
        exact = Decimal(amount if isinstance(amount, str) else repr(amount))
    except InvalidOperation as error:
        raise ValueError("must be an amount such as 50 or 2.50") from error
    if not exact.is_finite() or exact < 0 or exact >= MONEY_MAX:
        raise ValueError(f"must be from 0 to below {MONEY_MAX}")
    whole = exact.scaleb(DECIMALS_MAX)
    if whole != whole.to_integral_value():
        raise ValueError(f"must have at most {DECIMALS_MAX} decimals")
    return int(whole)


def as_money(amount_micros: int) -> str:
    """An amount as people write it: `12.5`, `-0.000001`, `3`."""
    sign = "-" if amount_micros < 0 else ""
    whole, rest = divmod(abs(amount_micros), MICROS)
    decimals = f"{rest:06d}".rstrip("0")
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


def with_currency(amount_micros: int, currency: str) -> str:
    """An amount for a message: `12.5 USD`."""
    return f"{as_money(amount_micros)} {currency}".rstrip()


def window_name(window: Window, start_us: int) -> str:
    """How `Ledger.used` is asked for a window: `m2026-11-24T15:04`, `d2026-11-24`, `M2026-11`."""
    start = datetime.fromtimestamp(start_us // MICROS, UTC)
    return f"{window}{start:{_FORMATS[window]}}"
