"""What one exchange sets aside and used: `Charge` of ports.py, and what a client is told of it.

What a backend says it used is believed within reason, because it may be wrong or lie:

    more than 10 million tokens, negative, or no whole number   is not believed
    a prompt below a quarter of our estimate                    our estimate is charged
    an answer of more than 16 characters a token                the characters are charged
    less in all than in total_tokens                            the total is charged

Without a believable figure a character that came back counts as a token, which is right for Chinese
and Japanese and high for others, but not more than the request's own cap. What the backend made and
nobody received cannot be known and is not charged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from sekisho.adapters.limit_leases import (
    NOTHING,
    Amounts,
    Counter,
    Lease,
    Leases,
    Plan,
    left_by,
)
from sekisho.errors import BudgetExhausted, LimitReached
from sekisho.model.durations import in_words
from sekisho.model.limits import (
    Estimate,
    Metric,
    Standing,
    Unit,
    Window,
    as_money,
    with_currency,
)
from sekisho.model.prices import PriceTable

TOKENS_BELIEVED_MAX = 10_000_000  # above any context window there is
PROMPT_SHARE_LEAST = 4  # our estimate errs on the high side, but hardly by more
CHARS_PER_TOKEN_MAX = 16  # of real text; prose has 4 to 6, long runs of spaces some more
GROUPS_MAX = 64  # the record takes no more; those with limits come first
PERCENT_STEP = 10

_WORDS = {
    Metric.REQUESTS_PER_MIN: "requests per minute",
    Metric.TOKENS_PER_MIN: "tokens per minute",
    Metric.SPEND_PER_DAY: "spending per day",
    Metric.SPEND_PER_MONTH: "spending per month",
    Metric.CONCURRENT: "requests at once",
}
_SLOWEST_FIRST = (Window.MONTH, Window.DAY, Window.MINUTE, Window.NONE)


def tokens_used(
    usage: Mapping[str, Any] | None, estimate: Estimate, answer_chars: int
) -> tuple[int, int]:
    """Prompt and answer tokens to charge; the rule stands at the top of this module."""
    told = usage or {}
    prompt = _believed(told, "prompt_tokens", "input_tokens")
    if prompt is None or prompt * PROMPT_SHARE_LEAST < estimate.prompt_tokens:
        prompt = estimate.prompt_tokens
    answer = _believed(told, "completion_tokens", "output_tokens")
    least = -(-answer_chars // CHARS_PER_TOKEN_MAX)
    if answer is None or answer < least:
        cap = estimate.answer_tokens or answer_chars
        answer = max(min(answer_chars, cap), least)
    total = _believed(told, "total_tokens") or 0
    return prompt, max(answer, total - prompt)


def _believed(told: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = told.get(name)
        if type(value) is int and 0 <= value <= TOKENS_BELIEVED_MAX:
            return value
    return None


class LeasedCharge:
    """See Charge. Made by the limiter with everything already set aside."""

    __slots__ = (
        "_aside",
        "_estimate",
        "_leased",
        "_leases",
        "_now_s",
        "_plan",
        "_prices",
        "_settled",
    )

    def __init__(
        self,
        leases: Leases,
        plan: Plan,
        leased: tuple[Lease, ...],
        aside: Amounts,
        estimate: Estimate,
        *,
        prices: PriceTable,
        now_s: Callable[[], float],
    ) -> None:
        self._leases = leases
        self._plan = plan
        self._leased = leased
        self._aside = aside
        self._estimate = estimate
        self._prices = prices
        self._now_s = now_s
        self._settled = False

    @property
    def reserved(self) -> Mapping[str, Any]:
        """See Charge."""
        _, tokens, spend, _ = self._aside
        charged: dict[str, Any] = {
            "tokens": tokens,
            "spend_micros": spend,
            "prices": self._prices.revision,
            "groups": list(self._plan.groups[:GROUPS_MAX]),
        }
        if self._plan.spender.assistant:
            charged["assistant"] = self._plan.spender.assistant
        return charged

    def used(self, usage: Mapping[str, Any] | None, answer_chars: int) -> Mapping[str, Any]:
        """See Charge."""
        prompt, answer = tokens_used(usage, self._estimate, answer_chars)
        spend = self._prices.of(self._plan.spender.model).cost_micros(prompt, answer)
        charged = {"tokens": prompt + answer, "spend_micros": spend}
        return {**charged, "prices": self._prices.revision}

    def settle(self, used: Mapping[str, Any] | None, index: int | None) -> None:
        """See Charge."""
        if self._settled:
            return
        self._settled = True
        spent = NOTHING if used is None else (1, used["tokens"], used["spend_micros"], 0)
        self._leases.settle(self._leased, self._aside, spent, index)

    def headers(self) -> Mapping[str, str]:
        """See Charge."""
        return headers_of(self._plan, self._now_s(), self._prices.currency)


def headers_of(plan: Plan, now_s: float, currency: str = "") -> dict[str, str]:
    """What is left, the least over all limits. Of others' limits nothing else is told."""
    told: dict[str, str] = {}
    least = left_by(plan)
    for metric, word in (
        (Metric.REQUESTS_PER_MIN, "requests"),
        (Metric.TOKENS_PER_MIN, "tokens"),
    ):
        if metric not in least:
            continue
        counter, left = least[metric]
        own = next((one for one in plan.counters if _own(one) and one.limit.metric == metric), None)
        if own is not None:
            told[f"x-ratelimit-limit-{word}"] = str(own.amount)
        told[f"x-ratelimit-remaining-{word}"] = str(max(0, left))
        told[f"x-ratelimit-reset-{word}"] = f"{_wait_s(counter, now_s)}s"
    for metric, word in ((Metric.SPEND_PER_DAY, "day"), (Metric.SPEND_PER_MONTH, "month")):
        if metric in least:
            left = max(0, least[metric][1])
            told[f"x-sekisho-budget-remaining-{word}"] = as_money(left)
            if currency:
                told["x-sekisho-budget-currency"] = currency
    return told


def standing_of(plan: Plan) -> Standing:
    """What policy may look at."""
    least = left_by(plan)
    requests, tokens = least.get(Metric.REQUESTS_PER_MIN), least.get(Metric.TOKENS_PER_MIN)
    day, month = _spent(plan, Metric.SPEND_PER_DAY), _spent(plan, Metric.SPEND_PER_MONTH)
    return Standing(
        requests_left=max(0, requests[1]) if requests else None,
        tokens_left=max(0, tokens[1]) if tokens else None,
        day_micros=day[1],
        month_micros=month[1],
        day_percent=day[0],
        month_percent=month[0],
    )


def _spent(plan: Plan, metric: Metric) -> tuple[int, int]:
    """Percent and amount spent of the budget nearest to its end."""
    found = (0, 0)
    for counter in plan.counters:
        if counter.limit.metric == metric:
            spent = max(0, counter.amount - counter.lease.left - counter.lease.free)
            percent = spent * 100 // counter.amount if counter.amount else 100
            found = max(found, (percent // PERCENT_STEP * PERCENT_STEP, spent))
    return found


def refusal(
    plan: Plan, short: list[Counter], amounts: Amounts, now_s: float, currency: str = ""
) -> LimitReached:
    """Why an exchange has to wait: of all limits that are short, one that can never be met, else
    the one that lasts longest.
    """
    never = [one for one in short if amounts[one.unit] > one.amount]
    counter = min(never or short, key=lambda one: _SLOWEST_FIRST.index(one.limit.metric.window))
    metric, amount = counter.limit.metric, amounts[counter.unit]
    limit = f"limit on {_WORDS[metric]}"
    if _own(counter):
        limit = f"Your {limit} ({_figure(counter, currency)})"
    else:
        limit = f"The {limit} for the {counter.limit.dimension} {counter.limit.name}"
    wait_s: int | None = None
    if never:
        text = f"{limit} {_too_large(counter, amount)} Nothing was sent."
    else:
        wait_s = 1 if counter.is_places else _wait_s(counter, now_s)
        text = (
            f"{limit} is reached, or too little is left for what this request may use. "
            f"Nothing was sent. Try again in {in_words(wait_s)}"
            + ("." if counter.is_places else ", or ask an operator for more.")
        )
    headers = headers_of(plan, now_s, currency)
    if metric.unit is Unit.MICROS:
        return BudgetExhausted(text, retry_after_s=wait_s, headers=headers)
    code = "too_many_requests_at_once" if metric.unit is Unit.PLACES else None
    return LimitReached(text, code=code, retry_after_s=wait_s, headers=headers)


def _too_large(counter: Counter, amount: int) -> str:
    """Why no waiting helps, and what does."""
    if not counter.amount:
        return "lets nothing through, now or later. Ask an operator to raise it."
    asked = f" ({amount})" if counter.unit == Unit.TOKENS else ""
    return (
        f"is smaller than what this one request may use{asked}, so waiting does not help. Shorten "
        "it, set a smaller max_tokens, or ask an operator to raise the limit."
    )


def _own(counter: Counter) -> bool:
    return counter.limit.dimension == "principal"


def _figure(counter: Counter, currency: str) -> str:
    if counter.unit == Unit.MICROS:
        return with_currency(counter.amount, currency)
    return str(counter.amount)


def _wait_s(counter: Counter, now_s: float) -> int:
    """Seconds until the window ends, at least one."""
    wait_s = counter.lease.until_s - now_s
    return max(1, math.ceil(wait_s)) if math.isfinite(wait_s) else 1
