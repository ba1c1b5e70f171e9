"""The insider: root, the signing key, every key of the content; not the checkpoints kept elsewhere.

All that was changed before a kept checkpoint is found, and the report says where. What is changed
behind the last one and fits cannot be found: that is asserted too, so that docs/explain/threats.md
stays true. Ledgers that nobody touched raise nothing.

Each run draws anew. A failure prints its seed; SEKISHO_INSIDER_SEED runs it again.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from pathlib import Path
from random import Random, SystemRandom

import pytest

from sekisho_audit.checkpoint import VerifierKey
from sekisho_audit.report import Report, Verdict
from sekisho_audit.verify import verify
from support.insider import Hint, Original, Tape
from support.insider_changes import BREAKING, FITTING, Change
from support.insider_crude import CRUDE
from support.stories import Story, drawn

pytestmark = pytest.mark.long

SEED = int(os.environ.get("SEKISHO_INSIDER_SEED", SystemRandom().getrandbits(32)))
CHANGES = 1_000
PARTS = 4
UNTOUCHED = 1_000
LATER = 63
KINDS = (*CRUDE, *BREAKING, *FITTING)
SAYS_SEED = f"SEKISHO_INSIDER_SEED={SEED}"


def _story(home: Path, random: Random, events: int) -> Story:
    """A ledger of some boots, at three moments of which somebody kept a checkpoint."""
    story = Story(home, random, segment_bytes=random.choice([4_000, 5_000, 6_000]))
    story.boot()
    for size in (events // 4, events * 3 // 4, events):
        if size == events:
            story.everything()
        while story.ledger.size < size:
            story.go_on()
        story.restart()
        story.go_on()
        story.keep()
    story.everything()
    story.restart()
    story.stop()
    return story


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    story = _story(tmp_path_factory.mktemp("o"), drawn(SEED), 64)
    made = Original.read(story.home, story.notes, story.seeds)
    assert min(len(firsts) for firsts in made.firsts.values()) > 1, SAYS_SEED
    report = verify(made.directory, key=made.key, pinned=made.pinned)
    assert (report.verdict, report.faults) == (Verdict.SOUND, []), SAYS_SEED
    return made


def _check(original: Original, where: Path) -> Report:
    return verify(where, key=original.key, pinned=original.pinned)


def _changed(
    original: Original, where: Path, random: Random, change: Change, *, later: bool = False
) -> Hint | None:
    """Change a fresh copy in `where`: before the last kept checkpoint, or behind it."""
    last = original.sizes[-1]
    low, high = (last, len(original.bodies)) if later else (0, last)
    original.restore(where)
    hint = change(Tape(original, random, where, low, high))
    if hint is not None and hint.first is not None and hint.first >= last and not later:
        return None  # it came to begin just behind the checkpoint
    return hint


# -- before the last kept checkpoint


def _named(report: Report, hint: Hint, sizes: tuple[int, ...]) -> list[str]:
    """What the report should have said and did not."""
    missing = []
    if hint.file is not None and not any(
        fault.file == hint.file and hint.offset in {None, fault.offset} for fault in report.faults
    ):
        missing.append(f"{hint.file}, byte {hint.offset}")
    if hint.rule and not any(
        fault.index is not None
        and (fault.file is not None or "change of keys" in fault.what)
        and fault.index >= (hint.first or 0)
        for fault in report.faults
    ):
        missing.append("the event that breaks a rule, or names what is missing")
    if hint.first is not None:
        end = min(size for size in sizes if size > hint.first)
        begin = max((size for size in sizes if size <= hint.first), default=0)
        expected = (
            f"the first {end} events are not the ones that the pinned checkpoint signs"
            + (f"; the first {begin} are" if begin else "")
            if end <= hint.size
            else f"the pinned checkpoint says {end} events, {hint.size} can be read: "
            "events were removed"
        )
        if expected not in {fault.what for fault in report.faults}:
            missing.append(expected)
    return missing


@pytest.mark.parametrize("part", range(PARTS))
def test_every_change_before_a_kept_checkpoint_is_found_and_named(
    original: Original, tmp_path: Path, part: int
) -> None:
    """1,000 random changes of more than fifty kinds."""
    random = drawn(SEED, part)
    done: Counter[str] = Counter()
    where, number = tmp_path / "ledger", part
    while done.total() < CHANGES // PARTS:
        change = KINDS[number % len(KINDS)]
        number += 1
        hint = _changed(original, where, random, change)
        if hint is None:
            continue
        done[change.__name__] += 1
        report = _check(original, where)
        said = [str(fault) for fault in report.faults]
        assert report.verdict is Verdict.TAMPERED, (SAYS_SEED, part, change.__name__, hint)
        missing = _named(report, hint, original.sizes)
        assert not missing, (SAYS_SEED, part, change.__name__, hint, missing, said)
    assert len(done) >= 40, (SAYS_SEED, sorted({kind.__name__ for kind in KINDS} - done.keys()))


def test_there_is_something_to_do_for_every_kind(original: Original, tmp_path: Path) -> None:
    """No kind of change is idle, so that their number means something.

    A random story may lack one or two, for instance if nobody's hold was denied.
    """
    random = drawn(SEED, "kinds")
    idle = [
        change.__name__
        for change in KINDS
        if all(_changed(original, tmp_path / "ledger", random, change) is None for _ in range(60))
    ]
    assert len(KINDS) - len(idle) >= 52, (SAYS_SEED, idle)


@pytest.mark.parametrize("change", BREAKING, ids=lambda change: str(change.__name__))
def test_what_breaks_a_rule_is_found_without_any_kept_checkpoint(
    original: Original, tmp_path: Path, change: Change
) -> None:
    """Also behind the last one: who signs a broken rule has signed the proof."""
    random = drawn(SEED, change.__name__)
    for later in (False, True):
        hint = None
        for _ in range(40):
            hint = hint or _changed(original, tmp_path / "ledger", random, change, later=later)
        if hint is None:
            continue
        report = verify(tmp_path / "ledger", key=original.key)
        assert report.verdict is Verdict.TAMPERED, (SAYS_SEED, later, hint)
        told = [fault for fault in report.faults if fault.index is not None]
        assert told, (SAYS_SEED, later, report.faults)


# -- behind it


def test_what_fits_behind_the_last_kept_checkpoint_cannot_be_found(
    original: Original, tmp_path: Path
) -> None:
    """Nobody outside has anything to compare it with: keep checkpoints, often.

    docs/explain/threats.md has a line for each of these kinds, with what finds it instead.
    """
    random = drawn(SEED, "later")
    done: Counter[str] = Counter()
    for number in range(LATER):
        change = FITTING[number % len(FITTING)]
        if _changed(original, tmp_path / "ledger", random, change, later=True) is None:
            continue
        report = _check(original, tmp_path / "ledger")
        told = (SAYS_SEED, change.__name__, [str(fault) for fault in report.faults])
        assert report.verdict is Verdict.SOUND, told
        done[change.__name__] += 1
    assert len(done) >= len(FITTING) // 2, (SAYS_SEED, done)


def test_a_checkpoint_kept_later_finds_them(original: Original, tmp_path: Path) -> None:
    """The very same changes, once somebody has kept the last checkpoint."""
    random = drawn(SEED, "kept")
    last = original.files["checkpoint"]
    for change in FITTING:
        if _changed(original, tmp_path / "ledger", random, change, later=True) is None:
            continue
        pinned = [*original.pinned, last]
        report = verify(tmp_path / "ledger", key=original.key, pinned=pinned)
        assert report.verdict is Verdict.TAMPERED, (SAYS_SEED, change.__name__)


def test_every_kind_that_cannot_be_found_is_told() -> None:
    """The table of what the verifier cannot find names each by its name here."""
    page = (Path(__file__).parents[2] / "docs" / "explain" / "threats.md").read_text()
    told = set(re.findall(r"`([a-z_]+)`", page))
    assert {change.__name__ for change in FITTING} <= told


# -- ledgers that nobody touched


@pytest.mark.parametrize("part", range(PARTS))
def test_untouched_ledgers_raise_nothing(tmp_path: Path, part: int) -> None:
    """1,000 states of ledgers of many shapes: at rest, in use, killed in the middle of a record,
    started again. Bytes of a killed writer are doubt until it starts again, and never a fault.
    """
    random = drawn(SEED, "untouched", part)
    seen = at_rest = story_number = 0
    while seen < UNTOUCHED // PARTS:
        story_number += 1
        story = Story(
            tmp_path / f"s{story_number}", random, segment_bytes=random.choice([900, 5_000, 10**6])
        )
        story.boot()
        for _ in range(25):
            step = random.choice([story.go_on] * 6 + [story.keep, story.restart, story.swap_worker])
            step()
            report = _raises_nothing(story, random)
            seen += 1
            at_rest += report.unsigned_events == 0
        story.crash()
        assert _verify_story(story, random).faults == [], SAYS_SEED
        story.boot()
        story.stop()
        report = _raises_nothing(story, random)
        assert (report.unsigned_events, report.open_intents) == (0, 0), SAYS_SEED
        seen += 1
        shutil.rmtree(story.home)
    assert at_rest > 10, SAYS_SEED


def _raises_nothing(story: Story, random: Random) -> Report:
    report = _verify_story(story, random)
    told = (SAYS_SEED, report.faults, report.doubts)
    assert (report.verdict, report.faults, report.doubts) == (Verdict.SOUND, [], []), told
    return report


def _verify_story(story: Story, random: Random) -> Report:
    line = (story.directory / "vkey").read_text().strip()
    pinned = random.sample(story.notes, min(len(story.notes), 3))
    return verify(story.directory, key=VerifierKey.parse(line), pinned=pinned)
