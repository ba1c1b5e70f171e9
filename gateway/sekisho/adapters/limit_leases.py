"""What one worker has leased of the counters, and the sums over it. Pure: no store, no clock.

    claim  all that this worker took of a counter in its window: used, set aside and free
    free   the part of the claim that nobody has set aside; never below zero
    debt   what was used beyond all that was leased: it makes the claim larger than was granted

An exchange takes from all its counters or from none. What it did not use goes back to `free`.
A counter that was lost with the store begins anew from the ledger (`size` events of it); a charge
settled meanwhile whose outcome lies below `size` is in that beginning and is not claimed again, any
other is owed in full. Charges are remembered until the store is known to have been whole after
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sekisho.errors import LimitsUnavailable
from sekisho.model.limits import Limit, LimitTable, Metric, Spender, Unit, Window

COUNTERS_MAX = 50_000  # of a worker, about 600 bytes each
LEAVING_MAX = 10_000  # counters that wait to be given back
PLANS_MAX = 20_000  # who asks what, about 500 bytes each
RECENT_MAX = 50_000  # charges since the store was last heard, about 250 bytes each
NEVER_S = float("-inf")
CLOCKS_APART_S = 5.0  # a window that is over here is over in the store by then

Amounts = tuple[int, int, int, int]
"""Requests, tokens, micros, places: in the order of `Unit`."""

NOTHING: Amounts = (0, 0, 0, 0)


class Lease:
    """A counter's standing in one window and epoch. `over`: another took its place."""

    __slots__ = (
        "claim",
        "counter",
        "epoch",
        "free",
        "keep",
        "left",
        "lost",
        "over",
        "size",
        "start",
        "until_s",
    )

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.start = -1  # not joined
        self.epoch = ""
        self.size = 0
        self.until_s = NEVER_S
        self.claim = 0
        self.free = 0
        self.left = 0  # in the store, when it was last asked
        self.keep = 0  # more free units than this are given back
        self.over = False
        self.lost = False

    @property
    def joined(self) -> bool:
        """Whether the store knows of it."""
        return self.start >= 0


class Counter:
    """One limit of one concrete name, as this worker knows it."""

    __slots__ = ("amount", "lease", "limit", "need", "open", "owed", "seen", "taken", "unit")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.amount = limit.amount
        self.unit = int(limit.metric.unit)
        self.lease = Lease(self)
        self.need = 1  # what an exchange wanted of it last
        self.open = 0  # exchanges that have something set aside
        self.taken = 0  # exchanges so far, and how many there were at the last sweep
        self.seen = 0
        # What a later lease has to claim: window, place of the outcome in the ledger, amount.
        self.owed: list[tuple[int | None, int | None, int]] = []

    @property
    def key(self) -> tuple[str, str, Metric]:
        """What tells it from others."""
        return (self.limit.dimension, self.limit.name, self.limit.metric)

    @property
    def is_places(self) -> bool:
        """Whether it counts exchanges under way."""
        return self.unit == Unit.PLACES

    def owe(self, start: int | None, index: int | None, amount: int) -> bool:
        """Claim `amount` beyond what is leased, now or when the counter is joined.

        Nothing if it belongs to another window than the present one or is in its beginning.
        """
        lease = self.lease
        if not lease.joined:
            self.owed.append((start, index, amount))
            return bool(amount)
        if (start is not None and start != lease.start) or (
            index is not None and index < lease.size
        ):
            return False
        lease.claim += amount
        return True


class Plan:
    """The counters of one spender, all different, and what the record says of it."""

    __slots__ = ("counters", "groups", "spender")

    def __init__(self, spender: Spender, counters: Sequence[Counter]) -> None:
        self.spender = spender
        self.counters = tuple(counters)
        limited = {one.limit.name for one in counters if one.limit.dimension == "group"}
        self.groups = tuple(sorted(spender.groups, key=lambda name: (name not in limited, name)))


class Leases:
    """All counters of a worker. `dirty` are those whose claim the store should hear of."""

    def __init__(self, *, counters_max: int = COUNTERS_MAX, recent_max: int = RECENT_MAX) -> None:
        self.counters: dict[tuple[str, str, Metric], Counter] = {}
        self.leaving: dict[tuple[str, str, Metric], Counter] = {}
        self.places: dict[tuple[str, str, Metric], Counter] = {}
        self.dirty: dict[Counter, None] = {}
        self.urgent = False  # somebody else may be refused for what is free here
        self.on_urgent: Callable[[], None] = _do_nothing
        self._counters_max = counters_max
        self._recent_max = recent_max
        self._plans: dict[Spender, Plan] = {}
        self._table: LimitTable | None = None
        self._recent: list[tuple[int | None, tuple[Lease, ...], Amounts]] = []
        self._older: list[tuple[int | None, tuple[Lease, ...], Amounts]] = []

    # -- who falls under what

    def plan(self, spender: Spender, table: LimitTable) -> Plan:
        """The counters of `spender`. Raises LimitsUnavailable when there are too many in all."""
        if table is not self._table:
            self._table = table
            self._plans.clear()
        plan = self._plans.get(spender)
        if plan is None:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            counters = [self._counter(limit) for limit in table.limits_of(spender)]
            plan = self._plans[spender] = Plan(spender, counters)
        return plan

    def _counter(self, limit: Limit) -> Counter:
        key = (limit.dimension, limit.name, limit.metric)
        counter = self.counters.get(key)
        if counter is None:
            if len(self.counters) >= self._counters_max:
                self._make_room()
            counter = self.leaving.pop(key, None) or Counter(limit)
            self.counters[key] = counter
            if counter.is_places:
                self.places[key] = counter
        if counter.amount != limit.amount:
            # What was leased under another limit may be more than there is now.
            self.fold(counter)
            self.dirty[counter] = None
        counter.limit = limit
        counter.amount = limit.amount
        return counter

    def _make_room(self) -> None:
        """Let an eighth of the counters go that were made first and are not in use."""
        idle = [key for key, one in self.counters.items() if not one.open and not one.owed]
        for key in idle[: max(1, self._counters_max // 8)]:
            if len(self.leaving) >= LEAVING_MAX:
                break
            self.leaving[key] = self.counters.pop(key)
        self._plans.clear()
        if len(self.counters) >= self._counters_max:
            raise LimitsUnavailable("Too many limits are counted at once. Try again in a minute.")

    def fold(self, counter: Counter) -> None:
        """Nothing is taken from it any more: it is about to be given back."""
        counter.lease.until_s = NEVER_S
        counter.lease.claim -= counter.lease.free
        counter.lease.free = 0

    def folded(self, counter: Counter) -> None:
        """The store has let go of it. Whoever needs it meanwhile joins it again."""
        counter.lease.over = True
        counter.lease = Lease(counter)
        if self.leaving.get(counter.key) is counter:
            del self.leaving[counter.key]
            self.places.pop(counter.key, None)
            self.dirty.pop(counter, None)

    def drop_unjoined(self) -> None:
        """Let counters go of which the store knows nothing."""
        unknown = [one for one in self.leaving.values() if not (one.lease.joined or one.owed)]
        for counter in unknown:
            key = counter.key
            del self.leaving[key]
            self.places.pop(key, None)
            self.dirty.pop(counter, None)

    def forget(self, keys: Iterable[tuple[str, str, Metric]]) -> None:
        """Drop counters that hold nothing in the store any more."""
        gone = [self.counters.pop(key) for key in keys]
        for counter in gone:
            self.dirty.pop(counter, None)
            self.places.pop(counter.key, None)
        if gone:
            self._plans.clear()

    # -- taking and settling

    def take(self, plan: Plan, amounts: Amounts, now_s: float) -> tuple[Lease, ...] | None:
        """Set `amounts` aside in all counters, or change nothing and return None."""
        leases = [counter.lease for counter in plan.counters]
        for lease in leases:
            if lease.free < amounts[lease.counter.unit] or lease.until_s <= now_s:
                return None
        for lease in leases:
            counter = lease.counter
            lease.free -= amounts[counter.unit]
            counter.open += 1
            counter.taken += 1
        return tuple(leases)

    def force(self, plan: Plan, amounts: Amounts) -> tuple[Lease, ...]:
        """The same, going into debt where there is not enough."""
        leases = tuple(counter.lease for counter in plan.counters)
        for lease in leases:
            amount = amounts[lease.counter.unit]
            if lease.free < amount:
                lease.claim += amount - lease.free
                lease.free = amount
                self.dirty[lease.counter] = None
            lease.free -= amount
            lease.counter.open += 1
            lease.counter.taken += 1
        return leases

    def settle(
        self, leases: tuple[Lease, ...], aside: Amounts, spent: Amounts, index: int | None
    ) -> None:
        """An exchange ended: what it did not use is free again, what it used beyond is owed."""
        for lease in leases:
            counter = lease.counter
            unit = counter.unit
            counter.open -= 1
            if lease.over:
                self._settle_late(lease, aside[unit], spent[unit], index)
                continue
            free = lease.free + aside[unit] - spent[unit]
            if free < 0:
                lease.claim -= free
                free = 0
                self.dirty[counter] = None
            elif free > lease.keep:
                self.dirty[counter] = None
                if not lease.keep and not self.urgent:
                    self.urgent = True
                    self.on_urgent()
            lease.free = free
        if leases and spent is not NOTHING:
            self._recent.append((index, leases, spent))

    def _settle_late(self, lease: Lease, aside: int, spent: int, index: int | None) -> None:
        """The window is over or the counter was lost since."""
        counter = lease.counter
        if lease.lost:
            owed = counter.owe(lease.start, index, spent)
        elif counter.limit.metric.window is Window.MINUTE:
            # Most exchanges see a minute end: each is counted when it began, its excess now.
            owed = spent > aside and counter.owe(None, None, spent - aside)
        else:
            # The ledger charges it to the window in which it ended, so this does too.
            owed = counter.owe(None, index, spent)
        if owed:
            self.dirty[counter] = None

    @property
    def full(self) -> bool:
        """Whether more charges are unconfirmed than can be remembered: nothing may be let in."""
        return len(self._recent) + len(self._older) >= self._recent_max

    # -- what the store says

    def asking_whole(self) -> None:
        """The store is about to be asked whether it is still the same."""
        self._older += self._recent
        self._recent = []

    def is_whole(self) -> None:
        """It was, when it was asked: charges before that are in any later sum of the ledger."""
        self._older = []

    def lost(self) -> None:
        """The store began anew: every counter but places has to be made again."""
        for counter in (*self.counters.values(), *self.leaving.values()):
            counter.owed = []
            if not counter.is_places:
                self._lose(counter)
        for entry in (*self._older, *self._recent):
            self._owe_again(*entry)

    def lost_one(self, counter: Counter) -> None:
        """The same for one counter."""
        counter.owed = []
        self._lose(counter)
        for index, leases, spent in (*self._older, *self._recent):
            mine = tuple(lease for lease in leases if lease.counter is counter)
            self._owe_again(index, mine, spent)

    def _lose(self, counter: Counter) -> None:
        if counter.lease.joined:
            counter.lease.over = counter.lease.lost = True
            counter.lease = Lease(counter)
            # Joined again soon, also if nobody asks: others should not find it empty.
            self.dirty[counter] = None

    def _owe_again(self, index: int | None, leases: tuple[Lease, ...], spent: Amounts) -> None:
        for lease in leases:
            counter = lease.counter
            if lease.lost:
                counter.owed.append((lease.start, index, spent[counter.unit]))
            elif lease.over and counter.limit.metric.window is not Window.MINUTE:
                counter.owed.append((None, index, spent[counter.unit]))

    def granted(
        self,
        counter: Counter,
        *,
        epoch: str,
        start: int,
        until_s: float,
        grant: int,
        left: int,
        size: int,
        share: int,
    ) -> None:
        """The store's answer to what was said of `counter`."""
        lease = counter.lease
        if lease.joined and not counter.is_places:
            if lease.start != start:
                lease.over = True
                counter.lease = lease = Lease(counter)
            elif lease.epoch != epoch:
                self.lost_one(counter)
                lease = counter.lease
        joining = not lease.joined
        lease.epoch, lease.start, lease.size = epoch, start, size
        lease.until_s = until_s
        lease.claim += grant
        lease.free += grant
        lease.left = left
        batch = max(counter.need, grant, left // share)
        lease.keep = 2 * batch if left >= counter.need else 0
        if joining:
            owed, counter.owed = counter.owed, []
            for entry in owed:
                if counter.owe(*entry):
                    self.dirty[counter] = None

    # -- giving back

    def trim(self, counter: Counter, now_s: float, *, idle: bool = False) -> None:
        """Let go of free units beyond what is worth keeping, before the store is told."""
        lease = counter.lease
        surplus = lease.free - (0 if idle else lease.keep)
        if counter.is_places and lease.until_s <= now_s:
            surplus = lease.free  # the store has given them to others by now
        if surplus > 0:
            lease.free -= surplus
            lease.claim -= surplus

    def sweep(self, counter: Counter, now_s: float) -> bool:
        """Whether the store should hear of a counter that nobody took from since the last sweep."""
        idle = counter.taken == counter.seen
        counter.seen = counter.taken
        lease = counter.lease
        if not idle or not lease.free or (lease.until_s <= now_s and not counter.is_places):
            return False
        self.trim(counter, now_s, idle=True)
        return True

    def removable(self, counter: Counter, now_s: float) -> bool:
        """Whether nothing of it is in the store or under way."""
        lease = counter.lease
        if counter.open or counter.owed or counter in self.dirty:
            return False
        if counter.is_places:
            return lease.claim == 0
        return lease.until_s <= now_s - CLOCKS_APART_S


def _do_nothing() -> None:
    """Until somebody wants to know."""


def left_by(plan: Plan) -> Mapping[Metric, tuple[Counter, int]]:
    """For each metric the counter with the least left, as far as this worker knows."""
    least: dict[Metric, tuple[Counter, int]] = {}
    for counter in plan.counters:
        left = counter.lease.left + counter.lease.free
        metric = counter.limit.metric
        if metric not in least or left < least[metric][1]:
            least[metric] = (counter, left)
    return least
