"""Credentials that are refused: recorded with their source, and slowed down by it.

Each address may fail so often a minute; those failures are durable in the ledger, one by one,
before they are told. Further ones get 429 and are only counted, and the count is recorded when the
minute ends. So that no flood from many addresses can fill the ledger or this process, all addresses
together have a limit as well, and what is counted has room for few sources: the rest is summed.

A good credential is never asked about here, whatever others do at the same address.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any, Protocol

import structlog

from sekisho.errors import (
    LedgerRefused,
    LedgerUnavailable,
    NotAuthenticated,
    SekishoError,
    TooManyFailures,
)
from sekisho.model.durations import in_words
from sekisho.model.ids import uuid7
from sekisho.model.principal import Shown
from sekisho_audit.events import Appended, Event, Payload

MINUTE_S = 60.0
SOURCES_MAX = 4096  # addresses whose failures are remembered; the longest quiet is forgotten first
ALL_SHARE = 6  # all addresses together are recorded one by one as often as so many alone
SUMS_MAX = 32  # kinds of counted failures that are told apart in a minute
LATER_MAX = 64  # events left with the queue of outcomes: that queue is not ours to fill
MANY = "many"  # the source of what is summed over addresses
NOWHERE = "unknown"  # a Unix socket has no address
OTHER = "other"
TOO_MANY = "too_many_failures"
UNTRUSTED = "untrusted_header"
_IPV6_SITE_BITS = 64  # one customer has at least so many addresses
_PUBLIC_NAME = re.compile(r"[a-z0-9][a-z0-9:._-]{0,63}")

_log = structlog.get_logger("sekisho.refusals")


class Appender(Protocol):
    """The part of the ledger that is used here."""

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]: ...


class Refusals:
    """One for a worker: its figures are per worker, as its places are.

    `key_id` gives the public id of what has the form of one of our keys, `later` takes events that
    could not be written, `counted` hears the cause of each failure, for metrics.
    """

    def __init__(
        self,
        ledger: Appender,
        failures_per_min: int,
        later: Callable[[Event], None],
        *,
        key_id: Callable[[str], str | None],
        counted: Callable[[str], None],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._per_min = failures_per_min
        self._later = later
        self._key_id = key_id
        self._counted = counted
        self._monotonic_s = monotonic_s
        self._sources: OrderedDict[str, _Bucket] = OrderedDict()
        self._all = _Bucket(failures_per_min * ALL_SHARE, monotonic_s())
        self._sums: dict[tuple[str, str, str], int] = {}
        self._unwritten: list[Event] = []
        self._given_away = 0
        self._flushing = asyncio.Lock()

    async def refused(self, shown: Shown, error: NotAuthenticated, where: str) -> SekishoError:
        """Record that `error` met whoever showed this; the error to answer with.

        `where` names a part of ours and is never a path from outside.
        """
        self._counted(error.cause)
        now_s = self._monotonic_s()
        source = source_of(shown.ip)
        bucket = self._bucket(source, now_s)
        if not bucket.take(now_s):
            self._add(source, TOO_MANY, where)
            return _too_many(bucket.ready_in_s())
        if not self._all.take(now_s):
            self._add(MANY, error.cause, where)
            return error
        data: dict[str, Any] = {"cause": error.cause, "count": 1, "where": where}
        credential = self._credential(shown, error)
        if credential:
            data["credential"] = credential
        event = _event(shown.ip or NOWHERE, data)
        _log.warning("a credential was refused", source=shown.ip, cause=error.cause, where=where)
        await self._write(event)
        return error

    def noticed(self, shown: Shown, where: str, cause: str = UNTRUSTED) -> None:
        """Something was ignored or refused that may be meant: only counted, nothing waits for it.

        For `untrusted_header` (one that only configured peers may send) `where` is its name.
        """
        self._counted(cause)
        self._add(source_of(shown.ip), cause, where)

    async def run(self) -> None:
        """Record the counts of each minute, until cancelled."""
        while True:
            await asyncio.sleep(MINUTE_S)
            await self.flush()

    async def flush(self) -> None:
        """Record what was counted; what cannot be written is kept, under the same event ids."""
        async with self._flushing:
            if not self._unwritten:
                sums, self._sums = self._sums, {}
                for (source, cause, where), count in sums.items():
                    data = {"cause": cause, "count": count, "where": where}
                    self._unwritten.append(_event(source, data))
                    _log.warning(
                        "credentials were refused",
                        source=source,
                        cause=cause,
                        where=where,
                        count=count,
                    )
            while self._unwritten:
                batch = self._unwritten[:SUMS_MAX]
                try:
                    await self._ledger.append(batch)
                except LedgerUnavailable:
                    return
                except LedgerRefused as error:
                    _log.error("the ledger does not take counts of refusals", why=error.code)
                self._unwritten = self._unwritten[len(batch) :]

    def _bucket(self, source: str, now_s: float) -> _Bucket:
        bucket = self._sources.get(source)
        if bucket is None:
            if len(self._sources) >= SOURCES_MAX:
                self._sources.popitem(last=False)
            bucket = self._sources[source] = _Bucket(self._per_min, now_s)
        self._sources.move_to_end(source)
        return bucket

    def _add(self, source: str, cause: str, where: str) -> None:
        key = (source, cause, where)
        if key not in self._sums and len(self._sums) >= SUMS_MAX:
            key = (MANY, cause, where)
        if key not in self._sums and len(self._sums) >= SUMS_MAX * 2:
            key = (MANY, OTHER, OTHER)  # causes and places are ours and fewer, so never today
        self._sums[key] = self._sums.get(key, 0) + 1

    def _credential(self, shown: Shown, error: NotAuthenticated) -> str:
        """The public name of what was shown: looked for in its form, so that it takes as long and
        says as much for a key that exists as for one that does not.
        """
        if shown.secret:
            found = self._key_id(shown.secret)
            if found is not None:
                return found
        return error.credential if _PUBLIC_NAME.fullmatch(error.credential) else ""

    async def _write(self, event: Event) -> None:
        try:
            await self._ledger.append([event])
        except LedgerUnavailable:
            if self._given_away < LATER_MAX:
                self._given_away += 1
                self._later(event)
            else:
                self._add(MANY, str(event.data["cause"]), str(event.data["where"]))
        except LedgerRefused as error:
            _log.error("the ledger does not take a refusal", why=error.code)
        else:
            self._given_away = 0


class _Bucket:
    """So many at once, and so many again in a minute."""

    def __init__(self, per_min: int, now_s: float) -> None:
        self._max = float(per_min)
        self._per_s = per_min / MINUTE_S
        self._left = self._max
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        """Take one, if there is one."""
        passed_s = max(0.0, now_s - self._at_s)
        self._left = min(self._max, self._left + passed_s * self._per_s)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def ready_in_s(self) -> int:
        """Whole seconds until there is one again."""
        return max(1, math.ceil((1 - self._left) / self._per_s))


def source_of(ip: str) -> str:
    """What failures are counted by: an IPv4 address, or the IPv6 network of one customer."""
    if ":" not in ip:
        return ip or NOWHERE
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    if not isinstance(address, IPv6Address):
        return ip
    return str(IPv6Network((int(address), _IPV6_SITE_BITS), strict=False))


def _event(source: str, data: dict[str, Any]) -> Event:
    address = source.encode()
    return Event(
        id=uuid7(),
        type="credential.refused",
        exchange=None,
        principal=None,
        data=data,
        payloads=(Payload("source", address, address),),
    )


def _too_many(retry_after_s: int) -> TooManyFailures:
    message = (
        "Too many wrong credentials came from your address. Correct the key, or sign in anew, "
        f"before you try again in {in_words(retry_after_s)}; what is right works at once."
    )
    return TooManyFailures(message, retry_after_s=retry_after_s)
