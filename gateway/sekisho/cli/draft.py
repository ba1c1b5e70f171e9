"""`sekisho draft`: what became of answers, in the word of whoever asked.

    sekisho draft                                   which of mine are open
    sekisho draft EXCHANGE accepted
    sekisho draft EXCHANGE edited --final letter.txt
    sekisho draft EXCHANGE rejected

Of texts only hashes are told. Where rules want it, nothing more is sent while too many are open.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from sekisho.cli.gate import Gate, GateFailed, add_gate, connect
from sekisho.cli.printing import add_json, as_json, visible

DECISIONS = ("accepted", "edited", "rejected")
PAGE = 100

# Of a stream that its client left, something was read.
_GIVEN = frozenset({"released", "cancelled", "stopped"})


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho draft`."""
    parser.add_argument("exchange", nargs="?", help="which one (absent: tell which are open)")
    parser.add_argument("decision", nargs="?", choices=DECISIONS, help="what became of it")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the answer as it was used")
    parser.add_argument("--final", type=Path, metavar="FILE", help="edited: what was made of it")
    add_gate(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Tell, or say. Raises GateFailed."""
    if options.exchange is None:
        open_ones = _open(connect(options))
        print(as_json(open_ones) if options.json else _told(open_ones))
        return 0
    if options.decision is None:
        raise GateFailed(f"Say what became of it: {', '.join(DECISIONS)}.")
    if (options.final is not None) != (options.decision == "edited"):
        raise GateFailed("--final FILE belongs to edited: the text that was made of the answer.")
    said = {"decision": options.decision}
    for name in ("output", "final"):
        if (path := getattr(options, name)) is not None:
            said[f"{name}_sha256"] = _hash(path)
    told = connect(options).post(f"/v1/exchanges/{options.exchange}/acceptance", said)
    print(as_json(told) if options.json else visible(f"{options.exchange}: {told['decision']}"))
    return 0


def _open(gate: Gate) -> list[dict[str, Any]]:
    """One's own answers of which a word is wanted, the newest first."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        query = {"limit": str(PAGE), **({"after": after} if after else {})}
        page = gate.get("/v1/exchanges", **query)
        found += [
            one
            for one in page["data"]
            if one["draft_wanted"] and one["draft"] is None and one["status"] in _GIVEN
        ]
        if not page["has_more"]:
            return found
        after = page["after"]


def _told(open_ones: list[dict[str, Any]]) -> str:
    if not open_ones:
        return "No answer of yours waits for a word."
    return visible("\n".join(f"{one['id']}  {one['model']}" for one in open_ones))


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise GateFailed(f"{path} cannot be read: {error.strerror}.") from error
