"""What the key draws and nobody told is found, once nobody is about to tell it."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit import undrawn as module
from sekisho_audit.errors import Refused
from sekisho_audit.sample_draw import is_drawn
from sekisho_audit.sample_rules import Given, SampleRules
from sekisho_audit.undrawn import OLD_US, undrawn

NOW_US = 10 * OLD_US
KEY = b"k" * 32


def keys_of(principal: str, exchange: str) -> tuple[bytes, bytes]:
    """Everybody has the same ones, but who was erased."""
    if principal == "gone-1":
        raise Refused("erased", "their keys were destroyed")
    return b"", KEY + exchange.encode()


def rules(**shares: int) -> SampleRules:
    """With terms at place 10 of the ledger, and four exchanges behind them."""

    def put(where: dict[str, Any], key: str, value: object) -> None:
        where[key] = value

    made = SampleRules(put, lambda where, key: where.pop(key))
    data = {"per_10000": 10_000, "per_10000_at_risk": 0, **shares}
    made.terms = {"t-1": {"n": 10, "data": data}}
    made.given = {f"x-{n}": Given("p-1", n, OLD_US + n, out=True) for n in (11, 12, 13, 14)}
    return made


def found(made: SampleRules, after: int = -1) -> list[str]:
    """The exchanges that are told."""
    told = undrawn(made, after, NOW_US, {"p-1": "staff-7", "p-2": "gone-1"}.get, keys_of)
    return [one["exchange"] for one in told["undrawn"]]


def test_what_was_given_out_and_not_drawn_is_told_in_order() -> None:
    """With who asked, and from where to go on."""
    told = undrawn(rules(), 11, NOW_US, {"p-1": "staff-7"}.get, keys_of)

    assert [one["exchange"] for one in told["undrawn"]] == ["x-12", "x-13", "x-14"]
    assert told["undrawn"][0] == {"exchange": "x-12", "principal": "staff-7", "opening": ""}
    assert told["after"] == 14
    again = undrawn(rules(), 14, NOW_US, {"p-1": "staff-7"}.get, keys_of)
    assert again == {"undrawn": [], "after": 14}


def test_the_key_decides_by_the_larger_share() -> None:
    """What no risk would draw is not told."""
    made = rules(per_10000=1, per_10000_at_risk=5_000)
    made.given = {f"x-{n}": Given("p-1", n, n, out=True) for n in range(11, 111)}

    expected = [x for x in made.given if is_drawn(KEY + x.encode(), x, 5_000)]
    assert 20 < len(expected) < 80
    assert found(made) == expected


def test_of_which_nothing_was_given_out_is_not_told() -> None:
    """It failed before, or was stopped: whoever draws at once draws none of it either."""
    made = rules()
    made.given["x-12"] = Given("p-1", 12, 1, out=False)

    assert found(made) == ["x-11", "x-13", "x-14"]


def test_what_is_new_is_left_to_who_is_about_to_tell_it() -> None:
    made = rules()
    made.given["x-14"] = Given("p-1", 14, NOW_US - OLD_US + 1, out=True)

    assert found(made) == ["x-11", "x-12", "x-13"]


def test_terms_draw_nothing_of_before() -> None:
    """What was given out before they were in force, and what nobody has a name for any more."""
    made = rules()
    made.terms["t-2"] = {"n": 13, "data": made.terms["t-1"]["data"]}
    made.given["x-15"] = Given("p-erased", 15, 1, out=True)
    made.given["x-16"] = Given("p-2", 16, 1, out=True)
    assert found(made) == ["x-13", "x-14"]
    made.terms.clear()
    assert found(made) == []


def test_what_break_glass_let_go_is_told_whatever_the_terms() -> None:
    """Also where there are none, with its opening."""
    made = rules(per_10000=0)
    made.opened["x-12"] = "o-1"
    assert found(made) == ["x-12"]
    made.terms.clear()
    told = undrawn(made, -1, NOW_US, {"p-1": "staff-7"}.get, keys_of)
    assert [one["opening"] for one in told["undrawn"]] == ["o-1"]


def test_only_so_many_are_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks goes on from there, and misses none."""
    monkeypatch.setattr(module, "EXAMINED_MAX", 3)
    first = undrawn(rules(), -1, NOW_US, {"p-1": "staff-7"}.get, keys_of)

    assert (len(first["undrawn"]), first["after"]) == (3, 13)
    assert found(rules(), 13) == ["x-14"]
