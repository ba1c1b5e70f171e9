"""`sekisho-audit`: the command line of those who check a ledger and those who search it.

sekisho-audit verify DIR [--key VKEY] [--pinned CHECKPOINT]... [--receipt RECEIPT] [--json]
sekisho-audit verify DIR --disclosed FILE [--show] …
sekisho-audit verify URL --key VKEY [--credential-file FILE] [--pinned CHECKPOINT]... [--json]
sekisho-audit verify FILE --key VKEY [--receipt RECEIPT] [--key-changes FILE] [--json]
sekisho-audit verify BUNDLE --key VKEY [--pinned CHECKPOINT] [--key-changes FILE] [--json]
sekisho-audit prove DIR (--index N | --exchange ID) [--out FOLDER]
sekisho-audit keys DIR [--out FILE]
sekisho-audit rotate-key DIR --keys KEYS
sekisho-audit accept-rollback --keys KEYS --size N
sekisho-audit show DIR [--exchange ID] [--type T] [--last N] [--json]
sekisho-audit disclose DATA --officer NAME (--exchange ID | --index N) --purpose P --ticket T
sekisho-audit erase DATA --officer NAME --principal ID --purpose P --ticket T [--json]
sekisho-audit legal-hold (set | release | list) DATA --officer NAME [--principal ID | …]
sekisho-audit prune DATA --officer NAME --before DATE --authority TEXT [--yes] [--json]
sekisho-audit officers (add | remove | list | two) KEYS [NAME] [--duty DUTY]…
sekisho-audit export DIR --officer NAME --query Q --format csv|jsonl|parquet|bundle --out FILE
    --purpose TEXT [--ticket TEXT] [--disclose] [--time-zone Asia/Tokyo] [--pinned CHECKPOINT]
sekisho-audit retention DATA --officer NAME (--show | --now) [--json]
sekisho-audit reconcile DIR --usage FILE [--backend NAME] [--from T] [--to T] [--json]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from sekisho_audit.commands.printing import complain
from sekisho_audit.report import Verdict


class Command(Protocol):
    """A module of `sekisho_audit.commands`."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class _Known(NamedTuple):
    """Where a command is, and what it is for."""

    module: str
    about: str


# Only the module of the command that is run gets loaded: an auditor has the base install, and some
# commands need more.
COMMANDS = {
    "verify": _Known("verify", "is the ledger what was signed?"),
    "prove": _Known("prove", "proofs of events for somebody without the ledger"),
    "keys": _Known("keys", "the keys that a ledger had, and the changes for who checks bundles"),
    "rotate-key": _Known("rotate_key", "sign with a new key from now on"),
    "accept-rollback": _Known("accept_rollback", "go on with an old copy of the ledger"),
    "show": _Known("show", "print events; content is sealed and not shown"),
    "search": _Known("search", "exchanges by what happened and what was said; recorded first"),
    "index": _Known("index", "how far the indexes have read the ledger; build them anew"),
    "disclose": _Known("disclose", "content, or keys to it, for an officer; recorded first"),
    "erase": _Known("erase", "destroy somebody's keys, pseudonym and rows, and prove it"),
    "legal-hold": _Known("legal_hold", "what must be kept: set, release, list"),
    "retention": _Known("retention", "how long what is kept, what is over; end it now"),
    "prune": _Known("prune", "remove the oldest leaves for good; the rest still verifies"),
    "officers": _Known("officers", "who may use payload keys: add, remove, list, two"),
    "export": _Known("export", "what a query finds, as a table or as evidence"),
    "reconcile": _Known("reconcile", "a backend's usage export beside the ledger"),
}


def _load(name: str) -> Command:
    return cast("Command", import_module(f"sekisho_audit.commands.{COMMANDS[name].module}"))


def _is_text(argument: str) -> bool:
    """Whether it came in the encoding of the system; what did not cannot be sent or printed."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (argparse itself ends with 2)."""
    given = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="sekisho-audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    if not all(map(_is_text, given)):
        return complain("an argument is not UTF-8: set the terminal to UTF-8, or write it again")
    chosen: Command | None = None
    for name, known in COMMANDS.items():
        command = commands.add_parser(name, help=known.about)
        if given[:1] == [name]:
            try:
                chosen = _load(name)
            except ModuleNotFoundError as error:
                return complain(
                    f"`{name}` needs {error.name}, which is not installed: "
                    "pip install 'sekisho-audit[server]'"
                )
            chosen.add_arguments(command)
    arguments = parser.parse_args(given)
    assert chosen is not None  # noqa: S101 - the parser ends before, for any other first word
    try:
        return chosen.run(arguments)
    except BrokenPipeError:
        # Whoever reads has enough (`| head`); what is left in the buffer must not be tried again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Verdict.CANNOT_TELL)


if __name__ == "__main__":
    sys.exit(main())
