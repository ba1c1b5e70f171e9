"""A pruned log at a URL is verified as its directory is; a server that lies of the cut is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sekisho_audit.canon import decode, encode
from sekisho_audit.checkpoint import Checkpoint, Signer, VerifierKey
from sekisho_audit.cut import Cut
from sekisho_audit.cut_files import CutNote
from sekisho_audit.ledger import Ledger
from sekisho_audit.pruned import BadPruned, encode_state, parse_state, read_pruned, records
from sekisho_audit.published import Published
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.tiles import WIDTH, MemoryLevels, Tree
from sekisho_audit.tree import leaf_hash
from sekisho_audit.verdict import Findings
from sekisho_audit.verify import verify
from support.ledgers import ORIGIN
from support.log_site import LogSite, check_log, log_site, publish, serve
from support.old_ledgers import Clock, after_days, live, open_at, prune, recorded

EXCHANGES = 150


class Made:
    """A ledger pruned twice behind a change of keys, with what there was before."""

    def __init__(self, home: Path) -> None:
        clock = Clock()
        self.ledger = open_at(home, clock)
        self.first_key = self.ledger.key
        live(self.ledger, clock, 30)
        self.early = self.ledger.note()
        self.ledger.rotate_key()
        live(self.ledger, clock, EXCHANGES - 30)
        prune(self.ledger, clock, after_days(200))
        self.earlier = (self.directory / "pruned" / "state").read_bytes()
        live(self.ledger, clock, 3)
        prune(self.ledger, clock, after_days(600))
        live(self.ledger, clock, 2)
        self.state = (self.directory / "pruned" / "state").read_bytes()
        self.published = publish(home / "tiles", self.ledger)

    @property
    def directory(self) -> Path:
        return self.ledger.directory

    @property
    def rest(self) -> str:
        """The path of the entries of the bundle that was pruned in part."""
        pruned = read_pruned(self.directory)
        assert pruned is not None
        assert pruned.size > WIDTH
        return f"pruned/entries/{pruned.size}.p/{WIDTH - pruned.size % WIDTH}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    found = Made(tmp_path_factory.mktemp("cut"))
    yield found
    found.published.close()
    found.ledger.close()


@pytest.fixture
def site(made: Made) -> Iterator[LogSite]:
    with log_site(made.published) as found:
        yield found


def test_the_verdict_is_that_of_the_directory(made: Made, site: LogSite) -> None:
    """Also under the first key, and with a checkpoint of before the cut."""
    here = verify(made.directory, key=made.first_key, pinned=[made.early])
    report = check_log(site, made.first_key, made.early)
    assert (report.verdict, report.faults, report.doubts) == (Verdict.SOUND, [], [])
    for name in ("verdict", "size", "root", "pruned", "keys", "types", "proved", "open_intents"):
        assert getattr(report, name) == getattr(here, name), name
    assert report.pruned > WIDTH
    assert any("were pruned, as event" in note for note in report.notes)
    assert site.asked[0] == "checkpoint"
    assert site.asked.index("pruned/cut") < site.asked.index("checkpoint", 1)
    assert site.asked.count(made.rest) == 1


def give(site: LogSite, state: bytes, *, length: int | None = None) -> None:
    """The site shows this state."""
    note = CutNote(sha256(state).hexdigest(), len(state) if length is None else length)
    site.files["pruned/cut"] = note.encode()
    for path, size in CutNote(note.state, len(state)).pieces():
        at = path.number << 20
        site.files[f"pruned/{path}"] = state[at : at + size]


def _changed(change: Callable[[dict[str, object]], None]) -> Callable[[Made], bytes]:
    def state(made: Made) -> bytes:
        said = json.loads(made.state)
        change(said)
        return encode_state(said)

    return state


def _other_session(said: dict[str, object]) -> None:
    said["book"]["sessions"] = ["s-9"]  # type: ignore[index]


OTHER_STATES: dict[str, Callable[[Made], bytes]] = {
    "another state": _changed(_other_session),
    "one of another ledger": _changed(lambda said: said.update(log="log.example/else")),
    "one that forgets a key": _changed(lambda said: said.update(rotations=[])),
    "one of a larger cut": _changed(lambda said: said.update(size=EXCHANGES * 40)),
    "one of a smaller cut": _changed(lambda said: said.update(size=WIDTH)),
    "one of a cut within": _changed(lambda said: said.update(size=int(str(said["size"])) + 1)),
    "nonsense in the book": _changed(lambda said: said.update(book={"x": 1})),
    "no size of a pruning": _changed(lambda said: said["book"].update(pruned=[])),  # type: ignore[attr-defined]
    "nonsense in the sums": _changed(lambda said: said.update(sums=[1])),
    "no JSON": lambda _made: b"[" * 100_000,
    "not the canonical form": lambda made: made.state + b"\n",
    "nothing but a blank": lambda _made: b" ",
}


@pytest.mark.parametrize("story", OTHER_STATES)
def test_another_state_is_tampered(made: Made, site: LogSite, story: str) -> None:
    """However the rules would go on from it; what asks for entries that are gone is doubt."""
    give(site, OTHER_STATES[story](made))
    absent = story == "one of a smaller cut"
    wanted = Verdict.CANNOT_TELL if absent else Verdict.TAMPERED
    assert check_log(site, made.ledger.key).verdict is wanted


def test_the_state_of_an_earlier_cut(made: Made, site: LogSite) -> None:
    """It is true, and the entries between are not there."""
    give(site, made.earlier)
    report = check_log(site, made.ledger.key)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])


ODD = (None, 0, -1, 2**70, 1.5, True, "", "x", [], [1], [[]], [["a", "b"]], {}, {"x": 1})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in a document; of long lists to the first."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:9])
    for key, inner in items:
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))
        else:
            yield (*path, key)


def test_no_state_makes_the_verifier_fall_over(made: Made) -> None:
    """Whatever stands anywhere in its book: it does not read, or the rules go on."""
    true = json.loads(made.state)
    random = Random(7)  # noqa: S311 - the same states at each run
    ways = list(places(true["book"]))
    leaves = [(body, leaf_hash(body)) for body in bodies_of(made.ledger)]
    read = 0
    for _ in range(400):
        said = json.loads(made.state)
        *way, last = random.choice(ways)
        inner = said["book"]
        for key in way:
            inner = inner[key]
        inner[last] = random.choice(ODD)
        findings = Findings(lambda _size: None)
        findings.origin = true["log"]
        findings.begin(set())
        try:
            Cut(parse_state(None, encode_state(said)), findings).carry_on()
        except BadPruned:
            continue
        read += 1
        for _ in range(true["size"]):
            findings.pass_over(bytes(32))
        for body, digest in leaves:
            findings.take(body, digest, "entries", 0)
    assert read > 10


def _flip(raw: bytes, at: int = 40) -> bytes:
    changed = bytearray(raw)
    changed[at] ^= 1
    return bytes(changed)


def cut_of(_made: Made) -> str:
    return "pruned/cut"


def rest_of(made: Made) -> str:
    return made.rest


def piece_of(made: Made) -> str:
    return f"pruned/state/{sha256(made.state).hexdigest()}/000"


LIES: dict[str, tuple[Callable[[Made], str], Callable[[bytes], bytes]]] = {
    "another piece": (piece_of, _flip),
    "a short piece": (piece_of, lambda raw: raw[:-1]),
    "a piece that is too long": (piece_of, lambda raw: raw + b" "),
    "a cut that is no JSON": (cut_of, lambda _raw: b"{"),
    "a cut of lists": (cut_of, lambda _raw: b"[" * 1_000),
    "a cut that is too long": (cut_of, lambda raw: raw + b" " * 2_000),
    "a cut with more in it": (cut_of, lambda raw: b'{"a":1,' + raw[1:]),
    "another entry": (rest_of, _flip),
    "an entry too few": (rest_of, lambda raw: raw[:-9]),
    "an entry too many": (rest_of, lambda raw: raw + b"\0\0"),
    "far too many entries": (rest_of, lambda raw: raw * 200),
}


@pytest.mark.parametrize("story", LIES)
def test_lie_is_tampered(made: Made, site: LogSite, story: str) -> None:
    where, change = LIES[story]
    true = site.answer(where(made))
    assert true is not None
    site.files[where(made)] = change(true)
    assert check_log(site, made.ledger.key).verdict is Verdict.TAMPERED


@pytest.mark.parametrize("where", [cut_of, piece_of, rest_of])
def test_what_is_not_shown_is_doubt(
    made: Made, site: LogSite, where: Callable[[Made], str]
) -> None:
    site.gone.add(where(made))
    report = check_log(site, made.ledger.key, made.early)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])


def test_a_state_longer_than_anybody_reads_is_doubt(made: Made, site: LogSite) -> None:
    """Nothing of it is asked for."""
    give(site, made.state, length=1 << 40)
    report = check_log(site, made.ledger.key)
    assert (report.verdict, report.faults) == (Verdict.CANNOT_TELL, [])
    assert "too long to read" in report.doubts[0].what
    assert not any("state" in path for path in site.asked)


def test_without_the_state_what_is_served_is_still_looked_at(made: Made, site: LogSite) -> None:
    site.gone.add("pruned/cut")
    report = check_log(site, made.ledger.key)
    assert "as the log says" in report.doubts[0].what
    assert report.root == made.ledger.root().hex()
    tile = site.answer("tile/0/000")
    assert tile is not None
    site.files["tile/0/000"] = _flip(tile)
    assert check_log(site, made.ledger.key).verdict is Verdict.TAMPERED


def bodies_of(ledger: Ledger) -> list[bytes]:
    return [
        frame.body
        for segment in segments(ledger.directory, EVENTS)
        for frame in frames(segment, EVENTS)
    ]


def test_roots_that_prunings_name_are_compared(memory_path: Path, site: LogSite) -> None:
    """Whoever has the key writes another root into the event; all entries are still there."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 80)
    recorded(ledger, clock, after_days(100))
    bodies = bodies_of(ledger)
    signer = Signer(ORIGIN, (memory_path / "keys" / "signing.key").read_bytes())
    for root, verdict in (({}, Verdict.SOUND), ({"root": "00" * 32}, Verdict.TAMPERED)):
        leaf = decode(bodies[-1])
        assert leaf["type"] == "audit.pruned"
        odd = [*bodies[:-1], encode({**leaf, "data": {**leaf["data"], **root}})]
        levels = MemoryLevels()
        for body in odd:
            levels.append(leaf_hash(body))
        signed = Checkpoint(ORIGIN, len(odd), Tree(levels).root(len(odd)))
        serve(site, odd, signer.sign(signed))
        report = check_log(site, ledger.key)
        assert report.verdict is verdict
    assert any("pruning at event" in fault.what for fault in report.faults)
    ledger.close()


def test_a_log_of_less_than_a_bundle(memory_path: Path) -> None:
    """All that is held stands in the first bundle; what comes later makes it wider."""
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 50, step=40)
    prune(ledger, clock, after_days(550))
    published = publish(memory_path / "tiles", ledger)
    assert ledger.size < WIDTH
    with log_site(published) as site:
        assert check_log(site, ledger.key).verdict is Verdict.SOUND
        early = published.checkpoint
        live(ledger, clock, 2)
        while published.follow():
            pass
        site.files["checkpoint"] = early
        assert check_log(site, ledger.key).verdict is Verdict.SOUND
    published.close()
    ledger.close()


def test_judged_by_the_event_that_names_it(made: Made, memory_path: Path) -> None:
    """As for a directory: no event, no cut; and it says so."""
    copy = memory_path / "copy"
    shutil.copytree(made.directory, copy)
    pruned, known = parse_state(None, made.state), records(copy)
    findings = Findings(lambda _size: None)
    findings.origin = ORIGIN
    cut = Cut(pruned, findings, known)
    cut.judge()
    cut.carry_on()
    assert cut.record == known[-1]
    cut.conclude(known[-1].index)
    assert "not signed yet" in findings.report.doubts[0].what
    assert findings.report.pruned == pruned.size
    with pytest.raises(BadPruned, match="no event of this ledger"):
        Cut(pruned, findings, known[:-1]).judge()
    findings.origin = "log.example/else"
    with pytest.raises(BadPruned, match="another ledger"):
        Cut(pruned, findings, known).carry_on()


def test_nothing_pruned_is_nothing_to_judge() -> None:
    findings = Findings(lambda _size: None)
    cut = Cut(None, findings)
    cut.judge()
    cut.carry_on()
    cut.conclude(0)
    assert (list(cut.signed(ORIGIN)), findings.report.notes) == ([], [])


def test_the_key_is_looked_at_last(made: Made, site: LogSite) -> None:
    """A key of nobody is told, and not that the log is sound."""
    other: VerifierKey = Signer(ORIGIN, b"y" * 32).key
    assert check_log(site, other).verdict is Verdict.TAMPERED
    assert isinstance(made.published, Published)
