"""The state of a cut is served as it is, under a checkpoint whose events name it, and no other."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from sekisho_audit import cut_files, published_cut
from sekisho_audit.cut_files import CutNote, Piece
from sekisho_audit.errors import Refused
from sekisho_audit.published import Published
from sekisho_audit.published_cut import PublishedCut
from sekisho_audit.scan import EVENTS, held_from
from sekisho_audit.tiles import WIDTH, NoTile
from support.log_site import publish
from support.old_ledgers import Clock, after_days, live, open_at, prune


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "pruned" / "state"
    path.parent.mkdir()
    path.write_bytes(b"0123456789")
    return path


def test_pieces_make_the_file(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cut_files, published_cut):
        monkeypatch.setattr(module, "PIECE_BYTES", 4)
    shown = PublishedCut(tmp_path)
    note = CutNote.parse(shown.note(9, 9))
    assert note == CutNote(sha256(state.read_bytes()).hexdigest(), 10)
    pieces = [shown.piece(piece, 9, 9) for piece, _ in note.pieces()]
    assert pieces == [b"0123", b"4567", b"89"]
    with pytest.raises(NoTile, match="no such piece"):
        shown.piece(Piece(note.state, 3), 9, 9)


def test_it_is_shown_when_its_event_is(tmp_path: Path, state: Path) -> None:
    """So many events as were signed when it was noticed; what is signed later changes nothing."""
    shown = PublishedCut(tmp_path)
    with pytest.raises(Refused, match="not under the checkpoint"):
        shown.note(7, 9)
    with pytest.raises(Refused):
        shown.piece(Piece(sha256(state.read_bytes()).hexdigest(), 0), 8, 20)
    assert shown.note(9, 30)
    state.with_name("new").write_bytes(b"another")
    state.with_name("new").replace(state)
    with pytest.raises(Refused):
        shown.note(29, 30)
    assert CutNote.parse(shown.note(30, 31)).length == 7


def test_pieces_of_another_state_are_gone(tmp_path: Path, state: Path) -> None:
    """Never one state begun and another ended."""
    shown = PublishedCut(tmp_path)
    note = CutNote.parse(shown.note(1, 1))
    assert shown.piece(Piece(note.state, 0), 1, 1) == b"0123456789"
    state.with_name("new").write_bytes(b"another")
    state.with_name("new").replace(state)
    with pytest.raises(NoTile, match="pruned again"):
        shown.piece(Piece(note.state, 0), 2, 2)


def test_nothing_pruned_is_nothing_there(tmp_path: Path) -> None:
    shown = PublishedCut(tmp_path)
    with pytest.raises(NoTile, match="nothing was pruned"):
        shown.note(9, 9)


def test_one_that_is_too_long_is_not_served(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published_cut, "PIECES_MAX", 0)
    assert state.exists()
    with pytest.raises(NoTile, match="too long"):
        PublishedCut(tmp_path).note(9, 9)


def test_the_published_log_has_it(memory_path: Path) -> None:
    """With the entries of the bundle that was pruned in part, and of no other."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 150)
    published = publish(memory_path / "tiles", ledger)
    with pytest.raises(NoTile):
        published.pruned("cut")
    prune(ledger, clock, after_days(600))
    follow(published)
    note = CutNote.parse(published.pruned("cut"))
    raw = b"".join(published.pruned(str(piece)) for piece, _ in note.pieces())
    assert raw == (ledger.directory / "pruned" / "state").read_bytes()
    first = held_from(ledger.directory, EVENTS)
    count = WIDTH - first % WIDTH
    assert published.pruned(f"entries/{first}.p/{count}")
    part = published.pruned(f"entries/{first + 1}.p/2")
    assert part in published.pruned(f"entries/{first}.p/{count}")
    others = [f"{first - 1}.p/1", f"{first + count + 1}.p/1", f"{first % WIDTH + 1}.p/1"]
    for path in others:
        with pytest.raises(NoTile):
            published.pruned(f"entries/{path}")
    published.close()
    ledger.close()


def test_no_entries_that_nobody_signed(memory_path: Path) -> None:
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 50, step=40)
    prune(ledger, clock, after_days(550))
    published = publish(memory_path / "tiles", ledger)
    first, size = held_from(ledger.directory, EVENTS), ledger.size
    assert size < WIDTH
    assert published.pruned(f"entries/{first}.p/{size - first}")
    with pytest.raises(NoTile, match="not so many"):
        published.pruned(f"entries/{first}.p/{size - first + 1}")
    published.close()
    ledger.close()


def follow(published: Published) -> None:
    while published.follow():
        pass
