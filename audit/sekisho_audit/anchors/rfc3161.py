"""Time stamps: an authority says that a checkpoint existed at a time. It compares nothing.

A stamp dates the events up to a checkpoint from above; recorded in the ledger it dates what follows
from below. Two ledgers of one name both get one: against clones take a witness or a pin as well.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from cryptography import x509

from sekisho_audit import time_stamp
from sekisho_audit.anchors.port import NOTE, AnchorFailed, Claim, Evidence
from sekisho_audit.anchors.transport import Site

CLOCK_S_MAX = 300  # between our clock and the authority's; further off, one of them is wrong
_OK = 200


class TimeStamps:
    """An anchor that is a time stamping authority."""

    kind = "rfc3161"

    def __init__(self, name: str, site: Site, roots: Sequence[x509.Certificate]) -> None:
        self.name = name
        self._site = site
        self._roots = list(roots)

    def look(self, claim: Claim) -> None:
        """Nothing: an authority does not know what it stamped."""

    def take(self, claim: Claim) -> Evidence:
        """Have it stamped, and check the stamp as an auditor will."""
        asked = time_stamp.request(claim.note)
        answer = self._site.ask("POST", "", asked.body, time_stamp.QUERY, time_stamp.REPLY)
        if answer.status != _OK or answer.kind != time_stamp.REPLY:
            raise AnchorFailed(
                "refused", f"{self.name} answered {answer.status} {answer.kind[:80]}".rstrip()
            )
        try:
            time_us = time_stamp.check(answer.body, claim.note, self._roots, asked.nonce)
        except time_stamp.BadStamp as error:
            raise AnchorFailed("bad_answer", f"{self.name}: {error}") from error
        off_s = time_us / 1_000_000 - time.time()
        if abs(off_s) > CLOCK_S_MAX:
            raise AnchorFailed("clock", f"{self.name} is {int(off_s)} s off our clock")
        files = {time_stamp.SUFFIX: answer.body, NOTE: claim.note}
        return Evidence(files, main=time_stamp.SUFFIX, time_us=time_us)
