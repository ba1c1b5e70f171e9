"""Bytes are found wherever they stand in a file, and nowhere else."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sekisho_audit import raw_scan as module
from sekisho_audit.raw_scan import raw_scan


@pytest.mark.parametrize("offset", [0, 1, 94, 95, 96, 99, 100, 101, 192, 290])
def test_a_needle_is_found_across_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    """Wherever the reading happens to be cut."""
    monkeypatch.setattr(module, "_PIECE_BYTES", 96)
    (tmp_path / "inner").mkdir()
    path = tmp_path / "inner" / "f"
    path.write_bytes(bytes(offset) + b"a-long-needle" + bytes(300 - offset))
    (tmp_path / "other").write_bytes(b"a-long-needl")
    found, read = raw_scan((tmp_path,), {"it": b"a-long-needle", "else": b"nowhere"})
    assert found == {"it": [str(path)]}
    assert read == 313 + 12


def test_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    """A socket, a link to elsewhere; and what is too short to mean anything is not looked for."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "f").write_bytes(b"needle!")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(elsewhere / "f")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(inside / "s"))
        assert raw_scan((inside,), {"it": b"needle!"}) == ({}, 0)
    assert raw_scan((elsewhere,), {"short": b"need"}) == ({}, 7)


def test_a_place_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """Nothing found there would be no proof."""
    with pytest.raises(FileNotFoundError):
        raw_scan((tmp_path / "missing",), {"it": b"needle!"})
