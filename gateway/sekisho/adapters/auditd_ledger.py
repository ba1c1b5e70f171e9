"""The ledger's ports over auditd's socket: one connection per worker.

Failures are those of the socket: LedgerRefused with auditd's code, or LedgerUnavailable.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from sekisho.adapters.auditd_socket import AuditdSocket, LedgerLimits
from sekisho.errors import BadRequest, LedgerRefused, NotFound
from sekisho.model import argument_pattern
from sekisho.model.break_glass import Opening
from sekisho.model.grants import Grant
from sekisho.model.halts import Halt, Lift
from sekisho.model.samples import Sample, Standing, Terms, Undrawn, Verdict
from sekisho.ports import ExchangeKeys, ExchangePage, LedgerHold, Used
from sekisho_audit.events import Appended, Event
from sekisho_audit.sample_rules import Tally
from sekisho_audit.wire import pack_events

# Keys of exchanges under way; each entry is some 300 bytes.
_KEYS_KEPT = 4_096


class AuditdLedger(AuditdSocket):
    """Implements `sekisho.ports.Ledger`, `Log` and `Searches`, and `SampleBook`."""

    def __init__(
        self,
        socket_path: str,
        *,
        session: str | None = None,
        limits: LedgerLimits | None = None,
        origin: str = "",
        keys_ahead: bool = False,
    ) -> None:
        """`origin`: the only ledger to talk to; whichever answers first if it is not given.
        `keys_ahead`: the keys of each exchange are needed, and come with the answer to its intent.
        """
        super().__init__(socket_path, session=session, limits=limits, origin=origin)
        self._keys: OrderedDict[tuple[str, str], ExchangeKeys] = OrderedDict()
        self._drops = 0  # how often keys were dropped
        self._keys_ahead = keys_ahead

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        """See the port. `duplicate` is false for events that this very call may have written."""
        packed, blobs = pack_events(events)
        question: dict[str, Any] = {"op": "append", "events": packed}
        intents = [event for event in events if event.type == "backend.intent"]
        if self._keys_ahead and intents:
            question["keys"] = True
        drops = self._drops
        reply, keys = await self._ask(question, blobs)
        if reply.get("keys", False):
            self._know((intents[0].principal or "", intents[0].exchange or ""), keys, drops)
        fresh, note = reply["resent"], reply.get("note", "")
        return [
            Appended(index, leaf, commits, duplicate=duplicate and not fresh, note=note)
            for index, leaf, commits, duplicate in reply["places"]
        ]

    async def exchange_keys(self, principal: str, exchange: str) -> ExchangeKeys:
        """See the port."""
        known = self._keys.get((principal, exchange))
        if known is not None:
            return known
        drops = self._drops
        question = {"op": "exchange_keys", "principal": principal, "exchange": exchange}
        _, keys = await self._ask(question)
        return self._know((principal, exchange), keys, drops)

    def _know(self, whose: tuple[str, str], told: Sequence[bytes], drops: int) -> ExchangeKeys:
        """Keys as auditd told them, when they had been dropped so often."""
        content, commit = told
        keys = ExchangeKeys(content=content, commit=commit)
        if drops == self._drops:  # else it may be one of those that were to be dropped
            self._keys[whose] = keys
        if len(self._keys) > _KEYS_KEPT:
            self._keys.popitem(last=False)
        return keys

    async def open_holds(self) -> Sequence[LedgerHold]:
        """See the port. Reads page by page, because each hold carries its request body."""
        holds: list[LedgerHold] = []
        more = True
        while more:
            after = holds[-1].hold if holds else ""
            reply, records = await self._ask({"op": "open_holds", "after": after})
            for fields, record in zip(reply["holds"], records, strict=True):
                fields["reviews"] = tuple(fields["reviews"])
                holds.append(LedgerHold(record=record, **fields))
            more = reply["more"]
        return holds

    async def halts(self) -> tuple[Sequence[Halt], int]:
        """See the port."""
        reply, _ = await self._ask({"op": "halts"})
        found = [
            Halt(**{**one, "origin": self.origin, "proposed": _lift(one["proposed"])})
            for one in reply["halts"]
        ]
        return found, reply["size"]

    async def grants(self) -> Sequence[Grant]:
        """See the port."""
        reply, _ = await self._ask({"op": "grants"})
        return [_grant(one) for one in reply["grants"]]

    async def samples(self) -> Standing:
        """See `SampleBook`."""
        reply, _ = await self._ask({"op": "samples"})
        terms = dict(reply["terms"] or {})
        event = terms.pop("id", "")
        figures = {_figure(key): Tally(*counts) for key, *counts in reply["figures"]}
        return Standing(Terms(**terms), event, tuple(map(_sample, reply["samples"])), figures)

    async def undrawn(self, after: int) -> tuple[Sequence[Undrawn], int]:
        """See `SampleBook`."""
        reply, _ = await self._ask({"op": "undrawn", "after": after})
        return [Undrawn(**one) for one in reply["undrawn"]], reply["after"]

    async def openings(self) -> Sequence[Opening]:
        """See `sekisho.holding.break_glass.Openings`."""
        reply, _ = await self._ask({"op": "openings"})
        return [Opening(**{**one, "rules": tuple(one["rules"])}) for one in reply["openings"]]

    async def used(self, asked: Sequence[tuple[str, str, str]]) -> Used:
        """See the port."""
        reply, _ = await self._ask({"op": "used", "asked": list(asked)})
        sums = [(requests, tokens, spend) for requests, tokens, spend in reply["sums"]]
        return Used(reply["size"], sums)

    async def exchanges(self, principal: str, before: str, limit: int) -> ExchangePage:
        """See the port."""
        question = {"op": "exchanges", "principal": principal, "before": before, "limit": limit}
        reply, _ = await self._ask(question)
        return ExchangePage(reply["data"], reply["after"], reply["indexed"], reply["size"])

    async def exchange(self, principal: str, exchange: str) -> Mapping[str, Any] | None:
        """See the port."""
        question = {"op": "exchange", "principal": principal, "exchange": exchange}
        reply, _ = await self._ask(question)
        found: Mapping[str, Any] | None = reply["exchange"]
        how_far = {"indexed": reply["indexed"], "size": reply["size"]}
        return None if found is None else {**found, **how_far}

    async def appealed(self, exchange: str) -> Mapping[str, Any] | None:
        """See the port."""
        reply, _ = await self._ask({"op": "appealed", "exchange": exchange})
        found: Mapping[str, Any] | None = reply["exchange"]
        return found

    async def appeal_reasons(self, exchange: str, read: int) -> Mapping[str, str | None]:
        """See the port."""
        reply, _ = await self._ask({"op": "appeal_reasons", "exchange": exchange, "read": read})
        return {line["id"]: line["reason"] for line in reply["reasons"]}

    async def file(self, path: str) -> bytes:
        """See the port `Log`."""
        try:
            _, [found] = await self._ask({"op": "log", "path": path})
        except LedgerRefused as error:
            raise _not_there(error) from error
        return found

    async def proofs(self, indices: Sequence[int]) -> Sequence[str]:
        """See the port `Log`."""
        try:
            reply, _ = await self._ask({"op": "proofs", "indices": list(indices)})
        except LedgerRefused as error:
            raise _not_there(error) from error
        found: Sequence[str] = reply["proofs"]
        return found

    async def search(self, actor: str, query: str, after: str, limit: int) -> Mapping[str, Any]:
        """See the port `Searches`."""
        question = {"op": "search", "query": query, "after": after, "limit": limit}
        return await self._search(question, actor)

    async def facets(self, actor: str, query: str) -> Mapping[str, Any]:
        """See the port `Searches`."""
        return await self._search({"op": "facets", "query": query}, actor)

    async def _search(self, question: dict[str, Any], actor: str) -> Mapping[str, Any]:
        try:
            found, _ = await self._ask({**question, "actor": actor})
        except LedgerRefused as error:
            if error.code == "bad_cursor":
                raise BadRequest(_sentence(error), code="bad_cursor") from error
            if error.code == "bad_query":
                raise BadRequest(_sentence(error), code="bad_query") from error
            raise
        return found

    async def figures(self, actor: str, since_us: int, people_min: int) -> Mapping[str, Any]:
        """See the port `Searches`."""
        question = {"op": "figures", "since_us": since_us, "people_min": people_min}
        found, _ = await self._ask({**question, "actor": actor})
        return found

    async def own_figures(self, principal: str, since_us: int) -> Mapping[str, Any]:
        """See the port `Searches`."""
        question = {"op": "own_figures", "principal": principal, "since_us": since_us}
        found, _ = await self._ask(question)
        return found

    async def status(self) -> Mapping[str, Any]:
        """Auditd's own figures: size, root, boot, queue, sessions, free disk. For operators."""
        reply, _ = await self._ask({"op": "status"})
        status: Mapping[str, Any] = reply["status"]
        return status

    async def checkpoint(self) -> str:
        """A fresh signed checkpoint as a note."""
        reply, _ = await self._ask({"op": "checkpoint"})
        return str(reply["note"])

    # -- what the socket tells

    def _told(self, fields: Mapping[str, Any]) -> None:
        """Somebody was erased: what their keys sealed must not be opened here any more either."""
        self._drops += 1
        gone = fields.get("drop_keys")
        for key in [key for key in self._keys if key[0] == gone]:
            del self._keys[key]

    def _disconnected(self) -> None:
        """Of whoever is erased meanwhile we are not told."""
        self._drops += 1
        self._keys.clear()


def _lift(told: Mapping[str, Any] | None) -> Lift | None:
    return None if told is None else Lift(**told)


def _grant(told: Mapping[str, Any]) -> Grant:
    """A grant; one whose terms cannot be read answers nothing, and can be revoked all the same."""
    fields = dict(told)
    try:
        terms = orjson.loads(fields.pop("terms"))
        pattern = terms["arguments"]
        fields["pattern"] = None if pattern is None else argument_pattern.read(pattern)
        fields["reviewers"] = tuple(map(str, terms["reviewers"]))
        fields |= {"reason": str(terms["reason"]), "readable": True}
    except (ValueError, KeyError, TypeError):
        fields |= {"pattern": None, "reviewers": tuple(fields["counts_for"])}
        fields |= {"reason": "", "readable": False}
    for name in ("rules", "counts_for", "confirmed_counts_for"):
        fields[name] = tuple(fields[name])
    fields["group"], fields["tool"] = fields.get("group"), fields.get("tool")
    return Grant(**fields)


def _sample(told: Mapping[str, Any]) -> Sample:
    verdicts = tuple(Verdict(**one) for one in told["verdicts"])
    more = {"rules": tuple(told["rules"]), "barred": frozenset(told["barred"])}
    return Sample(**{**told, **more, "verdicts": verdicts})


def _figure(key: str) -> tuple[str, str, str]:
    month, kind, name = key.split("|", 2)
    return month, kind, name


def _not_there(error: LedgerRefused) -> Exception:
    return NotFound(str(error)) if error.code == "no_tile" else error


def _sentence(error: LedgerRefused) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
