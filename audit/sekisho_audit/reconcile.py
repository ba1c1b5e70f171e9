"""Comparing what a backend says was used with what the ledger says left: calls around the gate.

Rows that name a request are looked up by it (`backend_request` of outcomes). Other rows are times
with counts: the ledger's calls of that time and model are counted, and what the backend counted
beyond them went around the gate. Clocks differ, so a call near the edge of a time counts for both
sides of it: what is reported is at least what went around.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from sekisho_audit.canon import decode
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.usage_export import Used

SLACK_US = 300_000_000  # of clocks, and between sending and being counted
FINDINGS_MAX = 1_000
_NO_MODEL = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that left through the gate, as far as the ledger knows. `end_us` is its outcome's."""

    start_us: int
    end_us: int
    model: str
    status: str
    request: str | None
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Calls, or tokens, that the backend counted and the ledger does not have."""

    start_us: int
    end_us: int
    model: str | None
    request: str | None
    calls: int
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    currency: str | None


@dataclass(slots=True)
class Comparison:
    """What came of it. `around` are findings; `lacking` calls of the ledger by status that the
    export does not have; `outside` calls of a time that the ledger does not cover, `later` whether
    some are behind its end.
    """

    rows: int = 0
    calls: int = 0
    matched: int = 0
    around: list[Finding] = field(default_factory=list)
    around_calls: int = 0
    around_cost: dict[str, Decimal] = field(default_factory=dict)
    lacking: dict[str, int] = field(default_factory=dict)
    never_sent: int = 0
    open_calls: int = 0
    uncounted: int = 0
    outside: int = 0
    later: bool = False
    outside_cost: dict[str, Decimal] = field(default_factory=dict)
    first_us: int | None = None
    last_us: int | None = None
    first_index: int = 0
    erasures: int = 0
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)  # by class, what retention ended

    def as_dict(self) -> dict[str, Any]:
        """For machines; costs are texts, so that nothing rounds them."""
        found = asdict(self)
        found["around"] = [
            {**one, "cost": None if one["cost"] is None else str(one["cost"])}
            for one in found["around"]
        ]
        for name in ("around_cost", "outside_cost"):
            found[name] = {currency: str(cost) for currency, cost in found[name].items()}
        return found


class UnknownBackend(ValueError):
    """Nothing ever left for a backend of this name: all that it counted would seem to accuse."""

    def __init__(self, asked: str, known: Collection[str]) -> None:
        names = ", ".join(sorted(known)) or "none"
        super().__init__(f"the ledger knows no backend {asked!r}; there are: {names}")


def calls_in(ledger: Path, backend: str | None, found: Comparison) -> list[Call]:
    """The calls of a ledger; how far it reaches goes into `found`. Raises UnknownBackend,
    BrokenSegment, NotCanonical, OSError.
    """
    every = segments(ledger, EVENTS)
    found.first_index = every[0].first if every else 0
    backends: set[str] = set()
    leaves = (decode(f.body) for s in every for f in frames(s, EVENTS))
    calls = list(_calls(leaves, backend, backends, found))
    if backend is not None and backend not in backends:
        raise UnknownBackend(backend, backends)
    return calls


def _calls(
    leaves: Iterable[Mapping[str, Any]],
    backend: str | None,
    backends: set[str],
    found: Comparison,
) -> Iterator[Call]:
    intents: dict[str, tuple[int, str]] = {}
    for leaf in leaves:
        kind, data = leaf["type"], leaf["data"]
        found.first_us = leaf["ts"] if found.first_us is None else min(found.first_us, leaf["ts"])
        found.last_us = max(found.last_us or 0, leaf["ts"])
        if kind == "backend.intent":
            backends.add(data["backend"])
            if backend in {None, data["backend"]}:
                intents[leaf["id"]] = leaf["ts"], data["model"]
        elif kind == "backend.outcome" and data["intent"] in intents:
            start_us, model = intents.pop(data["intent"])
            if data["status"] == "failed" and data.get("cause") == "never_sent":
                found.never_sent += 1
                continue
            usage = data.get("usage", {})
            yield Call(
                *(start_us, max(start_us, leaf["ts"]), model, data["status"]),
                data.get("backend_request"),
                *(_figure(usage, name) for name in ("prompt_tokens", "completion_tokens")),
            )
        elif kind == "erasure.begun":
            found.erasures += 1
        elif kind == "retention.applied":
            _end(found.ended, data["classes"])
    found.open_calls = len(intents)


def _end(ended: dict[str, dict[str, Any]], classes: Sequence[Mapping[str, Any]]) -> None:
    """Add what one run of retention ended: how many keys, and up to which first day."""
    for row in classes:
        if row["keys"]:
            so_far = ended.setdefault(row["class"], {"keys": 0, "up_to": ""})
            so_far["keys"] += row["keys"]
            so_far["up_to"] = max(so_far["up_to"], row.get("up_to", ""))


def _figure(usage: Mapping[str, Any], name: str) -> int | None:
    value = usage.get(name)
    return value if type(value) is int else None


def compare(rows: Sequence[Used], calls: Sequence[Call], found: Comparison) -> Comparison:
    """Compare; `found` is what `calls_in` has filled, and is filled up."""
    found.rows, found.calls = len(rows), len(calls)
    found.uncounted = sum(call.input_tokens is None for call in calls)
    within = [row for row in rows if _covered(row, found)]
    for row in rows:
        if not _covered(row, found):
            found.outside += row.requests or 0
            found.later |= row.start_us > (found.last_us or 0)
            _add(found.outside_cost, row.currency, row.cost)
    named, seen = {call.request: call for call in calls if call.request}, set()
    rest: list[Used] = []
    for row in within:
        if row.request is None or not named:
            rest.append(row)
        elif row.request in named and row.request not in seen:
            seen.add(row.request)
            found.matched += row.requests or 0
        else:
            _report(found, row, row.requests or 1, row.input_tokens or 0, row.output_tokens or 0)
    left = [call for call in calls if call.request not in seen]
    _by_time(rest, left, found)
    _lacking(within, left, found, counted=bool(rest))
    return found


def _covered(row: Used, found: Comparison) -> bool:
    """Whether the ledger reaches over a row: over all of it where only counts are compared."""
    if found.first_us is None or found.last_us is None:
        return False
    begins = row.end_us if row.request else row.start_us
    return found.first_us - SLACK_US <= begins and row.start_us <= found.last_us + SLACK_US


def _by_time(rows: Sequence[Used], calls: Sequence[Call], found: Comparison) -> None:
    """Compare rows that name no request by time and model."""
    by_model: dict[str, list[Call]] = defaultdict(list)
    for call in sorted(calls, key=lambda call: call.end_us):
        by_model[call.model].append(call)
        by_model[_NO_MODEL].append(call)
    ends = {model: [call.end_us for call in listed] for model, listed in by_model.items()}
    for (start_us, end_us, model), group in _grouped(rows, by_model).items():
        first = bisect_left(ends.get(model, []), start_us - SLACK_US)
        last = bisect_right(ends.get(model, []), end_us + SLACK_US)
        there = by_model.get(model, [])[first:last]
        _judge(group, there, found)


def _grouped(
    rows: Sequence[Used], known: Mapping[str, object]
) -> dict[tuple[int, int, str], list[Used]]:
    """Rows of one time and model; moments by the hour they lie in."""
    hour_us = 3_600_000_000
    groups: dict[tuple[int, int, str], list[Used]] = defaultdict(list)
    for row in rows:
        start_us, end_us = row.start_us, row.end_us
        if start_us == end_us:
            start_us -= start_us % hour_us
            end_us = start_us + hour_us
        groups[start_us, end_us, _model(row.model, known)].append(row)
    return groups


def _model(said: str | None, known: Mapping[str, object]) -> str:
    """The model of the ledger that is meant: exports name dated versions of what was asked for."""
    if said is None or said in known:
        return said or _NO_MODEL
    near = [name for name in known if name and said.startswith(f"{name}-")]
    return max(near, key=len, default=said)


def _judge(group: Sequence[Used], there: Sequence[Call], found: Comparison) -> None:
    requests = sum(row.requests or 0 for row in group)
    found.matched += min(requests, len(there))
    more = max(0, requests - len(there))
    tokens = []
    for name in ("input_tokens", "output_tokens"):
        counted = sum(getattr(row, name) or 0 for row in group)
        known = [getattr(call, name) for call in there]
        # Where the ledger has no count, nothing can be said to be too much.
        tokens.append(0 if None in known else max(0, counted - sum(known)))
    free = any(row.cost and row.cost > 0 for row in group) and not there and not requests
    if more or any(tokens) or free:
        merged = _merged(group)
        _report(found, merged, more, *tokens, whole=requests)


def _merged(group: Sequence[Used]) -> Used:
    first = group[0]
    costs = [row.cost for row in group if row.cost is not None and row.currency == first.currency]
    return Used(
        min(row.start_us for row in group),
        max(row.end_us for row in group),
        None,
        model=first.model,
        cost=sum(costs, Decimal(0)) if costs else None,
        currency=first.currency,
    )


def _report(
    found: Comparison, row: Used, calls: int, *tokens: int, whole: int | None = None
) -> None:
    """Note a finding; of a row's cost the share of the calls that are too many."""
    cost = row.cost
    if cost is not None and whole:
        cost = cost * calls / whole
    found.around_calls += calls
    _add(found.around_cost, row.currency, cost)
    if len(found.around) < FINDINGS_MAX:
        more_in, more_out = tokens
        found.around.append(
            Finding(
                start_us=row.start_us,
                end_us=row.end_us,
                model=row.model,
                request=row.request,
                calls=calls,
                input_tokens=more_in,
                output_tokens=more_out,
                cost=cost,
                currency=row.currency,
            )
        )


def _add(costs: dict[str, Decimal], currency: str | None, cost: Decimal | None) -> None:
    if cost is not None:
        name = (currency or "?").upper()
        costs[name] = costs.get(name, Decimal(0)) + cost


def _lacking(
    rows: Sequence[Used], calls: Sequence[Call], found: Comparison, *, counted: bool
) -> None:
    """Calls of the ledger, within the export's time, that the export does not have.

    Where rows are counts only, nobody can say which calls they are: then those beyond the counts.
    """
    if not rows:
        return
    start_us = min(row.start_us for row in rows) + SLACK_US
    end_us = max(row.end_us for row in rows) - SLACK_US
    there = Counter(call.status for call in calls if start_us <= call.end_us <= end_us)
    spare = found.matched if counted else 0
    for status, count in sorted(there.items(), key=lambda item: item[0] != "released"):
        taken = min(spare, count)
        spare -= taken
        if count > taken:
            found.lacking[status] = count - taken
