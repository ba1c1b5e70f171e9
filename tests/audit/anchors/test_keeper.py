"""The schedule: rounds, pauses, what is recorded, what is not, and when it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sekisho_audit.anchors.evidence import EvidenceFolder
from sekisho_audit.anchors.keeper import FIRST_PAUSE_S, Keeper, Marks
from sekisho_audit.anchors.pin import Pin
from sekisho_audit.anchors.port import AnchorFailed, Claim
from sekisho_audit.errors import Poisoned
from sekisho_audit.events import Event
from support.claims import ORIGIN, Grown

INTERVAL_S = 100.0


class Office:
    """A desk around a growing tree: what is recorded grows it, as in a ledger."""

    def __init__(self) -> None:
        self.tree = Grown(5)
        self.events: list[Event] = []
        self.stopped: list[str] = []
        self.over = False
        self.busy = False

    def claim(self) -> Claim:
        if self.busy:
            raise AnchorFailed("busy", "the tiles are being built")
        return self.tree.claim()

    def record(self, event: Event) -> int:
        if self.over:
            raise Poisoned("the writer has ended")
        self.events.append(event)
        self.tree.grow(1, "event")
        return self.tree.size - 1

    def stop(self, why: str) -> None:
        self.stopped.append(why)

    @property
    def said(self) -> list[tuple[str, dict[str, object]]]:
        return [(event.type, dict(event.data)) for event in self.events]


@pytest.fixture
def office() -> Office:
    return Office()


Make = Callable[..., Keeper]


@pytest.fixture
def make(tmp_path: Path, office: Office) -> Make:
    """A keeper of a pin; its place is there when the test makes it."""
    marks, folder = Marks(), EvidenceFolder(tmp_path / "anchors")

    def build(chance: float = 0.5, name: str = "nas") -> Keeper:
        pin = Pin(name, tmp_path / name, ORIGIN)
        return Keeper(
            pin, INTERVAL_S, desk=office, folder=folder, marks=marks, chance=lambda: chance
        )

    return build


def test_what_was_anchored_is_recorded(tmp_path: Path, office: Office, make: Make) -> None:
    """With size, root and the digest of a file that is there."""
    (tmp_path / "nas").mkdir()
    before, keeper = office.tree.checkpoint(), make()
    assert keeper.round() == INTERVAL_S
    [(kind, data)] = office.said
    assert (kind, data["anchor"], data["kind"]) == ("anchor.made", "nas", "pin")
    assert (data["size"], data["root"]) == (5, before.root.hex())
    [path] = (tmp_path / "anchors").glob("*/*")
    assert str(data["evidence"])[:8] in path.name
    assert (keeper.standing.state, keeper.standing.size) == ("made", 5)


def test_an_idle_ledger_is_not_anchored(tmp_path: Path, office: Office, make: Make) -> None:
    """Events that say that it was anchored, also by others, are no reason to anchor."""
    (tmp_path / "nas").mkdir()
    (tmp_path / "other").mkdir()
    first, second = make(), make(name="other")
    for _ in range(4):
        first.round()
        second.round()
    assert [data["anchor"] for _, data in office.said] == ["nas", "other"]
    office.tree.grow(1)
    first.round()
    second.round()
    assert [data["size"] for _, data in office.said] == [5, 6, 8, 9]


def test_a_row_of_failures_is_recorded_once(tmp_path: Path, office: Office, make: Make) -> None:
    """The first, and how many there were when it goes again; each pause is longer."""
    keeper = make()
    assert [keeper.round() for _ in range(7)] == [
        FIRST_PAUSE_S * factor for factor in (1, 2, 4, 8, 16)
    ] + [INTERVAL_S, INTERVAL_S]
    assert (keeper.standing.state, keeper.standing.failures) == ("failing", 7)
    assert "disk" in keeper.standing.why
    [(kind, data)] = office.said
    assert (kind, data["cause"]) == ("anchor.failed", "disk")
    (tmp_path / "nas").mkdir()
    assert keeper.round() == INTERVAL_S
    assert office.said[-1][0] == "anchor.made"
    assert office.said[-1][1]["failed"] == 7
    assert (keeper.standing.state, keeper.standing.why) == ("made", "")
    office.tree.grow(1)
    keeper.round()
    assert "failed" not in office.said[-1][1]


def test_evidence_that_cannot_be_kept_is_none(tmp_path: Path, office: Office, make: Make) -> None:
    """An event must not name a file that is not there."""
    (tmp_path / "nas").mkdir()
    (tmp_path / "anchors").write_bytes(b"a file where the folder should be")
    make().round()
    assert [kind for kind, _ in office.said] == ["anchor.failed"]


def test_pauses_are_spread(office: Office, make: Make) -> None:
    """Ten percent to each side, so that a fleet does not ask at once."""
    assert make(chance=0.0).round() == pytest.approx(FIRST_PAUSE_S * 0.9)
    assert make(chance=1.0).round() == pytest.approx(FIRST_PAUSE_S * 1.1)


def test_tiles_that_are_being_built_are_no_failure(office: Office, make: Make) -> None:
    office.busy = True
    keeper = make()
    assert keeper.round() == 1.0
    assert (office.said, keeper.standing.state) == ([], "waiting")


def test_a_second_ledger_is_the_end(tmp_path: Path, office: Office, make: Make) -> None:
    """The proof is kept, auditd is told, nothing is recorded, no round follows."""
    (tmp_path / "nas").mkdir()
    Pin("nas", tmp_path / "nas", ORIGIN).take(office.tree.clone().grow(3, "clone").claim())
    keeper = make()
    assert keeper.round() is None
    assert (office.said, len(office.stopped), keeper.standing.state) == ([], 1, "diverged")
    assert len(list((tmp_path / "anchors").glob("second-*.note"))) == 1
    assert EvidenceFolder(tmp_path / "anchors").stopped()


def test_auditd_is_told_also_if_the_disk_is_full(
    tmp_path: Path, office: Office, make: Make
) -> None:
    (tmp_path / "nas").mkdir()
    Pin("nas", tmp_path / "nas", ORIGIN).take(office.tree.clone().grow(3, "clone").claim())
    (tmp_path / "anchors").write_bytes(b"")
    with pytest.raises(OSError):
        make().round()
    assert len(office.stopped) == 1


def test_an_idle_ledger_still_looks_for_another(tmp_path: Path, office: Office, make: Make) -> None:
    (tmp_path / "nas").mkdir()
    keeper, twin = make(), office.tree.clone().grow(3, "clone")
    keeper.round()
    Pin("nas", tmp_path / "nas2", ORIGIN)
    path = Pin("nas", tmp_path / "nas", ORIGIN).folder / f"{8:012d}-{'0' * 16}.note"
    path.write_bytes(twin.claim().note)
    assert keeper.round() is None
    assert office.stopped


def test_when_the_writer_has_ended_it_is_over(tmp_path: Path, office: Office, make: Make) -> None:
    office.over = True
    keeper = make()
    keeper.start()
    keeper.join(10)
    assert not keeper.is_alive()
    (tmp_path / "nas").mkdir()
    assert make().round() is None


def test_it_ends_when_told(tmp_path: Path, office: Office, make: Make) -> None:
    """Also in the middle of a pause."""
    (tmp_path / "nas").mkdir()
    keeper = make(chance=0.0)
    recorded = threading.Event()
    office.record = lambda event, real=office.record: (real(event), recorded.set())[0]  # type: ignore[method-assign]
    keeper.start()
    assert recorded.wait(10)
    keeper.stop()
    keeper.join(10)
    assert not keeper.is_alive()


def test_marks_know_an_idle_stretch() -> None:
    marks = Marks()
    for index in (7, 5, 6, 9):
        marks.add(index)
    assert marks.all_of(5, 8)
    assert marks.all_of(5, 5)
    assert not marks.all_of(5, 9)
    assert not marks.all_of(4, 6)
