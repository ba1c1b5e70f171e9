"""Builds the live state of holds from the ledger, which is the record of what was decided.

Runs before a restarted store is opened, and for a single hold when store and ledger differ. What
the ledger has is applied; what it does not have is pending again. Nothing that has an intent is
ever sent again: with an outcome it is failed (its answer is lost), without one it is unknown,
unless the store still knows the live claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from sekisho.holding import names, record
from sekisho.model.decision import FIRST_STEP
from sekisho.model.hold import Hold, HoldState, Justification, ProposalKind, Review
from sekisho.ports import HoldStore, Ledger, LedgerHold, Restoration

_log = structlog.get_logger("sekisho.holds")


async def reapply(store: HoldStore, ledger: Ledger) -> int:
    """Restore every hold of the ledger whose time is not over; returns how many there were.

    One record that cannot be read is reported and left out: it must not keep all others closed.
    Raises Unavailable if ledger or store cannot be used.
    """
    snapshot_us = await store.now_us()
    holds = await ledger.open_holds()
    for known in holds:
        try:
            restoration = _restoration(known, ledger.origin, snapshot_us)
        except (ValueError, KeyError) as error:
            _log.error("hold cannot be rebuilt", hold=known.hold, cause=type(error).__name__)
            continue
        state = await store.restore(restoration)
        _log.info("hold applied from the ledger", hold=known.hold, state=state)
    return len(holds)


async def restore_one(store: HoldStore, ledger: Ledger, hold_id: str) -> bool:
    """Restore one hold. False: the ledger does not have it among those whose time is not over.

    Raises Unavailable, and ValueError if its record cannot be read.
    """
    snapshot_us = await store.now_us()
    for known in await ledger.open_holds():
        if known.hold == hold_id:
            await store.restore(_restoration(known, ledger.origin, snapshot_us))
            return True
    return False


def _restoration(known: LedgerHold, origin: str, snapshot_us: int) -> Restoration:
    hold = record.decode(known.record)
    if hold.id != known.hold:
        raise ValueError("the record belongs to another hold")
    reviews = [_review(hold.id, said) for said in known.reviews if said["version"] == hold.version]
    decided = [
        (
            names.decision_id(
                hold.id,
                hold.version,
                "review",
                names.speaker(one.reviewer, one.person),
                one.decision,
            ),
            one,
        )
        for one in reviews
    ]
    state, outcome = _stands(hold, known)
    why = _justification(hold, known)
    said_for = why.version if why else hold.version
    answered_us = [one.at_us for one in reviews] + ([why.at_us] if why else [])
    return Restoration(
        hold=hold,
        state=state,
        reviews=decided,
        settled_by=_settled_by(known, decided),
        justification=why,
        justified_by=names.decision_id(hold.id, said_for, ProposalKind.JUSTIFY, "", ""),
        settled_index=known.settled_index,
        origin=origin,
        outcome=outcome,
        settled_us=max(answered_us, default=hold.created_us),
        snapshot_us=snapshot_us,
    )


def _stands(hold: Hold, known: LedgerHold) -> tuple[HoldState, str]:
    """State and cause by the ledger alone."""
    if known.settled is None:
        return HoldState.PENDING, ""
    # An answer stands in its hold, so it can be released again; a request is never sent again.
    if not known.intent or hold.stage != "request":
        return HoldState(known.settled["state"]), ""
    if known.outcome is None or known.outcome == "unknown":
        return HoldState.UNKNOWN, "session_lost"
    return HoldState.FAILED, "answer_lost"


def _settled_by(known: LedgerHold, decided: list[tuple[str, Review]]) -> str:
    """The decision id that settled it, so that a proposer whose reply was lost finds it done."""
    if known.settled is None:
        return ""
    kinds = {"expired": ProposalKind.EXPIRE, "withdrawn": ProposalKind.WITHDRAW}
    kind = kinds.get(known.settled["state"])
    if kind is None and decided:
        return decided[-1][0]
    if kind is None:  # nobody was to review it
        version = known.settled["version"]
        by = ProposalKind.JUSTIFY if known.justified else ProposalKind.START
        return names.decision_id(known.hold, version, by, "", "")
    person = "" if kind is ProposalKind.EXPIRE else record.decode(known.record).behind
    return names.decision_id(known.hold, known.settled["version"], kind.value, person, "")


def _justification(hold: Hold, known: LedgerHold) -> Justification | None:
    said = known.justified
    if said is None or said["version"] > hold.version:
        return None  # one of a version before is there only where its bytes are the same
    return Justification(
        id=said["id"],
        hold=hold.id,
        version=said["version"],
        person=said["person"],
        reason=said["reason"],
        binding=said["binding"],
        at_us=said["at_us"],
    )


def _review(hold_id: str, said: Mapping[str, Any]) -> Review:
    return Review(
        id=said["id"],
        hold=hold_id,
        version=said["version"],
        reviewer=said["reviewer"],
        person=said["person"],
        decision=said["decision"],
        reason=said["reason"],
        binding=said["binding"],
        at_us=said["at_us"],
        counts_for=tuple(said.get("counts_for") or ()),
        step=said.get("step", FIRST_STEP),
        relief=said.get("relief", ""),
    )
