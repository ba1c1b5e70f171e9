"""What the rules say of an answer and of the tool calls in it, before anybody sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sekisho.model.decision import Decision, Effect, HoldTerms


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to the rules about an answer: `tool` is the function that would be called."""

    stage: str
    tool: str | None
    document: Mapping[str, Any]
    decision: Decision


@dataclass(frozen=True, slots=True)
class Verdict:
    """`effect` and what follows from it.

    `terms` are there where people have to answer. `cause` and `notice` say why something is not
    given on: a notice without `refused` takes the place of tool calls, `refused` ends the whole
    answer. `rewritten` is the answer as obligations changed it, None where they did not. Of `asked`
    so many of the first are in the ledger already: a grant answered them, or an `opening`.
    """

    effect: Effect
    asked: tuple[Asked, ...] = ()
    terms: HoldTerms | None = None
    cause: str = ""
    notice: str = ""
    refused: Decision | None = None
    rewritten: dict[str, Any] | None = None
    recorded: int = 0
    opening: str = ""


UNTOUCHED = Verdict(Effect.ALLOW)
"""There was nothing to ask."""
