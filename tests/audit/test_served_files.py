"""Files of a served log are read to their form: what is cut off or too long is no file of a log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sekisho_audit.remote_log import Address, NotThere, RemoteLog, Unreachable
from sekisho_audit.served_files import Broken, Entries, ServedFiles
from sekisho_audit.tiles import TilePath
from support.log_site import LogSite, log_site

TWO = b"\0\3abc\0\1d"


@pytest.fixture
def site() -> Iterator[LogSite]:
    with log_site() as made:
        yield made


@pytest.fixture
def files(site: LogSite) -> Iterator[ServedFiles]:
    with RemoteLog(Address.parse(site.url), None) as log:
        yield ServedFiles(log)


def test_entries_are_told_with_their_places() -> None:
    assert list(Entries(TWO, "f", 2)) == [(0, b"abc"), (5, b"d")]
    assert list(Entries(TWO + b"more", "f", 2, whole=True)) == [(0, b"abc"), (5, b"d")]
    assert list(Entries(b"", "f", 0)) == []


@pytest.mark.parametrize("end", range(len(TWO)))
def test_a_bundle_that_is_cut_off_anywhere(end: int) -> None:
    for whole in (False, True):
        with pytest.raises(Broken, match="ends"):
            list(Entries(TWO[:end], "f", 2, whole=whole))


def test_a_bundle_that_goes_on() -> None:
    with pytest.raises(Broken, match="goes on"):
        list(Entries(TWO + b"\0", "f", 2))


def test_a_part_is_read_from_the_whole(site: LogSite, files: ServedFiles) -> None:
    """What is told of is what was asked for."""
    site.files["tile/0/000"] = bytes(range(256)) * 32
    assert files.tile(TilePath(0, 0, 2)) == bytes(range(64))
    with pytest.raises(NotThere, match=r"0/001\.p/7 "):
        files.tile(TilePath(0, 1, 7))
    site.files["tile/0/000"] += b"?"
    with pytest.raises(Broken) as caught:
        files.tile(TilePath(0, 0, 2))
    assert caught.value.file == "tile/0/000.p/2"


def test_a_checkpoint_that_is_none(site: LogSite, files: ServedFiles) -> None:
    with pytest.raises(Unreachable):
        files.checkpoint()
    for raw in (b"", b"x" * 100_000, b"a\n-1\nb\n\n"):
        site.files["checkpoint"] = raw
        with pytest.raises(Broken, match="the checkpoint does not hold"):
            files.checkpoint()


@pytest.mark.parametrize("first", [1, 2, 5, 6])
def test_the_first_bundle_that_is_there(site: LogSite, files: ServedFiles, first: int) -> None:
    paths = [TilePath(None, index) for index in range(7)]
    for path in paths[first:]:
        site.files[f"tile/{path}"] = TWO
    assert files.first_bundle(paths) == first


def test_no_bundle_is_there(files: ServedFiles) -> None:
    assert files.first_bundle([TilePath(None, index) for index in range(7)]) == 0
    assert files.first_bundle([TilePath(None, 0)]) == 0


def test_nothing_is_said_of_a_cut(files: ServedFiles) -> None:
    assert files.cut() is None
