"""Reasons of appeals are opened for a reading that is on record, and for no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sekisho.model import evidence
from sekisho.model.ids import uuid7
from sekisho_audit import exchanges
from sekisho_audit.appeals import READ_AGE_US_MAX, open_reasons
from sekisho_audit.errors import Refused
from sekisho_audit.ledger import Ledger
from sekisho_audit.places import event_at
from support.ledgers import STAFF, open_ledger, received

REASON = "Die Liste enthält keine Namen. 名簿ではない"


class Case:
    """An exchange with one appeal."""

    def __init__(self, home: Path) -> None:
        self.ledger: Ledger = open_ledger(home)
        self.exchange = uuid7()
        self.ledger.append_batch([received(self.exchange)])
        appeal = evidence.appealed(self.exchange, STAFF, STAFF, REASON, b"k" * 32)
        [place] = self.ledger.append_batch([appeal])
        self.appeal = appeal.id
        leaf = event_at(self.ledger.directory, place.index)
        self.at_us: int = leaf["ts"]
        self.document = exchanges.begin(leaf)
        exchanges.grow(self.document, leaf, place.leaf)

    def read(self, exchange: str = "", *, part: str = "appeal") -> int:
        noted = evidence.read(
            exchange or self.exchange, STAFF, "auditor-1", purpose="audit", part=part
        )
        [place] = self.ledger.append_batch([noted])
        return place.index

    def opened(self, read: int, *, late_us: int = 0, secret_of: Any = None) -> Any:
        known = secret_of or self.ledger.secret_of
        now_us = self.at_us + late_us
        return open_reasons(self.ledger.directory, self.document, read, known, now_us)


@pytest.fixture
def case(tmp_path: Path) -> Any:
    made = Case(tmp_path)
    yield made
    made.ledger.close()


def test_a_reading_on_record_opens_the_reason(case: Case) -> None:
    """As it was written."""
    assert [{"id": case.appeal, "reason": REASON}] == case.opened(case.read())


def test_nothing_else_opens_it(case: Case) -> None:
    """No reading, one of another exchange or of something else, an old one, another event."""
    other, elsewhere = case.read(uuid7()), case.read(part="outgoing")
    for read in (other, elsewhere, 0):
        with pytest.raises(Refused) as caught:
            case.opened(read)
        assert caught.value.code == "unread"
    good = case.read()
    with pytest.raises(Refused, match="not on record"):
        case.opened(good, late_us=READ_AGE_US_MAX + 60_000_000)
    with pytest.raises(Refused, match="no event"):
        case.opened(9_999)


def test_after_erasure_the_appeal_stays_and_its_reason_is_gone(case: Case) -> None:
    """Whoever reads sees that there was one."""
    gone = case.opened(case.read(), secret_of=lambda _pseudonym, _month: None)
    assert [{"id": case.appeal, "reason": None}] == gone


def test_a_wrong_key_or_a_lost_file_is_said_and_shows_nothing(case: Case) -> None:
    """In words for whoever looks after the ledger."""
    read = case.read()
    with pytest.raises(Refused, match="cannot be read now"):
        case.opened(read, secret_of=lambda _pseudonym, _month: b"w" * 32)
    payloads = case.ledger.directory / "payloads"
    away = payloads.rename(payloads.with_name("away"))
    with pytest.raises(Refused, match="cannot be read now"):
        case.opened(read)
    away.rename(payloads)  # the ledger closes soundly
