"""OPA's conformance cases: how they are read, asked and judged.

The format is that of the files in open-policy-agent/swift-opa, ComplianceSuite (JSON, one object
with `cases` a file; some are called .yml), which are OPA's own cases. Of a case are used: note,
query, modules, data, input or input_term, and what is wanted: want_result, want_defined, or an
error by want_error_code and want_error. The engine raises on errors of builtins, as the gateway
wants; cases are written for an engine that goes on, unless strict_error is set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opa_bindings import OpaEngine, OpaError

FILES = ("*.json", "*.yml")


@dataclass(frozen=True)
class Case:
    """One case. `id` is its file and its note, numbered where a file has a note twice."""

    id: str
    says: Mapping[str, Any]


def read_cases(folder: Path) -> list[Case]:
    """All cases below `folder`, by id."""
    found: dict[str, Case] = {}
    for path in sorted(path for name in FILES for path in folder.rglob(name)):
        content = json.loads(path.read_text("utf-8"))
        for says in content.get("cases", ()) if isinstance(content, dict) else ():
            name = f"{path.parent.name}/{path.stem}: {says['note']}"
            again = sum(1 for known in found if known == name or known.startswith(f"{name} #"))
            name += f" #{again + 1}" if again else ""
            found[name] = Case(name, {key: says[key] for key in says if key != "plan"})
    return [found[name] for name in sorted(found)]


def judge(says: Mapping[str, Any]) -> str:
    """Ask one case of a fresh engine; what is wrong with the answer, empty if nothing is."""
    try:
        answer = ask(says)
    except OpaError as error:
        return _judge_error(says, str(error))
    if "want_error" in says or "want_error_code" in says:
        wanted = says.get("want_error_code") or says["want_error"]
        return f"no error where {wanted!r} was wanted"
    if "want_result" in says:
        return _judge_result(says, answer)
    if bool(answer) != bool(says.get("want_defined", True)):
        return f"{'defined' if answer else 'undefined'} where the other was wanted"
    return ""


def ask(says: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The engine's answer. Raises OpaError."""
    query = says["query"]
    if says.get("input_term"):
        query = f"{query} with input as {says['input_term']}"
    with OpaEngine() as engine:
        engine.print_handler = _drop
        for number, source in enumerate(says.get("modules") or ()):
            engine.add_policy(f"test-{number}.rego", source)
        if says.get("data"):
            engine.add_data(says["data"])
        answer: Sequence[Mapping[str, Any]] = engine.eval_query(query, says.get("input"))
    return answer


def _judge_error(says: Mapping[str, Any], message: str) -> str:
    wanted = [says[name] for name in ("want_error_code", "want_error") if says.get(name)]
    if not wanted:
        return f"error: {message}"
    missing = [text for text in wanted if text not in message]
    return f"error without {missing}: {message}" if missing else ""


def _judge_result(says: Mapping[str, Any], answer: Sequence[Mapping[str, Any]]) -> str:
    deep = bool(says.get("sort_bindings"))
    got = sorted(_text(one, deep) for one in answer)
    wanted = sorted(_text(one, deep) for one in says["want_result"] or ())
    return "" if got == wanted else f"got {got}, wanted {wanted}"


def _text(binding: Mapping[str, Any], deep: bool) -> str:
    """One binding as text, the same for what is equal; `deep` takes lists for sets."""
    values: dict[str, Any] = {
        name: sorted(map(_canon, value)) if deep and isinstance(value, list) else _canon(value)
        for name, value in binding.items()
    }
    return json.dumps(values, sort_keys=True)


def _canon(value: Any) -> str:
    return json.dumps(_numbers(value), sort_keys=True)


def _numbers(value: Any) -> Any:
    """1 and 1.0 are one number in Rego and in JSON."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}
    return value


def _drop(_message: str, _place: str) -> None:
    """What cases print says nothing about them."""


def read_known(path: Path) -> dict[str, str]:
    """Known failures by id, each with its reason: `id  # reason`, one a line."""
    return dict(_known_lines(path.read_text("utf-8").splitlines()))


def _known_lines(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, reason = line.partition("  # ")
        if name.strip() and not name.startswith("#"):
            yield name.strip(), reason.strip()
