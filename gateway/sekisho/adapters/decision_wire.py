"""The wire contract with Rego: what goes in (`sekisho.input/v1`) and what may come back.

Policy is written by people who do not run the gateway, so its answer is read as strictly as a
request from outside: a key, type or obligation that is not in these models is refused, and the
caller turns that into a deny. policies/schema/*.json are generated from here and compared in a
test. Change a model only together with the schema version in its name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sekisho.model.decision import (
    Decision,
    Effect,
    HoldTerms,
    Obligations,
    Reason,
    Threshold,
)

INPUT_SCHEMA = "sekisho.input/v1"
DECISION_SCHEMA = "sekisho.decision/v1"

REASONS_MAX = 64  # a refusal that names more rules than this helps nobody
MSG_CHARS_MAX = 1000  # a reason is a sentence or two; the ledger cuts at half of this
THRESHOLDS_MAX = 8  # groups of people that one hold may ask
REVIEWS_MAX = 20  # reviews that one group may be asked for
HOLD_TTL_S_MAX = 7 * 86_400  # after a week nobody remembers what was asked
RETAIN_DAYS_MAX = 3650  # ten years, the longest duty to keep records that we know of
NAMES_MAX = 256  # tools, entity kinds or addresses in one list
TOKENS_MAX = 10_000_000  # above any context window there is

Stage = Literal["request", "tool_call", "response"]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Count = Annotated[int, Field(ge=0)]


class Wire(BaseModel):
    """Strict: no coercion, no unknown key."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class ReasonWire(Wire):
    """Why, for machines, for the person, for the admin."""

    code: Code
    msg: str = Field(min_length=1, max_length=MSG_CHARS_MAX)
    rule: Name


class ThresholdWire(Wire):
    """How many reviews of which reviewers approve, and how many deny."""

    reviewers: Name
    approve: int = Field(ge=1, le=REVIEWS_MAX)
    deny: int = Field(ge=1, le=REVIEWS_MAX)


class HoldWire(Wire):
    """The terms of a hold."""

    stage: Stage
    thresholds: list[ThresholdWire] = Field(min_length=1, max_length=THRESHOLDS_MAX)
    ttl_s: int = Field(ge=1, le=HOLD_TTL_S_MAX)
    risk: int = Field(ge=0, le=100)


class ObligationsWire(Wire):
    """What the gateway must do as a condition; absent where policy asks nothing."""

    redact: list[Name] = Field(default=[], max_length=NAMES_MAX)
    hold: HoldWire | None = None
    route: Name | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=TOKENS_MAX)
    allow_tools: list[Name] | None = Field(default=None, max_length=NAMES_MAX)
    label_output: bool = False
    justify: bool = False
    retain_days: int | None = Field(default=None, ge=0, le=RETAIN_DAYS_MAX)
    log_level: Literal["metadata", "redacted", "full"] = "redacted"
    review_response: bool = False
    notify: list[Name] = Field(default=[], max_length=NAMES_MAX)


class DecisionWire(Wire):
    """The answer of `data.sekisho.decision`. The revision is not in it: the adapter stamps it."""

    schema_: Literal["sekisho.decision/v1"] = Field(alias="schema")
    effect: Literal["allow", "hold", "deny"]
    reasons: list[ReasonWire] = Field(max_length=REASONS_MAX)
    obligations: ObligationsWire

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        hold = self.obligations.hold
        if self.effect == "hold" and hold is None:
            message = "effect hold without the terms of the hold"
            raise ValueError(message)
        if self.effect == "allow" and hold is not None and hold.stage == "request":
            message = "effect allow with a hold of the request"
            raise ValueError(message)
        if self.effect != "allow" and not self.reasons:
            message = f"effect {self.effect} without a reason"
            raise ValueError(message)
        return self


class PrincipalWire(Wire):
    """Who asks. `training_until` is when the person's training runs out, seconds since 1970."""

    id: Name
    groups: list[Name]
    roles: list[Name]
    training_until: Count | None
    authentication: Literal["api_key", "oidc", "header", "certificate", "service"]


class RequestWire(Wire):
    """What is asked. `backend` and `trust` are null where no backend offers the model."""

    endpoint: Name
    model: Name
    assistant: Name | None
    backend: Name | None
    trust: Literal["external", "region", "onprem"] | None
    mode: Literal["assistant", "copilot"]
    stream: bool
    max_tokens: int | None
    estimated_tokens: Count
    tools: list[str]
    hosted: list[str]
    unknown_fields: list[str]


class ToolWire(Wire):
    """A proposed tool call; stage tool_call only. Arguments are cut at 16 KB by the gateway."""

    name: Name
    arguments: dict[str, Any]


class ContentWire(Wire):
    """What the scanner saw, never the text. `opaque_chars` could not be looked into."""

    labels: list[Name]
    entities: dict[str, Annotated[int, Field(ge=1)]]
    chars: Count
    hidden_chars: Count
    opaque_chars: Count
    size: Literal["small", "medium", "large", "huge"]


class ApprovalWire(Wire):
    """Reviews so far: `approved` only when the decision is asked again at release."""

    state: Literal["none", "approved"]
    by: list[Name]


class ContextWire(Wire):
    """Around the request. Time comes from here, because policies may not read a clock."""

    time_ns: Count
    office_hours: bool
    ip: str
    spend: dict[str, int] | None
    limits: dict[str, int] | None
    halt: bool


class InputWire(Wire):
    """Rego's `input`."""

    schema_: Literal["sekisho.input/v1"] = Field(alias="schema")
    stage: Stage
    exchange: Name
    principal: PrincipalWire
    request: RequestWire
    tool: ToolWire | None
    content: ContentWire
    approval: ApprovalWire
    context: ContextWire


def to_decision(wire: DecisionWire, *, revision: str, engine: str, took_us: int) -> Decision:
    """The frozen value the line works with."""
    asked = wire.obligations
    return Decision(
        effect=Effect(wire.effect),
        reasons=tuple(Reason(r.code, r.msg, r.rule) for r in wire.reasons),
        revision=revision,
        obligations=Obligations(
            redact=tuple(asked.redact),
            hold=_terms(asked.hold),
            route=asked.route,
            max_tokens=asked.max_tokens,
            allow_tools=None if asked.allow_tools is None else tuple(asked.allow_tools),
            label_output=asked.label_output,
            justify=asked.justify,
            retain_days=asked.retain_days,
            log_level=asked.log_level,
            review_response=asked.review_response,
            notify=tuple(asked.notify),
        ),
        engine=engine,
        took_us=took_us,
    )


def _terms(hold: HoldWire | None) -> HoldTerms | None:
    if hold is None:
        return None
    return HoldTerms(
        stage=hold.stage,
        thresholds=tuple(Threshold(t.reviewers, t.approve, t.deny) for t in hold.thresholds),
        ttl_s=hold.ttl_s,
        risk=hold.risk,
    )
