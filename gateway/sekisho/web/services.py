"""What the routers are given: built once by the composition root, found at `app.state.services`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sekisho.holding.break_glass_desk import BreakGlassDesk
from sekisho.holding.grant_desk import GrantDesk
from sekisho.holding.sample_desk import SampleDesk
from sekisho.holding.seed_desk import SeedDesk
from sekisho.model.halts import Halts
from sekisho.model.hold import HoldLimits, HoldView
from sekisho.model.principal import Principal
from sekisho.ports import Directory, HoldStore, Ledger, Log, Searches
from sekisho.revise import Edit
from sekisho.web.entrance import Entrance
from sekisho.web.halt_port import Switchboard
from sekisho.web.live_queue import LiveQueue
from sekisho.web.policy_port import Policies

Revise = Callable[[Principal, str, Edit], Awaitable[HoldView]]
"""A reviewer changes the tool calls of a held answer; see revise.py."""


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that pages and control routes share with the data path."""

    holds: HoldStore
    ledger: Ledger
    log: Log
    searches: Searches
    directory: Directory
    entrance: Entrance
    hold_limits: HoldLimits
    currency: Callable[[], str] = str  # of the prices in force; "" where there are none
    policies: Policies | None = None
    revise: Revise | None = None
    switchboard: Switchboard | None = None
    halts: Halts | None = None
    live: LiveQueue = field(default_factory=LiveQueue)
    grants: GrantDesk | None = None
    samples: SampleDesk | None = None
    break_glass: BreakGlassDesk | None = None
    seeds: SeedDesk | None = None
