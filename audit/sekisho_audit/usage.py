"""What limits count: requests, tokens and money of outcomes, by whom and when.

An intent says what was set aside for it and for whom (`charged`); its one outcome says what was
used, and is charged at the time it was written. Where an outcome says nothing, as `unknown` does,
what was set aside is charged: nobody knows better. An `outcome.late` changes nothing, because its
intent was charged when it was closed: at most too much, and never twice. What was never sent
(`failed` with cause `never_sent`) is no request and, unless it says otherwise, costs nothing.

The sums are derived from the leaves alone, so they are rebuilt wherever the leaves are read. They
keep the last two windows of each kind in which anything was charged.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sekisho_audit.canon import INT_MAX

DIMENSIONS = ("principal", "group", "assistant", "model", "backend")
# One exchange falls under five dimensions, 64 groups at most, in three kinds of window.
ASKED_MAX = 512
# Some 350 bytes each where a month has as many. Names beyond it share one entry, and whoever asks
# for one of them is told the sum of all: too much rather than too little.
NAMES_MAX = 200_000
NAME_CHARS_MAX = 128  # names that begin alike for so long are charged together
_KEPT_WINDOWS = 2  # the current one and the one before, for who asks with a clock a little behind
_WINDOW = re.compile(r"m\d{4}-\d\d-\d\dT\d\d:\d\d|d\d{4}-\d\d-\d\d|M\d{4}-\d\d")
_MINUTE_US = 60 * 1_000_000
_NOTHING = (0, 0, 0)
_OTHERS = ("", "")
_FIGURES = ("tokens", "spend_micros")

Sum = tuple[int, int, int]
Asked = tuple[str, str, str]


class NotKept(ValueError):
    """A question about sums that has no answer here."""


def windows_of(ts_us: int) -> Asked:
    """Minute, day and month of a time, in UTC: `m2026-11-24T09:30`, `d2026-11-24`, `M2026-11`."""
    at = time.gmtime(ts_us // 1_000_000)
    month = f"{at.tm_year:04d}-{at.tm_mon:02d}"
    day = f"{month}-{at.tm_mday:02d}"
    return f"m{day}T{at.tm_hour:02d}:{at.tm_min:02d}", f"d{day}", f"M{month}"


def charge_of(set_aside: Mapping[str, Any], outcome: Mapping[str, Any]) -> Sum:
    """What an outcome costs (its `data`), given what its intent had set aside."""
    unsent = outcome["status"] == "failed" and outcome.get("cause") == "never_sent"
    used = outcome.get("charged")
    if used is None:
        used = {"tokens": 0, "spend_micros": 0} if unsent else set_aside
    return (0 if unsent else 1), used["tokens"], used["spend_micros"]


@dataclass(frozen=True, slots=True)
class _SetAside:
    """An intent under way: whose names are charged with it, and how much at most."""

    names: tuple[tuple[str, str], ...]
    charged: Mapping[str, Any]


class _Table:
    """The sums of one window."""

    def __init__(self, names_max: int) -> None:
        self._names_max = names_max
        self._sums: dict[tuple[str, str], list[int]] = {}

    def add(self, names: Sequence[tuple[str, str]], charge: Sum) -> None:
        sums = self._sums
        for key in names:
            entry = sums.get(key)
            if entry is None:
                fits = len(sums) < self._names_max
                entry = sums.setdefault(key if fits else _OTHERS, [0, 0, 0])
            entry[0] += charge[0]
            entry[1] += charge[1]
            entry[2] += charge[2]

    def of(self, key: tuple[str, str]) -> Sum:
        entry = self._sums.get(key) or self._sums.get(_OTHERS)
        if entry is None:
            return _NOTHING
        # A backend may claim any usage; what no message can carry is as good as the most it can.
        return min(entry[0], INT_MAX), min(entry[1], INT_MAX), min(entry[2], INT_MAX)


class Sums:
    """The sums over all leaves given to `apply`, in the order of the ledger."""

    def __init__(self, names_max: int = NAMES_MAX) -> None:
        self._names_max = names_max
        self._open: dict[str, _SetAside] = {}
        self._windows: dict[str, OrderedDict[str, _Table]] = {
            kind: OrderedDict() for kind in ("m", "d", "M")
        }
        self._forgot: set[str] = set()
        self._before: dict[str, str] = {}
        self._minute = -1
        self._now: tuple[_Table, ...] = ()

    def carried(self) -> list[list[Any]]:
        """Intents under way, for a ledger whose leaves up to here are gone; see `carry_on`."""
        return [
            [key, [list(name) for name in of.names], {name: of.charged[name] for name in _FIGURES}]
            for key, of in self._open.items()
        ]

    def carry_on(self, carried: Sequence[Any], until_us: int) -> None:
        """Go on from what was `carried`; of windows up to `until_us` nothing is known any more.

        Raises TypeError, ValueError, KeyError.
        """
        for key, names, charged in carried:
            figures = {name: int(charged[name]) for name in _FIGURES}
            self._open[str(key)] = _SetAside(tuple((str(a), str(b)) for a, b in names), figures)
        self._before = {window[0]: window for window in windows_of(until_us)}

    def apply(self, leaf: Mapping[str, Any]) -> None:
        """Take the next leaf, which is durable."""
        kind = leaf["type"]
        if kind == "backend.intent":
            charged = leaf["data"].get("charged")
            if charged is not None:
                self._open[leaf["id"]] = _SetAside(_names(leaf, charged), charged)
        elif kind == "backend.outcome":
            of = self._open.pop(leaf["data"]["intent"], None)
            if of is not None:
                charge = charge_of(of.charged, leaf["data"])
                for table in self._tables(leaf["ts"]):
                    table.add(of.names, charge)

    def _tables(self, ts_us: int) -> tuple[_Table, ...]:
        minute = ts_us // _MINUTE_US
        if minute != self._minute:
            self._now = tuple(self._touch(window) for window in windows_of(ts_us))
            self._minute = minute
        return self._now

    def _touch(self, window: str) -> _Table:
        """The table of a window. What was not touched for longest goes, not what is oldest: a
        clock that once stood wrong must not push out what is current.
        """
        kept = self._windows[window[0]]
        table = kept.get(window)
        if table is None:
            table = kept[window] = _Table(self._names_max)
        kept.move_to_end(window)
        if len(kept) > _KEPT_WINDOWS:
            kept.popitem(last=False)
            self._forgot.add(window[0])
        return table

    def of(self, dimension: str, name: str, window: str) -> Sum:
        """Requests, tokens and money of one name in one window. Raises NotKept."""
        if dimension not in DIMENSIONS or not _WINDOW.fullmatch(window):
            raise NotKept("a sum is asked for by dimension, name and window")
        kept = self._windows[window[0]]
        table = kept.get(window)
        if table is not None:
            return table.of((dimension, name[:NAME_CHARS_MAX]))
        forgotten = window[0] in self._forgot and window < min(kept)
        if forgotten or window <= self._before.get(window[0], ""):
            raise NotKept(f"{window} is too long ago")
        return _NOTHING


def _names(leaf: Mapping[str, Any], charged: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    data = leaf["data"]
    names = [("model", data["model"]), ("backend", data["backend"])]
    if leaf["principal"] is not None:
        names.append(("principal", leaf["principal"]))
    if "assistant" in charged:
        names.append(("assistant", charged["assistant"]))
    names += [("group", group) for group in charged.get("groups", ())]
    return tuple(dict.fromkeys((kind, name[:NAME_CHARS_MAX]) for kind, name in names))
