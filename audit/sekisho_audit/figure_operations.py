"""How people review, as it is asked on a socket.

Figures of everybody are recorded before they are told, as `audit.search`: who looks at how others
work is on record like who searches what they said. One's own are told without a record.
"""

from __future__ import annotations

from typing import Any

from sekisho_audit.desks import kept
from sekisho_audit.errand import Errand, Operation
from sekisho_audit.following import Question
from sekisho_audit.search_operations import answer_recorded
from sekisho_audit.wire import Malformed

_HISTORY = "index of exchanges"


def _figures(errand: Errand) -> None:
    since_us, people_min = _since(errand), errand.whole("people_min")
    if people_min < 1:
        raise Malformed("people_min is at least 1")

    def told(found: dict[str, Any]) -> dict[str, Any]:
        counted = found["total"]["decisions"]
        return {"kind": "figures", "found": counted, "indexed": found["indexed"]}

    answer_recorded(
        errand,
        kept(errand.server.desks.history, _HISTORY),
        errand.text("actor"),
        f"figures since_us:{since_us}",
        ask=lambda archive: archive.figures(since_us, people_min),
        told=told,
    )


def _own_figures(errand: Errand) -> None:
    principal, since_us = errand.text("principal"), _since(errand)
    history = kept(errand.server.desks.history, _HISTORY)
    history.submit(
        Question(
            lambda archive: archive.own_figures(principal, since_us),
            errand.answer_now,
            errand.fail_now,
        )
    )


def _since(errand: Errand) -> int:
    since_us = errand.whole("since_us")
    if not 0 <= since_us < 2**62:
        raise Malformed("since_us is a time")
    return since_us


FIGURE_OPERATIONS: dict[str, Operation] = {"figures": _figures, "own_figures": _own_figures}
