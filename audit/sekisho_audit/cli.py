"""`sekisho-audit`: verify a ledger, show what is in it. Reads only, needs no network and no keys.

sekisho-audit verify DIR [--key VKEY] [--pinned CHECKPOINT] [--receipt RECEIPT] [--json]
sekisho-audit verify FILE --key VKEY [--receipt RECEIPT] [--json]
sekisho-audit prove DIR (--index N | --exchange ID) [--out FOLDER]
sekisho-audit show DIR [--exchange ID] [--type T] [--last N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from sekisho_audit.canon import NotCanonical, decode
from sekisho_audit.checkpoint import NOTE_BYTES_MAX, BadNote, VerifierKey
from sekisho_audit.events import TYPES
from sekisho_audit.proof import Proof
from sekisho_audit.prove import NotProvable, prove
from sekisho_audit.receipt import BadReceipt, Receipt
from sekisho_audit.report import Report, Verdict
from sekisho_audit.scan import EVENTS, BrokenSegment, frames, segments
from sekisho_audit.verify import find_ledger, verify
from sekisho_audit.verify_proof import verify_file

_HEADLINES = {
    Verdict.SOUND: "SOUND: this ledger is what was signed, and within its rules.",
    Verdict.TAMPERED: "TAMPERED: this ledger is not what it claims to be.",
    Verdict.CANNOT_TELL: "CANNOT TELL: nothing can be said about this ledger.",
}

_OF_PROOFS = {
    Verdict.SOUND: "SOUND: the ledger's key signed a tree with exactly these events in it.",
    Verdict.TAMPERED: "TAMPERED: this file does not prove what it claims.",
    Verdict.CANNOT_TELL: "CANNOT TELL: nothing can be said about this file.",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sekisho-audit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("verify", help="is the ledger what was signed?")
    check.add_argument(
        "path",
        type=Path,
        help="the ledger, or the data directory around it, or a file of proofs or receipts",
    )
    check.add_argument("--key", help="the ledger's public key: a file or the line itself")
    check.add_argument("--pinned", type=Path, help="a checkpoint you kept from earlier")
    check.add_argument(
        "--receipt", help="what came with an answer as x-sekisho-receipt: the value or a file"
    )
    check.add_argument("--json", action="store_true", help="for machines")
    prove = commands.add_parser("prove", help="proofs of events for somebody without the ledger")
    prove.add_argument("directory", type=Path, help="the ledger, or the data directory around it")
    which = prove.add_mutually_exclusive_group(required=True)
    which.add_argument("--index", type=int, help="the event with this number")
    which.add_argument("--exchange", help="all events of this exchange")
    prove.add_argument("--out", type=Path, help="a folder; one file for each event")
    show = commands.add_parser("show", help="print events; content is sealed and not shown")
    show.add_argument("directory", type=Path, help="the ledger, or the data directory around it")
    show.add_argument("--exchange", help="only this exchange")
    show.add_argument("--type", help="only events of this type, or beginning so: `hold.`")
    show.add_argument("--last", type=int, help="only the last N of them")
    show.add_argument("--json", action="store_true", help="whole leaves, one a line")
    return parser


def _plain(text: str) -> str:
    """Text from a ledger nobody has vouched for: it must not steer the reader's terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _read_key(text: str | None) -> VerifierKey | None:
    if text is None:
        return None
    path = Path(text)
    if "+" not in text or path.is_file():
        text = path.read_text(encoding="utf-8")[:NOTE_BYTES_MAX]
    return VerifierKey.parse(text.strip())


def _progress(size: int) -> None:
    sys.stderr.write(f"\r{size:,} events")
    sys.stderr.flush()


def _print_proofs(report: Report, out: TextIO) -> None:
    out.write(_OF_PROOFS[report.verdict] + "\n")
    if report.size:
        out.write(f"\nLedger      {report.origin}\n")
        out.writelines(f"Proved      {_plain(line)}\n" for line in report.proved)
        out.write(f"Signed at   {report.signed_size:,} events\n")
    _print_findings(report, out)


def _print_findings(report: Report, out: TextIO) -> None:
    for title, found in (("What is wrong", report.faults), ("Why", report.doubts)):
        if found:
            out.write(f"\n{title}:\n")
            out.writelines(f"  - {_plain(str(fault))}\n" for fault in found)
    if report.notes:
        out.write("\nWhat this verdict does not say:\n")
        out.writelines(f"  - {note}\n" for note in report.notes)


def _print_report(report: Report, out: TextIO) -> None:
    out.write(_HEADLINES[report.verdict] + "\n")
    if report.origin:
        out.write(f"\nLedger      {report.origin}\n")
        out.write(f"Events      {report.size:,}, of which {report.signed_size:,} are signed\n")
        out.write(f"Root hash   {report.root}\n")
        out.write(f"Content     {report.payloads:,} sealed payloads, all hashes recomputed\n")
    _print_findings(report, out)


def _read_receipt(text: str | None) -> Receipt | None:
    if text is None:
        return None
    if "index=" not in text:
        text = Path(text).read_text(encoding="utf-8")
    return Receipt.parse(text)


def _verify(arguments: argparse.Namespace) -> int:
    try:
        key = _read_key(arguments.key)
        pinned = arguments.pinned.read_bytes() if arguments.pinned else None
        receipt = _read_receipt(arguments.receipt)
    except (OSError, UnicodeDecodeError, BadNote, BadReceipt) as error:
        sys.stderr.write(f"sekisho-audit: {error}\n")
        return int(Verdict.CANNOT_TELL)
    if arguments.path.is_file():
        if pinned is not None:
            sys.stderr.write("sekisho-audit: --pinned is for a ledger, not for a file of proofs\n")
            return int(Verdict.CANNOT_TELL)
        report = verify_file(arguments.path, key=key, receipt=receipt)
        _print(report, arguments, _print_proofs)
        return int(report.verdict)
    options: dict[str, Any] = {"progress": _progress} if sys.stderr.isatty() else {}
    report = verify(arguments.path, key=key, pinned=pinned, receipt=receipt, **options)
    if options:
        sys.stderr.write("\r\033[K")
    _print(report, arguments, _print_report)
    return int(report.verdict)


def _print(
    report: Report, arguments: argparse.Namespace, plainly: Callable[[Report, TextIO], None]
) -> None:
    if arguments.json:
        sys.stdout.write(json.dumps(report.as_dict(), indent=2) + "\n")
    else:
        plainly(report, sys.stdout)


def _prove(arguments: argparse.Namespace) -> int:
    ledger = find_ledger(arguments.directory)
    if ledger is None:
        sys.stderr.write(f"sekisho-audit: there is no ledger in {arguments.directory}\n")
        return int(Verdict.CANNOT_TELL)
    index, exchange = arguments.index, arguments.exchange

    def wanted(leaf: Mapping[str, Any]) -> bool:
        return bool(leaf["n"] == index if exchange is None else leaf["exchange"] == exchange)

    try:
        _hand_out(list(prove(ledger, wanted)), arguments.out)
    except (NotProvable, BadNote, BrokenSegment, NotCanonical, OSError) as error:
        sys.stderr.write(f"sekisho-audit: {error}\n")
        return int(Verdict.CANNOT_TELL)
    return int(Verdict.SOUND)


def _hand_out(proofs: Sequence[Proof], folder: Path | None) -> None:
    if folder is None:
        if len(proofs) > 1:
            raise NotProvable(f"{len(proofs)} events fit: give --out FOLDER for their files.")
        sys.stdout.write(proofs[0].text())
        return
    folder.mkdir(parents=True, exist_ok=True)
    for proof in proofs:
        path = folder / f"{proof.index:012d}.tlog-proof"
        path.write_text(proof.text(), encoding="utf-8")
        sys.stdout.write(f"{path}\n")


def _leaves(ledger: Path) -> Iterator[Mapping[str, Any]]:
    for segment in segments(ledger, EVENTS):
        for frame in frames(segment, EVENTS):
            yield decode(frame.body)


def _wanted(leaf: Mapping[str, Any], arguments: argparse.Namespace) -> bool:
    kind, exchange = arguments.type, arguments.exchange
    return (exchange is None or leaf["exchange"] == exchange) and (
        kind is None or leaf["type"] == kind or leaf["type"].startswith(kind)
    )


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
    return _plain(line) + "\n"


def _show(arguments: argparse.Namespace) -> int:
    ledger = find_ledger(arguments.directory)
    if ledger is None:
        sys.stderr.write(f"sekisho-audit: there is no ledger in {arguments.directory}\n")
        return int(Verdict.CANNOT_TELL)
    found = (leaf for leaf in _leaves(ledger) if _wanted(leaf, arguments))
    shown = 0
    try:
        chosen = found if arguments.last is None else deque(found, maxlen=max(arguments.last, 0))
        for leaf in chosen:
            text = json.dumps(leaf, sort_keys=True) + "\n" if arguments.json else _line(leaf)
            sys.stdout.write(text)
            shown += 1
    except (BrokenSegment, NotCanonical) as error:
        sys.stderr.write(f"sekisho-audit: {error}; run `sekisho-audit verify`\n")
        return int(Verdict.CANNOT_TELL)
    return int(Verdict.SOUND) if shown else _nothing(arguments)


def _nothing(arguments: argparse.Namespace) -> int:
    """Say that nothing was shown, and whether it can be a slip.

    Known types are looked at only now: a ledger of a newer version may have more.
    """
    kind = arguments.type
    if kind is None or any(name.startswith(kind) for name in TYPES):
        sys.stderr.write("sekisho-audit: there is no such event in this ledger\n")
        return int(Verdict.SOUND)
    known = "\n".join(f"  {name}" for name in sorted(TYPES))
    sys.stderr.write(
        f"sekisho-audit: no event is of a type {_plain(kind)!r}, here or elsewhere. There are:\n"
        f"{known}\n"
    )
    return int(Verdict.CANNOT_TELL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (argparse itself ends with 2)."""
    arguments = _parser().parse_args(argv)
    run = {"verify": _verify, "prove": _prove, "show": _show}[arguments.command]
    try:
        return run(arguments)
    except BrokenPipeError:
        # Whoever reads has enough (`| head`); what is left in the buffer must not be tried again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Verdict.CANNOT_TELL)


if __name__ == "__main__":
    sys.exit(main())
