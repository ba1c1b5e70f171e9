"""What an officer asks of auditd: first of all to be let in.

    DISCLOSE_OPERATIONS = {"disclose": needs("disclose", …)}

A connection begins with `present` {name, secret}; a second `present` by another officer makes two.
Wrong ones end the connection. Every other operation is made by `needs`, which looks at the duties
of all who are present at that moment, so a duty that was taken away is gone on open connections.
"""

from __future__ import annotations

from sekisho_audit.errand import Errand, Operation
from sekisho_audit.errors import Refused
from sekisho_audit.events import Payload
from sekisho_audit.ledger import Ledger
from sekisho_audit.officer_desk import OfficerDesk

PRESENT_MAX = 2
WORDS_CHARS_MAX = 2_000


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


def words(errand: Errand, name: str) -> Payload:
    """Something an officer says, e.g. the purpose, as content of an event. Raises Refused."""
    said = errand.text(name).strip()
    if not 0 < len(said) <= WORDS_CHARS_MAX:
        raise Refused("bad_request", f"`{name}` is 1 to {WORDS_CHARS_MAX} characters")
    try:
        content = said.encode()
    except UnicodeEncodeError as error:
        raise Refused("bad_request", f"`{name}` is not Unicode text") from error
    return Payload(name, content, content)


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


PRESENT_OPERATIONS: dict[str, Operation] = {"present": _present}
