"""`sekisho check`: what would happen to a text, before anybody sends it.

    echo "Dear Ms Li, …" | sekisho check --model gpt-4o
    sekisho check --body request.json

The text goes to the gateway, which looks at it as it would at a request, and tells; it sends
nothing on. Exit status 0: it would leave; 3: people would be asked first,
if only you, for a reason; 4: it would be refused.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sekisho.cli.gate import GateFailed, add_gate, connect
from sekisho.cli.hold_steps import asked_in_order
from sekisho.cli.printing import add_json, as_json, visible

EXIT_OF = {
    "allow": 0,
    "grant": 0,
    "break_glass": 0,
    "justify": 3,
    "hold": 3,
    "deny": 4,
    "drafts": 4,
}
_TEXT_BYTES_MAX = 8 * 1024 * 1024  # the gateway takes no more


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho check`."""
    parser.add_argument("--model", help="the model it would be sent to")
    parser.add_argument("--body", type=Path, metavar="FILE", help="a whole request as JSON instead")
    parser.add_argument(
        "text", nargs="?", type=Path, metavar="FILE", help="holds the text (default: what is piped)"
    )
    add_gate(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Ask and tell. Raises GateFailed."""
    gate = connect(options)
    told = gate.send("/v1/check", _request(options))
    print(as_json(told) if options.json else told_text(told))
    return EXIT_OF.get(_effect(told), 1)


def _request(options: argparse.Namespace) -> bytes | dict[str, Any]:
    if options.body is not None:
        if options.model or options.text:
            raise GateFailed("--body is a whole request: give neither a model nor a text with it.")
        return _read(options.body)
    if not options.model:
        raise GateFailed("Name the model it would be sent to: --model NAME (or --body FILE).")
    raw = sys.stdin.buffer.read(_TEXT_BYTES_MAX) if options.text is None else _read(options.text)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise GateFailed("The text is not UTF-8.") from error
    return {"model": options.model, "messages": [{"role": "user", "content": text}]}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_TEXT_BYTES_MAX)
    except OSError as error:
        message = (
            f"{path} cannot be read: {error.strerror}. A text is piped: echo … | sekisho check"
        )
        raise GateFailed(message) from error


def told_text(told: dict[str, Any]) -> str:
    """For a terminal: the effect first, then why, then what would be done to it."""
    lines = [_EFFECTS.get(_effect(told), str(told["effect"]))]
    lines += [f"  {one['message']} (rule {one['rule']})" for one in told["reasons"]]
    lines += _drafts(told.get("drafts"))
    if told.get("justify"):
        lines.append("  You would be asked for a reason first; it is kept as evidence.")
    if told["hold"] and not told.get("answered_by"):
        lines += _asked(told["hold"]["asked"])
        lines.append(f"  They have {_time(told['hold'])}; after that it expires.")
    if told["masked"]:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in sorted(told["masked"].items()))
        lines.append(f"  Masked before it leaves: {kinds}.")
    changes = [name for name in told["changed_by"] if name != "redact"]
    if changes:
        lines.append(f"  Changed before it leaves by: {', '.join(changes)}.")
    if told["labelled"]:
        lines.append("  The answer will say that a machine wrote it.")
    lines += _about_the_answer(told["answer"])
    if told["backend"]:
        lines.append(f"  It would go to {told['backend']}.")
    lines.append("Nothing was sent.")
    return visible("\n".join(lines))


_EFFECTS = {
    "allow": "It would be sent.",
    "justify": "It would be sent once you have said why:",
    "hold": "People would be asked first:",
    "deny": "It would be refused:",
    "drafts": "It would be refused until you have said what became of earlier answers:",
    "grant": "It would be sent: people agreed to it in advance, in a standing grant.",
    "break_glass": "It would be sent without people, because you broke the glass; others see it.",
}


def _effect(told: dict[str, Any]) -> str:
    """The effect in one word; an allowed request that wants a reason first does not just go."""
    effect, drafts = str(told.get("effect")), told.get("drafts") or {}
    if drafts.get("refused"):
        return "drafts"
    if effect == "hold" and told.get("answered_by"):
        return str(told["answered_by"])
    return "justify" if effect == "allow" and told.get("justify") else effect


def _drafts(drafts: dict[str, Any] | None) -> list[str]:
    """How many answers wait for a word, where the rules count them."""
    if drafts is None:
        return []
    line = f"  Of {drafts['open']} answers you have not said what became of them; {drafts['max']} "
    return [f"{line}may be open: the next is refused then. See sekisho draft."]


def _time(hold: dict[str, Any]) -> str:
    """How long people have."""
    hours, minutes = hold["ttl_s"] // 3600, hold["ttl_s"] // 60
    span = f"{hours} hours" if hours > 1 else f"{minutes} minutes"
    return f"{span} of office time" if hold["office_time"] else span


def _about_the_answer(answer: dict[str, Any]) -> list[str]:
    if not answer["read_whole"]:
        return []
    lines = ["  Its answer would be looked at before you see any of it, so it comes all at once."]
    for hold in answer["holds"]:
        what = "Tool calls in it" if hold["stage"] == "tool_call" else "It"
        lines.append(f"  {what} would wait for people, who have {_time(hold)}:")
        lines += _asked(hold["asked"])
    return lines


def _asked(asked: list[dict[str, Any]]) -> list[str]:
    """Who would be asked, one after the other where the rules want that."""
    return [_threshold(step, one) for step, one in asked_in_order(asked)]


def _threshold(step: str, one: dict[str, Any]) -> str:
    many = "review" if one["approve"] == 1 else "reviews"
    said = f"  {step}{one['approve']} {many} by {one['reviewers']} would let it go."
    if one.get("relief"):
        said += f" Late, {', '.join(one['relief'])} may in their place."
    lately = one.get("lately")
    if lately is None:
        return said
    minutes = max(1, round(lately["median_s"] / 60))
    return f"{said} Half of the last {lately['count']} were answered within {minutes} min."
