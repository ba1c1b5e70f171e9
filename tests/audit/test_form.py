"""The form of a leaf: a real one passes, and each way of spoiling it is named."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.canon import decode
from sekisho_audit.events import BadEvent
from sekisho_audit.form import check_leaf
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
    "time": (put("ts", value="now"), "time, boot or type"),
    "time as truth": (put("ts", value=True), "time, boot or type"),
    "boot": (put("boot", value=None), "time, boot or type"),
    "id": (put("id", value="x"), "not a UUID"),
    "exchange missing": (put("exchange", value=None), "exchange is missing"),
    "exchange": (put("exchange", value="X"), "exchange is missing"),
    "principal": (put("principal", value="staff-7"), "pseudonym"),
    "actor": (put("actor", value="p-12"), "pseudonym"),
    "data": (put("data", value=[]), "received"),
    "payload list": (put("pl", value={}), "malformed"),
    "payload": (put("pl", value=[1]), "malformed"),
    "payload member": (drop("pl", 0, "kref"), "fields of one"),
    "payload length": (put("pl", 0, "len", value=-1), "a payload is malformed"),
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


def test_what_is_no_object_is_no_event() -> None:
    with pytest.raises(BadEvent, match="fields of an event"):
        check_leaf([], 0, ORIGIN)
