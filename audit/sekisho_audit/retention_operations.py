"""Retention for officers with the duty: how it stands, and a run now."""

from __future__ import annotations

from sekisho_audit.errand import Errand, Operation, failure
from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.officer_operations import needs
from sekisho_audit.wire import Malformed, encode


def _retention(errand: Errand) -> None:
    desk, now = errand.server.retention, errand.message.get("now", False)
    if type(now) is not bool:
        raise Malformed("retention takes `now`, a flag")
    if desk is None:
        raise Refused("busy", "this auditd ends nothing by retention")
    officers = tuple(errand.connection.officers)

    async def run() -> None:
        try:
            if now:
                report = await desk.run(errand.written, officers)
            else:
                report = await desk.show(errand.written)
            errand.connection.send(encode({"req": errand.req, "retention": report}))
        except LedgerError as error:
            errand.connection.send(encode(failure(errand.req, error)))

    errand.server.spawn(run())


RETENTION_OPERATIONS: dict[str, Operation] = {"retention": needs("retention", _retention)}
