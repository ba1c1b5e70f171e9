"""The published log of a pruned ledger: what is gone answers so, the rest is proved as before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho_audit.checkpoint import VerifierKey
from sekisho_audit.ledger import Ledger
from sekisho_audit.level_files import LevelFiles
from sekisho_audit.published import Published
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, held_from
from sekisho_audit.tiles import WIDTH, NoTile, TilePath
from support.log_site import check_log, log_site, publish
from support.old_ledgers import Clock, after_days, live, open_at, prune

EXCHANGES = 220


def followed(published: Published) -> Published:
    while published.follow():
        pass
    return published


@pytest.fixture
def ledger(memory_path: Path) -> Iterator[Ledger]:
    clock = Clock()
    opened = open_at(memory_path, clock)
    live(opened, clock, EXCHANGES)
    yield opened
    opened.close()


def pruned(ledger: Ledger) -> int:
    prune(ledger, Clock(after_days(EXCHANGES * 7 + 10)), after_days(900))
    first = held_from(ledger.directory, EVENTS)
    assert first > WIDTH
    assert first % WIDTH
    return first


@pytest.mark.parametrize("anew", [False, True])
def test_hashes_stay_and_entries_go(memory_path: Path, ledger: Ledger, anew: bool) -> None:
    """With files that followed before, and with files built after."""
    published = publish(memory_path / "tiles", ledger)
    before = published.tile(TilePath(0, 0))
    proofs = {index: published.proof(index).path for index in (0, WIDTH, ledger.size - 1)}
    first = pruned(ledger)
    if anew:
        published.close()
        published = publish(memory_path / "anew", ledger)
    followed(published)
    assert published.tile(TilePath(0, 0)) == before
    with pytest.raises(NoTile, match="pruned"):
        published.tile(TilePath(None, 0))
    assert published.published_from == -(-first // WIDTH) * WIDTH
    with pytest.raises(NoTile, match=f"events from {first} on"):
        published.proof(0)
    with pytest.raises(NoTile, match="pruned"):
        published.excerpt(published.shown, [first - 1, first])
    key = VerifierKey.parse((ledger.directory / "vkey").read_text().strip())
    for index in (first, ledger.size - 1):
        assert published.proof(index).check(key).size == ledger.size
    assert len(published.excerpt(published.shown, range(first, first + 40))) == 40
    size = 3
    assert published.consistency(published.shown, size)
    assert proofs.keys() == {0, WIDTH, ledger.size - 3}
    published.close()


def test_files_that_were_behind_the_cut_catch_up(memory_path: Path, ledger: Ledger) -> None:
    """Wherever they had stopped."""
    behind = {}
    for count in (0, 5, WIDTH, WIDTH + 9):
        files = LevelFiles(memory_path / f"at-{count}", ledger.directory)
        files.advance(ledger.size, count)
        files.close()
        behind[count] = memory_path / f"at-{count}"
    whole = LevelFiles(memory_path / "whole", ledger.directory)
    assert whole.advance(ledger.size, ledger.size)
    size = ledger.size
    first = pruned(ledger)
    for directory in behind.values():
        files = LevelFiles(directory, ledger.directory)
        while files.advance(size, 100):
            pass
        assert files.hashes(0, 0, size) == whole.hashes(0, 0, size)
        assert files.hashes(1, 0, size // WIDTH) == whole.hashes(1, 0, size // WIDTH)
        assert [one.digest for one in files.events(first, 30)]
        files.close()
    whole.close()


def test_changes_of_keys_are_still_shown(memory_path: Path) -> None:
    """Whoever checks a bundle follows them, however old they are."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 5)
    index = ledger.size
    ledger.rotate_key()
    live(ledger, clock, 150)
    prune(ledger, clock, after_days(400))
    assert held_from(ledger.directory, EVENTS) > index
    published = publish(memory_path / "tiles", ledger)
    [excerpt] = published.excerpt(published.shown, [index])
    assert b"audit.key_rotated" in excerpt.body
    published.close()
    ledger.close()


def test_a_key_of_before_the_cut_is_no_accusation(memory_path: Path) -> None:
    """What leads from it to the key of now is in the rules' state; without that nobody can tell."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    old = ledger.key
    live(ledger, clock, 5)
    ledger.rotate_key()
    live(ledger, clock, EXCHANGES)
    prune(ledger, clock, after_days(900))
    published = publish(memory_path / "tiles", ledger)
    with log_site(published) as site:
        assert check_log(site, old).verdict is Verdict.SOUND
        site.gone.add("pruned/cut")
        report = check_log(site, old)
        assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
        assert any("give the key" in doubt.what for doubt in report.doubts)
    published.close()
    ledger.close()


def test_entries_that_are_hidden_are_not_pruned(memory_path: Path, ledger: Ledger) -> None:
    """No event says that they may be gone."""
    published = publish(memory_path / "tiles", ledger)
    with log_site(published) as site:
        site.gone |= {"tile/entries/000", "tile/entries/001"}
        report = check_log(site, ledger.key)
        assert report.verdict is Verdict.CANNOT_TELL
        assert "no event of the log says" in report.doubts[0].what
    published.close()
