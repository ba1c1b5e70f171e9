"""What the line is built from: everything an exchange meets on its way, behind its port.

Wiring puts one of these together for each worker; tests put together their own. The line itself
keeps nothing else, so whatever it can do to the world stands in this list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sekisho.content.scan import Scanner
from sekisho.holding.break_glass import BreakGlass
from sekisho.holding.file import Filing
from sekisho.holding.granting import Granting
from sekisho.holding.outbox import Outbox
from sekisho.model.assistant import Assistants
from sekisho.model.catalog import Catalog
from sekisho.model.halts import Halts
from sekisho.model.office import Office
from sekisho.ports import (
    Backend,
    Clock,
    Directory,
    HoldStore,
    Ledger,
    Limiter,
    ModelLists,
    PolicyEngine,
)
from sekisho.releasing.sampling import Sampling
from sekisho.telemetry import Metrics
from sekisho.unsettled import Unsettled


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds one exchange; see docs/reference/settings.md for the reasons.

    `silent_s_max` is how long a client that asked for a stream hears nothing.
    """

    json_depth_max: int
    answer_bytes_max: int
    silent_s_max: float


@dataclass(frozen=True, slots=True)
class Parts:
    """What the line is built from; wiring.py puts it together.

    `path_of(backend, endpoint)` is the path of the backend's profile; `lease_s` how long a claim
    lasts unrenewed; `channels` are those of the settings, over which people are told.
    """

    clock: Clock
    directory: Directory
    limiter: Limiter
    engine: PolicyEngine
    scanner: Scanner
    office: Office
    assistants: Callable[[], Assistants]
    catalog: Catalog
    ledger: Ledger
    backend: Backend
    path_of: Callable[[str, str], str]
    lists: ModelLists
    holds: HoldStore
    halts: Halts
    filing: Filing
    lease_s: float
    unsettled: Unsettled
    session: str
    limits: Limits
    metrics: Metrics
    outbox: Outbox | None = None
    granting: Granting | None = None
    sampling: Sampling | None = None
    glass: BreakGlass | None = None
    channels: frozenset[str] = frozenset()
