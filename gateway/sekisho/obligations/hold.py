"""hold: people answer before what is decided about goes on.

Which of them are carried out: a hold is of the very stage that policy is asked about, since what
has happened cannot be held any more; one that is meant for later stands in `hold_later`, is of a
stage that is still to come, and is kept whatever is decided there.
"""

from __future__ import annotations

from collections.abc import Iterator

from sekisho.model.decision import Obligations

_CALL = "tool_call"
_AFTER = {"request": frozenset({_CALL, "response"}), _CALL: frozenset({"response"})}


def misplaced(asked: Obligations, stage: str) -> Iterator[str]:
    """The names of holds that nobody would be asked about, if `stage` is what is decided about."""
    if asked.hold is not None and asked.hold.stage != stage:
        yield "hold.stage"
    if not _AFTER.get(stage, frozenset()).issuperset(one.stage for one in asked.hold_later):
        yield "hold_later"
