"""`sekisho halt set | list | lift | confirm`: the kill switch, for operators.

It speaks to a running gateway: what does not run needs no switch. Set by one person; lifted when
one proposes it and another confirms.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any
from urllib.parse import quote

from sekisho.cli.gate import Gate, GateFailed, add_gate, connect
from sekisho.cli.printing import add_json, as_json, table, visible, when
from sekisho_audit.halt_rules import SCOPES

_PATH = "/v1/admin/halt"
_COLUMNS = ("id", "stops", "name", "reason", "by", "since", "lift proposed by", "recorded")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho halt`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    stop = verbs.add_parser("set", help="stop everything, or one team, backend, model or tool")
    stop.add_argument("scope", choices=SCOPES)
    stop.add_argument("name", nargs="?", default="", help="which one; * stands for any part of it")
    listed = verbs.add_parser("list", help="what is stopped, why, and who wants it lifted")
    lift = verbs.add_parser("lift", help="propose to lift it; another person confirms")
    confirm = verbs.add_parser("confirm", help="lift what somebody else proposed to lift")
    for verb in (lift, confirm):
        verb.add_argument("halt", metavar="ID", help="as `list` shows it")
    for verb in (stop, lift):
        verb.add_argument("--reason", required=True, help="kept as evidence")
    for verb in (stop, listed, lift, confirm):
        add_gate(verb)
        add_json(verb)


def run(options: argparse.Namespace) -> int:
    """Carry the verb out and say what stands then."""
    gate = connect(options)
    match options.verb:
        case "set":
            said = {"scope": options.scope, "name": options.name, "reason": options.reason}
            _print_set(gate.put(_PATH, said), options.json)
        case "list":
            _print_list(gate.get(_PATH)["data"], options.json)
        case "lift":
            halt = gate.post(f"{_PATH}/{_quoted(options.halt)}/lift", {"reason": options.reason})
            text = (
                f"Proposed. Another operator lifts it: sekisho halt confirm {visible(halt['id'])}"
            )
            print(as_json(halt) if options.json else text)
        case "confirm":
            lifted = _confirm(gate, options.halt)
            print(as_json(lifted) if options.json else f"Lifted: {visible(lifted['id'])}")
    return 0


def _confirm(gate: Gate, halt_id: str) -> dict[str, Any]:
    found = [one for one in gate.get(_PATH)["data"] if one["id"] == halt_id]
    if not found or found[0]["proposed"] is None:
        raise GateFailed("Nobody has proposed to lift such a switch: see `sekisho halt list`.")
    body = {"proposed": found[0]["proposed"]["id"]}
    lifted: dict[str, Any] = gate.post(f"{_PATH}/{_quoted(halt_id)}/confirm", body)
    return lifted


def _print_set(halt: dict[str, Any], as_document: bool) -> None:
    if as_document:
        print(as_json(halt))
    else:
        what = "everything" if halt["scope"] == "all" else f"{halt['scope']} {halt['name']}"
        print(f"Stopped: {visible(what)} ({visible(halt['id'])})")
    if not halt["recorded"]:
        print(
            "Not in the ledger yet: auditd does not answer. It stands all the same.",
            file=sys.stderr,
        )
    if not halt["everywhere"]:
        print(
            "Not in Valkey yet: it does not answer. Gateways that do not hear it let nothing "
            "through; the switch is written there as soon as it answers.",
            file=sys.stderr,
        )


def _print_list(halts: list[dict[str, Any]], as_document: bool) -> None:
    if as_document:
        print(as_json(halts))
        return
    rows = [
        {
            **one,
            "stops": one["scope"],
            "since": when(one["set_us"]),
            "lift proposed by": one["proposed"]["by"] if one["proposed"] else "",
        }
        for one in halts
    ]
    print(table(rows, _COLUMNS) if rows else "Nothing is stopped.")


def _quoted(halt_id: str) -> str:
    return quote(halt_id, safe="")
