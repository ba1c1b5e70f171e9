"""The verifier's view of anchors: who, elsewhere, vouches for which events, and for which time.

A note among the evidence that a key of the ledger signed must be of this history; if it is not, the
history was rewritten after it was anchored. A cosignature of a witness that the auditor trusts, or
a time stamp under a root that the auditor trusts, says when those events existed at the latest; the
event that logs it says that what follows is younger. Without trusted keys or roots evidence is
only compared, and vouches for no time.

Reads files; needs nothing but the base install. How a time stamp is checked is brought along.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from sekisho_audit.checkpoint import NOTE_BYTES_MAX, BadNote, Checkpoint, split_note
from sekisho_audit.cosignature import WitnessKey, check
from sekisho_audit.key_chain import KeyChain
from sekisho_audit.report import Anchored
from sekisho_audit.verdict import Findings, Signed

MADE = "anchor.made"
_NOTE, _STAMP = ".note", ".tsr"
# The time of a stamp (its bytes, the note's bytes), in microseconds; raises ValueError.
CheckStamp = Callable[[bytes, bytes], int]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A file of evidence: the checkpoint it is over, and who states which time."""

    checkpoint: Checkpoint
    times: Mapping[str, int]


@dataclass
class Anchors:
    """Evidence in `folders`, and whom the auditor trusts. `asked`: the folders were named, so what
    is missing in them is missing.
    """

    folders: Sequence[Path] = ()
    witnesses: Sequence[WitnessKey] = ()
    check_stamp: CheckStamp | None = None
    asked: bool = False
    _found: dict[str, _Evidence] = field(default_factory=dict)
    _events: list[Mapping[str, Any]] = field(default_factory=list)
    _unchecked: list[Path] = field(default_factory=list)

    def near(self, ledger: Path) -> Anchors:
        """With the folder beside the ledger, if none was named."""
        beside = ledger.parent / "anchors"
        if self.folders or not beside.is_dir():
            return self
        return Anchors([beside], self.witnesses, self.check_stamp)

    # -- before the events

    def open(self, chain: KeyChain, findings: Findings) -> list[Signed]:
        """The checkpoints among the evidence, to be compared with what is read."""
        signed = []
        for path in self._notes():
            raw = _read(path)
            try:
                checkpoint = chain.open(raw)
                body, signatures = split_note(raw)
                cosigned = check(body, signatures, self.witnesses)
            except BadNote as error:
                findings.doubt(f"evidence that does not hold: {error}", file=path.name)
                continue
            times = {str(one): one.time_s * 1_000_000 for one in cosigned}
            self._keep(raw, checkpoint, times)
            signed.append(Signed(checkpoint, f"evidence {path.name}"))
            self._stamp(path.with_suffix(_STAMP), raw, checkpoint, findings)
        return signed

    def _notes(self) -> Iterator[Path]:
        for folder in self.folders:
            found = (path for path in sorted(folder.rglob(f"*{_NOTE}")) if path.is_file())
            # What stopped auditd is kept beside the evidence; it is of another history.
            yield from (path for path in found if not path.name.startswith("second-"))

    def _stamp(self, path: Path, note: bytes, checkpoint: Checkpoint, findings: Findings) -> None:
        if not path.is_file():
            return
        raw = _read(path)
        times = {}
        if self.check_stamp is None:
            self._unchecked.append(path)
        else:
            try:
                times["time stamp"] = self.check_stamp(raw, note)
            except ValueError as error:
                findings.doubt(str(error), file=path.name)
        self._keep(raw, checkpoint, times)

    def _keep(self, raw: bytes, checkpoint: Checkpoint, times: Mapping[str, int]) -> None:
        self._found[sha256(raw).hexdigest()] = _Evidence(checkpoint, times)

    # -- with the events

    def see(self, leaf: Mapping[str, Any]) -> None:
        """An event that fits its form; those of anchors are kept until the end."""
        if leaf["type"] == MADE:
            self._events.append(leaf)

    # -- at the end

    def conclude(self, findings: Findings) -> None:
        """Compare events with evidence, and tell what is vouched for."""
        logged: dict[str, int] = {}
        missing = 0
        for leaf in self._events:
            data = leaf["data"]
            evidence = self._found.get(data["evidence"])
            if evidence is None:
                missing += 1
                continue
            told = evidence.checkpoint
            if (told.size, told.root.hex()) != (data["size"], data["root"]):
                what = "the evidence is over another checkpoint than the event says"
                findings.fault(what, index=leaf["n"])
            logged.setdefault(data["evidence"], leaf["n"])
        told_times = list(self._told(logged))
        findings.report.anchors = sorted(told_times, key=lambda one: (one.size, one.by))
        self._say_missing(missing, findings)
        self._say_unvouched(told_times, findings)

    def _told(self, logged: Mapping[str, int]) -> Iterator[Anchored]:
        for digest, evidence in self._found.items():
            for by, time_us in evidence.times.items():
                yield Anchored(by, evidence.checkpoint.size, _utc(time_us), logged.get(digest))

    def _say_missing(self, missing: int, findings: Findings) -> None:
        if not missing:
            return
        said = f"{missing} of {len(self._events)} recorded anchors have no evidence here"
        if self.asked:
            findings.doubt(said)
        else:
            findings.note(f"{said}; give the folders that have it with --anchors.")

    def _say_unvouched(self, told: Sequence[Anchored], findings: Findings) -> None:
        named = {one.by for one in told}
        for key in self.witnesses:
            if f"{key.name}+{key.key_id.hex()}" not in named:
                findings.doubt(f"no checkpoint cosigned by {key.name} was found")
        if self.check_stamp is not None and "time stamp" not in named:
            findings.doubt("no time stamp under the given roots was found")
        if self._unchecked:
            path = self._unchecked[-1]
            findings.note(
                f"{len(self._unchecked)} time stamps were not checked. Give --tsa-roots, or: "
                f"openssl ts -verify -in {path.name} -data {path.with_suffix(_NOTE).name} "
                "-CAfile roots.pem"
            )


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(NOTE_BYTES_MAX + 1)


def _utc(time_us: int) -> str:
    moment = time.gmtime(min(time_us // 1_000_000, 253_402_300_799))  # of the year 9999
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
