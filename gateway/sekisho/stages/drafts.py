"""drafts: whoever asks first says what became of earlier answers, where the rules want that.

The rules' `drafts_max` is how many answers a person may have left open. They are counted here from
the person's history, to refuse early and to name them; auditd counts once more when the request is
about to leave, and its count is the one that holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sekisho.errors import DraftsOutstanding
from sekisho.model.decision import Decision
from sekisho.model.principal import Principal
from sekisho.ports import Ledger

HISTORY = 100  # newest exchanges of which anything was sent; the ledger knows them all
PAGES_MAX = 10  # that many tries may be among them, each refused
NAMED_MAX = 5


async def check_drafts(decision: Decision, principal: Principal, ledger: Ledger) -> None:
    """Raises DraftsOutstanding if too many answers of this principal are open, or
    LedgerUnavailable.
    """
    most = decision.obligations.drafts_max
    if most is None:
        return
    waiting = await open_drafts(principal, ledger)
    if len(waiting) >= most:
        raise outstanding([str(one["id"]) for one in waiting])


async def open_drafts(principal: Principal, ledger: Ledger) -> list[Mapping[str, Any]]:
    """The exchanges of which this principal has not said what became of the answer, as the history
    tells them, the newest first. Raises LedgerUnavailable.
    """
    found: list[Mapping[str, Any]] = []
    sent, after = 0, ""
    for _ in range(PAGES_MAX):
        page = await ledger.exchanges(principal.id, after, HISTORY)
        found += [one for one in page.data if _is_open(one)]
        sent += sum(bool(one["sends"]) for one in page.data)
        after = page.after
        if not after or sent >= HISTORY:
            break
    return found


def outstanding(exchanges: Sequence[str] = ()) -> DraftsOutstanding:
    """The refusal; it names some of the exchanges, the newest first, where they are known."""
    named = f": {', '.join(exchanges[:NAMED_MAX])}" if exchanges else ""
    return DraftsOutstanding(
        "Say first what became of answers that you have had" + named + ". In a browser, on the "
        "page /drafts of this gateway; in a terminal, for each: sekisho draft EXCHANGE accepted "
        "(or edited, or rejected). Nothing was sent; then send this again."
    )


def _is_open(exchange: Mapping[str, Any]) -> bool:
    if not exchange.get("draft_wanted") or exchange.get("draft") is not None:
        return False
    outcomes = [send["outcome"] for send in exchange["sends"] if send["outcome"] is not None]
    given = any(one["status"] == "released" or one.get("chunks") for one in outcomes)
    return given or (exchange["hold"] or {}).get("released") is not None
