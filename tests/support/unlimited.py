"""A limiter that keeps books and refuses only when told to: for tests of what stands around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sekisho.errors import SekishoError
from sekisho.model.limits import Estimate, Spender, Standing


@dataclass
class BookedCharge:
    """Satisfies `sekisho.ports.Charge`; `settled` is what it was settled with."""

    spender: Spender
    estimate: Estimate
    forced: bool
    settled: list[tuple[Mapping[str, Any] | None, int | None]] = field(default_factory=list)

    @property
    def reserved(self) -> Mapping[str, Any]:
        tokens = self.estimate.prompt_tokens + self.estimate.answer_tokens
        return {"tokens": tokens, "spend_micros": 0, "prices": "none"}

    def used(self, usage: Mapping[str, Any] | None, answer_chars: int) -> Mapping[str, Any]:
        told = (usage or {}).get("total_tokens")
        tokens = self.estimate.prompt_tokens + answer_chars if told is None else told
        return {"tokens": tokens, "spend_micros": 0}

    def settle(self, used: Mapping[str, Any] | None, index: int | None) -> None:
        self.settled.append((used, index))

    def headers(self) -> Mapping[str, str]:
        return {"x-ratelimit-remaining-requests": "7"}


@dataclass
class Unlimited:
    """Satisfies `sekisho.ports.Limiter`."""

    charges: list[BookedCharge] = field(default_factory=list)
    refuses: SekishoError | None = None
    stands: Standing = field(default_factory=Standing)

    async def standing(self, asking: Spender) -> Standing:
        return self.stands

    async def reserve(
        self, asking: Spender, estimate: Estimate, *, forced: bool = False
    ) -> BookedCharge:
        if self.refuses is not None and not forced:
            raise self.refuses
        charge = BookedCharge(asking, estimate, forced)
        self.charges.append(charge)
        return charge
