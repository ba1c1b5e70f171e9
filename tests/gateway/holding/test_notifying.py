"""People are told at least once, whatever dies, and one channel never waits for another."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from sekisho.adapters.http_channel import HttpChannel, Target
from sekisho.adapters.redis_outbox import RedisOutbox
from sekisho.adapters.webhook_signature import read_key
from sekisho.holding import notifying
from sekisho.holding.alarm import Alarm
from sekisho.holding.moments import Schedule
from sekisho.holding.notifying import Notifier
from sekisho.model.notification import Channel, Courier, Moment, Notification, NotSent
from support.break_glass import WHY, opening
from support.chat_site import KEY, TOKEN, ChatSite, chat_site
from support.faulty_redis import FaultyRedis
from support.holds import REVIEWER, Desk, SystemClock, open_desk, until
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

GATE = "https://gate.example"
REVIEWERS = frozenset({"reviewer"})


@pytest.fixture(scope="module")
def chats() -> Iterator[ChatSite]:
    with chat_site() as site:
        yield site


@pytest.fixture
def site(chats: ChatSite, monkeypatch: pytest.MonkeyPatch) -> ChatSite:
    """Empty; and no test waits long between two attempts, however many there were."""
    monkeypatch.setattr(notifying, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(notifying, "RETRY_MAX_S", 0.05)
    chats.told.clear()
    chats.seen.clear()
    chats.ahead.clear()
    chats.down.clear()
    return chats


@dataclass
class Tellers:
    """Makes notifiers at one store, and ends them all."""

    site: ChatSite
    url: str
    ledger: MemoryLedger
    counted: Counter[str] = field(default_factory=Counter)
    made: list[tuple[Notifier, Desk]] = field(default_factory=list)

    def new(
        self,
        *channels: Channel,
        client: Redis | None = None,
        give_up_s: float = 60,
        couriers: dict[str, Courier] | None = None,
        waiting_max: int = 100,
        alarm: Alarm | None = None,
    ) -> Notifier:
        desk = open_desk(self.url, self.ledger, client=client)
        named = {
            one.name: self._courier(one.name)
            for one in channels
            if one.name in {"webhook", "slack", "wecom"}
        }
        notifier = Notifier(
            RedisOutbox(desk.store, waiting_max),
            {**named, **(couriers or {})},
            channels,
            self.ledger,
            schedule=Schedule(),
            give_up_s=give_up_s,
            counted=lambda channel, outcome: self.counted.update([f"{channel} {outcome}"]),
            alarm=alarm,
        )
        self.made.append((notifier, desk))
        return notifier

    def _courier(self, kind: str) -> HttpChannel:
        keys = (read_key(KEY),) if kind == "webhook" else ()
        target = Target(kind, self.site.address(kind), keys=keys)
        return HttpChannel(target, SystemClock(), GATE, 2)

    async def close(self) -> None:
        for notifier, desk in self.made:
            await notifier.stop()
            await desk.close()


@pytest.fixture
async def tellers(site: ChatSite, valkey: Valkey, ledger: MemoryLedger) -> AsyncIterator[Tellers]:
    made = Tellers(site, valkey.url, ledger)
    yield made
    await made.close()


async def rounds(notifier: Notifier, done: Callable[[], bool]) -> None:
    """Rounds as `run` makes them, until something holds; each is let go on in between."""

    async def another() -> bool:
        await notifier._quietly()
        await asyncio.sleep(0.02)
        return done()

    await until(another, 10)


async def idle(notifier: Notifier, count: int = 5) -> None:
    """So many rounds, each to its end."""
    for _ in range(count):
        await notifier._quietly()
        tasks = [line.task for line in notifier._lines.values() if line.task is not None]
        await asyncio.gather(*tasks)


def hook(**more: object) -> Channel:
    return Channel("webhook", **{"groups": REVIEWERS, "per_minute_max": 6000, **more})  # type: ignore[arg-type]


async def test_reviewers_and_whoever_asked_are_told(
    desk: Desk, tellers: Tellers, site: ChatSite
) -> None:
    """Of the hold when it is filed, and of its end; with a link and without content."""
    slack = Channel("slack", requesters=frozenset({"sales"}))
    notifier = tellers.new(hook(), slack)
    view = await desk.file()
    await rounds(notifier, lambda: bool(site.of("webhook")))
    [filed] = site.of("webhook")
    assert filed.links[0][1] == f"{GATE}/approvals/{view.hold.id}"
    assert filed.raw["moment"] == "filed"
    assert not site.of("slack")
    await desk.review(view, REVIEWER, "deny", "canary-words of the reviewer")
    await rounds(notifier, lambda: bool(site.of("slack")))
    assert "denied" in site.of("slack")[0].text
    assert len(site.of("webhook")) == 1
    whole = repr(site.told)
    for content in ("canary", "staff-7", "reviewer-1", "gpt-x", view.hold.binding):
        assert content not in whole


@pytest.mark.parametrize(
    ("trouble", "times"), [("503", 1), ("404", 1), ("drop", 2)], ids=["not taken", "gone", "taken"]
)
async def test_what_was_not_answered_is_sent_again_with_the_same_id(
    desk: Desk, tellers: Tellers, site: ChatSite, trouble: str, times: int
) -> None:
    """Both forms: it failed before it took effect, and it took effect but the reply was lost."""
    notifier = tellers.new(hook())
    site.ahead["webhook"] = [trouble]
    await desk.file()
    await rounds(notifier, lambda: tellers.counted["webhook sent"] == 1)
    assert len(site.seen) == 2
    assert len(site.of("webhook")) == times
    assert len({one.id for one in site.of("webhook")}) == 1
    await idle(notifier)
    assert len(site.seen) == 2


async def test_every_channel_is_told_of_break_glass(tellers: Tellers, site: ChatSite) -> None:
    """Whoever it is for, by the one worker that sends, once; without the reason or a person."""
    one, slack = opening(), Channel("slack")
    alarms = [Alarm(lambda: [one], ["webhook", "slack"]) for _ in range(2)]
    first, second = (tellers.new(hook(groups=frozenset()), slack, alarm=it) for it in alarms)

    await rounds(first, lambda: bool(site.of("webhook") and site.of("slack")))
    await idle(second)
    await idle(first)

    assert [len(site.of(name)) for name in ("webhook", "slack")] == [1, 1]
    [told] = site.of("webhook")
    assert (told.raw["moment"], told.raw["state"]) == ("break_glass", "opened")
    assert (told.raw["opening"], told.raw["uses"]) == (one.id, 0)
    assert "risk" not in told.raw
    assert WHY not in repr(site.told)
    assert "chief-1" not in repr(site.told)


async def test_whoever_takes_over_sending_tells_nobody_twice_of_break_glass(
    tellers: Tellers, site: ChatSite
) -> None:
    """What was told is noted beside the queues, not in the worker that ended."""
    one = opening()
    alarms = [Alarm(lambda: [one], ["webhook"]) for _ in range(2)]
    first, second = (tellers.new(hook(), alarm=it) for it in alarms)
    await rounds(first, lambda: tellers.counted["webhook sent"] == 1)
    await first.stop()

    await rounds(second, lambda: second._leads)
    await idle(second)
    assert len(site.of("webhook")) == 1


@pytest.mark.parametrize("script", ["tell_post", "tell_raised"])
@pytest.mark.parametrize("form", ["before", "after"])
async def test_a_lost_call_loses_no_word_of_break_glass(
    tellers: Tellers, site: ChatSite, script: str, form: str
) -> None:
    """Kept or not, it is posted again under its id until the store has said that it is kept."""
    one = opening()
    client = FaultyRedis.to(tellers.url)
    (client.lose_before if form == "before" else client.lose_after)[script] = 2
    notifier = tellers.new(hook(), client=client, alarm=Alarm(lambda: [one], ["webhook"]))
    await rounds(notifier, lambda: bool(site.of("webhook")) and not _left(client))
    await idle(notifier)
    assert len({one.id for one in site.of("webhook")}) == 1
    assert client.calls.count(script) >= 2


async def test_an_emptied_store_loses_no_word_of_break_glass(
    valkey: Valkey, tellers: Tellers, site: ChatSite
) -> None:
    """What waited there is gone, and is told again: the ledger has what is open."""
    one = opening()
    site.down.add("webhook")
    notifier = tellers.new(hook(), alarm=Alarm(lambda: [one], ["webhook"]))
    await rounds(notifier, lambda: len(site.seen) > 1)
    valkey.restart(lose_data=True)
    site.down.clear()
    await rounds(notifier, lambda: bool(site.of("webhook")))


SCRIPTS = [
    *("tell_lead", "tell_look", "tell_post", "tell_due", "tell_after"),
    *("tell_refused", "tell_channels"),
]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("form", ["before", "after"])
async def test_no_lost_call_to_the_store_loses_a_message(
    desk: Desk, tellers: Tellers, site: ChatSite, script: str, form: str
) -> None:
    """Each script, not run or its reply lost, so often that the call fails: told all the same."""
    client = FaultyRedis.to(tellers.url)
    (client.lose_before if form == "before" else client.lose_after)[script] = 2
    notifier = tellers.new(hook(), client=client)
    await desk.file()
    await rounds(notifier, lambda: tellers.counted["webhook sent"] >= 1 and not _left(client))
    await idle(notifier)
    assert len({one.id for one in site.of("webhook")}) == 1
    assert client.calls.count(script) >= 2


def _left(client: FaultyRedis) -> int:
    return sum(client.lose_before.values()) + sum(client.lose_after.values())


async def test_a_sender_that_dies_before_it_could_note_that_it_sent_is_replaced(
    desk: Desk, tellers: Tellers, site: ChatSite
) -> None:
    """The message comes twice, with one id; another leads when the first gave up or is gone."""
    client = FaultyRedis.to(tellers.url)
    client.lose_before["tell_after"] = 1_000
    first, second = tellers.new(hook(), client=client), tellers.new(hook())
    await desk.file()
    await rounds(first, lambda: bool(site.of("webhook")))
    taken = len(site.of("webhook"))
    await idle(second)
    assert not second._leads
    await first.stop()
    await rounds(second, lambda: len(site.of("webhook")) > taken)
    assert len({one.id for one in site.of("webhook")}) == 1


async def test_a_store_that_is_killed_or_lost_loses_no_message(
    desk: Desk, tellers: Tellers, site: ChatSite, valkey: Valkey
) -> None:
    """Killed, it comes back with what waited; emptied, the ledger's holds are told again."""
    site.down.add("webhook")
    notifier = tellers.new(hook())
    await desk.file()
    await rounds(notifier, lambda: len(site.seen) > 1)
    valkey.restart()
    await rounds(notifier, lambda: tellers.counted["webhook failed"] > 3)
    site.down.clear()
    await rounds(notifier, lambda: len(site.of("webhook")) == 1)
    valkey.restart(lose_data=True)
    await rounds(notifier, lambda: len(site.of("webhook")) == 2)
    assert len({one.id for one in site.of("webhook")}) == 1


async def test_a_dead_channel_keeps_no_other_waiting(
    desk: Desk, tellers: Tellers, site: ChatSite
) -> None:
    """Nor does one that breaks in a way nobody thought of."""

    class Broken:
        async def send(self, _: Notification) -> None:
            raise RuntimeError(TOKEN)

        async def close(self) -> None:
            return

    site.ahead["wecom"] = ["hang"] * 9
    channels = [Channel(name, groups=REVIEWERS) for name in ("wecom", "broken", "unusable")]
    notifier = tellers.new(*channels, hook(), couriers={"broken": Broken()})
    with capture_logs() as logs:
        for number in range(3):
            await desk.file(f"text {number}")
        await rounds(notifier, lambda: len(site.of("webhook")) == 3)
        await rounds(notifier, lambda: tellers.counted["broken failed"] > 0)
    assert tellers.counted["unusable failed"] > 0
    assert TOKEN not in repr(logs)


async def test_a_message_without_hope_is_given_up_where_all_can_see(
    desk: Desk, tellers: Tellers, site: ChatSite, ledger: MemoryLedger
) -> None:
    """An event, a count, an error in the log; and the queue is empty."""
    notifier = tellers.new(hook(), give_up_s=-1)
    view = await desk.file()
    with capture_logs() as logs:
        await rounds(notifier, lambda: tellers.counted["webhook given_up"] == 1)
        await idle(notifier)
    [event] = [one for one in ledger.events if one.type == "notification.given_up"]
    assert (event.data["channel"], event.data["hold"]) == ("webhook", view.hold.id)
    assert (event.data["cause"], event.data["moment"]) == ("too_late", "filed")
    assert [one["log_level"] for one in logs if "given up" in one["event"]] == ["error"]
    assert site.seen == []


async def test_what_would_be_refused_again_is_given_up_at_once(
    desk: Desk, tellers: Tellers, site: ChatSite, ledger: MemoryLedger
) -> None:
    """One attempt, and the cause is on record."""
    site.ahead["webhook"] = ["413"]
    notifier = tellers.new(hook())
    await desk.file()
    await rounds(notifier, lambda: tellers.counted["webhook given_up"] == 1)
    [event] = [one for one in ledger.events if one.type == "notification.given_up"]
    assert (event.data["cause"], event.data["attempts"]) == ("status_413", 1)


@pytest.mark.parametrize("form", ["before", "after"])
async def test_nothing_is_forgotten_before_the_ledger_has_that_it_was_given_up(
    desk: Desk, tellers: Tellers, ledger: MemoryLedger, form: str
) -> None:
    """Both forms; it is one event."""
    notifier = tellers.new(hook(), give_up_s=-1)
    await desk.file()
    setattr(ledger, f"lose_{form}", 2)
    await rounds(notifier, lambda: tellers.counted["webhook given_up"] == 1)
    await idle(notifier)
    ids = {one.id for one in ledger.events if one.type == "notification.given_up"}
    assert len(ids) == 1


async def test_what_has_no_room_is_given_up(
    desk: Desk, tellers: Tellers, site: ChatSite, ledger: MemoryLedger
) -> None:
    """And what waits stays."""
    site.down.add("webhook")
    notifier = tellers.new(hook(), waiting_max=1)
    for number in range(3):
        await desk.file(f"text {number}")
    await rounds(notifier, lambda: tellers.counted["webhook given_up"] == 2)
    site.down.clear()
    await rounds(notifier, lambda: len(site.of("webhook")) == 1)
    causes = [one.data["cause"] for one in ledger.events if one.type == "notification.given_up"]
    assert causes == ["no_room", "no_room"]


async def test_no_lost_reply_hides_that_there_was_no_room(
    desk: Desk, tellers: Tellers, site: ChatSite, ledger: MemoryLedger
) -> None:
    """The store has it until the ledger has, also where the reply and an append are lost."""
    site.down.add("webhook")
    client = FaultyRedis.to(tellers.url)
    notifier = tellers.new(hook(), waiting_max=1, client=client)
    await desk.file("first")
    await rounds(notifier, lambda: len(site.seen) > 0)
    client.lose_after["tell_post"] = 2
    await desk.file("second")
    ledger.lose_before = 1
    await rounds(notifier, lambda: tellers.counted["webhook given_up"] == 1)
    [event] = [one for one in ledger.events if one.type == "notification.given_up"]
    assert event.data["cause"] == "no_room"


async def test_a_channel_that_was_taken_out_of_the_settings_leaves_nothing(
    desk: Desk, tellers: Tellers, site: ChatSite, ledger: MemoryLedger
) -> None:
    """What waited for it is given up, where all can see."""
    site.down.add("slack")
    first = tellers.new(Channel("slack", groups=REVIEWERS))
    await desk.file()
    await rounds(first, lambda: len(site.seen) > 0)
    await first.stop()
    second = tellers.new(hook())
    await rounds(second, lambda: tellers.counted["slack given_up"] == 1)
    [event] = [one for one in ledger.events if one.type == "notification.given_up"]
    assert event.data["cause"] == "no_channel"


async def test_nobody_is_asked_to_review_what_was_decided(
    desk: Desk, tellers: Tellers, site: ChatSite
) -> None:
    """A message that could not be sent in time is not sent late."""
    site.down.add("webhook")
    notifier = tellers.new(hook())
    view = await desk.file()
    await rounds(notifier, lambda: len(site.seen) > 0)
    await desk.approve(view)
    site.down.clear()
    await rounds(notifier, lambda: tellers.counted["webhook moot"] == 1)
    assert site.of("webhook") == []


async def test_a_channel_that_asks_for_time_gets_it(
    desk: Desk, tellers: Tellers, site: ChatSite
) -> None:
    """Retry-After holds for all that waits for it."""
    site.ahead["slack"] = ["busy"]
    notifier = tellers.new(Channel("slack", groups=REVIEWERS))
    for number in range(3):
        await desk.file(f"text {number}")
    await idle(notifier)
    assert site.seen == ["slack"]
    line = notifier._lines["slack"]
    assert line.rests_until_s > asyncio.get_running_loop().time()


async def test_no_channel_gets_more_a_minute_than_it_may(
    desk: Desk, tellers: Tellers, site: ChatSite
) -> None:
    """A robot that talks too much is shut out by the chat system."""
    notifier = tellers.new(hook(per_minute_max=2))
    for number in range(4):
        await desk.file(f"text {number}")
    await idle(notifier)
    assert len(site.seen) == 2


async def test_no_requests_hide_that_the_glass_was_broken(
    desk: Desk, tellers: Tellers, site: ChatSite
) -> None:
    """It comes before what waits, and though the channel has had its share for this minute."""
    openings = [opening()][:0]
    alarm = Alarm(lambda: openings, ["webhook"])
    notifier = tellers.new(hook(per_minute_max=2), alarm=alarm)
    for number in range(6):
        await desk.file(f"text {number}")
    await idle(notifier)
    assert len(site.seen) == 2
    openings.append(opening())

    await rounds(notifier, lambda: len(site.seen) == 3)
    await idle(notifier)

    moments = [one.raw["moment"] for one in site.of("webhook")]
    assert moments == ["filed", "filed", "break_glass"]


async def test_it_runs_by_itself_and_stops(desk: Desk, tellers: Tellers, site: ChatSite) -> None:
    """As a worker has it; a fault of the store ends nothing."""
    client = FaultyRedis.to(tellers.url)
    client.lose_before["tell_lead"] = 2
    notifier = tellers.new(hook(), client=client)
    task = asyncio.create_task(notifier.run())
    await desk.file()

    async def told() -> bool:
        return bool(site.of("webhook"))

    await until(told, 10)
    assert site.of("webhook")[0].raw["moment"] == Moment.FILED.value
    await notifier.stop()
    await task


@pytest.mark.parametrize("asked_s", [1e9, float("inf")])
async def test_no_channel_can_have_us_wait_for_ever(
    desk: Desk, tellers: Tellers, asked_s: float
) -> None:
    """What it asks for has a bound, so it cannot hush itself up for a week."""

    class Late:
        async def send(self, _: Notification) -> None:
            raise NotSent("rate_limited", retry_after_s=asked_s)

        async def close(self) -> None:
            return

    notifier = tellers.new(Channel("late", groups=REVIEWERS), couriers={"late": Late()})
    await desk.file()
    await rounds(notifier, lambda: tellers.counted["late failed"] == 1)
    rests_s = notifier._lines["late"].rests_until_s - asyncio.get_running_loop().time()
    assert rests_s <= notifying.ASKED_MAX_S
