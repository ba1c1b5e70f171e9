"""Everybody is told of break-glass: what has to be told at a time, under ids that stay."""

from __future__ import annotations

from dataclasses import replace

from sekisho.holding.alarm import Alarm
from sekisho.model.break_glass import Opening
from sekisho.model.notification import Moment
from support.break_glass import RULE, WHY, opening

ONE = opening()
NOW_US = ONE.opened_us


class Watched:
    """Openings as they are known now, and what was told of them before."""

    def __init__(self, *openings: Opening) -> None:
        self.standing = list(openings)
        self.alarm = Alarm(lambda: self.standing, ["chat", "mail"])
        self.told: set[str] = set()

    def tell(self, now_us: int = NOW_US) -> list[tuple[str, str, int]]:
        """What is told now: channel, state and uses."""
        due = [one for one in self.alarm.due(now_us) if one.id not in self.told]
        self.told |= {one.id for one in due}
        return [(one.channel, one.state, one.uses) for one in due]


def test_every_channel_is_told_that_it_was_opened() -> None:
    """Once, whoever the channels are for."""
    watched = Watched(ONE)

    assert watched.tell() == [("chat", "opened", 0), ("mail", "opened", 0)]
    assert watched.tell() == []


def test_nothing_personal_is_told() -> None:
    """Rules, a number and times: not why, and not who, as in all notifications."""
    [told, _] = Watched(ONE).alarm.due(NOW_US)

    assert (told.moment, told.rules, told.opening) == (Moment.BREAK_GLASS, (RULE,), ONE.id)
    assert told.expires_us == ONE.until_us
    assert WHY not in repr(told)
    assert ONE.person not in repr(told)


def test_each_tenth_use_is_told() -> None:
    """The last ten alone, where many came between two looks."""
    watched = Watched(replace(ONE, used=9))
    watched.tell()

    for used, told in ((10, 10), (11, None), (35, 30), (39, None), (40, 40)):
        watched.standing = [replace(ONE, used=used)]
        said = [] if told is None else [("chat", "used", told), ("mail", "used", told)]
        assert watched.tell() == said


def test_what_nobody_reviewed_is_told() -> None:
    """When its time is over, not before, also if it ended early."""
    over = replace(ONE, ended="person")
    watched = Watched(over)

    watched.tell(over.review_by_us)
    assert watched.tell(over.review_by_us) == []
    late = over.review_by_us + 1
    assert watched.tell(late) == [("chat", "unreviewed", 0), ("mail", "unreviewed", 0)]
    watched.standing = []
    assert watched.tell(late) == []


def test_nobody_is_quicker_than_the_alarm() -> None:
    """It was opened, used and ended between two looks: that it was opened is told all the same."""
    watched = Watched(replace(ONE, used=1, ended="person"))
    assert watched.tell(NOW_US) == [("chat", "opened", 0), ("mail", "opened", 0)]
    assert watched.tell(NOW_US) == []


def test_each_has_an_id_that_stays() -> None:
    """Whichever worker tells of it, and whenever: a receiver drops what it has."""
    first, second = Watched(ONE).alarm, Watched(replace(ONE, used=3)).alarm

    ids = [one.id for one in first.due(NOW_US)]
    assert ids == [one.id for one in second.due(NOW_US + 5)]
    assert len(set(ids)) == 2
