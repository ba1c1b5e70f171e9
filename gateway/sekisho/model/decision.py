"""Policy's answer: an effect, the obligations that come with it, the reasons, the revision.

These are the values the line works with. Their wire form (`sekisho.decision/v1`) is checked by the
policy adapter, which refuses unknown keys, so whatever reaches this module is complete and known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

FIRST_STEP = 1


class Effect(StrEnum):
    """Deny beats hold beats allow."""

    ALLOW = "allow"
    HOLD = "hold"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: `code` for machines, `msg` for the person refused, `rule` for the admin who wrote it.

    `msg` is English; `texts` has the same in other languages, by their code.
    """

    code: str
    msg: str
    rule: str
    texts: Mapping[str, str] = field(default_factory=dict)

    def said_in(self, language: str) -> str:
        """The sentence in `language`, else in English."""
        return self.texts.get(language, self.msg)


@dataclass(frozen=True, slots=True)
class Observed:
    """What a pack in mode observe or warn would have done: deny, hold, or an obligation whose name
    is then the code.
    """

    mode: str
    effect: str
    code: str
    rule: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """How many reviews of which reviewers (a role or a group) approve, and how many deny. They are
    asked when all steps before `step` have their approvals. `relief` are groups who may answer in
    their place when most of the time is gone.
    """

    reviewers: str
    approve: int
    deny: int
    step: int = FIRST_STEP
    relief: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """As it is written down: without a step it is of the first, as all were once, and without
        relief there is none.
        """
        more: dict[str, Any] = {"step": self.step} if self.step > FIRST_STEP else {}
        more |= {"relief": list(self.relief)} if self.relief else {}
        return {"reviewers": self.reviewers, "approve": self.approve, "deny": self.deny, **more}


@dataclass(frozen=True, slots=True)
class HoldTerms:
    """What a hold asks for. `ttl_s` is the time people have, `office_time`: counted only while the
    office is open; silence never approves.

    `stage` is what is held: the request, a tool call that the model proposes, or the answer.
    `rules` are those behind a hold of a later stage; `no_grant`: no standing grant answers it,
    `no_break_glass`: no opening does.
    """

    stage: str
    thresholds: tuple[Threshold, ...]
    ttl_s: int
    risk: int
    rules: tuple[str, ...] = ()
    no_grant: bool = False
    office_time: bool = False
    no_break_glass: bool = False


@dataclass(frozen=True, slots=True)
class Obligations:
    """What the gateway must do as a condition; None or empty where policy asks nothing.

    Obligations only restrict. One that cannot be carried out is a deny. `hold` is of the stage that
    was asked about; `hold_later` are the terms of later stages, which hold then whatever else is
    decided there.
    """

    redact: tuple[str, ...] = ()
    hold: HoldTerms | None = None
    hold_later: tuple[HoldTerms, ...] = ()
    route: str | None = None
    max_tokens: int | None = None
    allow_tools: tuple[str, ...] | None = None
    label_output: bool = False
    justify: bool = False
    retain_days: int | None = None
    drafts_max: int | None = None
    log_level: str = "redacted"
    review_response: bool = False
    notify: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """`revision` is the digest of the bundle that spoke, stamped by the adapter, never by Rego.
    `memo` says that an equal question had been answered under the same revision before.
    """

    effect: Effect
    reasons: tuple[Reason, ...]
    revision: str
    obligations: Obligations = field(default_factory=Obligations)
    observed: tuple[Observed, ...] = ()
    engine: str = ""
    took_us: int = 0
    memo: bool = False
