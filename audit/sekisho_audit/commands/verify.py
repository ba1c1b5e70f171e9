"""`sekisho-audit verify`: is the ledger, bundle, proof or receipt what was signed?

Reads only; needs no keys but the public one, and no network unless a URL is given. Exit codes:
0 sound, 1 tampered, 2 cannot tell.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from sekisho_audit.bundle_keys import CHANGES_BYTES_MAX
from sekisho_audit.checkpoint import NOTE_BYTES_MAX, VerifierKey
from sekisho_audit.commands.printing import complain, plain, print_json
from sekisho_audit.cosignature import WitnessKey
from sekisho_audit.disclosed import SAYS, Disclosure, Opening
from sekisho_audit.kept import Kept
from sekisho_audit.receipt import Receipt
from sekisho_audit.remote_log import Address, BadAddress, RemoteLog, check_credential
from sekisho_audit.report import Report, Verdict
from sekisho_audit.verify import verify
from sekisho_audit.verify_anchors import Anchors, CheckStamp
from sekisho_audit.verify_bundle import is_bundle, verify_bundle
from sekisho_audit.verify_log import verify_log
from sekisho_audit.verify_proof import verify_file

_HEADLINES = {
    Verdict.SOUND: "SOUND: this ledger is what was signed, and within its rules.",
    Verdict.TAMPERED: "TAMPERED: this ledger is not what it claims to be.",
    Verdict.CANNOT_TELL: "CANNOT TELL: nothing can be said about this ledger.",
}

# Not on the command line: everybody on the machine can read that.
CREDENTIAL_VARIABLE = "SEKISHO_AUDIT_CREDENTIAL"

_OF_BUNDLES = {
    Verdict.SOUND: "SOUND: this bundle is what the ledger's key signed.",
    Verdict.TAMPERED: "TAMPERED: this bundle is not what it claims to be.",
    Verdict.CANNOT_TELL: "CANNOT TELL: nothing can be said about this bundle.",
}

_OF_PROOFS = {
    Verdict.SOUND: "SOUND: the ledger's key signed a tree with exactly these events in it.",
    Verdict.TAMPERED: "TAMPERED: this file does not prove what it claims.",
    Verdict.CANNOT_TELL: "CANNOT TELL: nothing can be said about this file.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "path",
        type=_place,
        help="the ledger, the data directory around it, a bundle, a file of proofs or receipts, or "
        "the https URL of a gateway or of a published log",
    )
    parser.add_argument("--key", help="the ledger's public key: a file or the line itself")
    parser.add_argument(
        "--pinned",
        type=Path,
        action="append",
        default=[],
        help="a checkpoint you kept from earlier; may be given several times",
    )
    parser.add_argument(
        "--receipt", help="what came with an answer as x-sekisho-receipt: the value or a file"
    )
    parser.add_argument(
        "--disclosed", type=Path, help="keys that were disclosed: open and compare their content"
    )
    parser.add_argument("--show", action="store_true", help="print the content that was opened")
    parser.add_argument(
        "--credential-file",
        type=Path,
        help=f"the key shown to a URL; without it, that in ${CREDENTIAL_VARIABLE}",
    )
    parser.add_argument(
        "--in-clear", action="store_true", help="http to another machine, readable on the way"
    )
    parser.add_argument(
        "--anchors",
        type=Path,
        action="append",
        default=[],
        help="a folder of evidence or of pinned checkpoints; else `anchors` beside the ledger",
    )
    parser.add_argument(
        "--witness",
        action="append",
        default=[],
        help="verifier key of a witness you trust: a file or the line itself",
    )
    parser.add_argument(
        "--tsa-roots", type=Path, help="PEM file: whom you trust for time stamps (RFC 3161)"
    )
    parser.add_argument(
        "--key-changes",
        type=Path,
        metavar="FILE",
        help="for a bundle or proofs under another key of the ledger than yours: the changes of "
        "keys, as `sekisho-audit keys --out` wrote them",
    )
    parser.add_argument("--json", action="store_true", help="for machines")


def _place(text: str) -> Path | str:
    """A path, or a URL."""
    return text if "://" in text else Path(text)


def _key_line(text: str) -> str:
    path = Path(text)
    if "+" not in text or path.is_file():
        text = path.read_text(encoding="utf-8")[:NOTE_BYTES_MAX]
    return text.strip()


def read_key(text: str | None) -> VerifierKey | None:
    """The key in a file or in the text itself. Raises BadNote, OSError, UnicodeDecodeError."""
    return None if text is None else VerifierKey.parse(_key_line(text))


def _read_anchors(arguments: argparse.Namespace) -> Anchors | None:
    """None if the auditor brings nothing for it. Raises OSError, ValueError, BadNote."""
    folders, roots = arguments.anchors, arguments.tsa_roots
    if not (folders or arguments.witness or roots):
        return None
    for folder in folders:
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is no folder of evidence")
    witnesses = [WitnessKey.parse(_key_line(text)) for text in arguments.witness]
    return Anchors(folders, witnesses, _stamps(roots), asked=bool(folders))


def _stamps(roots: Path | None) -> CheckStamp | None:
    """How time stamps are checked; needs more than the base install. Raises ValueError."""
    if roots is None:
        return None
    try:
        stamps = import_module("sekisho_audit.time_stamp")
    except ModuleNotFoundError as error:
        raise ValueError(
            f"--tsa-roots needs {error.name}: pip install 'sekisho-audit[server]'; or use "
            "openssl ts -verify -in FILE.tsr -data FILE.note -CAfile roots.pem"
        ) from error
    trusted = stamps.read_roots(roots)
    return lambda stamp, note: int(stamps.check(stamp, note, trusted))


def _progress(size: int) -> None:
    sys.stderr.write(f"\r{size:,} events")
    sys.stderr.flush()


def _print_proofs(report: Report, out: TextIO) -> None:
    out.write(_OF_PROOFS[report.verdict] + "\n")
    if report.size:
        out.write(f"\nLedger      {report.origin}\n")
        out.writelines(f"Proved      {plain(line)}\n" for line in report.proved)
        out.write(f"Signed at   {report.signed_size:,} events\n")
        out.writelines(f"Keys        {plain(line)}\n" for line in report.keys)
    _print_findings(report, out)


def _print_bundle(report: Report, out: TextIO) -> None:
    out.write(_OF_BUNDLES[report.verdict] + "\n")
    if report.proved:
        out.write(f"\nLedger      {plain(report.origin)}\n")
        out.write(f"Events      {report.size:,}\n")
        out.writelines(f"Export      {plain(line)}\n" for line in report.proved)
        out.write(f"Signed at   {report.signed_size:,} events\n")
        out.write(f"Root hash   {report.root}\n")
        out.write(f"Disclosed   {report.payloads:,} texts\n")
        out.writelines(f"Keys        {plain(line)}\n" for line in report.keys)
    _print_findings(report, out)


def _print_findings(report: Report, out: TextIO) -> None:
    for title, found in (("What is wrong", report.faults), ("Why", report.doubts)):
        if found:
            out.write(f"\n{title}:\n")
            out.writelines(f"  - {plain(str(fault))}\n" for fault in found)
    if report.notes:
        out.write("\nWhat this verdict does not say:\n")
        out.writelines(f"  - {note}\n" for note in report.notes)


def _print_report(report: Report, out: TextIO) -> None:
    out.write(_HEADLINES[report.verdict] + "\n")
    if report.origin:
        out.write(f"\nLedger      {report.origin}\n")
        out.write(f"Events      {report.size:,}, of which {report.signed_size:,} are signed\n")
        out.write(f"Root hash   {report.root}\n")
        content = f"{report.payloads:,} sealed payloads, all hashes recomputed"
        out.write(f"Content     {content if report.content_read else 'not served, not read'}\n")
    _print_anchors(report, out)
    _print_disclosed(report, out)
    _print_findings(report, out)


def _print_anchors(report: Report, out: TextIO) -> None:
    """All changes of keys; of what is vouched for, the oldest and the newest word."""
    out.writelines(f"Keys        {plain(line)}\n" for line in report.keys)
    told = report.anchors
    out.writelines(f"Anchored    {plain(str(one))}\n" for one in (*told[:1], *told[1:][-1:]))
    if len(told) > 2:  # noqa: PLR2004 - the first and the last are shown
        out.write(f"            and {len(told) - 2} more between; --json has all\n")


def _print_disclosed(report: Report, out: TextIO) -> None:
    if report.disclosed:
        out.write("\nDisclosed:\n")
    for told in report.disclosed:
        length = "" if told.bytes is None else f", {told.bytes:,} bytes"
        out.write(f"  event {told.index}, {plain(told.name)}: {SAYS[told.state]}{length}\n")
        if told.text is not None:
            # A line's mark keeps content from looking like words of ours.
            out.writelines(f"    | {plain(line)}\n" for line in told.text.split("\n"))


def _read_disclosure(arguments: argparse.Namespace) -> Opening | None:
    if arguments.disclosed is None:
        return None
    disclosure = Disclosure.parse(arguments.disclosed.read_bytes())
    return Opening(disclosure, texts=arguments.show)


def _read_receipt(text: str | None) -> Receipt | None:
    if text is None:
        return None
    if "index=" not in text:
        text = Path(text).read_text(encoding="utf-8")
    return Receipt.parse(text)


def run(arguments: argparse.Namespace) -> int:
    """Verify and print; returns the exit code."""
    try:
        key = read_key(arguments.key)
        pinned = [path.read_bytes() for path in arguments.pinned]
        receipt = _read_receipt(arguments.receipt)
        opening = _read_disclosure(arguments)
        anchors = _read_anchors(arguments)
        changes = _read_changes(arguments.key_changes)
    except (OSError, ValueError) as error:
        return complain(error)
    if opening is not None and not (isinstance(arguments.path, Path) and arguments.path.is_dir()):
        return complain("--disclosed is for a directory: nothing else has the sealed content")
    if anchors is not None and not (isinstance(arguments.path, Path) and arguments.path.is_dir()):
        return complain("--anchors, --witness and --tsa-roots are for a directory")
    if isinstance(arguments.path, Path) and is_bundle(arguments.path):
        return _verify_bundle(arguments, key, Kept(pinned, receipt), changes)
    if changes and not (isinstance(arguments.path, Path) and arguments.path.is_file()):
        return complain("--key-changes is for a bundle or proofs: a ledger has its own")
    if isinstance(arguments.path, str):
        return _verify_url(arguments, key, Kept(pinned, receipt))
    if arguments.path.is_file():
        if pinned:
            return complain("--pinned is for a ledger, not for a file of proofs")
        report = verify_file(arguments.path, key=key, receipt=receipt, changes=changes)
        _print(report, arguments, _print_proofs)
        return int(report.verdict)
    options = _options()
    report = verify(
        arguments.path,
        key=key,
        pinned=pinned,
        receipt=receipt,
        opening=opening,
        anchors=anchors,
        **options,
    )
    return _finish(report, arguments, options)


def _read_changes(path: Path | None) -> bytes:
    if path is None:
        return b""
    with path.open("rb") as file:
        return file.read(CHANGES_BYTES_MAX)


def _verify_bundle(
    arguments: argparse.Namespace, key: VerifierKey | None, kept: Kept, changes: bytes
) -> int:
    if kept.receipt is not None:
        return complain("--receipt is for a ledger or a proof, not for a bundle")
    if len(kept.pinned) > 1:
        return complain("a bundle is compared with one checkpoint: give --pinned once")
    pinned = kept.pinned[0] if kept.pinned else None
    report = verify_bundle(arguments.path, key=key, pinned=pinned, changes=changes)
    _print(report, arguments, _print_bundle)
    return int(report.verdict)


def _verify_url(arguments: argparse.Namespace, key: VerifierKey | None, kept: Kept) -> int:
    if key is None:
        return complain("a URL needs --key: whoever serves the log must not also say who signs it")
    try:
        address = Address.parse(arguments.path, in_clear=arguments.in_clear)
        credential = _credential(arguments.credential_file)
    except (OSError, UnicodeDecodeError, BadAddress) as error:
        return complain(error)
    options = _options()
    with RemoteLog(address, credential) as log:
        report = verify_log(log, key=key, kept=kept, **options)
    return _finish(report, arguments, options)


def _credential(path: Path | None) -> str | None:
    if path is not None:
        return check_credential(path.read_text(encoding="utf-8")[:NOTE_BYTES_MAX])
    found = os.environ.get(CREDENTIAL_VARIABLE)
    return None if found is None else check_credential(found)


def _options() -> dict[str, Any]:
    return {"progress": _progress} if sys.stderr.isatty() else {}


def _finish(report: Report, arguments: argparse.Namespace, options: dict[str, Any]) -> int:
    if options:
        sys.stderr.write("\r\033[K")
    _print(report, arguments, _print_report)
    return int(report.verdict)


def _print(
    report: Report, arguments: argparse.Namespace, plainly: Callable[[Report, TextIO], None]
) -> None:
    if arguments.json:
        print_json(report)
    else:
        plainly(report, sys.stdout)
