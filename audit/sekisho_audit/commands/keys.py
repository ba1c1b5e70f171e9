"""`sekisho-audit keys`: which keys signed a ledger, and how each followed the one before.

`--out` writes the changes as lines. Whoever has one of the keys, and a bundle that another of them
signed, checks it with that file: each change is signed by both keys, so the file need not come from
somebody who is trusted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sekisho_audit.checkpoint import BadNote, VerifierKey
from sekisho_audit.commands.named_file import named_file
from sekisho_audit.commands.printing import complain, ledger_in, plain
from sekisho_audit.exports.tables import Stored, json_line
from sekisho_audit.key_chain import KeyChain, Rotation, stored_rotations
from sekisho_audit.report import Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("directory", type=Path, help="the ledger, or the data directory around it")
    parser.add_argument(
        "--out", type=named_file, metavar="FILE", help="write the changes of keys there"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the keys; returns the exit code."""
    directory = ledger_in(arguments.directory)
    if directory is None:
        return int(Verdict.CANNOT_TELL)
    try:
        held = VerifierKey.parse((directory / "vkey").read_text(encoding="utf-8").strip())
        found = list(stored_rotations(directory))
        chain = KeyChain(held, [Rotation.read(leaf) for leaf, _ in found])
        if arguments.out is not None:
            lines = (json_line(Stored(leaf["n"], body)) for leaf, body in found)
            arguments.out.write_bytes(b"".join(lines))
    except OSError as error:
        return complain(error)
    except (BadNote, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        return complain(f"the keys of this ledger do not hold: {error}")
    first, *_ = chain.keys
    sys.stdout.write(f"{plain(first.line())}\n  from the beginning\n")
    for one in chain.rotations:
        sys.stdout.write(f"{plain(one.new.line())}\n  from event {one.index} on\n")
    sys.stdout.write("This is what the ledger says; `sekisho-audit verify` checks it.\n")
    return int(Verdict.SOUND)
