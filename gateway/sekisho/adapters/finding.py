"""One line of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one part. `mend` is a command or a thing to do; with `ok` it is one that
    has time, and it is empty when all is well.
    """

    part: str
    ok: bool
    said: str
    mend: str = ""
