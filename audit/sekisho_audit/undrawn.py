"""Exchanges that the key draws, though no draw of them is on record: who should have told it died.

A worker tells a draw beside its outcome or within minutes. One that is killed in between tells
none; since the key decides, anybody can tell it later, and it is the same. Here is what is looked
for: what was given out on the terms in force and is old enough that nobody is about to tell it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sekisho_audit.errors import Refused
from sekisho_audit.sample_draw import WHOLE, is_drawn
from sekisho_audit.sample_rules import Given, SampleRules

OLD_US = 15 * 60 * 1_000_000  # a worker that lives goes on trying for ten minutes
EXAMINED_MAX = 500  # two derivations each, in the thread that appends

NameOf = Callable[[str], str | None]
"""The principal behind a pseudonym; None where they were erased."""

KeysOf = Callable[[str, str], tuple[bytes, bytes]]
"""Content and commitment key of a principal's exchange. Raises Refused."""


def undrawn(
    rules: SampleRules, after: int, now_us: int, name_of: NameOf, keys_of: KeysOf
) -> dict[str, Any]:
    """Those given out at a place behind `after`, in their order; `after` is where to go on.

    The share goes by a risk that leaves do not tell, so the larger one counts: whoever draws
    compares again.
    """
    old = [
        (exchange, given)
        for exchange, given in rules.given.items()
        if given.out and given.n > after and given.ts <= now_us - OLD_US
    ]
    old = sorted(old, key=lambda one: one[1].n)[:EXAMINED_MAX]
    found = [_told(rules, *one, name_of, keys_of) for one in old]
    last = old[-1][1].n if old else after
    return {"undrawn": [one for one in found if one is not None], "after": last}


def _told(
    rules: SampleRules, exchange: str, given: Given, name_of: NameOf, keys_of: KeysOf
) -> dict[str, Any] | None:
    share, principal = _share(rules, exchange, given), name_of(given.principal or "")
    if not share or not principal:
        return None
    try:
        _, commit = keys_of(principal, exchange)
    except Refused:  # erased meanwhile, or their keys are at an end
        return None
    opening = rules.opened.get(exchange, "")
    told = {"exchange": exchange, "principal": principal, "opening": opening}
    return told if is_drawn(commit, exchange, share) else None


def _share(rules: SampleRules, exchange: str, given: Given) -> int:
    """Of what was given out before the terms in force nothing is drawn by them."""
    if exchange in rules.opened:
        return WHOLE
    terms = max(rules.terms.values(), key=lambda leaf: int(leaf["n"]), default=None)
    if terms is None or given.n < terms["n"]:
        return 0
    return max(int(terms["data"]["per_10000"]), int(terms["data"]["per_10000_at_risk"]))
