"""A kill switch for tests of what stands around it: says what it is told to say."""

from __future__ import annotations

from dataclasses import dataclass, field

from sekisho.errors import HaltUnknown
from sekisho.model.halts import Halt, Reach, Switches, halted


def halt(scope: str = "all", name: str = "", reason: str = "There is a leak.") -> Halt:
    """A switch that stands."""
    return Halt(
        id=f"halt-{scope}-{name}",
        scope=scope,
        name=name,
        reason=reason,
        by="operator-1",
        set_us=1,
        origin="ledger.example/test",
        last=1,
    )


@dataclass
class Switch:
    """Satisfies `sekisho.model.halts.Halts`; `after` lets so many questions pass before."""

    standing: Switches = field(default_factory=Switches)
    unheard: bool = False
    after: int = 0
    asked: list[Reach] = field(default_factory=list)

    def set(self, *halts: Halt, after: int = 0) -> None:
        """These stand from now on, or once it was asked so often more."""
        self.standing, self.after = Switches(halts), after

    async def check(self, reach: Reach) -> None:
        self.asked.append(reach)
        if self.after > 0:
            self.after -= 1
            return
        if self.unheard:
            raise HaltUnknown("Nobody answers.")
        found = self.standing.hit(reach)
        if found is not None:
            raise halted(found)
