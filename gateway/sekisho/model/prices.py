"""What models cost: a table of prices per million tokens, and the digest that names it.

Amounts are whole millionths of the currency and are rounded up, so that no number of small
exchanges is free. The digest stands in every charge: whoever reads the ledger later can tell by
which prices a sum was made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from sekisho.model.limits import LimitTable, matches

TOKENS_PER_PRICE = 1_000_000
REVISION_HEX = 32  # 128 bits: nobody finds a second table for the same name
_KEPT_MAX = 4096  # names looked up before; a name is asked for again and again


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens, in micros."""

    input_micros: int = 0
    output_micros: int = 0

    def cost_micros(self, prompt_tokens: int, answer_tokens: int) -> int:
        """What these tokens cost, rounded up."""
        exact = prompt_tokens * self.input_micros + answer_tokens * self.output_micros
        return -(-exact // TOKENS_PER_PRICE)


FREE = Price()


class PriceTable:
    """All prices of one policy revision. Never changes.

    A row with exactly the model's name wins, else the first pattern that fits, else `default`.
    """

    def __init__(
        self, currency: str = "", models: Mapping[str, Price] | None = None, default: Price = FREE
    ) -> None:
        self.currency = currency
        self._models = dict(models or {})
        self._default = default
        self._found: dict[str, Price] = {}
        self.revision = self._digest()

    def of(self, model: str) -> Price:
        """The price of `model`."""
        price = self._found.get(model)
        if price is None:
            if len(self._found) >= _KEPT_MAX:
                self._found.clear()
            price = self._found[model] = self._look_up(model)
        return price

    def _look_up(self, model: str) -> Price:
        exact = self._models.get(model)
        if exact is not None:
            return exact
        fitting = (price for pattern, price in self._models.items() if matches(pattern, model))
        return next(fitting, self._default)

    def _digest(self) -> str:
        """Of the canonical form; the order of rows counts, since the first that fits is taken."""
        rows = [[name, price.input_micros, price.output_micros] for name, price in self._rows()]
        canonical = json.dumps([self.currency, rows], separators=(",", ":"))
        digest = hashlib.sha256(b"sekisho-prices-v1\n" + canonical.encode()).hexdigest()
        return f"sha256:{digest[:REVISION_HEX]}"

    def _rows(self) -> list[tuple[str, Price]]:
        return [*self._models.items(), ("", self._default)]


@dataclass(frozen=True, slots=True)
class UsageRules:
    """What one policy revision says about use: how much, and what it costs."""

    limits: LimitTable
    prices: PriceTable


UNLIMITED = UsageRules(LimitTable(), PriceTable())
