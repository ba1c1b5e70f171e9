"""What an officer asks of auditd: first of all to be let in.

    OFFICER_OPERATIONS = {"present": …, "disclose": needs("disclose", …), …}

A connection begins with `present` {name, secret}; a second `present` by another officer makes two.
Wrong ones end the connection. Every other operation is made by `needs`, which looks at the duties
of all who are present at that moment, so a duty that was taken away is gone on open connections.
"""

from __future__ import annotations

from sekisho_audit.errand import Errand, Operation
from sekisho_audit.errors import Refused
from sekisho_audit.ledger import Ledger
from sekisho_audit.officer_desk import OfficerDesk

PRESENT_MAX = 2


def needs(duty: str, operation: Operation) -> Operation:
    """The operation, for officers with this duty only."""

    def guarded(errand: Errand) -> None:
        _desk(errand).check(errand.connection.officers, duty)
        operation(errand)

    return guarded


def _desk(errand: Errand) -> OfficerDesk:
    desk = errand.server.officers
    if desk is None:
        raise Refused("busy", "this auditd serves no officers")
    return desk


def _present(errand: Errand) -> None:
    name, secret = errand.text("name"), errand.text("secret")
    present = errand.connection.officers
    if name in present or len(present) >= PRESENT_MAX:
        raise Refused("bad_request", "each of two officers is present once")
    try:
        _desk(errand).admit(name, secret, errand.connection.peer)
    except Refused as error:
        errand.connection.refuse(errand.req, error)
        return
    present.append(name)

    def run(ledger: Ledger) -> None:
        errand.answer({"origin": ledger.origin, "vkey": ledger.key.line(), "size": ledger.size})

    # Behind the record of the office, which the look at the file may just have queued.
    errand.call(run, ordered=True)


OFFICER_OPERATIONS: dict[str, Operation] = {
    "present": _present,
}
