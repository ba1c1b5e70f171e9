"""`sekisho policy pack`: the rules as one file for an OPA server to poll."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.opa_bundle import packed
from sekisho.adapters.policy_check import try_bundle
from sekisho.cli.printing import add_json, as_json
from sekisho.config import PolicySettings
from sekisho.errors import SekishoError
from sekisho_audit.commands.named_file import named_file

VERB = "pack"


class NotWritten(SekishoError):
    """The file could not be written; the one that was there is untouched."""

    code = "cannot_write"


def add_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of the verb."""
    pack = verbs.add_parser(VERB, help="make the file that an OPA server polls")
    pack.add_argument(
        "bundle",
        nargs="?",
        type=Path,
        default=PolicySettings().bundle,
        help="directory of rules and data (default: the shipped one)",
    )
    pack.add_argument(
        "--output",
        type=named_file,
        required=True,
        metavar="FILE",
        help="as sekisho.tar.gz; replaced in one step, so that no server reads half of it",
    )
    add_json(pack)


def pack(options: argparse.Namespace) -> int:
    """Only rules that the gateway would run are packed. Raises PolicyRejected, NotWritten."""
    bundle = read_bundle(options.bundle)
    try_bundle(bundle)
    content = packed(bundle)
    beside = options.output.with_name(f".{options.output.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(options.output)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise NotWritten(f"{options.output} cannot be written: {error.strerror}.") from error
    told = {"file": str(options.output), "revision": bundle.revision, "bytes": len(content)}
    print(as_json(told) if options.json else f"{options.output}: {bundle.revision}")
    return 0
