"""How much a round of the writer takes of what waits.

While one round is built, those who were answered in the round before come with what they want
next: rounds that take turns keep both sides at work, and one that takes everything lets each wait
for the other. But each round waits for the disk. So it takes what takes somewhat longer to build
than the disk took last: a quick disk makes small rounds, a slow one large ones.
"""

from __future__ import annotations

# So many times as long as for the disk.
_BUILDING = 1.5
_EVENTS_MIN = 64


class Pace:
    """Learns from each round what the next one takes."""

    def __init__(self) -> None:
        self.events = _EVENTS_MIN

    def learn(self, events: int, took_s: float, disk_s: float) -> None:
        """A round of so many events took so long, of it so long for the disk."""
        building_s = took_s - disk_s
        if events and building_s > 0:
            self.events = max(_EVENTS_MIN, round(_BUILDING * disk_s / building_s * events))

    def takes_all(self, waiting: int) -> bool:
        """Whether so many events are few enough for one round; a small rest goes along."""
        return 4 * waiting <= 5 * self.events
