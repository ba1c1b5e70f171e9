"""The command `sekisho`: parse, call, print. What a command does lives elsewhere.

Each command is a module of this package with `configure(parser)` and `run(options) -> int`. A
module is loaded when its command is asked for, so that `sekisho hold list` does not wait for the
parts of `serve`, and the demo's extra packages are needed by `sekisho demo` only.

Exit status: 0 done, 1 it could not be done (one line says why), 2 wrong usage or settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from sekisho import __version__
from sekisho.config import ConfigError
from sekisho.errors import SekishoError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # what a shell reports for Ctrl-C

COMMANDS = {
    "serve": ("serve", "run the gateway with all its processes, in the foreground"),
    "demo": ("demo", "the same with a real model on this machine, people and keys"),
    "key": ("keys", "make, list and revoke API keys"),
    "principal": ("principals", "list principals, set their roles and groups"),
    "hold": ("holds", "list, watch, show, justify, approve, deny and withdraw holds"),
    "notify": ("notify", "the channels over which people are told, and a test of each"),
    "halt": ("halt", "stop everything, a team, backend, model or tool; lifting takes two"),
    "grant": ("grant", "let a few holds be answered in advance; it takes two, and one revokes"),
    "draft": ("draft", "say what became of an answer: accepted, edited, rejected"),
    "sample": ("sample", "look at answers that were drawn for review after the fact"),
    "break-glass": ("break_glass", "go on without people in an emergency; reviewed afterwards"),
    "check": ("check", "what would happen to a text, before it is sent"),
    "policy": ("policy", "check, test and try the rules, and put them in force"),
    "doctor": ("doctor", "what is wrong with an installation, and how to mend it"),
}


class Parser(argparse.ArgumentParser):
    """Options in full only: `--key` must not be taken for `--key-file`."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **given})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_usage())
        return 0 if words else EXIT_USAGE
    if words[0] == "--version":
        print(f"sekisho {__version__}")
        return 0
    if words[0] not in COMMANDS:
        print(f"sekisho: there is no command {words[0]!r}\n\n{_usage()}", file=sys.stderr)
        return EXIT_USAGE
    module_name, summary = COMMANDS[words[0]]
    module = import_module(f"sekisho.cli.{module_name}")
    parser = Parser(prog=f"sekisho {words[0]}", description=summary)
    module.configure(parser)
    return _run(module.run, parser.parse_args(words[1:]))


def _run(run: object, options: argparse.Namespace) -> int:
    if not callable(run):
        raise TypeError("a command module needs a function run")
    try:
        return int(run(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except SekishoError as error:
        print(f"sekisho: {error.message}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left (`| head`); Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def _usage() -> str:
    lines = [f"  {name:<12}{summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(["usage: sekisho COMMAND …   (COMMAND --help tells more)", "", *lines])
