"""auditd's counter for officers: who is let in, and the record of who may be.

The file of officers can change at any moment. Each look at it compares it with the last one, and a
change is handed to the writer, in order, before whatever the look was for: so an officer or a duty
that is not on record yet cannot be used, and what was taken away is gone at once. What is recorded
is told from the ledger's own events (`custody.py`), so a change made while auditd was not running
is recorded at its start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.events import Event, Payload
from sekisho_audit.ids import uuid7
from sekisho_audit.ledger import Ledger
from sekisho_audit.officers import FILE, BadOfficers, Officer, Roll, load
from sekisho_audit.writer import Call, Writer

REFUSALS_A_MINUTE = 10  # recorded one by one; what is beyond is summed
_MINUTE_S = 60.0
_NOBODY = Officer("0" * 64, ())


class OfficerDesk:
    """Used by the event loop."""

    def __init__(self, keys_dir: Path, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._keys_dir = keys_dir
        self._now_s = now_s
        self._writer: Writer | None = None
        self._seen: tuple[int, ...] | None = None
        self._roll = Roll()
        self._broken: str | None = None
        self._minute_s = 0.0
        self._recorded = 0
        self._unsaid = 0

    def start(self, writer: Writer) -> None:
        """Begin to record: with the next look, which `tick` takes."""
        self._writer = writer

    def look(self) -> Roll:
        """The officers as the file has them now. Raises Refused if it cannot be used."""
        # A file that was changed twice within a tick of the clock has still another inode.
        seen = _stat(self._keys_dir / FILE)
        if seen != self._seen or self._broken is not None:
            self._broken = None
            try:
                self._roll = load(self._keys_dir)
            except BadOfficers as error:
                self._broken = str(error)
                self._roll = Roll()
            else:
                self._seen = seen
                self._record(self._roll)
        if self._broken is not None:
            raise Refused("no_officers", self._broken)
        return self._roll

    def _record(self, roll: Roll) -> None:
        def run(ledger: Ledger) -> None:
            events = changes(ledger, roll)
            if events:
                ledger.record_all(events)

        self._submit(run)

    def _submit(self, run: Callable[[Ledger], None]) -> None:
        if self._writer is not None:
            self._writer.submit(Call(run, _nobody, ordered=True))

    # -- letting in

    def admit(self, name: str, secret: str, peer: str) -> None:
        """Let an officer in. Raises Refused, and has it recorded, if it is not the secret."""
        officer = self.look().officers.get(name)
        # Both cases do the same work, and are told the same.
        if (officer or _NOBODY).opens(secret) and officer is not None:
            return
        self._refused(None if officer is None else officer.credential, peer)
        raise Refused("unknown_officer", "no officer has this name and secret; it was recorded")

    def _refused(self, credential: str | None, peer: str) -> None:
        now_s = self._now_s()
        if now_s - self._minute_s >= _MINUTE_S:
            self._minute_s, self._recorded = now_s, 0
        self._unsaid += 1
        if self._recorded < REFUSALS_A_MINUTE:
            self._recorded += 1
            self._say_refused(credential, peer)

    def _say_refused(self, credential: str | None, peer: str) -> None:
        count, self._unsaid = self._unsaid, 0
        data = {"cause": "unknown_officer", "count": count, "where": "officers"}
        if credential is not None:
            data["credential"] = credential
        source = Payload("source", peer.encode(), peer.encode())
        event = Event(uuid7(), "credential.refused", None, None, data, None, (source,))
        self._submit(lambda ledger: _discard(ledger.record_all([event])))

    def tick(self) -> None:
        """Look at the file, and record what was summed. Called each second."""
        if self._unsaid and self._now_s() - self._minute_s >= _MINUTE_S:
            self._minute_s, self._recorded = self._now_s(), 1
            self._say_refused(None, "several")
        self.look()

    def check(self, names: list[str], duty: str) -> None:
        """Refused unless those let in on one connection may do this now."""
        roll = self.look()
        if not names:
            raise Refused("no_officer", "begin with `present`: nothing is done for nobody")
        able = [name for name in names if name in roll.officers]
        lacking = [name for name in able if duty not in roll.officers[name].duties]
        if lacking or len(able) < len(names):
            raise Refused("no_duty", f"this officer has not the duty `{duty}`")
        if duty in roll.two and len(names) < 2:  # noqa: PLR2004 - two are two
            raise Refused("two_officers", f"`{duty}` needs two officers: name another one too")


def changes(ledger: Ledger, roll: Roll) -> list[Event]:
    """The events that bring what is recorded to what the file says."""
    custody, events = ledger.custody, []

    def event(name: str, credential: str, duties: tuple[str, ...], *, removed: bool) -> Event:
        data = {"credential": credential, "duties": list(duties), "removed": removed}
        return Event(uuid7(), "officer.changed", None, name, data)

    for name, officer in sorted(roll.officers.items()):
        known = custody.officers.get(ledger.pseudonym_of(name) or "")
        if known is None or (known.credential, known.duties) != (
            officer.credential,
            officer.duties,
        ):
            events.append(event(name, officer.credential, officer.duties, removed=False))
    for pseudonym, office in sorted(custody.officers.items()):
        gone = ledger.principal_of(pseudonym)
        if gone is not None and gone not in roll.officers:
            events.append(event(gone, office.credential, (), removed=True))
    if custody.two != roll.two:
        events.append(Event(uuid7(), "officer.paired", None, None, {"duties": list(roll.two)}))
    return events


def _stat(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _nobody(_error: LedgerError) -> None:
    """Nobody waits for this."""


def _discard(_: object) -> None:
    """The place of the event is of no interest."""
