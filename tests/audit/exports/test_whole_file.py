"""A file is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.exports.whole_file import Exists, whole_file


def test_it_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    with whole_file(target) as out:
        out.write(b"one")
        assert not target.exists()
    assert target.read_bytes() == b"one"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_bytes(b"old")
    with pytest.raises(TypeError), whole_file(target, force=True) as out:
        out.write("half")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_bytes(b"old")
    with pytest.raises(Exists, match="--force"), whole_file(target):
        pass
    assert target.read_bytes() == b"old"
    with whole_file(target, force=True) as out:
        out.write(b"new")
    assert target.read_bytes() == b"new"


def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    """Two exports to one name: the second one is told."""
    target = tmp_path / "a.csv"
    with pytest.raises(Exists), whole_file(target):
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_link_is_no_way_around(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Exists), whole_file(tmp_path / "a.csv"):
        pass
    assert not (tmp_path / "nowhere").exists()
