"""The files of a pruning: read whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.pruned import (
    BadPruned,
    Pruned,
    carried_rotations,
    encode_state,
    fits_hashes,
    parse_state,
    read_pruned,
    records,
    stored_hashes,
)
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.store import frame
from sekisho_audit.tree import CompactRange, leaf_hash
from support.ledgers import ORIGIN, small_ledger
from support.old_ledgers import Clock, after_days, live, old_ledger, open_at, prune, pruned_ledger

FIGURES = {"size": 3, "newest_us": 4, "payloads": 5}


def test_a_ledger_that_was_never_pruned(memory_path: Path) -> None:
    ledger = small_ledger(memory_path)
    assert read_pruned(ledger) is None
    assert stored_hashes(ledger, 0, 5) == []
    assert records(ledger) == []


def test_hashes_are_those_of_the_leaves_that_went(memory_path: Path) -> None:
    ledger = pruned_ledger(memory_path)
    pruned = read_pruned(ledger)
    assert pruned is not None
    assert stored_hashes(ledger, 2, 3) == list(pruned.hashes())[2:5]
    edge = CompactRange()
    for digest in pruned.hashes():
        edge.append(digest)
    assert edge.root().hex() == pruned.root
    assert fits_hashes(ledger, pruned.size, pruned.root)
    assert not fits_hashes(ledger, pruned.size, "00")
    assert not fits_hashes(ledger, pruned.size - 1, pruned.root)
    first = segments(ledger, EVENTS)[0]
    assert first.first == pruned.size
    assert [one.names(pruned) for one in records(ledger)] == [True]


def test_nothing_of_what_was_said_is_left(memory_path: Path) -> None:
    """Ids and pseudonyms that rules need, for as long as they need them; no leaf of before."""
    whole = old_ledger(memory_path / "a")
    first = next(iter(frames(segments(whole, EVENTS)[0], EVENTS)))
    raw = (pruned_ledger(memory_path / "b") / "pruned" / "state").read_bytes()
    assert first.body not in raw
    assert b"what was asked" not in raw
    assert b'"n":3,' not in raw


@pytest.mark.parametrize(
    "wrong",
    [{"format": "x"}, {"size": 0}, {"size": -1}, {"size": "9"}, {"payloads": None}, {"more": 1}],
)
def test_another_form_is_refused(memory_path: Path, wrong: dict[str, object]) -> None:
    ledger = pruned_ledger(memory_path)
    raw = (ledger / "pruned" / "state").read_bytes()
    said = json.loads(raw)
    with pytest.raises(BadPruned):
        parse_state(ledger, encode_state({**said, **wrong}))
    with pytest.raises(BadPruned, match="canonical"):
        parse_state(ledger, raw + b"\n")
    for odd in (b"[1]", b"{", b"\xff", b"[" * 100_000, raw[:-1]):
        with pytest.raises(BadPruned) as caught:
            parse_state(ledger, odd)
        assert caught.value.file == "pruned/state"


def test_the_form_is_the_one_of_the_specification(memory_path: Path) -> None:
    """Members in order, no blanks, text as it is; another order is another form."""
    assert encode_state({"b": [1, 2], "a": "é"}) == '{"a":"é","b":[1,2]}'.encode()
    ledger = pruned_ledger(memory_path)
    said = json.loads((ledger / "pruned" / "state").read_bytes())
    assert said["format"] == "sekisho-pruned/v1"
    other = dict(reversed(said.items()))
    with pytest.raises(BadPruned) as caught:
        parse_state(ledger, json.dumps(other, separators=(",", ":")).encode())
    assert str(caught.value) == "it is not in canonical form"


def state(**said: object) -> bytes:
    """A state of which only the given members are true to anything."""
    made: dict[str, object] = {"format": "sekisho-pruned/v1", "log": ORIGIN, "root": "00"}
    made |= {"book": 1, "custody": 2, "sums": [], "rotations": []}
    return encode_state({**made, **FIGURES, **said})


@pytest.mark.parametrize(
    ("said", "reads"),
    [
        ({"size": 1}, True),
        ({"newest_us": 0, "payloads": 0}, True),
        ({"newest_us": -1}, False),
        ({"payloads": -1}, False),
        ({"payloads": True}, False),
        ({"newest_us": 1.5}, False),
    ],
)
def test_figures_are_whole_numbers(tmp_path: Path, said: dict[str, object], *, reads: bool) -> None:
    if reads:
        pruned = parse_state(tmp_path, state(**said))
        expected = {**FIGURES, **said}
        assert {name: getattr(pruned, name) for name in expected} == expected
    else:
        with pytest.raises(BadPruned, match="figure"):
            parse_state(tmp_path, state(**said))


def test_a_state_is_that_of_one_ledger(tmp_path: Path) -> None:
    pruned = parse_state(tmp_path, state())
    pruned.check_log(ORIGIN)
    with pytest.raises(BadPruned, match="another ledger"):
        pruned.check_log("elsewhere")


def test_what_the_rules_carry_on_with_is_read_back(memory_path: Path) -> None:
    pruned = read_pruned(pruned_ledger(memory_path))
    assert pruned is not None
    assert pruned.book(None).boots
    assert pruned.custody().seen_us == pruned.newest_us
    carried = [["i-1", [["model", "small"]], {"tokens": 1, "spend_micros": 2}]]
    assert parse_state(memory_path, state(sums=carried)).sums().carried() == carried


ODD_VALUES = (None, 7, "x", [7], ["x"], [[7, 7]], {"x": [1]}, [["x", [["a", "b"]], {}]])
ODD_SUMS = (
    *([["x", [], {"tokens": one, "spend_micros": 1}] for one in (None, "x", float("inf"))]),
    *(["x", [], 7], ["x", 7, {"tokens": 1, "spend_micros": 1}]),
)


def test_whatever_stands_in_a_state_nothing_falls_over(tmp_path: Path) -> None:
    """It may be an attacker's: it is refused by name."""

    def read(pruned: Pruned, member: str) -> object:
        return pruned.book(None) if member == "book" else getattr(pruned, member)()

    for member in ("book", "custody", "sums", "rotations"):
        for value in ODD_VALUES:
            with pytest.raises(BadPruned, match="does not read") as caught:
                read(parse_state(tmp_path, state(**{member: value})), member)
            assert caught.value.file == "pruned/state"
    for entry in ODD_SUMS:
        with pytest.raises(BadPruned):
            parse_state(tmp_path, state(sums=[entry])).sums()
    for newest_us in (10**23, 10**30):  # no calendar has them
        with pytest.raises(BadPruned):
            parse_state(tmp_path, state(newest_us=newest_us)).sums()


# -- hashes


def many(count: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(count)]


def put_hashes(ledger: Path, hashes: Iterable[bytes]) -> Path:
    (ledger / "pruned").mkdir(exist_ok=True)
    path = ledger / "pruned" / "hashes"
    path.write_bytes(b"".join(hashes))
    return path


@pytest.mark.parametrize("count", [1, 1_023, 1_024, 1_025, 2_500])
def test_every_hash_is_read_once_and_in_order(tmp_path: Path, count: int) -> None:
    """They are read in blocks; nothing is lost or repeated where two of them meet."""
    hashes, edge = many(count), CompactRange()
    for digest in hashes:
        edge.append(digest)
    put_hashes(tmp_path, hashes)
    assert list(parse_state(tmp_path, state(size=count)).hashes()) == hashes
    assert fits_hashes(tmp_path, count, edge.root().hex()) is True
    assert fits_hashes(tmp_path, count, "00" * 32) is False
    assert fits_hashes(tmp_path, count + 1, edge.root().hex()) is False
    assert stored_hashes(tmp_path, 0, count + 5) == hashes
    assert stored_hashes(tmp_path, count, 5) == []


@pytest.mark.parametrize("lost", [1, 31, 32, 96])
def test_hashes_that_end_too_early_are_told(tmp_path: Path, lost: int) -> None:
    path = put_hashes(tmp_path, many(3))
    path.write_bytes(path.read_bytes()[:-lost])
    given: list[int] = []
    with pytest.raises(BadPruned, match="ends before the 3 hashes") as caught:
        given.extend(map(len, parse_state(tmp_path, state()).hashes()))
    assert set(given) <= {32}
    assert caught.value.file == "pruned/hashes"
    path.unlink()
    with pytest.raises(BadPruned, match="not there"):
        list(parse_state(tmp_path, state()).hashes())


def test_a_state_without_its_folder_has_no_hashes() -> None:
    """As of a log at a URL, which has them elsewhere."""
    with pytest.raises(BadPruned, match="not there"):
        list(parse_state(None, state()).hashes())


# -- what leaves tell


def test_changes_of_keys_outlive_their_leaves(memory_path: Path) -> None:
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 20)
    index = ledger.size
    ledger.rotate_key()
    live(ledger, clock, 80)
    assert carried_rotations(ledger.directory) == []
    body = next(
        item.body
        for segment in segments(ledger.directory, EVENTS)
        for item in frames(segment, EVENTS)
        if b'"type":"audit.key_rotated"' in item.body
    )
    prune(ledger, clock, after_days(300))
    ledger.close()
    [(leaf, raw)] = carried_rotations(ledger.directory)
    assert (leaf["n"], leaf["type"], raw) == (index, "audit.key_rotated", body)
    (ledger.directory / "pruned" / "state").write_bytes(b"{}")
    assert carried_rotations(ledger.directory) == []


def test_a_record_that_does_not_read_hides_no_other(tmp_path: Path) -> None:
    """Whoever reads that leaf tells of it."""
    data = {"size": 1, "root": "00", "state": "11", "newest_us": 2}
    odd: list[dict[str, Any]] = [
        {"n": 0},
        {"n": 1, "data": None},
        {"n": 2, "data": {**data, "size": "1"}},
        {"data": data},
        {"n": "4", "data": data},
    ]
    leaves = [{"type": "audit.pruned", **one} for one in (*odd, {"n": 5, "data": data})]
    bodies = [encode_state(leaf) for leaf in leaves]
    (tmp_path / "events").mkdir()
    stored = b"".join(frame(leaf_hash(body), body) for body in bodies)
    (tmp_path / "events" / "000000000000.seg").write_bytes(EVENTS.header(0) + stored)
    [found] = records(tmp_path)
    assert (found.index, found.size, found.root) == (5, 1, "00")
    assert (found.state, found.newest_us) == ("11", 2)
