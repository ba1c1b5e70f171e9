"""`sekisho-audit disclose`: content for an officer, or keys for a third party; on record first.

Texts are printed with everything that could steer a terminal spelled out. With `--keys FILE`
nothing is printed: FILE opens the sealed payloads of what was asked for and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sekisho_audit.commands.named_file import named_file
from sekisho_audit.commands.presenting import add_officer_arguments, presented
from sekisho_audit.commands.printing import complain, plain, plain_lines
from sekisho_audit.durable import KEY_MODE
from sekisho_audit.officer_client import OfficerClient, OfficerError
from sekisho_audit.report import Verdict

_STATES = {
    "erased": "its key was destroyed: nobody can open it any more",
    "expired": "not kept any more: retention",
    "not_kept": "only committed to, not kept",
    "missing": "it cannot be read: run `sekisho-audit verify`",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_officer_arguments(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--exchange", action="append", help="this exchange; may be repeated")
    which.add_argument("--index", type=int, help="the event with this number")
    parser.add_argument("--purpose", required=True, help="what for; recorded, sealed")
    parser.add_argument("--ticket", required=True, help="by whose order, e.g. a case number")
    parser.add_argument(
        "--keys", type=named_file, metavar="FILE", help="keys instead of texts, to FILE"
    )
    parser.add_argument("--json", action="store_true", help="for machines")


def run(arguments: argparse.Namespace) -> int:
    """Disclose; returns the exit code."""
    question: dict[str, Any] = {
        "op": "disclose",
        "purpose": arguments.purpose,
        "ticket": arguments.ticket,
        **({"exchanges": arguments.exchange} if arguments.exchange else {}),
        **({"index": arguments.index} if arguments.index is not None else {}),
    }
    try:
        # Before anything is recorded: what cannot be written must not have been given out.
        out = None if arguments.keys is None else _new_file(arguments.keys)
        with presented(arguments) as client:
            if out is not None:
                _write_keys(client, question, out)
                return int(Verdict.SOUND)
            for payload, content in _payloads(client, question):
                _print(payload, content, as_json=arguments.json)
    except (OfficerError, OSError) as error:
        return complain(error)
    return int(Verdict.SOUND)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, KEY_MODE)


def _write_keys(client: OfficerClient, question: Mapping[str, Any], out: int) -> None:
    answer, _ = client.ask({**question, "keys": True})
    with os.fdopen(out, "w", encoding="utf-8") as file:
        file.write(json.dumps(answer["disclosure"], indent=1) + "\n")


def _payloads(
    client: OfficerClient, question: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], bytes | None]]:
    """What was asked for, page by page."""
    skip, more = 0, True
    while more:
        answer, blobs = client.ask({**question, "skip": skip})
        for payload in answer["payloads"]:
            place = payload.pop("blob", None)
            yield payload, None if place is None else blobs[place]
        skip += len(answer["payloads"])
        more = answer["more"]


def _print(payload: Mapping[str, Any], content: bytes | None, *, as_json: bool) -> None:
    if as_json:
        text = None if content is None else content.decode("utf-8", "surrogateescape")
        # Bytes that are no UTF-8 come as lone surrogates, escaped: nothing is lost.
        sys.stdout.write(json.dumps({**payload, "content": text}) + "\n")
        return
    when = datetime.fromtimestamp(payload["ts"] / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    head = f"event {payload['index']}  {when}Z  {payload['type']}  {payload['name']}"
    sys.stdout.write(f"--- {plain(head)} ({payload['bytes']} bytes)\n")
    if content is None:
        sys.stdout.write(f"({_state(payload)})\n\n")
    else:
        sys.stdout.write(plain_lines(content.decode("utf-8", "backslashreplace")) + "\n\n")


def _state(payload: Mapping[str, Any]) -> str:
    said = _STATES[payload["state"]]
    if "class" in payload:
        days = "" if payload["days"] is None else f", {payload['days']} days"
        said += f" (class {plain(payload['class'])}{days})"
    return said
