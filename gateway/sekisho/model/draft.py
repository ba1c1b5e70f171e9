"""What a person makes of an answer; until then it is a draft."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DraftSaid:
    """`decision` is accepted, edited or rejected. `draft_sha256` and `final_sha256` name the answer
    as it was used and what was made of it: hex, empty where they are not told.
    """

    decision: str
    draft_sha256: str = ""
    final_sha256: str = ""
