"""What a verification found: a verdict, what is wrong and where, and what the verdict leaves open.

Verdicts: 0 sound, 1 tampered, 2 cannot tell. Doubt is never called sound.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any


class Verdict(IntEnum):
    """The exit code of `sekisho-audit verify`."""

    SOUND = 0
    TAMPERED = 1
    CANNOT_TELL = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it must be, and where."""

    what: str
    file: str | None = None
    offset: int | None = None
    index: int | None = None

    def __str__(self) -> str:
        """For people: place first."""
        place = [] if self.file is None else [self.file]
        if self.offset is not None:
            place.append(f"byte {self.offset}")
        if self.index is not None:
            place.append(f"event {self.index}")
        return f"{', '.join(place)}: {self.what}" if place else self.what


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a payload whose keys were disclosed; `state` is one of disclosed.py. `bytes`
    were opened; `text` is there only if it is to be shown.
    """

    index: int
    event: str
    name: str
    state: str
    bytes: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Anchored:
    """The first `size` events existed at `time` (UTC), says `by`; what follows event `logged`, if
    that is recorded, is younger.
    """

    by: str
    size: int
    time: str
    logged: int | None = None

    def __str__(self) -> str:
        """For people."""
        since = "" if self.logged is None else f"; events after {self.logged} are younger"
        return f"the first {self.size} events existed at {self.time}, says {self.by}{since}"


@dataclass(slots=True)
class Report:
    """What was found. `notes` limit what the verdict says; they are part of it."""

    verdict: Verdict = Verdict.SOUND
    origin: str = ""
    size: int = 0
    pruned: int = 0
    root: str = ""
    signed_size: int = 0
    unsigned_events: int = 0
    open_intents: int = 0
    clock_steps_back: int = 0
    content_read: bool = True
    payloads: int = 0
    payloads_unnamed: int = 0
    types: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    anchors: list[Anchored] = field(default_factory=list)
    proved: list[str] = field(default_factory=list)
    disclosed: list[Told] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    doubts: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "verdict": int(self.verdict), "says": self.verdict.name.lower()}
