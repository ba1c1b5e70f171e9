"""One decision by a bundle about one recorded input: what it is, how long it took, and why.

The input is what the ledger records with a decision (`policy_input`). An older recording may lack
members that were added since; so what does not fit the contract is told beside the decision and
does not prevent it, as it would not in the gateway.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opa_bindings import OpaEngine, OpaError
from pydantic import ValidationError

from sekisho.adapters.bounded import bounded
from sekisho.adapters.bundle import Bundle, build, read_bundle
from sekisho.adapters.input_wire import InputWire
from sekisho.adapters.opa_embedded import read_answer
from sekisho.adapters.policy_lint import parse
from sekisho.adapters.policy_trace import Explanation, explain
from sekisho.errors import PolicyUnavailable
from sekisho.model.decision import Decision

TIME_S_MAX = 30.0  # for loading and deciding; a gateway would have given up after 0.25 s
TRACED_US_MAX = 1_000_000  # the trace of a decision of a second has millions of steps
_QUERY = "sekisho.decision"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A decision, with `took_us` of the engine alone and `load_ms` of reading and compiling.

    `answer` is what the rules said, as they said it; None where they said nothing. `explanation` is
    None where it was not asked for, or where the decision took too long to be traced.
    """

    decision: Decision
    answer: Any
    load_ms: int
    input_faults: tuple[str, ...]
    explanation: Explanation | None


def evaluate(directory: Path, document: Mapping[str, Any], *, why: bool) -> Evaluation:
    """Decide about `document` by the bundle in `directory`; see `decide_once`.

    Raises PolicyRejected if the bundle cannot be loaded.
    """
    began = time.perf_counter()
    bundle = read_bundle(directory)
    read_ms = round(1000 * (time.perf_counter() - began))
    found = decide_once(bundle, document, why=why)
    return replace(found, load_ms=found.load_ms + read_ms)


def decide_once(bundle: Bundle, document: Mapping[str, Any], *, why: bool) -> Evaluation:
    """Decide about `document`; `why` asks for the explanation, which takes longer.

    Raises PolicyRejected for rules that do not compile, PolicyUnavailable if they do not end.
    """
    try:
        return bounded(lambda: _evaluate(bundle, document, why=why), TIME_S_MAX)
    except TimeoutError as error:
        message = f"the rules do not answer: {error}"
        raise PolicyUnavailable(message) from error


def _evaluate(bundle: Bundle, document: Mapping[str, Any], *, why: bool) -> Evaluation:
    began = time.perf_counter()
    with build(bundle) as engine:
        _ask(engine, document)  # the first one prepares the query
        load_ms = round(1000 * (time.perf_counter() - began))
        began = time.perf_counter()
        answer = _ask(engine, document)
        took_us = round(1_000_000 * (time.perf_counter() - began))
        traced = why and took_us <= TRACED_US_MAX
        explanation = _explain(engine, bundle, document) if traced else None
    return Evaluation(
        decision=read_answer(answer, bundle.revision, took_us),
        answer=None if isinstance(answer, OpaError) else answer,
        load_ms=load_ms,
        input_faults=input_faults(document),
        explanation=explanation,
    )


def _explain(engine: OpaEngine, bundle: Bundle, document: Mapping[str, Any]) -> Explanation:
    try:
        engine.eval_document(_QUERY, document, trace=True)
        trace = engine.last_trace or []
    except OpaError:
        trace = []
    rules = [rule for module in parse(bundle.modules) for rule in module.rules]
    return explain(trace, rules, document)


def _ask(engine: OpaEngine, document: Mapping[str, Any]) -> Any:
    """The raw answer, or the engine's error as a value, which `read_answer` turns into a deny."""
    try:
        return engine.eval_document(_QUERY, document)
    except OpaError as error:
        return error


def input_faults(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Where `document` is not `sekisho.input/v1`."""
    try:
        InputWire.model_validate(document)
    except ValidationError as error:
        return tuple(
            f"input.{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        )
    return ()
