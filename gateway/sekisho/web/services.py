"""What the routers are given: built once by the composition root, found at `app.state.services`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sekisho.model.hold import HoldLimits
from sekisho.ports import Directory, HoldStore, Ledger, Log, Searches
from sekisho.web.entrance import Entrance
from sekisho.web.policy_port import Policies


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
