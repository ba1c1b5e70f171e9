"""The half of the contract with Rego that goes in: `sekisho.input/v1`, what rules may look at.

Every member is always there, so that a rule which compares finds something to compare; the text of
a prompt never is. policies/schema/input.json and docs/reference/policy.md are generated from here
and compared in a test; tests hold what `stages.describe` makes against these models. A member may
be added under version 1; change or remove one only together with the version in the name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic.config import JsonDict

from sekisho.adapters.decision_wire import Name, Stage, Wire

INPUT_SCHEMA = "sekisho.input/v1"

Count = Annotated[int, Field(ge=0)]

# JSON Schema has no word for either, so both go under names of our own.
_SECONDS: JsonDict = {"unit": "s since 1970-01-01 UTC"}
_MICROS: JsonDict = {"unit": "millionths of the currency of prices"}
_PERCENT: JsonDict = {"unit": "%, rounded down to tens"}
_TOKENS: JsonDict = {"unit": "tokens"}
_CHARS: JsonDict = {"unit": "characters"}
_OF_TOOL_CALLS: JsonDict = {"stages": ["tool_call"]}


class PrincipalWire(Wire):
    """Who asks."""

    id: Name = Field(description="The person or service account.")
    groups: list[Name] = Field(description="Groups, as the directory names them; sorted.")
    roles: list[Name] = Field(description="Roles in Sekisho, such as employee, reviewer; sorted.")
    training_until: Count | None = Field(
        description="When the person's training runs out; null where nobody said.",
        json_schema_extra=_SECONDS,
    )
    training: Literal["none", "valid", "over"] = Field(
        description="What `training_until` says now; compare this one: it changes once a training."
    )
    authentication: Literal["api_key", "oidc", "header", "certificate", "service"] = Field(
        description="How the credential proved it; `service` for every service account."
    )


class RequestWire(Wire):
    """What is asked."""

    endpoint: Name = Field(description="The API: `chat.completions`.")
    model: Name = Field(description="The model, as the client named it.")
    assistant: Name | None = Field(
        description="The assistant through which it is asked; null without one."
    )
    backend: Name | None = Field(description="Where it would go; null: no backend has the model.")
    trust: Literal["external", "region", "onprem"] | None = Field(
        description="How far the backend is trusted, from the settings; null without a backend."
    )
    mode: Literal["assistant", "copilot"] = Field(
        description="`copilot` where the client offers functions for the model to call."
    )
    stream: bool = Field(description="Whether the answer is wanted in pieces.")
    max_tokens: int | None = Field(
        description="The longest answer asked for; null: no limit.", json_schema_extra=_TOKENS
    )
    estimated_tokens: Count = Field(
        description="Size of the request; errs on the high side.", json_schema_extra=_TOKENS
    )
    tools: list[str] = Field(description="Functions of the client that it offers; sorted.")
    hosted: list[str] = Field(
        description="What would act at the backend, past every hold (web search, code, files)."
    )
    unknown_fields: list[str] = Field(
        description="Members of the body that the known API does not have; sorted."
    )


class ToolWire(Wire):
    """A tool call that the model proposes."""

    name: Name = Field(
        description="The function, which the model may have made up: `request.tools` has those "
        "offered.",
        json_schema_extra=_OF_TOOL_CALLS,
    )
    arguments: dict[str, Any] = Field(
        description="Its arguments; empty where they are longer than 16 KB.",
        json_schema_extra={"unit": "JSON", **_OF_TOOL_CALLS},
    )
    whole: bool = Field(
        description="Whether `arguments` has all of them; false: they are too long to pass on.",
        json_schema_extra=_OF_TOOL_CALLS,
    )


class ContentWire(Wire):
    """What the scanner saw of the text decided about, never the text."""

    labels: list[Name] = Field(description="Labels that words of data.yaml gave the text; sorted.")
    entities: dict[str, Annotated[int, Field(ge=1)]] = Field(
        description="Found personal data and secrets, by kind (email, card, credential_…).",
        json_schema_extra={"unit": "count"},
    )
    chars: Count = Field(description="Length of all text.", json_schema_extra=_CHARS)
    hidden_chars: Count = Field(
        description="Characters that are drawn as nothing.", json_schema_extra=_CHARS
    )
    opaque_chars: Count = Field(
        description="Encoded files and images that could not be looked into.",
        json_schema_extra=_CHARS,
    )
    size: Literal["small", "medium", "large", "huge"] = Field(
        description="`chars` in classes: up to 2,000, 20,000, 200,000, more."
    )


class ApprovalWire(Wire):
    """Reviews so far."""

    state: Literal["none", "approved"] = Field(
        description="`approved` only when the decision is asked again before the release."
    )
    by: list[Name] = Field(description="The persons who approved; sorted.")


class SpendWire(Wire):
    """What was spent of the budget that is nearest to its end; 0 where there is none."""

    day_micros: Count = Field(description="Spent today (UTC).", json_schema_extra=_MICROS)
    month_micros: Count = Field(description="Spent this month.", json_schema_extra=_MICROS)
    day_percent: Count = Field(description="Part of the day's budget.", json_schema_extra=_PERCENT)
    month_percent: Count = Field(
        description="Part of the month's budget.", json_schema_extra=_PERCENT
    )


class LimitsWire(Wire):
    """What is left in this minute, the least over all limits that apply; absent without a limit."""

    requests_left: Count | None = Field(
        default=None, description="Requests left.", json_schema_extra={"unit": "count"}
    )
    tokens_left: Count | None = Field(
        default=None, description="Tokens left.", json_schema_extra=_TOKENS
    )


class ContextWire(Wire):
    """Around the request. Time comes from here, because policies may not read a clock."""

    time_ns: Count = Field(
        description="When the decision was asked.",
        json_schema_extra={"unit": "ns since 1970-01-01 UTC"},
    )
    office_hours: bool = Field(
        description="Whether the office is open: `[policy] office_hours`, `office_days`."
    )
    weekday: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"] = Field(
        description="The day in `[policy] time_zone`."
    )
    hour: Annotated[int, Field(ge=0, le=23)] = Field(
        description="The full hour in that zone; compare this one, not `time_ns`.",
        json_schema_extra={"unit": "h"},
    )
    content_days: Annotated[int, Field(ge=1)] | None = Field(
        description="How long the ledger keeps contents at most, `[audit.retention] content_days`; "
        "null: without end.",
        json_schema_extra={"unit": "days"},
    )
    ip: str = Field(description="Address of the client; of a trusted peer's client behind one.")
    spend: SpendWire | None = Field(description="Money spent; null where none is counted.")
    limits: LimitsWire | None = Field(description="What is left; null where nothing is counted.")
    halt: bool = Field(description="Whether an operator stopped everything.")


class InputWire(Wire):
    """Rego's `input`."""

    schema_: Literal["sekisho.input/v1"] = Field(
        alias="schema", description="Which contract the question follows."
    )
    stage: Stage = Field(
        description="What is decided about: the request, before it leaves; each tool call that an "
        "answer proposes; the answer, where it is read whole."
    )
    exchange: Name = Field(description="Id of the exchange, the same at all its stages.")
    principal: PrincipalWire = Field(description="Who asks; the same at all stages.")
    request: RequestWire = Field(description="What is asked; the same at all stages.")
    tool: ToolWire | None = Field(
        description="The tool call that the model proposes; null at other stages.",
        json_schema_extra=_OF_TOOL_CALLS,
    )
    content: ContentWire = Field(
        description="What the scanner saw of the request, the tool call or the answer; no text."
    )
    approval: ApprovalWire = Field(description="Reviews so far.")
    context: ContextWire = Field(description="Around the request; the same at all stages.")

    @model_validator(mode="after")
    def _tool_calls_have_a_tool(self) -> Self:
        if (self.tool is None) == (self.stage == "tool_call"):
            message = "tool is there at stage tool_call, and only there"
            raise ValueError(message)
        return self
