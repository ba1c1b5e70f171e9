"""The form of a leaf: a real one passes, and each way of spoiling it is named."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.canon import decode
from sekisho_audit.events import BadEvent
from sekisho_audit.form import check_keys, check_leaf, epochs_of
from sekisho_audit.scan import EVENTS, frames, segments
from support.ledgers import ORIGIN, small_ledger

Leaf = dict[str, Any]


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> list[Leaf]:
    ledger: Path = small_ledger(tmp_path_factory.mktemp("f"))
    return [
        decode(frame.body) for part in segments(ledger, EVENTS) for frame in frames(part, EVENTS)
    ]


def of_type(leaves: list[Leaf], kind: str) -> Leaf:
    return deepcopy(next(leaf for leaf in leaves if leaf["type"] == kind))


def test_every_event_of_a_ledger_has_the_form(leaves: list[Leaf]) -> None:
    for index, leaf in enumerate(leaves):
        check_leaf(leaf, index, ORIGIN)


def put(*path: Any, value: Any) -> Callable[[Leaf], None]:
    def change(leaf: Leaf) -> None:
        place: Any = leaf
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def drop(*path: Any) -> Callable[[Leaf], None]:
    def change(leaf: Leaf) -> None:
        place: Any = leaf
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


SPOILED = {
    "no member": (drop("boot"), "fields of an event"),
    "one too many": (put("x", value=1), "fields of an event"),
    "version": (put("v", value=2), "fields of an event"),
    "index": (put("n", value=77), "says it is number"),
    "origin": (put("log", value="elsewhere"), "says it is number"),
    "version as truth": (put("v", value=True), "fields of an event"),
    "index as truth": (put("n", value=True), "says it is number"),
    "time": (put("ts", value="now"), "time or type"),
    "time as truth": (put("ts", value=True), "time or type"),
    "type": (put("type", value=["request.received"]), "time or type"),
    "boot": (put("boot", value=None), "boot is not a UUID"),
    "boot in words": (put("boot", value="first"), "boot is not a UUID"),
    "id": (put("id", value="x"), "not a UUID"),
    "exchange missing": (put("exchange", value=None), "exchange is missing"),
    "exchange": (put("exchange", value="X"), "exchange is missing"),
    "exchange without a date": (
        put("exchange", value="5f0c9b1e-0000-4000-8000-000000000000"),
        "version 7",
    ),
    "principal": (put("principal", value="staff-7"), "pseudonym"),
    "actor": (put("actor", value="p-12"), "pseudonym"),
    "data": (put("data", value=[]), "no object"),
    "no data": (put("data", value=None), "no object"),
    "payload list": (put("pl", value={}), "malformed"),
    "payload": (put("pl", value=[1]), "malformed"),
    "payload member": (drop("pl", 0, "kref"), "fields of one"),
    "payload length": (put("pl", 0, "len", value=-1), "a payload is malformed"),
    "payload length as truth": (put("pl", 0, "len", value=True), "a payload is malformed"),
    "key": (put("pl", 0, "kref", value="staff-7/2026-11"), "a payload is malformed"),
    "long algorithm": (put("pl", 0, "alg", value="x" * 2_049), "stored of a payload"),
    "commitment": (put("pl", 0, "commit", value="AB"), "a payload is malformed"),
    "stored": (put("pl", 0, "ct", value="zz"), "stored of a payload"),
    "algorithm": (put("pl", 0, "alg", value=1), "stored of a payload"),
    "payload name": (put("pl", 0, "name", value="Prompt 1"), "received"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_what_is_spoiled_is_named(leaves: list[Leaf], how: str) -> None:
    spoil, said = SPOILED[how]
    leaf = of_type(leaves, "request.received")
    index = leaf["n"]
    spoil(leaf)
    with pytest.raises(BadEvent, match=said):
        check_leaf(leaf, index, ORIGIN)


def test_number_one_is_not_true_and_zero_not_false(leaves: list[Leaf]) -> None:
    """The leaf with index 1 may not say `true`, that with index 0 not `false`."""
    for index, value in ((0, False), (1, True)):
        with pytest.raises(BadEvent, match="says it is number"):
            check_leaf({**leaves[index], "n": value}, index, ORIGIN)


# -- the keys of payloads


def test_every_payload_of_a_ledger_names_its_owner_and_month(leaves: list[Leaf]) -> None:
    assert sum(len(leaf["pl"]) for leaf in leaves) > 5
    for leaf in leaves:
        check_keys(leaf)


KEYS = {
    "somebody else's": "p-0000000000000000/{month}",
    "another month": "{owner}/2020-02",
    "a month that is none": "{owner}/2026-13",
    "another day": "{owner}/2020-02-01",
    "a day that is none": "{owner}/{month}-32",
    "a class that is kept longer": "{owner}/{month}/reason",
    "another class": "{owner}/{month}/input",
}


@pytest.mark.parametrize("story", KEYS)
def test_key_of_somebody_or_somewhen_else_is_named(leaves: list[Leaf], story: str) -> None:
    leaf = of_type(leaves, "request.received")
    owner, month = leaf["pl"][0]["kref"].split("/")
    leaf["pl"][0]["kref"] = KEYS[story].format(owner=owner, month=month)
    check_leaf(leaf, leaf["n"], ORIGIN)
    with pytest.raises(BadEvent, match="somebody or somewhen else"):
        check_keys(leaf)


def test_a_day_a_class_and_the_month_of_before_are_shelves(leaves: list[Leaf]) -> None:
    """A reason under its own class, by month or day, or under the one key that there was before."""
    leaf = of_type(leaves, "hold.review")
    owner, _, shelf = leaf["pl"][0]["kref"].partition("/")
    month, day = epochs_of(leaf["exchange"])
    assert shelf == f"{month}/reason"
    for one in (month, day, f"{month}/reason", f"{day}/reason"):
        leaf["pl"][0]["kref"] = f"{owner}/{one}"
        check_leaf(leaf, leaf["n"], ORIGIN)
        check_keys(leaf)
    for one in (f"{month}/content", f"{month}/", f"{month}/reason/more", f"{month}/Reason"):
        leaf["pl"][0]["kref"] = f"{owner}/{one}"
        with pytest.raises(BadEvent, match="malformed"):
            check_leaf(leaf, leaf["n"], ORIGIN)


def test_owner_is_the_principal_or_else_who_acted(leaves: list[Leaf]) -> None:
    """If neither is named it is the installation's own key."""
    leaf = of_type(leaves, "hold.review")
    with pytest.raises(BadEvent, match="somebody"):
        check_keys({**leaf, "principal": None})
    check_keys({**leaf, "principal": None, "actor": leaf["principal"]})
    check_keys({**leaf, "principal": None, "actor": None})


def test_month_is_that_of_the_uuid() -> None:
    """Its first 48 bits are milliseconds; the months turn in UTC."""
    assert epochs_of("019ad2b6-7fff-7000-8000-000000000000") == ("2025-11", "2025-11-30")
    assert epochs_of("ffffffff-ffff-7fff-bfff-ffffffffffff") == ("10889-08", "10889-08-02")


def test_what_is_no_object_is_no_event() -> None:
    with pytest.raises(BadEvent, match="fields of an event"):
        check_leaf([], 0, ORIGIN)
