"""Decisions of the ledger with the inputs that policy saw, read for an officer.

Effects and reasons stand in the leaves. Inputs are sealed: auditd opens them for somebody with the
duty `disclose`, records that first, and whoever asked then finds the reading in their own history.
Nothing but inputs is opened, no prompt and no answer. Without a ledger, as for a pull request,
inputs come from a file: the lines of `sekisho-audit disclose --json`, or those that were saved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sekisho.errors import BadRequest, LedgerUnavailable
from sekisho.model.replays import Recorded
from sekisho_audit.disclose_operations import EXCHANGES_MAX
from sekisho_audit.officer_client import OfficerClient, OfficerError
from sekisho_audit.places import newest_of
from sekisho_audit.scan import BrokenSegment

_DECISION = b'"type":"policy.decision"'
_INPUT = "input"
_MODE = 0o600
LINES_MAX = 1_000_000
LINE_BYTES_MAX = 4 * 1024 * 1024


def decisions(ledger: Path, *, since_us: int = 0, exchange: str | None = None) -> list[Recorded]:
    """Recorded decisions, oldest first, without their inputs. Raises LedgerUnavailable."""
    named = _DECISION if exchange is None else exchange.encode()
    found = []
    try:
        for leaf in newest_of(ledger, named):
            if leaf["type"] != "policy.decision" or leaf["ts"] < since_us:
                continue
            if exchange is None or leaf["exchange"] == exchange:
                found.append(Recorded(leaf["n"], leaf["exchange"], leaf["ts"], leaf["data"]))
    except (BrokenSegment, OSError) as error:
        raise LedgerUnavailable(f"The ledger cannot be read: {error}") from error
    return sorted(found, key=lambda one: one.index)


def with_inputs(
    client: OfficerClient, recorded: Sequence[Recorded], *, purpose: str, ticket: str
) -> list[Recorded]:
    """The same with inputs, as far as they can still be opened. Raises OfficerError."""
    opened: dict[int, bytes] = {}
    exchanges = list(dict.fromkeys(one.exchange for one in recorded))
    for first in range(0, len(exchanges), EXCHANGES_MAX):
        question = {
            "op": "disclose",
            "purpose": purpose,
            "ticket": ticket,
            "exchanges": exchanges[first : first + EXCHANGES_MAX],
            "names": [_INPUT],
        }
        opened.update(_opened(client, question))
    return [replace(one, document=opened.get(one.index)) for one in recorded]


def _opened(client: OfficerClient, question: Mapping[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Index and content, page by page."""
    skip, more = 0, True
    while more:
        try:
            answer, blobs = client.ask({**question, "skip": skip})
        except OfficerError as error:
            if error.code == "not_found":
                return
            raise
        for payload in answer["payloads"]:
            if "blob" in payload:
                yield payload["index"], blobs[payload["blob"]]
        skip += len(answer["payloads"])
        more = answer["more"]


def from_file(path: Path) -> list[Recorded]:
    """Inputs that were disclosed into a file before. Raises BadRequest."""
    try:
        with path.open("rb") as file:
            return from_lines(str(path), file)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from error


def new_file(path: Path) -> int:
    """A file that only its owner reads, for `save`. Made before anything is opened: what cannot be
    kept must not have been given out. Raises BadRequest.
    """
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise BadRequest(f"{path} cannot be written: {error.strerror}.") from error


def save(file: int, recorded: Sequence[Recorded]) -> None:
    """Write opened inputs, as `from_file` reads them."""
    with os.fdopen(file, "wb") as out:
        out.writelines(_saved(one) + b"\n" for one in recorded)


def _saved(one: Recorded) -> bytes:
    content = None if one.document is None else one.document.decode("utf-8", "surrogateescape")
    line = {"index": one.index, "type": "policy.decision", "ts": one.ts_us}
    line |= {"exchange": one.exchange, "name": _INPUT, "content": content}
    return json.dumps(line).encode()


def from_lines(name: str, lines: Iterable[bytes]) -> list[Recorded]:
    """As `from_file`, for the lines of one; `name` is for messages. Raises BadRequest."""
    found: list[Recorded] = []
    for number, line in enumerate(lines, 1):
        if number > LINES_MAX or len(line) > LINE_BYTES_MAX:
            raise BadRequest(f"{name}:{number}: more than a file of inputs may hold.")
        found += list(_line(name, number, line))
    return found


def _line(path: str, number: int, line: bytes) -> Iterator[Recorded]:
    if not line.strip():
        return
    try:
        said = json.loads(line)
        if said["name"] != _INPUT or said["type"] != "policy.decision":
            return
        content = said["content"]
        document = None if content is None else content.encode("utf-8", "surrogateescape")
        yield Recorded(int(said["index"]), str(said["exchange"]), int(said["ts"]), {}, document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest(f"{path}:{number}: no line of `sekisho-audit disclose --json`.") from error
