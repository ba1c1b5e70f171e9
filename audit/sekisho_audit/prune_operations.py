"""Pruning, for officers with the duty `retention`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sekisho_audit.errand import Errand, Operation, failure
from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.officer_operations import needs, words
from sekisho_audit.pruning_desk import PruningDesk
from sekisho_audit.wire import encode


def _desk(errand: Errand) -> PruningDesk:
    desk = errand.server.prunings
    if desk is None:
        raise Refused("busy", "this auditd prunes nothing")
    return desk


def _plan(errand: Errand) -> None:
    desk, before_us = _desk(errand), errand.whole("before_us")

    async def plan() -> dict[str, Any]:
        return (await desk.plan(errand.written, before_us)).told()

    _answer(errand, "plan", plan)


def _prune(errand: Errand) -> None:
    desk, before_us, size = _desk(errand), errand.whole("before_us"), errand.whole("size")
    authority, officers = words(errand, "authority"), tuple(errand.connection.officers)
    _answer(
        errand,
        "pruned",
        lambda: desk.prune(errand.written, before_us, size, officers, authority),
    )


def _answer(errand: Errand, name: str, ask: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    async def run() -> None:
        try:
            found = await ask()
            errand.connection.send(encode({"req": errand.req, name: found}))
        except LedgerError as error:
            errand.connection.send(encode(failure(errand.req, error)))

    errand.server.spawn(run())


PRUNE_OPERATIONS: dict[str, Operation] = {
    "prune_plan": needs("retention", _plan),
    "prune": needs("retention", _prune),
}
