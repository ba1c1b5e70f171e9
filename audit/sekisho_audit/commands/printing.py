"""What commands print: text of a ledger nobody has vouched for must not steer a terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sekisho_audit.errors import in_words
from sekisho_audit.report import Report, Verdict
from sekisho_audit.verify import find_ledger


def plain(text: str) -> str:
    """Text as it can be shown: what is not printable is spelled out."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def plain_lines(text: str) -> str:
    """As `plain`, but lines stay lines."""
    return "\n".join(plain(line) for line in text.split("\n"))


def words_of(error: object) -> str:
    """An error as it can be shown: it may quote what somebody else wrote."""
    return plain_lines(in_words(error) if isinstance(error, OSError) else str(error))


def complain(what: object) -> int:
    """Say on stderr what is wrong, words or an error; returns the exit code for it."""
    said = what if isinstance(what, str) else words_of(what)
    sys.stderr.write(f"sekisho-audit: {said}\n")
    return int(Verdict.CANNOT_TELL)


def ledger_in(directory: Path) -> Path | None:
    """The ledger in a directory or data directory; None, and a complaint, if there is none."""
    ledger = find_ledger(directory)
    if ledger is None:
        complain(f"there is no ledger in {directory}")
    return ledger


def print_json(report: Report) -> None:
    """A report for machines."""
    sys.stdout.write(json.dumps(report.as_dict(), indent=2) + "\n")
