"""What `/v1/admin/halt` needs of the desk where the kill switch is set and lifted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sekisho.model.halts import Halt
from sekisho.model.principal import Principal


class Switchboard(Protocol):
    """Who may do what is asked here. Each step is durable evidence first, but a stop that cannot be
    recorded now stands all the same. Repeating a step is harmless.

    All raise Forbidden, and those that change something BadRequest, NotFound, Conflict.
    """

    def listed(self, who: Principal) -> Sequence[Halt]:
        """What stands."""
        ...

    async def set(self, who: Principal, scope: str, name: str, reason: str) -> tuple[Halt, bool]:
        """Stop it; whether it is known to be on every replica."""
        ...

    async def propose(self, who: Principal, halt_id: str, reason: str) -> Halt:
        """Want it lifted. Raises LedgerUnavailable."""
        ...

    async def confirm(self, who: Principal, halt_id: str, proposed: str) -> Halt:
        """Lift what another person proposed to lift. Raises LedgerUnavailable."""
        ...
