"""`sekisho hold list | watch | show | justify | approve | edit | deny | withdraw` and more.

Approving shows first exactly what is bound, hidden characters spelled out, and asks; what is then
sent back is the binding of what was shown, so a hold that changed meanwhile is not approved.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any
from urllib.parse import quote

from sekisho.cli import hold_figures, hold_seed
from sekisho.cli.gate import Gate, GateFailed, add_gate, connect
from sekisho.cli.hold_edit import edit_bound
from sekisho.cli.hold_steps import is_ordered, step_of_steps
from sekisho.cli.hold_text import bound_text, expires
from sekisho.cli.live_hints import LiveHints
from sekisho.cli.printing import add_json, as_json, table, visible
from sekisho.cli.terminal import Terminal
from sekisho.cli.watch import Watch

_COLUMNS = ("id", "status", "stage", "principal", "model", "backend", "rules", "risk", "expires")

_BESIDE = {"figures": hold_figures.show, "seed": hold_seed.plant}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho hold`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    listed = verbs.add_parser("list", help="open holds you may decide, and your own")
    watched = verbs.add_parser("watch", help="work through the queue at this terminal")
    shown = verbs.add_parser("show", help="what is held, exactly as it would go on")
    approve = verbs.add_parser("approve", help="let it go, once, exactly as shown")
    deny = verbs.add_parser("deny", help="refuse it")
    justify = verbs.add_parser("justify", help="say why you ask, where the rules want to know")
    withdraw = verbs.add_parser("withdraw", help="take your own request back")
    edit = verbs.add_parser("edit", help="change tool calls; somebody else then approves")
    figures = verbs.add_parser("figures", help="how people review; your own, or everybody's")
    hold_figures.add_options(figures)
    seed = verbs.add_parser("seed", help="make a hold up, to see whether reviewers read")
    hold_seed.add_options(seed)
    for verb in (shown, justify, approve, edit, deny, withdraw):
        verb.add_argument("hold", metavar="ID")
    edit.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PLACE=JSON",
        help="new arguments for the call at this place, as `show` numbers them",
    )
    edit.add_argument(
        "--drop",
        action="append",
        default=[],
        type=int,
        metavar="PLACE",
        help="take this call out; then you may approve the rest",
    )
    justify.add_argument("--reason", required=True, help="kept as evidence; reviewers read it")
    approve.add_argument("--reason", default="", help="kept as evidence")
    deny.add_argument("--reason", required=True, help="kept as evidence; the requester reads it")
    approve.add_argument("--yes", action="store_true", help="do not ask before approving")
    for verb in (listed, shown, justify, approve, edit, deny, withdraw, figures, seed):
        add_gate(verb)
        add_json(verb)
    add_gate(watched)
    listed.add_argument(
        "--turn",
        choices=("mine", "any"),
        default="mine",
        help="any: also those of which others are asked before you, or were",
    )


def run(options: argparse.Namespace) -> int:
    """Carry the verb out and print the hold or holds as they are then."""
    gate = connect(options)
    if (beside := _BESIDE.get(options.verb)) is not None:
        beside(gate, options)
        return 0
    match options.verb:
        case "list":
            turn = {"turn": "any"} if options.turn == "any" else {}
            _print_list(gate.get("/v1/approvals", status="open", **turn), options.json)
        case "watch":
            _watch(gate)
        case "show":
            _print_hold(gate.get(_path(options.hold)), options.json)
        case "approve":
            return _approve(gate, options)
        case "edit":
            hold = gate.get(_path(options.hold))
            said = {**edit_bound(hold), "calls": _changes(options)}
            _print_hold(gate.post(f"{_path(options.hold)}/edits", said), options.json)
        case "deny":
            hold = gate.get(_path(options.hold))
            _print_end(_review(gate, hold, "deny", options.reason), options.json)
        case "justify":
            said = {"reason": options.reason}
            _print_end(gate.post(f"{_path(options.hold)}/justification", said), options.json)
        case "withdraw":
            _print_end(gate.post(f"{_path(options.hold)}/withdraw"), options.json)
    return 0


def _watch(gate: Gate) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise GateFailed("This needs a terminal; use `sekisho hold list` in a script.")
    with LiveHints(gate) as hints, Terminal(hints.descriptor) as terminal:
        Watch(gate, terminal).run()


def _changes(options: argparse.Namespace) -> list[dict[str, Any]]:
    changes: list[dict[str, Any]] = [{"place": place, "drop": True} for place in options.drop]
    for said in options.set:
        place, equals, arguments = said.partition("=")
        if not equals or not place.isdigit():
            raise GateFailed(
                f"--set {visible(said)} is not PLACE=JSON, as in --set '0={{\"id\": 7}}'."
            )
        changes.append({"place": int(place), "arguments": arguments})
    if not changes:
        raise GateFailed("Say what to change: --set PLACE=JSON or --drop PLACE.")
    return changes


def _approve(gate: Gate, options: argparse.Namespace) -> int:
    hold = gate.get(_path(options.hold))
    # What is shown goes to standard error, so that --json leaves one document on standard output.
    print(bound_text(hold), file=sys.stderr)
    if not options.yes and not _confirmed():
        print("Nothing was decided.", file=sys.stderr)
        return 1
    _print_end(_review(gate, hold, "approve", options.reason), options.json)
    return 0


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise GateFailed("There is no terminal to ask on; give --yes to approve without asking.")
    print("Approve exactly this? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _review(gate: Gate, hold: dict[str, Any], decision: str, reason: str) -> dict[str, Any]:
    body = {
        "decision": decision,
        "reason": reason,
        "binding": hold["binding"],
        "version": hold["version"],
    }
    said: dict[str, Any] = gate.post(f"{_path(hold['id'])}/reviews", body)
    return said


def _path(hold_id: str) -> str:
    return f"/v1/approvals/{quote(hold_id, safe='')}"


def _print_list(said: dict[str, Any], as_document: bool) -> None:
    if as_document:
        print(as_json(said["data"]))
        return
    rows = [
        {**hold, "expires": expires(hold), "step": step_of_steps(hold)} for hold in said["data"]
    ]
    ordered = any(map(is_ordered, said["data"]))
    columns = (*_COLUMNS, "step") if ordered else _COLUMNS
    print(table(rows, columns) if rows else "Nothing is held that waits for you.")


def _print_hold(hold: dict[str, Any], as_document: bool) -> None:
    print(as_json(hold) if as_document else bound_text(hold))


def _print_end(hold: dict[str, Any], as_document: bool) -> None:
    if as_document:
        print(as_json(hold))
        return
    print(f"Hold {hold['id']} is now {hold['status']}.")
    if was := hold_seed.told(hold):
        print(was)
