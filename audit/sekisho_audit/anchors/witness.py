"""Cosignatures of a witness: somebody who signs only what leads on from all it has signed before.

Protocol: https://c2sp.org/tlog-witness, `add-checkpoint`. We send the checkpoint with a proof from
the size that the witness has; it answers with lines that go into the note. If it has another size
it says so (409), and we prove from there.

If it has more than we have, our key has signed more than this ledger: a clone, or an old copy. A
checkpoint with our own signature proves that. Without one the word of the witness is believed if it
is surely its own (TLS, or the same machine); else anybody on the way could stop us by a number.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from hashlib import sha256

from sekisho_audit.anchors.port import NOTE, AnchorFailed, Claim, Diverged, Evidence
from sekisho_audit.anchors.transport import Answer, Site
from sekisho_audit.checkpoint import BadNote, open_any, read_signatures, split_note, to_base64
from sekisho_audit.cosignature import Cosignature, WitnessKey, check

PATH_MAX = 63  # hashes of a proof, says the C2SP text
# Between our clock and the witness's. What it states is evidence; far off, it is none.
CLOCK_S_MAX = 300
_ATTEMPTS = 3  # of one round: the first tells the size, the second fits unless another log races us
_SIZE = re.compile(r"(0|[1-9][0-9]{0,15})\n")
_OK, _CONFLICT, _FORBIDDEN, _UNKNOWN, _UNPROVED = 200, 409, 403, 404, 422
_WHY = {
    _FORBIDDEN: "it does not know the key we sign with; tell its operator the ledger's vkey",
    _UNKNOWN: "it does not know this ledger; tell its operator origin and vkey",
}


class Witness:
    """An anchor that cosigns. Keys of one witness are several when it signs in several ways."""

    kind = "witness"

    def __init__(self, name: str, site: Site, keys: Sequence[WitnessKey], monitor: Site) -> None:
        """`monitor` is where it shows what it has signed last."""
        self.name = name
        self._site = site
        self._monitor = monitor
        self._keys = tuple(keys)
        self._cosigned = 0  # the size that the witness is thought to have

    def look(self, claim: Claim) -> None:
        """Nothing: a witness compares when it is asked to sign."""

    def take(self, claim: Claim) -> Evidence:
        """Have it cosigned."""
        for _ in range(_ATTEMPTS):
            answer = self._submit(claim)
            if answer.status == _OK:
                return self._cosignatures(answer, claim)
            if answer.status == _CONFLICT:
                self._cosigned = self._their_size(answer)
                if self._cosigned > claim.checkpoint.size:
                    size, self._cosigned = self._cosigned, 0
                    raise self._ahead(size, claim)
                continue
            if answer.status == _UNPROVED:
                self._check_theirs(claim)
            why = _WHY.get(answer.status, f"it answered {answer.status}")
            raise AnchorFailed("refused", f"{self.name}: {why}")
        raise AnchorFailed("bad_answer", f"{self.name} changes its mind about the size it has")

    def _submit(self, claim: Claim) -> Answer:
        size = claim.checkpoint.size
        old = min(self._cosigned, size)
        path = claim.since(old).path if old else ()
        if len(path) > PATH_MAX:
            raise AnchorFailed("refused", "the proof is longer than a witness takes")
        lines = [f"old {old}", *map(to_base64, path), "", ""]
        body = "\n".join(lines).encode() + claim.note
        return self._site.ask("POST", "/add-checkpoint", body, "text/plain; charset=utf-8")

    @staticmethod
    def _their_size(answer: Answer) -> int:
        found = _SIZE.fullmatch(answer.text())
        if found is None:
            raise AnchorFailed("bad_answer", "a conflict without the size that the witness has")
        return int(found[1])

    def _cosignatures(self, answer: Answer, claim: Claim) -> Evidence:
        body, _ = split_note(claim.note)
        try:
            theirs = read_signatures(answer.text())
            found = check(body, theirs, self._keys)
        except BadNote as error:
            raise AnchorFailed("bad_answer", f"{self.name}: {error}") from error
        if not found:
            raise AnchorFailed(
                "bad_answer", f"{self.name} answered without a cosignature of the configured keys"
            )
        _check_clocks(found)
        self._cosigned = claim.checkpoint.size
        known = {(one.key.name, one.key.key_id) for one in found}
        lines = [
            line
            for line, (name, blob) in zip(
                answer.text().splitlines(keepends=True), theirs, strict=True
            )
            if (name, blob[:4]) in known
        ]
        note = claim.note + "".join(lines).encode()
        time_us = min(one.time_s for one in found) * 1_000_000
        return Evidence({NOTE: note}, time_us=time_us)

    # -- when it has something else

    def _theirs(self, claim: Claim) -> bytes:
        """The note that the witness shows for our origin, if our key signed it; else nothing."""
        origin = sha256(claim.checkpoint.origin.encode()).hexdigest()
        try:
            answer = self._monitor.ask("GET", f"/{origin}/checkpoint")
            if answer.status == _OK:
                open_any(answer.body, claim.keys)
                return answer.body
        except (AnchorFailed, BadNote):
            return b""
        return b""

    def _ahead(self, size: int, claim: Claim) -> AnchorFailed | Diverged:
        ours = claim.checkpoint.size
        self._check_theirs(claim)
        said = f"the witness {self.name} has cosigned {size} events of ours; this ledger has {ours}"
        if self._site.authentic:
            return Diverged(said)
        return AnchorFailed("ahead", f"{said}. It shows no checkpoint of ours, so it may be a lie")

    def _check_theirs(self, claim: Claim) -> None:
        """Diverged if the witness shows a checkpoint of ours that is not of this ledger."""
        note = self._theirs(claim)
        if not note:
            return
        told = open_any(note, claim.keys)
        ours = claim.checkpoint
        if told.origin != ours.origin:
            return
        if told.size <= ours.size and claim.since(told.size).root == told.root:
            return
        raise Diverged(
            f"the witness {self.name} shows a checkpoint over {told.size} events that our key "
            f"signed and that is not of this ledger, which has {ours.size}",
            note,
        )


def _check_clocks(found: Sequence[Cosignature]) -> None:
    now_s = time.time()
    for one in found:
        if abs(one.time_s - now_s) > CLOCK_S_MAX:
            raise AnchorFailed(
                "clock", f"{one.key.name} says it is {one.time_s}, our clock says {int(now_s)}"
            )
