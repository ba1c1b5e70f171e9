"""How an officer's command finds auditd and says who asks: the arguments, and the connection."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sekisho_audit.officer_client import SECRET_VARIABLE, OfficerClient, secret_from

SECOND_VARIABLE = f"{SECRET_VARIABLE}_2"


def add_officer_arguments(parser: argparse.ArgumentParser) -> None:
    """Where auditd is, who asks, and where their secrets are."""
    parser.add_argument("directory", type=Path, help="the data directory, or the ledger inside it")
    parser.add_argument("--officer", required=True, metavar="NAME", help="who asks")
    parser.add_argument(
        "--secret-file", type=Path, help=f"the officer's secret; without it ${SECRET_VARIABLE}"
    )
    parser.add_argument("--second", metavar="NAME", help="another officer, who agrees")
    parser.add_argument(
        "--second-secret-file", type=Path, help=f"their secret; without it ${SECOND_VARIABLE}"
    )
    parser.add_argument(
        "--socket", type=Path, help="default: run/officers.sock in the data directory"
    )


def socket_of(arguments: argparse.Namespace) -> Path:
    """Where auditd hears officers."""
    directory: Path = arguments.directory
    data = directory.parent if (directory / "events").is_dir() else directory
    return arguments.socket or data / "run" / "officers.sock"


@contextmanager
def presented(arguments: argparse.Namespace) -> Iterator[OfficerClient]:
    """A connection on which those who ask were let in. Raises OfficerError."""
    secret = secret_from(arguments.secret_file)
    second = None
    if arguments.second is not None:
        second = secret_from(arguments.second_secret_file, SECOND_VARIABLE)
    with OfficerClient(socket_of(arguments)) as client:
        client.present(arguments.officer, secret)
        if second is not None:
            client.present(arguments.second, second)
        yield client
