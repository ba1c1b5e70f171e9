"""Makes docs/reference/policy.md from the models, the table of obligations and the rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sekisho.adapters import decision_wire as answer
from sekisho.adapters import input_wire as asked
from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.policy_lint import parse
from sekisho.adapters.rego_tree import nodes
from sekisho.obligations.table import CARRIED
from support.advice import WHAT_TO_DO as ERRORS
from support.policy_advice import CAUSES, MEANS, WHAT_TO_DO

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ROOT / "policies"
GATEWAY = ROOT / "gateway" / "sekisho"
_ABOUT_POLICY = ("policy_", "tool_not_allowed")

_HEAD = """\
# Policy: the contract

What rules may look at (`input`), what they may answer (`data.sekisho.decision`) and every code with
which a request can be refused for it. [policies/README.md](../../policies/README.md) says how to
write a rule. The same as JSON Schema: `policies/schema/input.json`, `decision.json`, `data.json`.
Generated from `gateway/sekisho/adapters/input_wire.py`, `decision_wire.py`,
`gateway/sekisho/obligations/table.py` and the shipped rules; see CONTRIBUTING.md.
"""

_INPUT_HEAD = """\
## Input

`sekisho.input/v1`. Every member is always there; what does not apply is null, empty or 0. The text
of a prompt or an answer never is: words of `data.yaml` become labels, the scanner's finds become
entities. The gateway asks at stage `request` before anything leaves; at `tool_call` for each call
that an answer proposes; at `response` where the answer is read whole, because the decision about
the request has `review_response` or `hold_later`. `tool` and `content` are then about the call or
the answer, `principal`, `request` and `context` about the request as before. Another stage is
refused (`stage_not_supported`). A request that people approved is asked about once more before it
leaves, with `approval.state` set and `context` as it is then.

| member | type | at stage | meaning | unit |
|---|---|---|---|---|
"""

_DECISION_HEAD = """\
## Decision

`sekisho.decision/v1`. A key, type or value outside this is a deny, `policy_malformed`. The gateway
adds the revision, the engine and how long it took; rules cannot. Where a rule asks nothing, the
member is absent. Effect and `hold` are about the stage that was asked about; `hold_later` says on
which terms later ones are held.

| member | type | meaning | bounds |
|---|---|---|---|
"""

_OBLIGATIONS_HEAD = """\
## Obligations

They only restrict; of several for one name the narrowest counts. The points of an exchange are
request (before it leaves), tool call (proposed by the model), stream (while an answer comes) and
response (before it is delivered). What a later stage asks beyond `hold`, `hold_later` and `redact`
changes nothing there: the decision about the request has settled it. One that cannot be carried out
is a deny, `obligation_unsupported`.

| obligation | points | carried out by | does |
|---|---|---|---|
"""

_CODES_HEAD = """\
## Reason codes

The client gets `policy_denied` (403) with the message of each reason and its rule; the code of a
reason stands in the ledger, in `sekisho policy eval` and in reviews. Rules of your own add theirs.

| code | given by | means | what to do |
|---|---|---|---|
"""

_ENGINE_HEAD = """\
## When the rules did not answer

Errors of the gateway about policy, in the place of a decision or on the way to carrying one out;
[errors.md](errors.md) has all others.

| code | what to do |
|---|---|
"""


_CAUSES_HEAD = """\
## Causes of `policy_unavailable`

For operators: in the log, in `/readyz` and in `sekisho doctor`. Those of an OPA server are in
[opa-server.md](../howto/opa-server.md); with `policy.engine = "embedded"` there are:

| cause | what happened |
|---|---|
"""


@dataclass(frozen=True)
class Given:
    """One reason code: who gives it and what it means."""

    code: str
    by: str
    means: str


@dataclass(frozen=True)
class Member:
    """One member of a document, with the path that leads to it."""

    path: str
    schema: Mapping[str, Any]
    stages: str

    @property
    def means(self) -> str:
        """Its description."""
        return str(self.schema.get("description", ""))


def policy_page() -> str:
    """The whole page."""
    parts = (
        (_INPUT_HEAD, (_input_row(one) for one in members(asked.InputWire))),
        (_DECISION_HEAD, (_answer_row(one) for one in members(answer.DecisionWire))),
        (_OBLIGATIONS_HEAD, _obligation_rows()),
        (_CODES_HEAD, (_code_row(one) for one in reason_codes())),
        (_ENGINE_HEAD, (f"| `{code}` | {ERRORS[code]} |\n" for code in error_codes())),
        (_CAUSES_HEAD, (f"| `{cause}` | {text} |\n" for cause, text in sorted(CAUSES.items()))),
    )
    return "\n".join([_HEAD, *(head + "".join(rows) for head, rows in parts)])


def members(model: type[BaseModel]) -> list[Member]:
    """Every member of the document that `model` describes, in its order."""
    whole = model.model_json_schema(by_alias=True)
    return list(_below(whole, whole.get("$defs", {}), "", "all"))


def _below(
    schema: Mapping[str, Any], known: Mapping[str, Any], path: str, stages: str
) -> Iterator[Member]:
    for name, one in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        at = ", ".join(one["stages"]) if "stages" in one else stages
        model = known.get(str(one.get("$ref", "")).rsplit("/", 1)[-1], {})
        # pydantic leaves a description out that its model has already.
        yield Member(here, {"description": model.get("description", ""), **one}, at)
        for form in one.get("anyOf", [one]):
            listed = form.get("items", {})
            inner = form.get("$ref") or listed.get("$ref")
            if inner:
                deeper = here + ("[]" if listed else "")
                yield from _below(known[inner.rsplit("/", 1)[-1]], known, deeper, at)


def _input_row(one: Member) -> str:
    unit = str(one.schema.get("unit", ""))
    return f"| `{one.path}` | {_type(one.schema)} | {one.stages} | {one.means} | {unit} |\n"


def _answer_row(one: Member) -> str:
    return f"| `{one.path}` | {_type(one.schema)} | {one.means} | {_bounds(one.schema)} |\n"


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(form) for form in schema["anyOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " ".join(f"`{word}`" for word in schema["enum"])
    kind = "object" if "$ref" in schema else str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    inner = schema.get("additionalProperties")
    if kind == "object" and isinstance(inner, Mapping):
        return f"object of {_type(inner)}"
    return kind


def _bounds(schema: Mapping[str, Any]) -> str:
    words = {"minimum": "≥ {}", "maximum": "≤ {}", "maxLength": "{} characters",
             "maxItems": "{} entries", "pattern": "`{}`"}  # fmt: skip
    forms = [schema, *schema.get("anyOf", [])]
    said = [
        text.format(form[word]) for form in forms for word, text in words.items() if word in form
    ]
    if schema.get("default") is not None and schema["default"] != []:
        said.append(f"default `{schema['default']}`".replace("False", "false"))
    return ", ".join(said)


def _obligation_rows() -> Iterator[str]:
    for name in answer.ObligationsWire.model_fields:
        carried = CARRIED.get(name)
        if carried is None:
            yield f"| `{name}` | none | nothing yet | Asking for it is a deny. |\n"
        else:
            points = ", ".join(carried.points)
            yield f"| `{name}` | {points} | `{carried.by}` | {carried.does} |\n"


def _code_row(one: Given) -> str:
    return f"| `{one.code}` | {one.by} | {one.means} | {WHAT_TO_DO.get(one.code, '')} |\n"


def reason_codes() -> list[Given]:
    """Every code that the shipped rules, the fold and the gateway can give as a reason."""
    found = {(one.code, one.by): one for one in (*_of_rules(), *_of_gateway())}
    return [found[key] for key in sorted(found)]


def _of_rules() -> Iterator[Given]:
    for module in parse(read_bundle(POLICIES).modules):
        for rule in module.rules:
            for code, msg in _entries(rule.tree):
                in_pack = rule.name[0] == "packs"
                block = rule.metadata if in_pack else None
                means = block.said("description") if block else ""
                by = ".".join(rule.name[1:-1]) if in_pack else "the fold"
                yield Given(code, by, means or msg)


def _entries(tree: Any) -> Iterator[tuple[str, str]]:
    """The code and the sentence of every reason that a piece of a rule can give."""
    stack = [tree]
    while stack:
        here = stack.pop()
        if isinstance(here, list):
            stack.extend(here)
        elif isinstance(here, dict):
            stack.extend(here.values())
            if here.get("type") == "call" and _calls(here["value"][0], "reason"):
                _, code, _, says = here["value"]
                if code["type"] == "string":
                    yield str(code["value"]), _english(says)
            if here.get("type") == "object":
                values = {pair[0].get("value"): pair[1] for pair in here["value"]}
                code = values.get("code", {})
                if code.get("type") == "string" and "msg" in values:
                    yield str(code["value"]), _first_text(values["msg"])


def _calls(function: Mapping[str, Any], name: str) -> bool:
    return str(function["value"][-1]["value"]) == name and len(function["value"]) > 1


def _english(says: Mapping[str, Any]) -> str:
    return next(str(pair[1]["value"]) for pair in says["value"] if pair[0]["value"] == "en")


def _first_text(tree: Any) -> str:
    texts = [str(one["value"]) for one in nodes(tree) if one.get("type") == "string"]
    return max(texts, key=len, default="")


def _of_gateway() -> Iterator[Given]:
    for path in sorted(GATEWAY.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                code = _given_code(node) if node.func.id in {"Reason", "denied"} else None
                if code is not None:
                    yield Given(code, "the gateway", MEANS.get(code, ""))


def _given_code(call: ast.Call) -> str | None:
    given = [word.value for word in call.keywords if word.arg == "code"] or call.args[:1]
    first = given[0] if given else None
    return str(first.value) if isinstance(first, ast.Constant) else None


def embedded_causes() -> set[str]:
    """Causes that the embedded engine gives, read from its source."""
    tree = ast.parse((GATEWAY / "adapters" / "opa_embedded.py").read_text("utf-8"))
    return {
        str(word.value.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "cause" and isinstance(word.value, ast.Constant)
    }


def error_codes() -> list[str]:
    """Codes of errors that are about policy."""
    return sorted(code for code in ERRORS if code.startswith(_ABOUT_POLICY))
