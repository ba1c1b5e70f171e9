"""The half of the contract with Rego that comes back: `sekisho.decision/v1`.

Policy is written by people who do not run the gateway, so its answer is read as strictly as a
request from outside: a key, type or obligation that is not in these models is refused, and the
caller turns that into a deny. policies/schema/decision.json and docs/reference/policy.md are
generated from here and compared in a test. Change a model only together with the schema version in
its name. What goes in is in `input_wire`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sekisho.model.decision import (
    FIRST_STEP,
    Decision,
    Effect,
    HoldTerms,
    Obligations,
    Observed,
    Reason,
    Threshold,
)

DECISION_SCHEMA = "sekisho.decision/v1"

REASONS_MAX = 64  # a refusal that names more rules than this helps nobody
OBSERVED_MAX = 64  # as many as an event tells; the fold cuts there
MSG_CHARS_MAX = 1000  # a reason is a sentence or two; the ledger cuts at half of this
THRESHOLDS_MAX = 8  # groups of people that one hold may ask
RELIEF_MAX = THRESHOLDS_MAX  # groups that may answer in the place of one
LATER_MAX = 2  # tool calls and the answer
STEPS_MAX = THRESHOLDS_MAX  # one group after the other
REVIEWS_MAX = 20  # reviews that one group may be asked for
HOLD_TTL_S_MAX = 7 * 86_400  # after a week nobody remembers what was asked
DRAFTS_MAX = 100  # more open answers than that nobody keeps in mind
RETAIN_DAYS_MAX = 3650  # ten years, the longest duty to keep records that we know of
NAMES_MAX = 256  # tools, entity kinds or addresses in one list
TOKENS_MAX = 10_000_000  # above any context window there is

Language = Literal["zh", "ja"]
Stage = Literal["request", "tool_call", "response"]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Wire(BaseModel):
    """Strict: no coercion, no unknown key."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


Msg = Annotated[str, Field(min_length=1, max_length=MSG_CHARS_MAX)]


class ReasonWire(Wire):
    """Why, for machines, for the person, for the admin."""

    code: Code = Field(description="For machines; stable. Names what the rule is about.")
    msg: str = Field(
        min_length=1,
        max_length=MSG_CHARS_MAX,
        description="For the person: what is wrong and what to do next.",
    )
    texts: dict[Language, Msg] = Field(
        default={}, description="The same in other languages; English where one is not there."
    )
    rule: Name = Field(description="For the admin: the rule package that said it, set by the fold.")


class ThresholdWire(Wire):
    """How many reviews of which reviewers approve, and how many deny."""

    reviewers: Name = Field(description="A role or a group.")
    approve: int = Field(ge=1, le=REVIEWS_MAX, description="Reviews that approve.")
    deny: int = Field(ge=1, le=REVIEWS_MAX, description="Reviews that deny.")
    step: int = Field(
        default=FIRST_STEP,
        ge=FIRST_STEP,
        le=STEPS_MAX,
        description="They are asked when all steps before have their approvals.",
    )
    relief: list[Name] = Field(
        default=[],
        max_length=RELIEF_MAX,
        description="Groups or roles that may answer in their place when most of the time is gone.",
    )


class HoldWire(Wire):
    """The terms of a hold."""

    stage: Stage = Field(description="What is held: the request, a tool call or the answer.")
    thresholds: list[ThresholdWire] = Field(
        min_length=1, max_length=THRESHOLDS_MAX, description="All of them have to be met."
    )
    ttl_s: int = Field(
        ge=1, le=HOLD_TTL_S_MAX, description="How long people have. Silence never approves."
    )
    risk: int = Field(ge=0, le=100, description="For the order in which reviewers see holds.")
    rules: list[Name] = Field(
        default=[],
        max_length=REASONS_MAX,
        description="Rule packages behind a hold of a later stage, set by the fold.",
    )
    no_grant: bool = Field(default=False, description="No standing grant answers this hold.")
    office_time: bool = Field(
        default=False, description="The time is counted only while the office is open."
    )
    no_break_glass: bool = Field(
        default=False, description="No opening answers this hold, in no emergency."
    )


class ObligationsWire(Wire):
    """What the gateway must do as a condition; absent where policy asks nothing."""

    redact: list[Name] = Field(
        default=[], max_length=NAMES_MAX, description="Kinds of entities to mask in the text."
    )
    hold: HoldWire | None = Field(default=None, description="People answer first, on these terms.")
    hold_later: list[HoldWire] = Field(
        default=[],
        max_length=LATER_MAX,
        description="Terms on which a later stage is held, at most one of each stage.",
    )
    route: Name | None = Field(default=None, description="The only backend it may go to.")
    max_tokens: int | None = Field(
        default=None, ge=1, le=TOKENS_MAX, description="The longest answer, in tokens."
    )
    allow_tools: list[Name] | None = Field(
        default=None,
        max_length=NAMES_MAX,
        description="The only functions that may be offered to the model; an empty list: none.",
    )
    label_output: bool = Field(default=False, description="Say in the answer that a model made it.")
    justify: bool = Field(default=False, description="The person gives a reason first.")
    retain_days: int | None = Field(
        default=None, ge=0, le=RETAIN_DAYS_MAX, description="Days that content is kept."
    )
    drafts_max: int | None = Field(
        default=None,
        ge=1,
        le=DRAFTS_MAX,
        description="So many answers may be left open of which whoever asked has not said what "
        "became of them.",
    )
    log_level: Literal["metadata", "redacted", "full"] = Field(
        default="redacted", description="What of the content the ledger keeps."
    )
    review_response: bool = Field(
        default=False, description="Somebody looks at the answer before it is delivered."
    )
    notify: list[Name] = Field(
        default=[], max_length=NAMES_MAX, description="Channels of the settings that are told."
    )


class ObservedWire(Wire):
    """What a pack that is not enforced would have done."""

    mode: Literal["observe", "warn"] = Field(description="The mode of the pack.")
    effect: Literal["deny", "hold", "obligation"] = Field(description="What it would have done.")
    code: Code = Field(description="Of the reason, or the name of the obligation.")
    rule: Name = Field(description="The rule package, set by the fold.")


class DecisionWire(Wire):
    """The answer of `data.sekisho.decision`. The revision is not in it: the adapter stamps it."""

    schema_: Literal["sekisho.decision/v1"] = Field(
        alias="schema", description="Which contract the answer follows."
    )
    effect: Literal["allow", "hold", "deny"] = Field(description="Deny beats hold beats allow.")
    reasons: list[ReasonWire] = Field(
        max_length=REASONS_MAX, description="Why; at least one unless the effect is allow."
    )
    obligations: ObligationsWire = Field(description="What has to be done as a condition.")
    observed: list[ObservedWire] = Field(
        default=[],
        max_length=OBSERVED_MAX,
        description="What packs in mode observe or warn would have done; for the record.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        hold = self.obligations.hold
        if self.effect == "hold" and hold is None:
            message = "effect hold without the terms of the hold"
            raise ValueError(message)
        if self.effect == "allow" and hold is not None:
            message = "effect allow with a hold of this stage"
            raise ValueError(message)
        stages = [one.stage for one in self.obligations.hold_later]
        if "request" in stages or len(set(stages)) < len(stages):
            message = "hold_later is of later stages, and of each once"
            raise ValueError(message)
        if self.effect != "allow" and not self.reasons:
            message = f"effect {self.effect} without a reason"
            raise ValueError(message)
        return self


def to_decision(wire: DecisionWire, *, revision: str, engine: str, took_us: int) -> Decision:
    """The frozen value the line works with."""
    asked = wire.obligations
    return Decision(
        effect=Effect(wire.effect),
        reasons=tuple(
            Reason(r.code, _plain(r.msg), r.rule, _by_language(r.texts)) for r in wire.reasons
        ),
        revision=revision,
        obligations=Obligations(
            redact=tuple(asked.redact),
            hold=None if asked.hold is None else _terms(asked.hold),
            hold_later=tuple(map(_terms, asked.hold_later)),
            route=asked.route,
            max_tokens=asked.max_tokens,
            allow_tools=None if asked.allow_tools is None else tuple(asked.allow_tools),
            label_output=asked.label_output,
            justify=asked.justify,
            retain_days=asked.retain_days,
            drafts_max=asked.drafts_max,
            log_level=asked.log_level,
            review_response=asked.review_response,
            notify=tuple(asked.notify),
        ),
        observed=tuple(Observed(o.mode, o.effect, o.code, o.rule) for o in wire.observed),
        engine=engine,
        took_us=took_us,
    )


def _by_language(texts: Mapping[Language, str]) -> dict[str, str]:
    return {str(language): _plain(text) for language, text in texts.items()}


def _plain(text: str) -> str:
    """On one line, with every sign that hides, turns or moves text written out: rules put names of
    tools and members into their sentences, which a client chose.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else f"<U+{ord(sign):04X}>" for sign in text)


def _terms(hold: HoldWire) -> HoldTerms:
    return HoldTerms(
        stage=hold.stage,
        thresholds=tuple(
            Threshold(t.reviewers, t.approve, t.deny, t.step, tuple(t.relief))
            for t in hold.thresholds
        ),
        ttl_s=hold.ttl_s,
        risk=hold.risk,
        rules=tuple(hold.rules),
        no_grant=hold.no_grant,
        office_time=hold.office_time,
        no_break_glass=hold.no_break_glass,
    )
