"""Names and forms of what a pruning left, as both ends of a published log read them."""

from __future__ import annotations

import pytest

from sekisho_audit.cut_files import PIECE_BYTES, CutNote, Piece, Rest, parse_path
from sekisho_audit.pruned import BadPruned
from sekisho_audit.tiles import NoTile

STATE = "ab" * 32


@pytest.mark.parametrize("named", [Piece(STATE, 0), Piece(STATE, 999), Rest(257, 255), Rest(5, 1)])
def test_a_path_names_what_it_was_made_of(named: Piece | Rest) -> None:
    assert parse_path(str(named)) == named


def test_the_cut_has_one_name() -> None:
    assert parse_path("cut") is None


@pytest.mark.parametrize(
    "path",
    [
        *("", "state", f"state/{STATE}", f"state/{STATE}/0", f"state/{STATE}/0000"),
        *(f"state/{STATE.upper()}/000", f"state/{STATE}/000/", f"state/{STATE}/000\n"),
        *("state/../000", "entries/5", "entries/05.p/1", "entries/5.p/0", "entries/-5.p/1"),
        *("entries/256.p/3", "entries/0.p/3", "entries/255.p/2", "entries/5.p/999", "cut/"),
    ],
)
def test_what_is_no_path(path: str) -> None:
    """One name for each thing, and entries of one bundle that is not whole."""
    with pytest.raises(NoTile):
        parse_path(path)


def test_a_cut_reads_back() -> None:
    note = CutNote(STATE, 2 * PIECE_BYTES + 7)
    assert CutNote.parse(note.encode()) == note
    assert [(str(piece)[-3:], size) for piece, size in note.pieces()] == [
        ("000", PIECE_BYTES),
        ("001", PIECE_BYTES),
        ("002", 7),
    ]
    assert [size for _, size in CutNote(STATE, PIECE_BYTES).pieces()] == [PIECE_BYTES]


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b"[]", b"null", b"\xff", b"[" * 2_000, b'{"state":"x"}'),
        CutNote(STATE, 0).encode(),
        CutNote(STATE, -1).encode(),
        CutNote("a" * 63, 1).encode(),
        CutNote(STATE, 1).encode().replace(b"v1", b"v2"),
        CutNote(STATE, 1).encode() + b"\n",
        CutNote(STATE, 1).encode().replace(b":1,", b":true,"),
        CutNote(STATE, 1).encode().replace(b":1,", b":1.0,"),
        CutNote(STATE, 1).encode().replace(b'"ab', b'["ab').replace(b'ab"', b'ab"]'),
    ],
)
def test_what_is_no_cut(raw: bytes) -> None:
    with pytest.raises(BadPruned):
        CutNote.parse(raw)
