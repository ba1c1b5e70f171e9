"""A served log is verified like a directory, and a lying server finds nobody who believes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sekisho_audit.canon import decode, encode
from sekisho_audit.checkpoint import Checkpoint, Signer
from sekisho_audit.ledger import Ledger
from sekisho_audit.published import Published
from sekisho_audit.receipt import Receipt
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.tiles import WIDTH, MemoryLevels, Tree, tile_paths
from sekisho_audit.tree import HASH_BYTES, leaf_hash
from sekisho_audit.verify_log import CONTENT_NOT_SERVED
from support.ledgers import ORIGIN, open_ledger, run_exchange, run_held_exchange
from support.log_site import LogSite, check_log, log_site, publish, serve

EXCHANGES = 135  # four events each: two whole tiles and a part
ENTRIES = "tile/entries/000"
PART = f"{EXCHANGES * 4 + 2 + 8 - 2 * WIDTH}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("l")


@pytest.fixture(scope="module")
def ledger(home: Path) -> Iterator[Ledger]:
    opened = open_ledger(home)
    opened.open_session("s-1", 1)
    run_held_exchange(opened, "s-1")
    for _ in range(EXCHANGES):
        run_exchange(opened, "s-1")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def published(home: Path, ledger: Ledger) -> Iterator[Published]:
    made = publish(home / "tiles", ledger)
    yield made
    made.close()


@pytest.fixture(scope="module")
def bodies(ledger: Ledger, published: Published) -> list[bytes]:
    return [
        frame.body
        for segment in segments(ledger.directory, EVENTS)
        for frame in frames(segment, EVENTS)
    ]


@pytest.fixture
def site(published: Published) -> Iterator[LogSite]:
    with log_site(published) as made:
        yield made


def signer(home: Path) -> Signer:
    return Signer(ORIGIN, (home / "keys" / "signing.key").read_bytes())


def note_at(home: Path, bodies: list[bytes], size: int) -> bytes:
    """What the ledger would have signed at this size."""
    levels = MemoryLevels()
    for body in bodies[:size]:
        levels.append(leaf_hash(body))
    return signer(home).sign(Checkpoint(ORIGIN, size, Tree(levels).root(size)))


# -- a log that does not lie


def test_served_log_is_sound(
    site: LogSite, ledger: Ledger, home: Path, bodies: list[bytes]
) -> None:
    """Every entry and every tile is asked for once; content is said not to be looked at."""
    pinned = [note_at(home, bodies, size) for size in (1, 300, len(bodies))]
    report = check_log(site, ledger.key, *pinned)
    assert (report.verdict, report.faults, report.doubts) == (Verdict.SOUND, [], [])
    assert report.notes == [CONTENT_NOT_SERVED]
    assert (report.size, report.signed_size) == (len(bodies), len(bodies))
    assert report.root == ledger.root().hex()
    assert report.types["backend.outcome"] == EXCHANGES + 1
    wanted = [f"tile/{path}" for path in tile_paths(len(bodies))]
    wanted += [path.replace("tile/0/", "tile/entries/") for path in wanted if "tile/0/" in path]
    assert sorted(site.asked) == sorted(["checkpoint", *wanted])
    assert site.credentials == {"Bearer key-1"}


def test_parts_that_have_grown_are_read_from_the_whole(
    site: LogSite, ledger: Ledger, home: Path, bodies: list[bytes]
) -> None:
    """A log may drop a partial tile as soon as there is the whole one."""
    site.files["checkpoint"] = note_at(home, bodies, 300)
    site.gone |= {"tile/entries/001.p/44", "tile/0/001.p/44"}
    assert check_log(site, ledger.key).verdict is Verdict.SOUND


def test_empty_log_is_read(site: LogSite, ledger: Ledger, home: Path) -> None:
    """Nothing was written yet, and that is signed."""
    site.files["checkpoint"] = note_at(home, [], 0)
    assert (check_log(site, ledger.key).verdict, site.asked) == (Verdict.SOUND, ["checkpoint"])


def test_receipt_is_compared(
    site: LogSite, ledger: Ledger, home: Path, bodies: list[bytes]
) -> None:
    note = note_at(home, bodies, 9)
    good = Receipt(5, leaf_hash(bodies[5]), note)
    assert check_log(site, ledger.key, receipt=good).verdict is Verdict.SOUND
    other = check_log(site, ledger.key, receipt=Receipt(5, leaf_hash(b"x"), note))
    assert (other.verdict, other.faults) == (Verdict.CANNOT_TELL, [])
    assert "another event stands" in other.doubts[0].what


def test_older_checkpoint_than_one_that_was_kept_is_doubt(
    site: LogSite, ledger: Ledger, home: Path, bodies: list[bytes]
) -> None:
    """It is behind, or rolled back; what is shown is compared all the same."""
    site.files["checkpoint"] = note_at(home, bodies, 300)
    report = check_log(site, ledger.key, note_at(home, bodies, 301), note_at(home, bodies, 30))
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert "shows 300 events, the pinned checkpoint says 301" in report.doubts[0].what
    receipt = Receipt(300, leaf_hash(bodies[300]), note_at(home, bodies, 301))
    report = check_log(site, ledger.key, receipt=receipt)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])


# -- one that does


def _change(at: int, value: int = 1) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        changed = bytearray(raw)
        changed[at] ^= value
        return bytes(changed)

    return change


LIES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "another event": (ENTRIES, _change(300), ENTRIES),
    "a longer event": (ENTRIES, _change(1), ENTRIES),
    "an entry too few": ("tile/entries/001", lambda raw: raw[:-3], "tile/entries/001"),
    "nothing": (ENTRIES, lambda _raw: b"", ENTRIES),
    "half a length": (ENTRIES, lambda raw: raw[:1], ENTRIES),
    "more than there is": (ENTRIES, lambda raw: raw + b"\0\0", ENTRIES),
    "far more than there is": (ENTRIES, lambda raw: raw * 200, ENTRIES),
    "another hash": ("tile/0/001", _change(77), "tile/0/001"),
    "a hash too few": ("tile/0/000", lambda raw: raw[:-HASH_BYTES], "tile/0/000"),
    "a hash too many": ("tile/0/000", lambda raw: raw + bytes(HASH_BYTES), "tile/0/000"),
    "another partial tile": (f"tile/0/002.p/{PART}", _change(-1), f"tile/0/002.p/{PART}"),
    "the part of before": (
        f"tile/0/002.p/{PART}",
        lambda raw: raw[:-HASH_BYTES],
        f"tile/0/002.p/{PART}",
    ),
    "another hash above": ("tile/1/000.p/2", _change(0, 128), "tile/1/000.p/2"),
    "a checkpoint with another root": ("checkpoint", _change(40), "checkpoint"),
    "a checkpoint without a signature": (
        "checkpoint",
        lambda raw: raw.split(b"\n\n")[0] + b"\n\n",
        "checkpoint",
    ),
    "a checkpoint without an end": ("checkpoint", lambda raw: raw * 2_000, "checkpoint"),
}


@pytest.mark.parametrize("story", LIES)
def test_lie_is_named(site: LogSite, ledger: Ledger, story: str) -> None:
    """With the path of what does not fit."""
    path, change, file = LIES[story]
    true = site.answer(path)
    assert true is not None
    site.files[path] = change(true)
    report = check_log(site, ledger.key)
    assert report.verdict is Verdict.TAMPERED
    assert file in {fault.file for fault in report.faults}


def test_log_signed_by_somebody_else_is_tampered(
    site: LogSite, ledger: Ledger, bodies: list[bytes]
) -> None:
    """All of it made anew, with another key."""
    levels = MemoryLevels()
    levels.append(leaf_hash(bodies[0]))
    forger = Signer(ORIGIN, b"x" * 32)
    serve(site, bodies[:1], forger.sign(Checkpoint(ORIGIN, 1, Tree(levels).root(1))))
    assert check_log(site, forger.key).verdict is Verdict.SOUND
    assert "checkpoint" in str(check_log(site, ledger.key).faults[0])


def test_rewritten_log_is_found_by_what_was_kept(
    site: LogSite, ledger: Ledger, home: Path, bodies: list[bytes]
) -> None:
    """The insider has the key and makes every tile anew; an older checkpoint does not fit."""
    pinned = [note_at(home, bodies, size) for size in (5, 200)]
    odd = [body.replace(b'"model":"small"', b'"model":"large"') for body in bodies]
    serve(site, odd, note_at(home, odd, len(odd)))
    assert check_log(site, ledger.key).verdict is Verdict.SOUND
    report = check_log(site, ledger.key, *pinned)
    assert report.verdict is Verdict.TAMPERED
    assert any("the first 200 events are not" in str(fault) for fault in report.faults)


def test_well_signed_log_that_breaks_a_rule_is_tampered(
    site: LogSite, ledger: Ledger, home: Path, bodies: list[bytes]
) -> None:
    """The same rules as for a directory; the fault names the entry's place."""
    leaves = [decode(body) for body in bodies]
    at = next(i for i, leaf in enumerate(leaves) if leaf["type"] == "hold.review")
    del leaves[at]
    odd = [encode({**leaf, "n": index}) for index, leaf in enumerate(leaves)]
    serve(site, odd, note_at(home, odd, len(odd)))
    fault = check_log(site, ledger.key).faults[0]
    assert (fault.index, fault.file, "cites a review" in fault.what) == (at, ENTRIES, True)
    assert fault.offset == sum(2 + len(body) for body in odd[:at])


@pytest.mark.parametrize("path", ["checkpoint", ENTRIES, "tile/0/001", "tile/1/000.p/2"])
def test_what_is_not_answered_is_doubt(site: LogSite, ledger: Ledger, path: str) -> None:
    """It may be a fault of the network, so nobody is accused; it is never sound."""
    site.gone.add(path)
    report = check_log(site, ledger.key)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert path in report.doubts[0].what


def test_pinned_that_does_not_read_is_doubt(site: LogSite, ledger: Ledger) -> None:
    assert check_log(site, ledger.key, b"no note").verdict is Verdict.CANNOT_TELL
