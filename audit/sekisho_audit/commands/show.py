"""`sekisho-audit show`: the events of a ledger as lines; content is sealed and not shown."""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sekisho_audit.canon import NotCanonical, decode
from sekisho_audit.commands.printing import complain, ledger_in, plain
from sekisho_audit.events import TYPES
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, BrokenSegment, frames, held_from, segments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("directory", type=Path, help="the ledger, or the data directory around it")
    parser.add_argument("--exchange", help="only this exchange")
    parser.add_argument("--type", help="only events of this type, or beginning so: `hold.`")
    parser.add_argument("--last", type=int, help="only the last N of them")
    parser.add_argument("--json", action="store_true", help="whole leaves, one a line")


def _leaves(ledger: Path) -> Iterator[Mapping[str, Any]]:
    for segment in segments(ledger, EVENTS):
        for frame in frames(segment, EVENTS):
            yield decode(frame.body)


class _Asked:
    """Which events are to be shown, and whether any was of the exchange."""

    def __init__(self, exchange: str | None, kind: str | None) -> None:
        self.exchange, self.kind = exchange, kind
        self.seen = False

    def wants(self, leaf: Mapping[str, Any]) -> bool:
        if self.exchange is not None and leaf["exchange"] != self.exchange:
            return False
        self.seen = True
        return self.kind is None or leaf["type"].startswith(self.kind)


def _line(leaf: Mapping[str, Any]) -> str:
    when = datetime.fromtimestamp(leaf["ts"] / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    who = leaf["actor"] or leaf["principal"] or "-"
    facts = " ".join(
        f"{name}={json.dumps(value, ensure_ascii=True, separators=(',', ':'))}"
        for name, value in leaf["data"].items()
    )
    sealed = "".join(f" [{item['name']}: {item['len']} bytes]" for item in leaf["pl"])
    exchange = leaf["exchange"] or "-"
    line = f"{leaf['n']:>8}  {when}Z  {leaf['type']:<18} {exchange}  {who}  {facts}{sealed}"
    return plain(line) + "\n"


def run(arguments: argparse.Namespace) -> int:
    """Print events; returns the exit code."""
    ledger = ledger_in(arguments.directory)
    if ledger is None:
        return int(Verdict.CANNOT_TELL)
    asked = _Asked(arguments.exchange, arguments.type)
    found = (leaf for leaf in _leaves(ledger) if asked.wants(leaf))
    shown = 0
    try:
        chosen = found if arguments.last is None else deque(found, maxlen=max(arguments.last, 0))
        for leaf in chosen:
            text = json.dumps(leaf, sort_keys=True) + "\n" if arguments.json else _line(leaf)
            sys.stdout.write(text)
            shown += 1
    except (BrokenSegment, NotCanonical) as error:
        return complain(f"{error}; run `sekisho-audit verify`")
    return int(Verdict.SOUND) if shown else _nothing(asked, ledger)


def _nothing(asked: _Asked, ledger: Path) -> int:
    """Say that nothing was shown, and whether it can be a slip.

    Known types are looked at only now: a ledger of a newer version may have more.
    """
    kind = asked.kind
    if asked.exchange is not None and not asked.seen:
        first = held_from(ledger, EVENTS)
        gone = f"; the first {first:,} events were pruned" if first else ""
        return complain(
            f"no event is of the exchange {plain(asked.exchange)!r}: give its id as an answer or "
            f"`search` tells it{gone}"
        )
    if kind is None or any(name.startswith(kind) for name in TYPES):
        sys.stderr.write("sekisho-audit: there is no such event in this ledger\n")
        return int(Verdict.SOUND)
    known = "\n".join(f"  {name}" for name in sorted(TYPES))
    sys.stderr.write(
        f"sekisho-audit: no event is of a type {plain(kind)!r}, here or elsewhere. There are:\n"
        f"{known}\n"
    )
    return int(Verdict.CANNOT_TELL)
