"""The published log: what C2SP clients fetch leads to the signed root, whatever the disk does."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho_audit import published as published_module
from sekisho_audit.checkpoint import open_note
from sekisho_audit.errors import Refused
from sekisho_audit.ledger import Ledger
from sekisho_audit.level_files import Damaged, LevelFiles, remove
from sekisho_audit.published import Published
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.tiles import WIDTH, MemoryLevels, NoTile, TilePath, tile_paths
from sekisho_audit.tree import HASH_BYTES, consistency_proof, leaf_hash, root_of
from support.ledgers import open_ledger, run_exchange

EXCHANGES = 160  # four events each: two whole tiles and a part, in several segments
SEGMENT_BYTES = 100_000


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path_factory.mktemp("p"), segment_bytes=SEGMENT_BYTES)
    opened.open_session("s-1", 1)
    for _ in range(EXCHANGES):
        run_exchange(opened, "s-1")
    opened.write_checkpoint()
    assert opened.size > 2 * WIDTH
    assert len(list((opened.directory / "events").iterdir())) > 2
    yield opened
    opened.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "index" / "tiles"


def bodies(ledger: Ledger) -> list[bytes]:
    return [
        frame.body
        for segment in segments(ledger.directory, EVENTS)
        for frame in frames(segment, EVENTS)
    ]


def shown(directory: Path, ledger: Ledger) -> Published:
    """The published log, followed to its end."""
    log = Published(directory, ledger.directory, lambda: ledger.signed)
    while log.follow():
        pass
    return log


def root_from_tiles(log: Published) -> tuple[int, bytes]:
    """What a monitor makes of the log: size and root, from entries alone, checked with tiles."""
    lines = log.checkpoint.decode().split("\n")
    size = int(lines[1])
    leaves: list[bytes] = []
    for at in range(0, size, WIDTH):
        width = min(WIDTH, size - at)
        bundle = log.tile(TilePath(None, at // WIDTH, width))
        begun = len(leaves)
        while bundle:
            (length,) = struct.unpack_from(">H", bundle)
            leaves.append(leaf_hash(bundle[2 : 2 + length]))
            bundle = bundle[2 + length :]
        assert log.tile(TilePath(0, at // WIDTH, width)) == b"".join(leaves[begun:])
    return size, root_of(leaves)


def test_a_monitor_gets_the_signed_root_from_entries_and_tiles(
    directory: Path, ledger: Ledger
) -> None:
    log = shown(directory, ledger)
    signed = open_note(log.checkpoint, ledger.key)
    assert root_from_tiles(log) == (signed.size, signed.root)
    levels = MemoryLevels()
    for body in bodies(ledger)[: signed.size]:
        levels.append(leaf_hash(body))
    for path in tile_paths(signed.size):
        wanted = levels.hashes(path.level or 0, path.index * WIDTH, path.width)
        assert log.tile(path) == wanted
    log.close()


def test_older_partial_tiles_stay_prefixes(directory: Path, ledger: Ledger) -> None:
    """For every size that was signed before."""
    log = shown(directory, ledger)
    for width in (1, 2, 255):
        path = TilePath(0, 1, width)
        assert log.tile(path) == log.tile(TilePath(0, 1))[: width * HASH_BYTES]
        assert log.tile(TilePath(None, 1)).startswith(log.tile(TilePath(None, 1, width)))
    log.close()


def test_what_is_not_there_yet_is_told_so(directory: Path, ledger: Ledger) -> None:
    log = shown(directory, ledger)
    for path in (TilePath(0, 9), TilePath(3, 0, 1), TilePath(None, 2), TilePath(7, 10**11)):
        with pytest.raises(NoTile):
            log.tile(path)
    for index in (-1, ledger.size, 10**15):
        with pytest.raises(NoTile):
            log.proof(index)
    log.close()


def test_every_event_has_a_proof_that_holds(directory: Path, ledger: Ledger) -> None:
    log = shown(directory, ledger)
    wanted = bodies(ledger)
    for index in range(ledger.size):
        proof = log.proof(index)
        assert proof.check(ledger.key).size == ledger.size
        assert proof.leaf == wanted[index]
    log.close()


def test_a_checkpoint_is_shown_only_when_its_tiles_are_there(
    directory: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published_module, "STEP_EVENTS", 100)
    log = Published(directory, ledger.directory, lambda: ledger.signed)
    with pytest.raises(Refused):
        _ = log.checkpoint
    steps = 0
    while log.follow():
        steps += 1
        with pytest.raises(Refused):
            log.tile(TilePath(0, 0))
    assert steps >= ledger.size // 100
    assert open_note(log.checkpoint, ledger.key).size == ledger.size
    log.close()


@pytest.mark.parametrize(
    ("name", "offset"),
    [("0", 40), ("0", WIDTH * HASH_BYTES + 5), ("0", -1), ("1", 3), ("1", 40), ("places", 7)],
)
def test_a_flipped_bit_is_never_told_and_is_mended(
    directory: Path, ledger: Ledger, name: str, offset: int
) -> None:
    """In each file, also under files that are open: late, not wrong."""
    log = shown(directory, ledger)
    path = directory / name
    descriptor = os.open(path, os.O_RDWR)
    raw = path.read_bytes()
    place = offset % len(raw)
    os.pwrite(descriptor, bytes([raw[place] ^ 1]), place)
    os.close(descriptor)
    wanted = bodies(ledger)
    for index in range(0, ledger.size, 37):
        try:
            proof = log.proof(index)
        except Refused:
            while log.follow():
                pass
            proof = log.proof(index)
        proof.check(ledger.key)
        assert proof.leaf == wanted[index]
    tiles: dict[str, bytes] = {}
    for tile in [*tile_paths(ledger.size), TilePath(None, 0), TilePath(None, 1)]:
        try:
            tiles[str(tile)] = log.tile(tile)
        except Refused:
            while log.follow():
                pass
            tiles[str(tile)] = log.tile(tile)
    log.close()
    remove(directory)
    fresh = shown(directory, ledger)
    assert tiles == {text: fresh.tile(TilePath.parse(text)) for text in tiles}
    fresh.close()


@pytest.mark.parametrize("name", ["0", "1", "places"])
@pytest.mark.parametrize("what", ["gone", "cut", "longer", "torn"])
def test_files_that_were_damaged_meanwhile_are_built_anew(
    directory: Path, ledger: Ledger, name: str, what: str
) -> None:
    shown(directory, ledger).close()
    path = directory / name
    raw = path.read_bytes()
    if what == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": raw[:-40], "longer": raw + raw, "torn": raw + b"x" * 13}[what])
    log = shown(directory, ledger)
    assert root_from_tiles(log)[0] == ledger.size
    log.proof(ledger.size - 1).check(ledger.key)
    log.close()


def test_files_of_another_ledger_are_built_anew(
    directory: Path, ledger: Ledger, tmp_path: Path
) -> None:
    other = open_ledger(tmp_path / "other", segment_bytes=SEGMENT_BYTES)
    other.open_session("s-1", 1)
    for _ in range(3):
        run_exchange(other, "s-1")
    other.write_checkpoint()
    shown(directory, ledger).close()
    with pytest.raises(Damaged):
        LevelFiles(directory, other.directory)
    log = shown(directory, other)
    assert root_from_tiles(log)[0] == other.size
    log.close()
    other.close()


def test_it_follows_a_ledger_that_grows(directory: Path, tmp_path: Path) -> None:
    """Each checkpoint is shown with its own tiles, over segments."""
    growing = open_ledger(tmp_path, segment_bytes=20_000)
    growing.open_session("s-1", 1)
    log = shown(directory, growing)
    sizes = []
    for _ in range(12):
        for _ in range(9):
            run_exchange(growing, "s-1")
        growing.write_checkpoint()
        while log.follow():
            pass
        signed = open_note(log.checkpoint, growing.key)
        assert root_from_tiles(log) == (signed.size, signed.root)
        sizes.append(signed.size)
    assert sizes == sorted(set(sizes))
    log.close()
    growing.close()


def test_a_ledger_that_was_cut_is_not_read_over_its_end(directory: Path, tmp_path: Path) -> None:
    """Under our hands: an error, and nothing is told that was not there."""
    cut = open_ledger(tmp_path, segment_bytes=10**8)
    cut.open_session("s-1", 1)
    run_exchange(cut, "s-1")
    cut.write_checkpoint()
    [segment] = (cut.directory / "events").iterdir()
    raw = segment.read_bytes()
    for size in (len(raw) - 10, 40, 20, 0):
        segment.write_bytes(raw)
        log = shown(directory, cut)
        assert log.proof(cut.size - 1)
        os.truncate(segment, size)
        with pytest.raises(Refused):
            log.proof(cut.size - 1)
        log.close()
    remove(directory)
    with pytest.raises(Damaged):
        LevelFiles(directory, cut.directory).advance(cut.size, 10_000)


def test_the_past_leads_to_what_was_shown(directory: Path, ledger: Ledger) -> None:
    """Any older size, with the proof that a witness asks for; the empty tree among them."""
    log = shown(directory, ledger)
    checkpoint, note = log.shown
    assert open_note(note, ledger.key) == checkpoint
    leaves = [leaf_hash(body) for body in bodies(ledger)]
    for size in (1, 2, 255, 256, 257, checkpoint.size - 1, checkpoint.size):
        root, path = log.since(size, checkpoint)
        assert root == root_of(leaves[:size])
        assert path == consistency_proof(leaves[: checkpoint.size], size)
    assert log.since(0, checkpoint) == (root_of([]), [])
    with pytest.raises(NoTile):
        log.since(checkpoint.size + 1, checkpoint)


def test_a_past_that_does_not_lead_there_is_not_told(directory: Path, ledger: Ledger) -> None:
    """A disk that lies: the files are thrown away, and the answer is to come again."""
    log = shown(directory, ledger)
    checkpoint = log.shown[0]
    path = directory / "0"
    with path.open("r+b") as file:
        file.seek(32)
        file.write(bytes(32))
    with pytest.raises(Refused):
        log.since(3, checkpoint)
    while log.follow():
        pass
    assert log.since(3, checkpoint)
