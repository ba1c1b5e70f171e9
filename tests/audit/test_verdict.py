"""What is found while events are read one by one, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit import verdict as module
from sekisho_audit.canon import decode, encode
from sekisho_audit.checkpoint import Checkpoint
from sekisho_audit.disclosed import (
    CLOSED,
    COPY,
    MISSING,
    NOT_KEPT,
    OTHER,
    WHOLE,
    Disclosure,
    Opening,
)
from sekisho_audit.report import Report, Told, Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.tree import leaf_hash, root_of
from sekisho_audit.verdict import FAULTS_MAX, STEP_BACK_US, Findings, Signed
from support.ledgers import ORIGIN, small_ledger

Leaf = dict[str, Any]


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> list[Leaf]:
    ledger: Path = small_ledger(tmp_path_factory.mktemp("v"))
    return [
        decode(frame.body) for part in segments(ledger, EVENTS) for frame in frames(part, EVENTS)
    ]


def read(leaves: list[Leaf], wanted: set[int] | None = None) -> Findings:
    found = Findings(lambda _size: None)
    found.origin = ORIGIN
    found.begin(wanted or set())
    for leaf in leaves:
        body = encode(leaf)
        found.take(body, leaf_hash(body), "events/0.seg", 7)
    return found


def renumbered(leaves: list[Leaf]) -> list[Leaf]:
    return [{**leaf, "n": index} for index, leaf in enumerate(leaves)]


def place_of(leaves: list[Leaf], kind: str) -> int:
    return next(index for index, leaf in enumerate(leaves) if leaf["type"] == kind)


def checkpoint(leaves: list[Leaf], size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, root_of([leaf_hash(encode(leaf)) for leaf in leaves[:size]]))


def test_what_was_written_is_sound(leaves: list[Leaf]) -> None:
    """The report counts types, names origin and root."""
    report = read(leaves).conclude()
    assert (report.verdict, report.faults, report.notes) == (Verdict.SOUND, [], [])
    assert (report.origin, report.size) == (ORIGIN, len(leaves))
    assert report.root == checkpoint(leaves, len(leaves)).root.hex()
    assert sum(report.types.values()) == len(leaves)


def test_fault_names_file_offset_and_index(leaves: list[Leaf]) -> None:
    odd = [*leaves[:3], {**leaves[3], "x": 1}]
    [fault] = read(odd).conclude().faults
    assert (fault.file, fault.offset, fault.index) == ("events/0.seg", 7, 3)


def test_event_that_breaks_a_rule_leaves_no_trace_in_the_book(leaves: list[Leaf]) -> None:
    """What follows is judged as if it had not been there."""
    at = place_of(leaves, "hold.review")
    twice = {**leaves[at], "id": uuid7()}
    odd = renumbered([*leaves[: at + 1], twice, *leaves[at + 1 :]])
    assert [fault.index for fault in read(odd).conclude().faults] == [at + 1]


def test_id_is_used_once(leaves: list[Leaf]) -> None:
    """The same event a second time is a fault, whatever stands around it."""
    at = place_of(leaves, "request.received")
    odd = renumbered([*leaves[: at + 1], {**leaves[at + 1], "id": leaves[at]["id"]}])
    [fault] = read(odd).conclude().faults
    assert fault.index == at + 1
    assert f"the id is that of event {at}" in fault.what


def test_id_may_come_again_when_every_writer_has_forgotten_it(
    leaves: list[Leaf], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that remembers fewer events takes it; one event nearer it does not."""
    at = place_of(leaves, "request.received")
    odd = [*leaves[: at + 2], {**leaves[at + 2], "id": leaves[at]["id"]}]
    monkeypatch.setattr(module, "MEMORY_EVENTS", 2)
    assert read(odd).conclude().verdict is Verdict.TAMPERED
    monkeypatch.setattr(module, "MEMORY_EVENTS", 1)
    assert read(odd).conclude().verdict is Verdict.SOUND


def test_id_that_is_remembered_longer_than_it_must_is_no_fault(
    leaves: list[Leaf], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More is kept than every writer remembers; only what every writer would refuse is a fault."""
    monkeypatch.setattr(module, "MEMORY_EVENTS", 8)
    assert len(leaves) > 15  # so that some are remembered longer than others
    for at in range(len(leaves) - 9):
        for distance, told in ((8, True), (9, False)):
            again = {**leaves[at + distance], "id": leaves[at]["id"]}
            faults = read([*leaves[: at + distance], again]).report.faults
            assert any("the id is that of" in fault.what for fault in faults) == told


def test_stored_payload_belongs_to_one_event(leaves: list[Leaf]) -> None:
    """Whoever lets an event name the content of another shows something that was not said."""
    first, second = (i for i, leaf in enumerate(leaves) if leaf["type"] == "request.received")
    swapped = {**leaves[second], "pl": leaves[first]["pl"]}
    faults = read([*leaves[:second], swapped]).conclude().faults
    assert f"the stored payload 'prompt' is that of event {first}" in faults[0].what


def test_payload_under_somebody_elses_key_is_found(leaves: list[Leaf]) -> None:
    """Erasing somebody must not be made to erase the words of others."""
    at = place_of(leaves, "request.received")
    entry = {**leaves[at]["pl"][0], "kref": "p-0000000000000000/2026-11"}
    [fault] = read([*leaves[:at], {**leaves[at], "pl": [entry]}]).conclude().faults
    assert "names a key of somebody" in fault.what


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("request.received", "", "/reason"),
        ("request.received", "", "/query"),
        ("hold.review", "/reason", "/query"),
        ("hold.review", "/reason", "-32/reason"),
    ],
)
def test_payload_that_would_be_kept_longer_is_found(
    leaves: list[Leaf], kind: str, old: str, new: str
) -> None:
    """Under the key of another class or epoch it would not end when its own time is over."""
    at = place_of(leaves, kind)
    entry = dict(leaves[at]["pl"][0])
    entry["kref"] = entry["kref"].removesuffix(old) + new
    [fault] = read([*leaves[:at], {**leaves[at], "pl": [entry]}]).conclude().faults
    assert "another class" in fault.what


def test_only_so_many_faults_are_told_and_the_rest_counted() -> None:
    """A ledger that is wrong everywhere is told in a page."""
    found = Findings(lambda _size: None)
    for number in range(FAULTS_MAX + 3):
        found.fault(f"fault {number}")
    report = found.conclude()
    assert len(report.faults) == FAULTS_MAX
    assert report.notes == ["3 more faults were found than are told here."]


# -- checkpoints


def test_what_fits_bounds_the_change(leaves: list[Leaf]) -> None:
    """Between the largest checkpoint that fits and the smallest that does not."""
    odd = [dict(leaf) for leaf in leaves]
    odd[6]["ts"] += 1
    sizes = [3, 5, 9]
    found = read(odd, set(sizes))
    found.compare([Signed(checkpoint(leaves, size), "pinned checkpoint") for size in sizes[::-1]])
    assert [fault.what for fault in found.report.faults] == [
        "the first 9 events are not the ones that the pinned checkpoint signs; the first 5 are"
    ]


def test_missing_events_are_named_by_their_index(leaves: list[Leaf]) -> None:
    found = read(leaves[:5], {9})
    found.compare([Signed(checkpoint(leaves, 9), "checkpoint")])
    [fault] = found.report.faults
    assert (fault.index, "9 events, 5 can be read" in fault.what) == (5, True)


def test_checkpoint_of_another_ledger_is_named(leaves: list[Leaf]) -> None:
    found = read(leaves, {3})
    other = Checkpoint("elsewhere", 3, checkpoint(leaves, 3).root)
    found.compare([Signed(other, "pinned checkpoint")])
    assert "of the ledger elsewhere" in found.report.faults[0].what


@pytest.mark.parametrize(
    ("name", "told"),
    [("pinned checkpoint", True), ("receipt's checkpoint", True), ("checkpoint", False)],
)
def test_what_an_auditor_brings_is_said_to_fit(
    leaves: list[Leaf], name: str, *, told: bool
) -> None:
    """That the ledger fits its own checkpoint is what sound means; it needs no word."""
    found = read(leaves, {3})
    found.compare([Signed(checkpoint(leaves, 3), name)])
    expected = [f"the first 3 events are those of the {name}"]
    assert found.report.proved == (expected if told else [])
    found.report.proved.clear()
    found.compare([Signed(Checkpoint(ORIGIN, 3, bytes(32)), name)])
    assert found.report.proved == []


def test_roots_that_nobody_wanted_are_told_later(leaves: list[Leaf]) -> None:
    """As far as events were read; one that was computed on the way is believed before."""
    asked: list[int] = []

    def root(size: int) -> bytes:
        asked.append(size)
        return checkpoint(leaves, size).root

    found, size = read(leaves, {3}), len(leaves)
    signed = [Signed(checkpoint(leaves, one), "pinned checkpoint") for one in (3, 5, size)]
    gone = Signed(Checkpoint(ORIGIN, size + 1, bytes(32)), "pinned checkpoint")
    found.complete([*signed, gone], root)
    assert sorted(asked) == [5, size]
    found.compare(signed)
    assert found.report.faults == []
    found.compare([gone])
    assert "events were removed" in found.report.faults[0].what


def test_an_event_of_which_only_the_hash_is_held_counts_in_the_tree(leaves: list[Leaf]) -> None:
    """It is watched and compared as every other, and no rule looks at it."""
    told: list[int] = []
    found = Findings(told.append)
    found.origin = ORIGIN
    found.begin({2})
    found.watch(1)
    for leaf in leaves[:3]:
        found.pass_over(leaf_hash(encode(leaf)))
    assert found.watched == leaf_hash(encode(leaves[1]))
    found.compare([Signed(checkpoint(leaves, 2), "checkpoint")])
    report = found.conclude()
    assert (report.faults, report.size, report.types) == ([], 3, {})
    assert report.root == checkpoint(leaves, 3).root.hex()


# -- time


def steps(leaves: list[Leaf], *times: int) -> tuple[int, list[str]]:
    timed = [{**leaf, "ts": ts} for leaf, ts in zip(leaves, times, strict=False)]
    report = read(timed).conclude()
    assert report.verdict is Verdict.SOUND
    return report.clock_steps_back, report.notes


def test_clock_that_goes_back_is_noted(leaves: list[Leaf]) -> None:
    """How often, where first, by how much; a small correction is none."""
    s = 1_000_000
    assert steps(leaves, 9 * s, 9 * s, 9 * s - STEP_BACK_US + 1, 8 * s + 1) == (0, [])
    count, said = steps(leaves, 9 * s, 8 * s, 8 * s, 10 * s, 3 * s + 1)
    assert count == 2
    assert "back 2 times within a boot, first at event 1, at most by 6 s" in said[-1]
    assert "at most by 7 s" in steps(leaves, 9 * s, 2 * s)[1][-1]


def test_clock_of_another_boot_is_another_clock(leaves: list[Leaf]) -> None:
    """Machines are moved and restored."""
    data = {"boot": uuid7(), "last": 0, "cut": 0}
    again = {**leaves[0], "n": 1, "id": uuid7(), "boot": data["boot"], "data": data}
    assert steps([leaves[0], again], 9_000_000, 1) == (0, [])


# -- what is counted, watched and shown


def test_progress_is_told_at_the_start_and_each_ten_thousand(
    leaves: list[Leaf], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PROGRESS_EVENTS", 4)
    told: list[int] = []
    found = Findings(told.append)
    found.origin = ORIGIN
    found.begin({6})
    for leaf in leaves[:9]:
        found.take(encode(leaf), leaf_hash(encode(leaf)), "f", 0)
    assert told == [0, 4, 8]


def test_root_at_no_event_is_compared_too(leaves: list[Leaf]) -> None:
    """A checkpoint of an empty ledger is a prefix of every one; another root is none."""
    found = read(leaves, {0})
    found.compare([Signed(checkpoint(leaves, 0), "pinned checkpoint")])
    assert found.report.faults == []
    found.compare([Signed(Checkpoint(ORIGIN, 0, b"x" * 32), "pinned checkpoint")])
    [fault] = found.report.faults
    assert fault.what == "the first 0 events are not the ones that the pinned checkpoint signs"


def test_watched_event_is_remembered_by_its_hash(leaves: list[Leaf]) -> None:
    """Before it is read, and where nobody watches, there is none."""
    assert read(leaves).watched is None
    found = Findings(lambda _size: None)
    found.origin = ORIGIN
    found.begin(set())
    found.watch(2)
    seen = []
    for leaf in leaves[:4]:
        found.take(encode(leaf), leaf_hash(encode(leaf)), "f", 0)
        seen.append(found.watched)
    wanted = leaf_hash(encode(leaves[2]))
    assert seen == [None, None, wanted, wanted]


def test_only_what_fits_is_shown_and_counted(leaves: list[Leaf]) -> None:
    shown: list[int] = []
    found = Findings(lambda _size: None)
    found.origin = ORIGIN
    found.see = lambda leaf: shown.append(leaf["n"])
    found.begin(set())
    for leaf in (*leaves[:2], {**leaves[2], "x": 1}, leaves[3]):
        found.take(encode(leaf), leaf_hash(encode(leaf)), "f", 0)
    assert shown == [0, 1, 3]
    types = [leaves[number]["type"] for number in shown]
    assert found.conclude().types == {kind: types.count(kind) for kind in types}


def test_events_behind_the_checkpoint_are_counted_and_noted(leaves: list[Leaf]) -> None:
    found = read(leaves)
    found.signed_at(len(leaves) - 3)
    report = found.conclude()
    assert (report.signed_size, report.unsigned_events) == (len(leaves) - 3, 3)
    assert report.verdict is Verdict.SOUND
    assert report.notes[0].startswith("The last 3 events are behind the checkpoint")
    longer = read(leaves)
    longer.signed_at(len(leaves) + 3)
    report = longer.conclude()
    assert (report.signed_size, report.unsigned_events, report.notes) == (len(leaves) + 3, 0, [])


def test_open_intents_are_counted_and_noted(leaves: list[Leaf]) -> None:
    at = place_of(leaves, "backend.intent")
    report = read(leaves[: at + 1]).conclude()
    assert (report.verdict, report.open_intents) == (Verdict.SOUND, 1)
    assert report.notes[0].startswith("1 requests are on their way")
    report = read(leaves).conclude()
    assert report.open_intents == 0


def test_payloads_that_no_event_names_are_counted(leaves: list[Leaf]) -> None:
    named = sum("ct" in entry for leaf in leaves for entry in leaf["pl"])
    found = read(leaves)
    assert len(found.named) == named > 0
    for stored, unnamed in ((named - 1, 0), (named, 0), (named + 2, 2)):
        found.report.payloads = stored
        assert found.conclude().payloads_unnamed == unnamed


def test_place_of_a_payload_is_that_of_its_event(leaves: list[Leaf]) -> None:
    at = place_of(leaves, "request.received")
    [entry] = leaves[at]["pl"]
    place = read(leaves).named[bytes.fromhex(entry["ct"])]
    assert place.where() == {"file": "events/0.seg", "offset": 7, "index": at}
    assert place.name == entry["name"] == "prompt"


def test_one_event_may_not_name_one_text_twice(leaves: list[Leaf]) -> None:
    at = place_of(leaves, "request.received")
    [entry] = leaves[at]["pl"]
    twice = {**leaves[at], "pl": [entry, {**entry, "name": "more"}]}
    faults = read([*leaves[:at], twice]).conclude().faults
    assert faults[0].what == f"the stored payload 'more' is that of event {at}"


def test_ledger_without_a_name_has_no_size() -> None:
    """Nothing was read: there is no root to tell."""
    report = Findings(lambda _size: None).conclude()
    assert (report.origin, report.size, report.root) == ("", 0, "")


def test_doubt_is_not_sound_and_less_than_a_fault(leaves: list[Leaf]) -> None:
    found = read(leaves)
    found.doubt("who knows", index=3)
    assert found.conclude().verdict is Verdict.CANNOT_TELL
    assert [(one.what, one.index) for one in found.report.doubts] == [("who knows", 3)]
    found.fault("this", file="f")
    assert found.conclude().verdict is Verdict.TAMPERED


# -- what was disclosed


class Stated(Opening):
    """What came of payloads, said beforehand; and which events it was shown."""

    def __init__(self, ledger: str, *told: Told) -> None:
        super().__init__(Disclosure(ledger, (), {}))
        self.seen: list[int] = []
        self._stated = list(told)

    @property
    def told(self) -> list[Told]:
        return self._stated

    def see(self, leaf: Mapping[str, Any]) -> None:
        self.seen.append(leaf["n"])


def disclosed(leaves: list[Leaf], ledger: str, *told: Told) -> Report:
    found = read(leaves)
    found.opening = Stated(ledger, *told)
    return found.conclude()


def test_disclosure_of_another_ledger_is_doubt(leaves: list[Leaf]) -> None:
    assert disclosed(leaves, ORIGIN).verdict is Verdict.SOUND
    report = disclosed(leaves, "elsewhere")
    assert report.verdict is Verdict.CANNOT_TELL
    assert [one.what for one in report.doubts] == ["what is disclosed is of the ledger 'elsewhere'"]


@pytest.mark.parametrize("state", [OTHER, CLOSED, MISSING])
def test_what_does_not_fit_its_commitment_is_doubt(leaves: list[Leaf], state: str) -> None:
    told = Told(4, uuid7(), "prompt", state)
    report = disclosed(leaves, ORIGIN, told)
    assert report.disclosed == [told]
    [doubt] = report.doubts
    assert (report.verdict, doubt.index) == (Verdict.CANNOT_TELL, 4)
    assert doubt.what.startswith("'prompt': ")


def test_copies_and_what_fits_are_no_doubt(leaves: list[Leaf]) -> None:
    told = [Told(4, uuid7(), "prompt", state) for state in (WHOLE, COPY, COPY, NOT_KEPT)]
    report = disclosed(leaves, ORIGIN, *told)
    assert (report.verdict, report.doubts) == (Verdict.SOUND, [])
    assert [note.split(" ", 1)[0] for note in report.notes] == ["2"]
    assert disclosed(leaves, ORIGIN, told[0]).notes == []


def test_opening_sees_each_event_that_fits(leaves: list[Leaf]) -> None:
    found = Findings(lambda _size: None)
    found.origin = ORIGIN
    found.opening = shown = Stated(ORIGIN)
    found.begin(set())
    for leaf in (*leaves[:2], {**leaves[2], "x": 1}, leaves[3]):
        found.take(encode(leaf), leaf_hash(encode(leaf)), "f", 0)
    assert shown.seen == [0, 1, 3]
