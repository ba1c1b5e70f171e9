"""Logs and metrics for operators. They are never evidence, and content never appears in them.

`configure` sets structlog up once a process: JSON lines or lines for a terminal, on standard error.
Three guards stand before every line: fields named like secrets or content are dropped, anything
that looks like one of our keys is blotted out of any text, and an exception shows its type and
where it was raised but not its message, which may quote a body.

`Metrics` holds the counters of one worker. With several workers each writes to a shared directory
(`PROMETHEUS_MULTIPROC_DIR`, set by the supervisor) and any of them answers for all.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

Fields = MutableMapping[str, Any]

LINE_CHARS_MAX = 2000  # a value; a longer one is a body that strayed into a log call
FRAMES_MAX = 20
BLOTTED = "[removed]"
MULTIPROC_DIR = "PROMETHEUS_MULTIPROC_DIR"  # the name prometheus-client itself reads

_SECRET = re.compile(
    r"authorization|cookie|password|passwd|secret|pepper|credential|api[-_]?key|bearer|token$"
    r"|^(key|plaintext|body|content|prompt|messages|message|answer|text|outgoing|arguments)$",
    re.IGNORECASE,
)
_KEY = re.compile(r"sk-[A-Za-z0-9_-]{8,}|Bearer\s+\S+", re.IGNORECASE)

# Exchanges take from a millisecond to minutes; decisions and appends are far below a second.
_LONG_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SHORT_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5)
_LABEL_CHARS_MAX = 64  # labels are ours; a longer one came from outside and would not be bounded
_LABELS_MAX = 256  # error codes and backends are far fewer; more would be a leak

_REQUEST = "request"
_DECIDED_S = 0.0005  # as most decisions take; where this worker has made none yet

Metric = TypeVar("Metric", Counter, Histogram)


def configure(level: str, form: Literal["json", "console"]) -> None:
    """Set up this process's logs. Other packages' records go the same way, from warning up."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        show_where,
        guard,
    ]
    render: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, guard, render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.WARNING))


def guard(_: Any, __: str, fields: Fields) -> Fields:
    """Drop what is named like a secret or content; blot keys out of every text."""
    return {
        name: value if name in _OURS else _guarded(name, value) for name, value in fields.items()
    }


# What structlog itself puts in; `event` is text too and is guarded like any other.
_OURS = frozenset({"_record", "_from_structlog", "level", "timestamp"})


def _guarded(name: str, value: Any) -> Any:
    if _SECRET.search(name):
        return BLOTTED
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {str(key): _guarded(str(key), inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_guarded("", inner) for inner in value]
        case bytes() | bytearray() | memoryview():
            return f"{len(value)} bytes"
        case BaseException():
            return type(value).__name__
        case _:
            text = _KEY.sub(BLOTTED, str(value))
            return text if len(text) <= LINE_CHARS_MAX else f"{len(text)} characters"


def show_where(_: Any, __: str, fields: Fields) -> Fields:
    """Replace an exception by its type and the lines it came through, without its message."""
    raised = fields.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()
    if isinstance(raised, BaseException):
        raised = (type(raised), raised, raised.__traceback__)
    if isinstance(raised, tuple) and raised[0] is not None:
        kind: type[BaseException] = raised[0]
        fields["error"] = kind.__name__
        fields["raised"] = _frames(raised[2])
    return fields


def _frames(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-FRAMES_MAX:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


class Metrics:
    """What this worker counts. Names and labels are a contract with dashboards."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._decided_s = _DECIDED_S
        self._exchanges = self._counter(
            "exchanges", "Requests for an answer that ended, by outcome code.", "code"
        )
        self._backend_s = self._histogram(
            "backend", "From sending to the head of the answer.", "backend", _LONG_S
        )
        self._decision_s = self._histogram("decision", "One policy decision.", "stage", _SHORT_S)
        self._memo = self._counter(
            "memo_decisions",
            "Decisions where equal ones are kept, by whether this one was: kept, new.",
            "outcome",
        )
        self._memo_last = ""
        self._append_s = self._histogram(
            "ledger_append", "One durable append, as the worker sees it.", "outcome", _SHORT_S
        )
        self._holds = self._counter(
            "holds", "Holds that came into a state, as seen by this worker.", "state"
        )
        self._refusals = self._counter(
            "credentials_refused", "Credentials that were refused, by cause.", "cause"
        )
        self._shadow = self._counter(
            "shadow_decisions", "Decisions of the revision in the shadow, by outcome.", "outcome"
        )
        self._told = self._counter(
            "notifications", "Notifications: sent, failed (tried again), moot, given_up.", "outcome"
        )
        self._not_told = self._counter(
            "notifications_given_up", "Notifications that nobody got, by channel.", "channel"
        )
        self._chunks = Counter(
            "sekisho_chunks", "Chunks of streams relayed to clients.", registry=self.registry
        )
        self.inflight = Gauge(
            "sekisho_inflight",
            "Exchanges under way.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

        self._halts = Gauge(
            "sekisho_halts",
            "Kill switches that stand, as this worker knows it.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )

        self._opened = Gauge(
            "sekisho_break_glass_open",
            "Openings of break-glass, as this worker knows it.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._broken = Counter(
            "sekisho_break_glass_uses",
            "Holds that went on by break-glass.",
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, label: str) -> _Labelled[Counter]:
        return _Labelled(Counter(f"sekisho_{name}", text, [label], registry=self.registry))

    def _histogram(
        self, name: str, text: str, label: str, buckets: tuple[float, ...]
    ) -> _Labelled[Histogram]:
        return _Labelled(
            Histogram(
                f"sekisho_{name}_seconds", text, [label], buckets=buckets, registry=self.registry
            )
        )

    def exchange_ended(self, code: str) -> None:
        """Count a request for an answer: `ok`, `held`, `cancelled`, or the code of its error."""
        self._exchanges.of(code).inc()

    def backend_took(self, backend: str, seconds: float) -> None:
        """Time one call of a backend."""
        self._backend_s.of(backend).observe(seconds)

    def decision_took(self, stage: str, seconds: float) -> None:
        """Time one policy decision at a stage of policy."""
        self._decision_s.of(stage).observe(seconds)
        if stage == _REQUEST:
            self._decided_s = seconds

    def decision_kept(self, kept: bool) -> None:
        """Count a decision as one that was kept, or was new, where decisions are kept."""
        self._memo_last = "kept" if kept else "new"
        self._memo.of(self._memo_last).inc()

    def append_took(self, outcome: str, seconds: float) -> None:
        """Time one append; `outcome` is `ok` or `failed`."""
        self._append_s.of(outcome).observe(seconds)

    def hold_entered(self, state: str) -> None:
        """Count a hold that came into a state."""
        self._holds.of(state).inc()

    def seeded(self) -> None:
        """Count a test item as the hold of a request is counted: anybody may read metrics."""
        self._decision_s.of(_REQUEST).observe(self._decided_s * _about_one())
        if self._memo_last:
            self._memo.of(self._memo_last).inc()
        self.hold_entered("pending")
        self.exchange_ended("held")

    def shadow_decided(self, outcome: str) -> None:
        """Count a decision of the shadow: `same`, `otherwise`, `failed` or `left_out`."""
        self._shadow.of(outcome).inc()

    def credential_refused(self, cause: str) -> None:
        """Count a credential that was refused, or a claim that was ignored."""
        self._refusals.of(cause).inc()

    def notification(self, channel: str, outcome: str) -> None:
        """Count what became of a notification, or of an attempt."""
        self._told.of(outcome).inc()
        if outcome == "given_up":
            self._not_told.of(channel).inc()

    def halts_standing(self, count: int) -> None:
        """Say how many kill switches stand."""
        self._halts.set(count)

    def break_glass_open(self, count: int) -> None:
        """Say how many openings of break-glass there are."""
        self._opened.set(count)

    def break_glass_used(self, count: int) -> None:
        """Count holds that went on by break-glass."""
        self._broken.inc(count)

    def chunks_relayed(self, count: int) -> None:
        """Count relayed chunks; called once a stream, so that a chunk costs nothing."""
        self._chunks.inc(count)

    def render(self) -> tuple[bytes, str]:
        """The text for `/metrics` with its content type, over all workers where there are many."""
        registry = self.registry
        folder = os.environ.get(MULTIPROC_DIR)
        if folder:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST


def _about_one() -> float:
    """A little less or more: nothing takes exactly as long twice."""
    return (900 + secrets.randbelow(200)) / 1000


class _Labelled(Generic[Metric]):
    """A metric with one label; remembers its children, whose look-up costs more than counting."""

    def __init__(self, metric: Metric) -> None:
        self._metric: Metric = metric
        self._children: dict[str, Metric] = {}

    def of(self, value: str) -> Metric:
        child = self._children.get(value)
        if child is None:
            if len(value) > _LABEL_CHARS_MAX or len(self._children) >= _LABELS_MAX:
                value = "other"
            child = self._children[value] = self._metric.labels(value)
        return child


def forget_worker(folder: Path, pid: int) -> None:
    """Take what a dead worker had under way out of the counts; what it finished stays."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
