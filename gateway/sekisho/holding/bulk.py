"""Several holds are answered at once, each with its own binding and a result of its own.

What may be denied one by one may be denied together. Approved together is only what is alike and
of low risk: one rule, one stage, a risk below that from which on care is asked for. Whatever does
not fit refuses the whole before anything is decided; after that one hold is decided after the other
by the same way as alone, and what became of each is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sekisho.errors import BadRequest, NotFound, SekishoError, Unavailable
from sekisho.holding.review import find, review
from sekisho.model.care import RISK_OF_CARE
from sekisho.model.hold import Hold, HoldView
from sekisho.model.principal import Principal
from sekisho.model.steps import APPROVE, DENY
from sekisho.ports import HoldStore, Ledger

AT_ONCE_MAX = 20  # what fits a screen, so that it can have been looked at


@dataclass(frozen=True, slots=True)
class Asked:
    """One of the holds, as it was shown."""

    hold: str
    binding: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one: the hold as it is now, or why nothing was decided about it."""

    hold: str
    view: HoldView | None = None
    error: SekishoError | None = None


async def review_all(
    store: HoldStore,
    ledger: Ledger,
    reviewer: Principal,
    asked: Sequence[Asked],
    *,
    decision: str,
    reason: str,
) -> list[Done]:
    """Answer each of `asked` in turn, all alike.

    Raises BadRequest (`bulk_refused`) before anything was decided. What one of them raises is in
    its result; a part that is down ends the rest, which are told so.
    """
    _check(asked, decision)
    if decision == APPROVE:
        _check_alike([hold for one in asked if (hold := await _seen(store, reviewer, one))])
    done: list[Done] = []
    down: Unavailable | None = None
    for one in asked:
        try:
            if down is not None:
                raise down
            view = await review(
                store,
                ledger,
                reviewer,
                one.hold,
                decision=decision,
                binding=one.binding,
                reason=reason,
                version=one.version,
            )
        except SekishoError as error:
            done.append(Done(one.hold, error=error))
            down = error if isinstance(error, Unavailable) else None
        else:
            done.append(Done(one.hold, view))
    return done


async def _seen(store: HoldStore, reviewer: Principal, one: Asked) -> Hold | None:
    """The hold to judge; what is not there is told in its own result."""
    try:
        return (await find(store, reviewer, one.hold)).hold
    except NotFound:
        return None


def _check(asked: Sequence[Asked], decision: str) -> None:
    if decision not in {APPROVE, DENY}:
        raise BadRequest("decision must be approve or deny.", param="decision")
    if not 1 <= len(asked) <= AT_ONCE_MAX:
        raise _refused(f"Between 1 and {AT_ONCE_MAX} holds are answered at once.")
    if len({one.hold for one in asked}) < len(asked):
        raise _refused("One hold is named twice.")


def _check_alike(holds: Sequence[Hold]) -> None:
    """Whether these may be approved together. A version that is filed meanwhile has another
    binding, so what was judged here is what is approved.
    """
    if any(hold.risk >= RISK_OF_CARE for hold in holds):
        raise _refused(
            f"Holds of risk {RISK_OF_CARE} and more are approved one by one. Nothing was decided."
        )
    if len({(hold.stage, frozenset(hold.rules)) for hold in holds}) > 1:
        raise _refused(
            "Only holds of one rule and one stage are approved together. Nothing was decided."
        )


def _refused(message: str) -> BadRequest:
    return BadRequest(message, param="holds", code="bulk_refused")
