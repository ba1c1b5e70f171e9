"""Sums of what was charged: right in the end whatever the order, never twice, bounded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.errors import Refused
from sekisho_audit.events import Event
from sekisho_audit.ledger import Ledger
from sekisho_audit.usage import NotKept, Sums, charge_of, windows_of
from support.ledgers import ORIGIN, STAFF, decision, intent, outcome, received

NOON_US = 1_795_521_600_000_000  # 2026-11-24T12:00:00Z
MINUTE_US = 60_000_000
ASIDE = {"tokens": 100, "spend_micros": 70, "groups": ["sales", "sales", "eu"], "assistant": "a"}
USED = {"tokens": 40, "spend_micros": 7}
DAY = "d2026-11-24"


class Feed:
    """Leaves as the sums see them."""

    def __init__(self, **bounds: int) -> None:
        self.sums = Sums(**bounds)
        self.number = 0

    def intent(self, principal: str | None = "p-1", model: str = "small", **data: Any) -> str:
        self.number += 1
        key = f"i-{self.number}"
        data = {"model": model, "backend": "local", "charged": ASIDE, **data}
        leaf = {"type": "backend.intent", "id": key, "ts": 0, "principal": principal, "data": data}
        self.sums.apply(leaf)
        return key

    def outcome(self, of: str, ts_us: int = NOON_US, kind: str = "backend.outcome", **data: Any):
        data = {"intent": of, "status": "released", **data}
        self.sums.apply({"type": kind, "id": "o", "ts": ts_us, "principal": "p-1", "data": data})

    def day(self, dimension: str = "principal", name: str = "p-1") -> tuple[int, int, int]:
        return self.sums.of(dimension, name, DAY)


def test_windows_are_utc() -> None:
    """Minute, day and month begin when they do in UTC."""
    assert windows_of(NOON_US) == ("m2026-11-24T12:00", DAY, "M2026-11")
    assert windows_of(NOON_US - 1) == ("m2026-11-24T11:59", DAY, "M2026-11")


def test_every_name_is_charged_once() -> None:
    """Principal, groups, assistant, model and backend; a group named twice pays once."""
    feed = Feed()
    feed.outcome(feed.intent(), charged=USED)
    named = [("principal", "p-1"), ("group", "sales"), ("group", "eu"), ("assistant", "a")]
    named += [("model", "small"), ("backend", "local")]
    for dimension, name in named:
        assert [feed.sums.of(dimension, name, w) for w in windows_of(NOON_US)] == [(1, 40, 7)] * 3
    assert feed.sums.of("group", "p-1", DAY) == (0, 0, 0)


def test_intent_without_outcome_counts_nothing_yet() -> None:
    """The sums are of outcomes; what is under way is counted elsewhere."""
    feed = Feed()
    feed.intent()
    assert feed.day() == (0, 0, 0)


CHARGES: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "used": ({"charged": USED}, (1, 40, 7)),
    "nothing said": ({}, (1, 100, 70)),
    "unknown": ({"status": "unknown", "cause": "session_lost"}, (1, 100, 70)),
    "cancelled with usage": ({"status": "cancelled", "charged": USED}, (1, 40, 7)),
    "never sent": ({"status": "failed", "cause": "never_sent"}, (0, 0, 0)),
    "never sent but charged": (
        {"status": "failed", "cause": "never_sent", "charged": USED},
        (0, 40, 7),
    ),
    "failed otherwise": ({"status": "failed", "cause": "backend_failed"}, (1, 100, 70)),
    "said never_sent but released": ({"status": "released", "cause": "never_sent"}, (1, 100, 70)),
    "used more than set aside": ({"charged": {"tokens": 999, "spend_micros": 0}}, (1, 999, 0)),
}


@pytest.mark.parametrize("story", CHARGES)
def test_outcome_is_charged_as_it_says_or_as_set_aside(story: str) -> None:
    """Silence costs what was set aside; only what was never sent is free."""
    data, charge = CHARGES[story]
    feed = Feed()
    feed.outcome(feed.intent(), **data)
    assert feed.day() == charge
    assert charge_of(ASIDE, {"status": "released", **data}) == charge


def test_late_outcome_is_not_charged_again() -> None:
    """The intent was charged when it was closed as unknown."""
    feed = Feed()
    sent = feed.intent()
    feed.outcome(sent, status="unknown")
    feed.outcome(sent, kind="outcome.late", charged={"tokens": 5_000, "spend_micros": 5_000})
    assert feed.day() == (1, 100, 70)


def test_intent_without_charged_counts_nothing() -> None:
    """An exchange without limits is in no sum, also if its outcome says what it used."""
    feed = Feed()
    sent = feed.intent(charged=None)
    feed.outcome(sent, charged=USED)
    assert feed.day() == (0, 0, 0)


def test_second_outcome_is_not_charged_again() -> None:
    """The rules refuse one; the sums do not depend on it."""
    feed = Feed()
    sent = feed.intent()
    feed.outcome(sent, charged=USED)
    feed.outcome(sent, charged=USED)
    assert feed.day() == (1, 40, 7)


def test_time_is_that_of_the_outcome() -> None:
    """What began before midnight and ended after it is of the new day."""
    feed = Feed()
    feed.outcome(feed.intent(), NOON_US + 12 * 60 * MINUTE_US, charged=USED)
    assert feed.day() == (0, 0, 0)
    assert feed.sums.of("principal", "p-1", "d2026-11-25") == (1, 40, 7)


def test_old_windows_are_forgotten_and_said_to_be() -> None:
    """Two of each kind are kept; an older one has no answer, a future one is empty."""
    feed = Feed()
    for day in range(60):
        feed.outcome(feed.intent(), NOON_US + day * 1_440 * MINUTE_US, charged=USED)
    assert all(len(kept) == 2 for kept in feed.sums._windows.values())
    assert feed.sums.of("principal", "p-1", "d2027-01-21") == (1, 40, 7)
    assert feed.sums.of("principal", "p-1", "d2027-02-21") == (0, 0, 0)
    for old in ("m2026-11-24T12:00", DAY, "M2026-11"):
        with pytest.raises(NotKept, match="too long ago"):
            feed.sums.of("principal", "p-1", old)


def test_clock_that_stood_wrong_does_not_hide_what_is_current() -> None:
    """One outcome written in 2099 pushes nothing out that is charged now."""
    feed = Feed()
    feed.outcome(feed.intent(), charged=USED)
    feed.outcome(feed.intent(), NOON_US + 73 * 365 * 1_440 * MINUTE_US, charged=USED)
    feed.outcome(feed.intent(), NOON_US + MINUTE_US, charged=USED)
    feed.outcome(feed.intent(), NOON_US + 2 * MINUTE_US, charged=USED)
    assert feed.day() == (3, 120, 21)
    assert feed.sums.of("principal", "p-1", "m2026-11-24T12:02") == (1, 40, 7)


def test_quiet_ledger_answers_zero() -> None:
    """A window in which nothing was charged is no question too old."""
    feed = Feed()
    assert feed.day() == (0, 0, 0)
    feed.outcome(feed.intent(), NOON_US - 5 * MINUTE_US, charged=USED)
    assert feed.sums.of("principal", "p-1", "m2026-11-24T11:30") == (0, 0, 0)


def test_names_are_bounded_and_fail_towards_too_much() -> None:
    """Names that found no place share one entry; each is told the sum of all of them."""
    feed = Feed(names_max=4)
    for number in range(50):
        sent = feed.intent(f"p-{number}", charged={"tokens": 1, "spend_micros": 1})
        feed.outcome(sent)
    assert len(feed.sums._windows["d"][DAY]._sums) == 5
    assert feed.day(name="p-1") == (1, 1, 1)
    assert feed.day(name="p-30") == feed.day(name="p-31") == (48, 48, 48)
    assert feed.day(name="p-new") == (48, 48, 48)


def test_long_names_are_charged_by_their_beginning() -> None:
    """Whoever asks for ever new models of two thousand letters does not fill the memory."""
    feed = Feed()
    for ending in "abc":
        feed.outcome(feed.intent(model="m" * 2_000 + ending), charged=USED)
    assert feed.day("model", "m" * 2_000 + "a") == (3, 120, 21)
    assert max(len(name) for _, name in feed.sums._windows["d"][DAY]._sums) == 128


def test_absurd_usage_is_told_as_the_most_there_is() -> None:
    """A backend that claims quadrillions cannot make a sum that no message can carry."""
    feed = Feed()
    most = 2**53 - 1
    for _ in range(2_000):
        feed.outcome(feed.intent(), charged={"tokens": most, "spend_micros": most})
    assert feed.day() == (2_000, most, most)


@pytest.mark.parametrize(
    "asked",
    [
        ("person", "p", DAY),
        ("principal", "p", "d2026-11"),
        ("principal", "p", "2026-11-24"),
        ("principal", "p", "m2026-11-24"),
        ("principal", "p", "d2026-11-24 "),
        ("", "", DAY),
    ],
)
def test_strange_questions_are_refused(asked: tuple[str, str, str]) -> None:
    """Nothing is made up for a dimension or window there is not."""
    with pytest.raises(NotKept):
        Feed().sums.of(*asked)


# -- in a ledger


def _events(ledger: Ledger, exchange: str, **charged: Any) -> Event:
    sent = intent(exchange, "s-1", charged={**ASIDE, **charged})
    ledger.append_batch([received(exchange), decision(exchange), sent])
    return sent


def used(ledger: Ledger, dimension: str = "principal", name: str = STAFF) -> tuple[int, ...]:
    return ledger.used([(dimension, name, DAY)])[0]


def charged(sent: Event, **told: Any) -> Event:
    done = outcome(sent)
    return Event(done.id, done.type, done.exchange, done.principal, {**done.data, **told})


def opened(home: Path) -> Ledger:
    """A ledger whose clock stands still, so that no test runs over midnight."""
    return Ledger.open(home / "data" / "ledger", home / "keys", ORIGIN, now_us=lambda: NOON_US)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = opened(tmp_path)
    made.open_session("s-1", 1)
    return made


def test_refused_batch_is_in_no_sum(ledger: Ledger) -> None:
    """An outcome that shares its batch with something refused has not happened."""
    sent = _events(ledger, uuid7())
    with pytest.raises(Refused):
        ledger.append_batch([charged(sent, charged=USED), intent(uuid7(), "s-1")])
    assert used(ledger) == (0, 0, 0)
    ledger.append_batch([charged(sent, charged=USED)])
    assert used(ledger) == (1, 40, 7)


def test_repeated_outcome_is_counted_once(ledger: Ledger) -> None:
    """Sent again because the reply was lost, it is the same event."""
    sent = _events(ledger, uuid7())
    done = charged(sent, charged=USED)
    for _ in range(3):
        ledger.append_batch([done])
    assert used(ledger) == (1, 40, 7)


def test_session_that_was_lost_is_charged_what_it_set_aside(ledger: Ledger) -> None:
    """The outcome `unknown`, and a late one after it, cost the exchange once."""
    sent = _events(ledger, uuid7())
    ledger.close_session("s-1", "session_lost")
    assert used(ledger) == (1, 100, 70)
    ledger.append_batch([charged(sent, charged=USED)])
    assert used(ledger) == (1, 100, 70)


def test_asking_makes_no_pseudonym(ledger: Ledger) -> None:
    """A stranger has used nothing, and is a stranger afterwards."""
    assert used(ledger, name="nobody") == (0, 0, 0)
    assert ledger.pseudonym_of("nobody") is None


def test_sums_are_the_same_after_a_restart(tmp_path: Path, ledger: Ledger) -> None:
    """What stood open when the writer ended is charged by the next one; nothing else changes."""
    expected = Counter[str]()
    for number in range(60):
        tokens = number * 37 % 100
        sent = _events(ledger, uuid7(), groups=[f"g-{number % 3}"])
        ledger.append_batch([charged(sent, charged={"tokens": tokens, "spend_micros": 1})])
        expected[f"g-{number % 3}"] += tokens
    left_open = _events(ledger, uuid7(), groups=["g-0"])
    before = [used(ledger, "group", f"g-{n}") for n in range(3)]
    assert [tokens for _, tokens, _ in before] == [expected[f"g-{n}"] for n in range(3)]
    for part in (ledger.files, ledger._keyring):
        part.close()
    ledger._lock.release()
    again = opened(tmp_path)
    assert [used(again, "group", f"g-{n}") for n in range(3)] == before
    again.append_batch([charged(left_open, charged=USED)])
    requests, tokens, _ = before[0]
    assert used(again, "group", "g-0")[:2] == (requests + 1, tokens + 40)
    again.close()


def test_what_is_under_way_at_a_cut_is_charged_behind_it() -> None:
    """Leaves before are gone: of their windows nothing is told, rather than nothing charged."""
    before, after = Feed(), Feed()
    open_one, over = before.intent(), before.intent()
    before.outcome(over, NOON_US - 200 * 1_440 * MINUTE_US)
    after.sums.carry_on(before.sums.carried(), NOON_US - 184 * 1_440 * MINUTE_US)
    after.outcome(open_one)
    after.outcome(over)
    assert after.day() == (1, 100, 70)
    assert after.day("group", "eu") == (1, 100, 70)
    assert after.sums.of("principal", "p-1", "d2026-11-23") == (0, 0, 0)
    for window in windows_of(NOON_US - 184 * 1_440 * MINUTE_US):
        with pytest.raises(NotKept):
            after.sums.of("principal", "p-1", window)
    for wrong in ([1], [["a", "b"]], [["a", [["x"]], ASIDE]], [["a", [], {}]]):
        with pytest.raises((TypeError, ValueError, KeyError)):
            Sums().carry_on(wrong, NOON_US)
