"""`sekisho hold seed`: make a hold up, to see whether reviewers read what they approve."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sekisho.cli.gate import Gate, GateFailed
from sekisho.cli.printing import as_json, visible

TEXT_BYTES_MAX = 65_536


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("--principal", required=True, help="who seems to ask: nobody's name")
    parser.add_argument("--model", required=True)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--rule", required=True, help="what it should be denied for")
    parser.add_argument("--message", required=True, help="what that rule says to reviewers")
    parser.add_argument("--reviewers", default="reviewer", help="role or group (reviewer)")
    parser.add_argument("--approve", type=int, default=1, help="how many must approve (1)")
    parser.add_argument("--risk", type=int, default=50, help="0 to 100 (50)")
    parser.add_argument("--ttl", type=int, default=28_800, metavar="S", help="seconds (28800)")
    parser.add_argument(
        "--text", type=Path, metavar="FILE", help="what it asks; without it, standard input"
    )


def plant(gate: Gate, options: argparse.Namespace) -> None:
    """Send it and say under which id it stands."""
    names = ("principal", "model", "backend", "rule", "message", "reviewers", "approve", "risk")
    said = {name: getattr(options, name) for name in names}
    hold = gate.post(
        "/v1/approvals/seeds", {**said, "ttl_s": options.ttl, "text": _text(options.text)}
    )
    where = f"Reviewers see it as {visible(hold['id'])}. Nothing of it can be sent."
    print(as_json(hold) if options.json else where)


def _text(path: Path | None) -> str:
    try:
        source = sys.stdin.buffer if path is None else path.open("rb")
        with source:
            content = source.read(TEXT_BYTES_MAX + 1)
        if len(content) > TEXT_BYTES_MAX:
            raise GateFailed(f"The text is longer than {TEXT_BYTES_MAX} bytes.")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise GateFailed(f"The text cannot be read: {error}.") from error


def told(hold: dict[str, object]) -> str:
    """What a reviewer is told when it is over: a line, or nothing for every other hold."""
    was = hold.get("test_item")
    if not isinstance(was, dict):
        return ""
    end = "It was caught." if was["caught"] else "It was missed."
    return f"This was a test item, made up, to be denied for {visible(str(was['rule']))}. {end}"
