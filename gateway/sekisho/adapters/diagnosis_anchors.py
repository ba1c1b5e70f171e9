"""What `sekisho doctor` says about anchors, from what auditd says about them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sekisho.adapters.finding import Finding

_MENDS = {
    "disk": "mount the place, or make room",
    "unreachable": "look at the way there: name, port, firewall, certificate",
    "unsigned": "remove the file that is not ours",
    "ahead": "find out whether the witness is right: docs/howto/anchors.md",
    "clock": "set the clock of this machine, or tell the operator of the other",
}


def anchors(standings: object) -> Iterator[Finding]:
    """One finding for each anchor."""
    if not isinstance(standings, Sequence) or isinstance(standings, str):
        return
    for one in standings:
        if isinstance(one, Mapping):
            yield _anchor(one)


def _anchor(one: Mapping[str, Any]) -> Finding:
    part = f"anchor {one.get('name')}"
    state = one.get("state")
    last = _last(one)
    if state in {"made", "waiting"}:
        return Finding(part, ok=True, said=f"{one.get('kind')}, {last}")
    why = str(one.get("why"))
    mend = _MENDS.get(why.partition(":")[0], "see docs/howto/anchors.md")
    said = f"{one.get('kind')}, failed {one.get('failures')} times in a row ({why}); {last}"
    return Finding(part, ok=False, said=said, mend=mend)


def _last(one: Mapping[str, Any]) -> str:
    made_us = one.get("made_us")
    if not isinstance(made_us, int) or not made_us:
        return "nothing anchored since auditd started"
    ago_s = max(0, int(time.time() - made_us / 1_000_000))
    return f"{one.get('size')} events anchored {ago_s} s ago"
