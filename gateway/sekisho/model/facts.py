"""The document policy sees, with what describing it found on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """One hit in one string of the body: where it stands and what kind it is; never its text.

    `path` is the way to the string from the top of the body; `start` and `end` count characters.
    """

    path: tuple[str | int, ...]
    start: int
    end: int
    entity: str


@dataclass(frozen=True, slots=True)
class Facts:
    """`document` is the Rego `input` (`sekisho.input/v1`); `found` serves redaction and the log."""

    document: Mapping[str, Any]
    backend: str
    found: tuple[Found, ...]
