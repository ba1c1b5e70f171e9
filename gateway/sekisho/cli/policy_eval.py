"""`sekisho policy eval`: what a bundle decides about one recorded input, how fast, and why.

Prints one JSON document for programs. For people `--explain` lists below it which rules fired, on
which values, and where the others gave up. What stands in an input is not ours: nothing of it
reaches the terminal raw.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sekisho.adapters.policy_eval import Evaluation, evaluate
from sekisho.cli.explaining import lines
from sekisho.cli.printing import as_json, visible
from sekisho.content.strict_json import NotStrictJSON, parse
from sekisho.errors import BadRequest
from sekisho.model.decision import Decision
from sekisho.obligations.table import unsupported
from sekisho.stages.decide import content_days

INPUT_BYTES_MAX = 16 * 1024 * 1024  # a recorded input has some KB; arguments of a tool 16 more
DEPTH_MAX = 64  # arguments of a tool may nest


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `eval` beside the bundle."""
    parser.add_argument(
        "--input",
        default="-",
        metavar="FILE",
        help="the policy input, as the ledger records or discloses it (default: standard input)",
    )
    parser.add_argument(
        "--explain", action="store_true", help="which rules fired on what, and where others gave up"
    )


def run(options: argparse.Namespace) -> int:
    """0 if there is a decision, whatever it is; refusals of the bundle or the input are errors."""
    asked = _input(options.input)
    found = evaluate(options.bundle, asked, why=options.explain)
    for fault in found.input_faults:
        print(visible(f"sekisho: {fault}"), file=sys.stderr)
    if options.explain and found.explanation is None:
        print("sekisho: this decision takes too long to be explained", file=sys.stderr)
    document = _document(found, asked)
    if found.explanation is not None and options.json:
        document["explanation"] = asdict(found.explanation)
    print(as_json(document))
    if found.explanation is not None and not options.json:
        print()
        for line in lines(found.explanation):
            print(visible(line))
    return 0


def _input(name: str) -> Mapping[str, Any]:
    """The document in a file: the recorded input itself, or one line of `sekisho-audit disclose
    --json` that holds it.
    """
    try:
        if name == "-":
            text = sys.stdin.buffer.read(INPUT_BYTES_MAX + 1)
        else:
            with Path(name).open("rb") as file:
                text = file.read(INPUT_BYTES_MAX + 1)
    except OSError as error:
        message = f"the input cannot be read: {error.strerror}"
        raise BadRequest(message) from error
    if len(text) > INPUT_BYTES_MAX:
        message = f"the input has more than {INPUT_BYTES_MAX} bytes"
        raise BadRequest(message)
    document = _parsed(text)
    if document.get("name") != "input" or document.get("type") != "policy.decision":
        return document
    content = document.get("content")
    if not isinstance(content, str):
        message = "the input was erased, or is kept no longer"
        raise BadRequest(message)
    return _parsed(content.encode("utf-8", "surrogateescape"))


def _parsed(text: bytes) -> Mapping[str, Any]:
    """By the parser that refuses what has two readings."""
    try:
        document = parse(text, DEPTH_MAX)
    except NotStrictJSON as error:
        message = f"the input cannot be used: {error}".replace("the body", "it")
        raise BadRequest(message) from error
    if not isinstance(document, dict):
        message = "the input is no JSON object"
        raise BadRequest(message)
    return document


def _document(found: Evaluation, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The decision in the terms of the rules; `answer` only where it could not be read."""
    decision, stage = found.decision, str(asked.get("stage", "request"))
    readable = isinstance(found.answer, dict) and not _is_malformed(decision)
    told: dict[str, Any] = {
        "effect": decision.effect,
        "reasons": [asdict(reason) for reason in decision.reasons],
        "obligations": found.answer["obligations"] if readable else {},
        "unsupported": list(unsupported(decision.obligations, content_days(asked), stage)),
        "observed": [asdict(one) for one in decision.observed],
        "revision": decision.revision,
        "engine": decision.engine,
        "took_us": decision.took_us,
        "load_ms": found.load_ms,
        "input_faults": list(found.input_faults),
    }
    return told if readable else {**told, "answer": found.answer}


def _is_malformed(decision: Decision) -> bool:
    return any(reason.code == "policy_malformed" for reason in decision.reasons)
