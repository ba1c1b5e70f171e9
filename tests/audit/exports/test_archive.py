"""Archives: what is read from them is bounded. Hostile ones are in test_verify_bundle.py."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from sekisho_audit.exports import archive
from sekisho_audit.exports.archive import Archive, BadArchive


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "a.zip"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr("a.jsonl", b"one\ntwo\n" + b"x" * 100 + b"\n")
        held.writestr("torn.jsonl", b"one\ntwo")
        held.writestr("long.jsonl", b"x" * 3_000_000)
    return made


def test_lines_come_one_by_one(path: Path) -> None:
    with Archive(path) as opened:
        assert list(opened.lines("a.jsonl")) == [b"one", b"two", b"x" * 100]
        with pytest.raises(BadArchive, match="not whole"):
            list(opened.lines("torn.jsonl"))
        with pytest.raises(BadArchive, match="longer than any event"):
            list(opened.lines("long.jsonl"))


def test_a_file_is_read_up_to_a_limit(path: Path) -> None:
    with Archive(path) as opened:
        assert opened.read("torn.jsonl", 7) == b"one\ntwo"
        with pytest.raises(BadArchive, match="more than 6 bytes"):
            opened.read("torn.jsonl", 6)
        with pytest.raises(BadArchive, match="missing"):
            opened.read("nothing", 6)


def test_all_together_may_not_be_too_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BUNDLE_BYTES_MAX", 1_000)
    with pytest.raises(BadArchive, match="larger than a bundle"):
        Archive(path)


def test_an_encrypted_member_is_refused(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[raw.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(BadArchive, match="encrypted"):
        Archive(path)
