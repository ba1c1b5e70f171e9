"""`sekisho sample list | show | judge | figures`: review after the fact, for reviewers.

What is shown is somebody else's words and a model's: hidden characters are spelled out, and nothing
in it drives the terminal.
"""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from sekisho.cli.gate import add_gate, connect
from sekisho.cli.printing import add_json, as_json, table, visible, when

_PATH = "/v1/samples"
_COLUMNS = ("id", "principal", "model", "backend", "rules", "risk", "drawn", "until")
_FIGURES = ("month", "kind", "name", "drawn", "judged", "concerns", "disputed", "unjudged")
_SHOWN = ("id", "principal", "model", "backend", "risk", "content")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho sample`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    listed = verbs.add_parser("list", help="what waits for your verdict, the oldest first")
    shown = verbs.add_parser(
        "show", help="what was asked and answered; that you looked is on record"
    )
    judge = verbs.add_parser("judge", help="say what you found; others are told after theirs")
    figures = verbs.add_parser("figures", help="what came of samples, by month, model and rule")
    for verb in (shown, judge):
        verb.add_argument("sample", metavar="ID", help="as `list` shows it")
    judge.add_argument("verdict", choices=("fine", "concern"))
    judge.add_argument("--reason", default="", help="kept as evidence; a concern needs one")
    for verb in (listed, shown, judge, figures):
        add_gate(verb)
        add_json(verb)


def run(options: argparse.Namespace) -> int:
    """Carry the verb out and print what there is then."""
    gate = connect(options)
    match options.verb:
        case "list":
            found = gate.get(_PATH)["data"]
            print(as_json(found) if options.json else _listed(found))
        case "show":
            sample = gate.get(f"{_PATH}/{quote(options.sample, safe='')}")
            print(as_json(sample) if options.json else _text(sample))
        case "judge":
            said = {"verdict": options.verdict, "reason": options.reason}
            judged = gate.post(f"{_PATH}/{quote(options.sample, safe='')}/verdict", said)
            print(as_json(judged) if options.json else _judged(judged))
        case "figures":
            found = gate.get(f"{_PATH}/figures")["data"]
            empty = "Nothing was drawn."
            print(as_json(found) if options.json else table(found, _FIGURES) if found else empty)
    return 0


def _listed(samples: list[dict[str, Any]]) -> str:
    rows = [
        {
            **one,
            "rules": " ".join(one["rules"]),
            "drawn": when(one["drawn_us"]),
            "until": when(one["until_us"]),
        }
        for one in samples
    ]
    return table(rows, _COLUMNS) if rows else "Nothing waits for you."


def _text(sample: dict[str, Any]) -> str:
    lines = [f"{name:<10}{visible(str(sample[name]))}" for name in _SHOWN]
    lines.append(f"{'rules':<10}{visible('; '.join(sample['rules']))}")
    if sample.get("opening"):
        lines.append(f"{'opening':<10}{visible(sample['opening'])} (break-glass let it go on)")
    lines.append(f"{'until':<10}{when(sample['until_us'])}")
    lines += [f"{'verdict':<10}{visible(one['by'])} {one['verdict']}" for one in sample["verdicts"]]
    for name in ("request", "answer"):
        part = sample[name]
        if part is None:
            lines.append(f"--- the {name} is not there any more ---")
            continue
        said = visible(part["text"]) if part["text"] is not None else f"(base64) {part['base64']}"
        lines += [f"--- {name}, {part['bytes']} bytes ---", said]
    return "\n".join([*lines, "---"])


def _judged(judged: dict[str, Any]) -> str:
    if judged["outcome"] is None:
        return f"On record: {judged['verdict']}. Somebody else is asked as well."
    how = "all agree" if judged["by"] == "agreement" else "a third person decided"
    return f"On record: {judged['verdict']}. Closed as {judged['outcome']}: {how}."
