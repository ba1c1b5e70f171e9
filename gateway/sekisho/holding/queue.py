"""In which order a reviewer works: by the time left, weighed with the risk.

    urgency = time left / (1 + risk / 25)          the smallest comes first

So a hold of risk 100 stands where one without risk would that has a fifth of its time left, one of
risk 50 where one with a third would. What is late is in front in any case; equal ones go by age.
Exact integers, so that all workers and every page of the list agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sekisho.errors import BadRequest
from sekisho.holding.review import is_others_turn, is_own, may_see
from sekisho.model.hold import HoldCard
from sekisho.model.principal import Principal, Scope
from sekisho.ports import HoldStore

SCANNED_MAX = 2000  # of those that end first; one read of the store stays below a few ms
_RISK_UNIT = 25
_CURSOR = re.compile(r"([0-9]{1,17})\.(-?[0-9]{1,20})\.(hold_[0-9a-f]{32})\Z")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which holds to list. `mine`: only what one asked oneself, or only what others asked.
    `any_turn`: also those of which another step is open than one's own.
    """

    stage: str = ""
    rule: str = ""
    mine: bool | None = None
    any_turn: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the queue, in order, and the cursor of what comes after ("" at the end)."""

    cards: Sequence[HoldCard]
    after: str


def urgency(card: HoldCard, now_us: int) -> int:
    """The time left weighed with the risk, in microseconds; the smallest is the most urgent."""
    left_us = card.expires_us - now_us
    return left_us * _RISK_UNIT // (_RISK_UNIT + card.risk) if left_us > 0 else left_us


async def seen_cards(store: HoldStore, principal: Principal) -> list[HoldCard]:
    """Open holds that `principal` may decide, and their own, in no order."""
    found: dict[str, HoldCard] = {}
    if Scope.REVIEW in principal.scopes:
        found = {card.id: card for card in await store.list_open(SCANNED_MAX)}
    own = await store.list_open(SCANNED_MAX, principal.id)
    found |= {card.id: card for card in own}
    return [card for card in found.values() if may_see(principal, card)]


async def page(
    store: HoldStore, principal: Principal, wanted: Wanted, *, after: str = "", limit: int
) -> Page:
    """At most `limit` holds behind the cursor `after`. Raises BadRequest (`bad_cursor`).

    The cursor keeps the time of the first page, so that the order stays while somebody turns pages.
    """
    now_us, place = await store.now_us(), None
    if after:
        now_us, place = _read(after)
    cards = ordered(await seen_cards(store, principal), now_us)
    kept = [
        card
        for card in cards
        if meets(card, principal, wanted)
        and (place is None or (urgency(card, now_us), card.id) > place)
    ]
    shown = kept[:limit]
    more = len(kept) > limit
    return Page(shown, f"{now_us}.{urgency(shown[-1], now_us)}.{shown[-1].id}" if more else "")


def ordered(cards: Iterable[HoldCard], now_us: int) -> list[HoldCard]:
    """The most urgent first."""
    return sorted(cards, key=lambda card: (urgency(card, now_us), card.id))


def meets(card: HoldCard, principal: Principal, wanted: Wanted) -> bool:
    """Whether this hold is among those wanted."""
    return (
        wanted.stage in {"", card.stage}
        and (not wanted.rule or wanted.rule in card.rules)
        and wanted.mine in {None, is_own(principal, card)}
        and (wanted.any_turn or is_own(principal, card) or not is_others_turn(principal, card))
    )


def _read(cursor: str) -> tuple[int, tuple[int, str]]:
    found = _CURSOR.match(cursor)
    if found is None:
        message = "after must be what the page before said, unchanged."
        raise BadRequest(message, param="after", code="bad_cursor")
    return int(found[1]), (int(found[2]), found[3])
