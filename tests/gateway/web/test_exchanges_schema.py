"""The wire form of the history: one word for how far it came, figures that add up."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sekisho.ports import ExchangePage, Used
from sekisho.web.exchanges_schema import AppealRequest, listed, shown, status_of, usage

RECEIPT = {"origin": "ledger.example", "index": 3, "leaf": "00" * 32}


def document(**parts: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "x",
        "principal": "staff-7",
        "begun_us": 5_999_999,
        "received": None,
        "decisions": [],
        "hold": None,
        "sends": [],
        "refused": None,
        "cancelled": None,
        "appeals": [],
        "reads": [],
    }
    return made | parts


def send(status: str | None, charged: dict[str, int] | None = None) -> dict[str, Any]:
    outcome = None
    if status is not None:
        outcome = {
            "status": status,
            "finish": None,
            "cause": None,
            "charged": charged,
            "at_us": 1,
            "receipt": RECEIPT,
        }
    return {
        "intent": "i",
        "attempt": 1,
        "backend": "b",
        "model": "m",
        "at_us": 1,
        "set_aside": None,
        "receipt": RECEIPT,
        "outcome": outcome,
        "cut": None,
    }


REFUSED = {"code": "policy_denied", "status": 403, "stage": "clear", "at_us": 1}
STATUSES: dict[str, dict[str, Any]] = {
    "received": {},
    "held": {"hold": {"state": "pending"}},
    "denied": {"hold": {"state": "denied"}},
    "approved": {"hold": {"state": "approved"}},
    "refused": {"hold": {"state": "approved"}, "refused": REFUSED},
    "cancelled": {"cancelled": {"stage": "decide", "at_us": 1}},
    "sent": {"hold": {"state": "approved"}, "sends": [send(None)]},
    "released": {"sends": [send("failed"), send("released")], "refused": None},
    "unknown": {"sends": [send("unknown")]},
}


HELD_ANSWERS: list[tuple[str, dict[str, Any], Any]] = [
    ("held", {"state": "pending"}, None),
    ("held", {"state": "approved"}, None),
    ("refused", {"state": "approved"}, REFUSED),
    ("released", {"state": "approved", "released": {"at_us": 1}}, None),
    ("denied", {"state": "denied"}, None),
    ("expired", {"state": "expired"}, None),
]


@pytest.mark.parametrize(("status", "hold", "refused"), HELD_ANSWERS)
def test_an_answer_that_waited_is_told_by_its_own_hold(
    status: str, hold: dict[str, Any], refused: Any
) -> None:
    """The backend's part was over with `held`."""
    told = document(hold=hold, sends=[send("held")], refused=refused)
    assert status_of(told) == status


@pytest.mark.parametrize("status", STATUSES)
def test_one_word_says_how_far_it_came(status: str) -> None:
    """The last sending counts most, then why there was none."""
    assert status_of(document(**STATUSES[status])) == status


def test_cost_is_that_of_all_sendings() -> None:
    """Each attempt is charged; one without limits, or under way, costs nothing here."""
    cost = {"requests": 1, "tokens": 10, "spend_micros": 3}
    sends = [send("failed", cost), send("released", cost), send("released"), send(None)]
    [item] = listed(ExchangePage([document(sends=sends)], "", 4, 4), _usage()).data
    assert item.charged.model_dump() == {"requests": 2, "tokens": 20, "spend_micros": 6}


def _usage() -> Any:
    return usage(Used(9, [(1, 2, 3), (4, 5, 6)]), "2026-11-24", "2026-11", "EUR")


def test_sums_stand_where_they_were_asked() -> None:
    """Day first, then month."""
    made = _usage()
    assert (made.day.since, made.day.requests, made.day.tokens) == ("2026-11-24", 1, 2)
    assert made.currency == "EUR"
    assert (made.month.since, made.month.spend_micros) == ("2026-11", 6)


def test_what_a_grant_answered_is_shown() -> None:
    """To whoever asked: nobody looked, because two people had agreed before."""
    receipt = {"origin": "ledger.example", "index": 3, "leaf": "00"}
    use = {"grant": "g-1", "remaining": 4, "at_us": 2_000_000, "receipt": receipt}

    made = shown(document(grants=[use]) | {"indexed": 3, "size": 4})

    assert [(one.grant, one.remaining, one.at) for one in made.grants] == [("g-1", 4, 2)]


def test_what_went_on_in_an_emergency_is_shown() -> None:
    """To whoever asked, and to whoever reviews it."""
    receipt = {"origin": "ledger.example", "index": 3, "leaf": "00"}
    use = {"opening": "o-1", "at_us": 2_000_000, "receipt": receipt}

    made = shown(document(break_glass=[use]) | {"indexed": 3, "size": 4})

    assert [(one.opening, one.at) for one in made.break_glass] == [("o-1", 2)]
    assert shown(document() | {"indexed": 3, "size": 4}).break_glass == []


def test_exchange_of_which_little_is_known_is_shown() -> None:
    """Refused before it was read: no model, no receipt; times are whole seconds."""
    made = shown(document(refused=REFUSED) | {"indexed": 3, "size": 4})
    assert (made.model, made.stream, made.receipt) == (None, None, None)
    assert (made.created_at, made.index.complete) == (5, False)


@pytest.mark.parametrize("said", [{}, {"reason": " "}, {"reason": 7}, {"reason": "a", "b": 1}])
def test_appeal_is_one_text(said: dict[str, Any]) -> None:
    """Nothing more, nothing less."""
    with pytest.raises(ValidationError):
        AppealRequest.model_validate(said)
