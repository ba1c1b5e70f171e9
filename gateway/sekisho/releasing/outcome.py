"""The one outcome of an intent: what became of it, what it used, durable before its last byte.

Whatever happens to an exchange gives its intent exactly one outcome: released, held for people,
stopped by us, cancelled by the client, failed at the backend. If it cannot be written now, the bare
fact, never content, is written as soon as the ledger is back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from sekisho.clearance import Recorded
from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.model import evidence
from sekisho.ports import BackendReply, Charge, Ledger
from sekisho.releasing.sampling import Draw
from sekisho_audit.events import Event, Payload

REQUEST_HEADER = "x-request-id"
REQUEST_NAME = re.compile(r"[!-~]{1,128}")  # a backend's word, and no text of anybody's

CLIENT_GONE = "client_gone"
"""The cause with which a handler is cancelled when its client hangs up."""

SHUTDOWN = "shutdown"

Later = Callable[[Event], None]
"""Takes an event without content that could not be written now and must be written soon."""


class Outcome:
    """Writes the one outcome of an intent, with what it cost; a second call does nothing."""

    def __init__(
        self,
        recorded: Recorded,
        ledger: Ledger,
        later: Later,
        charge: Charge,
        draw: Draw | None = None,
    ) -> None:
        self._outgoing = recorded.clearance.outgoing
        self._intent = recorded.intent
        self._receipt = recorded.receipt
        self._ledger = ledger
        self._later = later
        self._charge = charge
        self._draw = draw
        self._settled = False
        self._named: Mapping[str, str] = {}

    def begun(self, reply: BackendReply) -> None:
        """The backend began to answer: its own id of the request goes into the record."""
        name = reply.headers.get(REQUEST_HEADER, "")
        if REQUEST_NAME.fullmatch(name):
            self._named = {"backend_request": name}

    def let_go(self, opening: str) -> None:
        """Break-glass answered in place of people what was held of the answer, if `opening` says
        by which: then it is drawn for review after the fact.
        """
        if self._draw is not None:
            self._draw.let_go(opening)

    @property
    def settled(self) -> bool:
        """Whether an outcome was given, durable now or soon."""
        return self._settled

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of our own: what is left of the client's limits, and its receipt."""
        return {**self._charge.headers(), "x-sekisho-receipt": self._receipt}

    async def settle(
        self,
        status: str,
        facts: Mapping[str, Any],
        answer: Payload | None = None,
        *,
        chars: int = 0,
        before: Sequence[Event] = (),
        after: Sequence[Event] = (),
        given: Callable[[], bytes] | None = None,
    ) -> None:
        """Make the outcome durable, in one batch with what comes `before` and `after` it.

        Raises LedgerUnavailable or LedgerRefused after handing the outcome to `later`. `chars` is
        how much came back, for a charge where the backend gave no usage. The write goes on if the
        caller is cancelled meanwhile: same event id, so never twice. `given` tells what of the
        answer was given out where it was not released: it may be drawn for review after the fact.
        """
        if self._settled:
            return
        self._settled = True
        used = self._used(status, facts, chars)
        told = {**facts, **self._named, "charged": used}
        event = evidence.outcome(self._outgoing, self._intent, status, answer, told)
        whole = answer.exact if status == "released" and answer is not None else None
        draw = self._draw if whole is not None or given is not None else None
        beside = draw.beside() if draw is not None else ()
        batch = [*before, event, *after]
        writing = asyncio.ensure_future(self._write(batch, len(before), beside))
        if draw is not None and draw.open:
            draw.follow(given() if whole is None and given is not None else whole or b"", writing)
        try:
            index, _ = await asyncio.shield(writing)
        except (LedgerUnavailable, LedgerRefused) as error:
            self._later(_bare(event, error.code))
            self._charge.settle(used, None)
            raise
        except asyncio.CancelledError:
            writing.add_done_callback(lambda done: self._if_lost(done, event))
            self._charge.settle(used, None)
            raise
        self._charge.settle(used, index)

    async def _write(
        self, batch: Sequence[Event], place: int, beside: Sequence[Event]
    ) -> tuple[int, bool]:
        """Where the outcome stands, and whether the draw stands beside it: what the ledger may not
        take of that must not keep it from the outcome.
        """
        if beside:
            try:
                places = await self._ledger.append([*batch, *beside])
            except LedgerRefused:
                pass  # of both nothing was written; which it was shows now
            else:
                return places[place].index, True
        places = await self._ledger.append(batch)
        return places[place].index, False

    def _used(self, status: str, facts: Mapping[str, Any], chars: int) -> Mapping[str, Any]:
        """What it cost: nothing if the backend refused it or never began to answer.

        A client that hangs up pays for its prompt: the backend has read it.
        """
        refused = facts.get("http_status", HTTPStatus.OK) != HTTPStatus.OK
        if refused or (status == "failed" and not facts.get("bytes")):
            return {"tokens": 0, "spend_micros": 0}
        return self._charge.used(facts.get("usage"), chars)

    def abandon(self, cause: str) -> None:
        """Give the outcome `failed` without waiting, if none was given: nothing may stay open."""
        if not self._settled:
            self._settled = True
            used = self._charge.used(None, 0)
            facts = {"cause": cause, **self._named, "charged": used}
            self._later(evidence.outcome(self._outgoing, self._intent, "failed", None, facts))
            self._charge.settle(used, None)

    def cut(self, cause: str) -> None:
        """Note that the client did not get the last bytes of what the outcome says was sent."""
        self._later(evidence.cut(self._outgoing, self._intent, cause))

    def _if_lost(self, done: asyncio.Future[Any], event: Event) -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            self._later(_bare(event, getattr(error, "code", LedgerUnavailable.code)))


def _bare(event: Event, cause: str) -> Event:
    """The outcome without content, as it can be told later.

    What should have been held for people was given to nobody, and what the ledger refused will be
    refused again: both are told as failed. If the first writing came through after all, that
    stands, because the id is the same.
    """
    alone = replace(event, payloads=())
    as_it_was = cause == LedgerUnavailable.code and event.data["status"] != "held"
    return alone if as_it_was else _failed(alone, cause)


def _failed(event: Event, cause: str) -> Event:
    return replace(event, data={**event.data, "status": "failed", "cause": cause})


def cause_of(gone: asyncio.CancelledError) -> str:
    """Why a handler was cancelled: its client hung up, or this worker is stopping."""
    return CLIENT_GONE if CLIENT_GONE in gone.args else SHUTDOWN
