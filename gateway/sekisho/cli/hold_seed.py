"""`sekisho hold seed`: make a hold up, to see whether reviewers read what they approve."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sekisho.cli.gate import Gate, GateFailed
from sekisho.cli.printing import as_json, visible

TEXT_BYTES_MAX = 65_536
_NAMES = (
    *("principal", "rule", "message", "model", "backend", "reviewers", "approve", "deny", "risk"),
    *("ttl_s", "office_time", "redact"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("--principal", required=True, help="who seems to ask: nobody's name")
    parser.add_argument("--rule", required=True, help="what it should be denied for")
    parser.add_argument("--message", required=True, help="what that rule says to reviewers")
    parser.add_argument(
        "--also",
        nargs=2,
        action="append",
        metavar=("RULE", "MESSAGE"),
        help="another rule that seems to have held it, and what it says",
    )
    like = parser.add_argument_group("as in the newest open hold of the rule, unless named")
    like.add_argument("--model", help="a model that is offered")
    like.add_argument("--backend", help="where it would go")
    like.add_argument("--reviewers", help="role or group (reviewer)")
    like.add_argument("--approve", type=int, help="how many must approve (1)")
    like.add_argument("--deny", type=int, help="how many must deny (1)")
    like.add_argument("--risk", type=int, help="0 to 100 (50)")
    like.add_argument("--ttl", type=int, metavar="S", dest="ttl_s", help="seconds (86400)")
    like.add_argument(
        "--office-time",
        action=argparse.BooleanOptionalAction,
        help="the time counts only while the office is open (no)",
    )
    parser.add_argument(
        "--redact", action="append", metavar="KIND", help="kind that the rules mask, as in [EMAIL]"
    )
    parser.add_argument(
        "--text", type=Path, metavar="FILE", help="what it asks; without it, standard input"
    )


def plant(gate: Gate, options: argparse.Namespace) -> None:
    """Send it and say under which id it stands."""
    named = {name: getattr(options, name) for name in _NAMES}
    said = {name: value for name, value in named.items() if value is not None}
    also = [{"rule": rule, "message": message} for rule, message in options.also or ()]
    more = {"also": also} if also else {}
    hold = gate.post("/v1/approvals/seeds", {**said, **more, "text": _text(options.text)})
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
