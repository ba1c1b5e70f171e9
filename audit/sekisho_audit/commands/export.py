"""`sekisho-audit export`: what a query finds, as a table or as evidence; on record first.

auditd records who exports what and why before the first event leaves; the file gets its name when
it is whole and says what was recorded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sekisho_audit.canon import NotCanonical, decode
from sekisho_audit.checkpoint import BadNote, read_unverified
from sekisho_audit.commands.named_file import named_file
from sekisho_audit.commands.presenting import add_officer_arguments, presented
from sekisho_audit.commands.printing import complain
from sekisho_audit.commands.verify import read_key
from sekisho_audit.disclosed import NotOpened
from sekisho_audit.export_client import Asked, ExportClient, TooMany
from sekisho_audit.exports.bundle import BadSelection, Proved, write_bundle
from sekisho_audit.exports.tables import WRITERS, NoParquet, arrow, write_csv
from sekisho_audit.exports.whole_file import whole_file
from sekisho_audit.exports.zones import NoZone, zone_named
from sekisho_audit.officer_client import OfficerError
from sekisho_audit.report import Verdict
from sekisho_audit.tree import BadProof

_SAID_EACH = 1_000
_FAULTS = (
    *(OfficerError, OSError, BadSelection, BadNote, BadProof, NoParquet, NoZone, TooMany),
    *(NotCanonical, NotOpened, UnicodeError),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_officer_arguments(parser)
    parser.add_argument("--query", default="", help='as for search, e.g. "effect:deny"; "" is all')
    parser.add_argument("--format", choices=[*WRITERS, "bundle"], required=True)
    parser.add_argument("--out", type=named_file, required=True, metavar="FILE")
    parser.add_argument("--force", action="store_true", help="take the place of a file")
    parser.add_argument("--purpose", required=True, help="what for; recorded, sealed")
    parser.add_argument("--ticket", default="", help="by whose order, e.g. a case number")
    parser.add_argument("--key", help="the ledger's public key that you keep: a file or the line")
    parser.add_argument("--bom", action="store_true", help="csv: begin with a byte order mark")
    bundle = parser.add_argument_group("evidence bundles")
    bundle.add_argument(
        "--disclose", action="store_true", help="with content and its keys; needs that duty too"
    )
    bundle.add_argument("--time-zone", help="beside UTC, e.g. Asia/Tokyo; default: this machine's")
    bundle.add_argument(
        "--pinned", type=Path, metavar="CHECKPOINT", help="prove that it continues this one"
    )


def run(arguments: argparse.Namespace) -> int:
    """Export; returns the exit code."""
    if arguments.format != "bundle" and (arguments.disclose or arguments.pinned):
        return complain("--disclose and --pinned are for --format bundle")
    if arguments.disclose and not arguments.ticket:
        return complain("--disclose needs --ticket: by whose order content is given out")
    try:
        # Arguments that are not of the terminal's encoding come as lone surrogates.
        f"{arguments.query}{arguments.purpose}{arguments.ticket}".encode()
        with whole_file(arguments.out, force=arguments.force) as out:
            client = _export(out, arguments)
    except _FAULTS as error:
        return complain(error)
    told = client.told
    sys.stderr.write(
        f"{told['events']:,} events of {told['found']:,} exchanges or single events, as the ledger "
        f"had {told['size']:,}; recorded as event {told['index']}\n"
    )
    if told["erased"] or told["forgotten"]:
        sys.stderr.write(
            f"{told['erased']:,} exchanges could not be searched for texts, {told['forgotten']:,} "
            "events are of erased people\n"
        )
    return int(Verdict.SOUND)


def _export(out: BinaryIO, arguments: argparse.Namespace) -> ExportClient:
    """Write what is asked for. What can go wrong before anything is recorded goes wrong first."""
    zone, key = zone_named(arguments.time_zone), read_key(arguments.key)
    pinned = None if arguments.pinned is None else _kept(arguments.pinned)
    if arguments.format == "parquet":
        arrow()
    with presented(arguments) as asker:
        asked = Asked(
            query=arguments.query,
            purpose=arguments.purpose.strip(),
            ticket=arguments.ticket.strip(),
            format=arguments.format,
            asked_by=arguments.officer,
        )
        client = ExportClient(asker, key, asked)
        if arguments.format == "bundle":
            disclosed = None
            if arguments.disclose:
                disclosed = client.disclosed([decode(one.event.body) for one in client.events()])
            export = client.export(pinned, disclosed)
            write_bundle(out, export, _told(client), zone, client.sign)
        else:
            events = (proved.event for proved in _told(client))
            write = partial(write_csv, bom=True) if arguments.bom else WRITERS[arguments.format]
            write(out, events)
    return client


def _kept(path: Path) -> bytes:
    """A checkpoint that somebody kept; auditd's keys tell later whether it is of this ledger."""
    note = path.read_bytes()
    try:
        read_unverified(note)
    except BadNote as error:
        raise BadNote(f"{path}: {error}") from error
    return note


def _told(client: ExportClient) -> Iterator[Proved]:
    """The events; how far it has come is told to whoever watches."""
    watched = sys.stderr.isatty()
    for count, proved in enumerate(client.events(), 1):
        yield proved
        if watched and count % _SAID_EACH == 0:
            sys.stderr.write(f"\r{count:,} of {client.told['events']:,} events")
            sys.stderr.flush()
    if watched:
        sys.stderr.write("\r\033[K")
