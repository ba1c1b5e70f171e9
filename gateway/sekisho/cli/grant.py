"""`sekisho grant propose | list | confirm | revoke`: standing grants, for reviewers.

A grant lets a few holds be answered in advance. One reviewer proposes it, another confirms it, each
use is in the ledger, and any reviewer ends it at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from sekisho.cli.gate import GateFailed, add_gate, connect
from sekisho.cli.printing import add_json, as_json, table, visible, when

_PATH = "/v1/grants"
_COLUMNS = (
    *("id", "status", "for", "rules", "backend", "tool", "arguments", "left", "hours", "until"),
    *("confirm by", "reviewers", "proposed by", "reason"),
)
_KINDS = {"=": "equals", "^": "prefix", "~": "glob"}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho grant`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    propose = verbs.add_parser("propose", help="propose a grant; another reviewer confirms it")
    whom = propose.add_mutually_exclusive_group(required=True)
    whom.add_argument("--principal", help="the person or service account that it is for")
    whom.add_argument("--group", help="the group that it is for")
    propose.add_argument("--rule", action="append", required=True, help="as a hold names it")
    propose.add_argument("--backend", required=True)
    propose.add_argument("--tool", help="the function whose calls it is for; else requests")
    propose.add_argument(
        "--argument",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="an argument of the tool: NAME=TEXT is that text, NAME^TEXT begins with it, "
        "NAME~GLOB fits it; numbers and objects over HTTP",
    )
    propose.add_argument(
        "--other-arguments", choices=("absent", "any"), default="absent", help="those not named"
    )
    propose.add_argument("--count", type=int, required=True, help="how often")
    propose.add_argument("--hours", type=int, required=True, help="how long")
    propose.add_argument("--reviewers", action="append", help="whom the rules ask (reviewer)")
    listed = verbs.add_parser("list", help="the grants that stand or are proposed")
    confirm = verbs.add_parser("confirm", help="confirm what somebody else proposed")
    revoke = verbs.add_parser("revoke", help="end a grant, or deny a proposed one")
    for verb in (confirm, revoke):
        verb.add_argument("grant", metavar="ID", help="as `list` shows it")
    for verb in (propose, revoke):
        verb.add_argument("--reason", required=True, help="kept as evidence")
    for verb in (propose, listed, confirm, revoke):
        add_gate(verb)
        add_json(verb)


def run(options: argparse.Namespace) -> int:
    """Carry the verb out and say what stands then."""
    gate = connect(options)
    match options.verb:
        case "propose":
            grant = gate.post(_PATH, _proposal(options))
            text = f"Proposed. Another reviewer: sekisho grant confirm {visible(grant['id'])}"
            print(as_json(grant) if options.json else text)
        case "list":
            _print_list(gate.get(_PATH)["data"], options.json)
        case "confirm":
            grant = gate.post(f"{_PATH}/{quote(options.grant, safe='')}/confirm")
            text = f"Stands until {when(grant['until_us'])}: {visible(grant['id'])}"
            print(as_json(grant) if options.json else text)
        case "revoke":
            path = f"{_PATH}/{quote(options.grant, safe='')}/revoke"
            ended = gate.post(path, {"reason": options.reason})
            print(as_json(ended) if options.json else f"Ended: {visible(ended['id'])}")
    return 0


def _proposal(options: argparse.Namespace) -> dict[str, Any]:
    said = {
        "rules": options.rule,
        "backend": options.backend,
        "count": options.count,
        "hours": options.hours,
        "reason": options.reason,
        "arguments": _arguments(options.argument),
        "other_arguments": options.other_arguments,
    }
    for name in ("principal", "group", "tool", "reviewers"):
        value = getattr(options, name)
        if value is not None:
            said[name] = value
    return said


def _arguments(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    said: dict[str, dict[str, str]] = {}
    for name, wanted in map(_argument, texts):
        if name in said:
            raise GateFailed(f"--argument names {name!r} twice. Say once what it must be.")
        said[name] = wanted
    return said


def _argument(text: str) -> tuple[str, dict[str, str]]:
    """NAME, the first of `=`, `^` and `~`, and what it is compared with."""
    for place, sign in enumerate(text):
        if sign in _KINDS and place:
            return text[:place], {_KINDS[sign]: text[place + 1 :]}
    raise GateFailed(f"--argument {text!r} is none of NAME=TEXT, NAME^TEXT and NAME~GLOB.")


def _print_list(grants: list[dict[str, Any]], as_document: bool) -> None:
    if as_document:
        print(as_json(grants))
        return
    rows = [
        {
            **one,
            "for": one["principal"] or f"group {one['group']}",
            "rules": " ".join(one["rules"]),
            "tool": one["tool"] or "",
            "arguments": _pattern(one) if one["tool"] else "",
            "left": f"{one['remaining']} of {one['count']}",
            "until": None if one["status"] == "proposed" else when(one["until_us"]),
            "confirm by": when(one["until_us"]) if one["status"] == "proposed" else None,
            "proposed by": one["proposed_by"],
            "reason": one["reason"].replace(
                "\n", " "
            ),  # no line of its own that looks like a grant
        }
        for one in grants
    ]
    print(table(rows, _COLUMNS) if rows else "Nothing is granted that you may see.")


def _pattern(grant: dict[str, Any]) -> str:
    named = as_json(grant["arguments"]).replace("\n", " ")
    return f"{named}; others {grant['other_arguments']}"
