"""A served log whose key was changed: any key of the chain will do, and no forger finds a way in.

The server may hide, forge or move a change of keys; it has keys that were stolen, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.canon import decode, encode
from sekisho_audit.checkpoint import Checkpoint, Signer, VerifierKey
from sekisho_audit.key_chain import ROTATED, statement
from sekisho_audit.receipt import Receipt
from sekisho_audit.report import Report, Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.tree import leaf_hash, root_of
from sekisho_audit.verdict import Findings
from sekisho_audit.verify_keys import follow_leaves
from support.ledgers import ORIGIN, open_ledger, run_exchange
from support.log_site import check_log, log_site, publish, serve

STRANGER = Signer(ORIGIN, bytes(32))


class Story:
    """A ledger with two changes of keys; `signers` are its three keys, all stolen by now."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ledger = open_ledger(home)
        self.ledger.open_session("s-1", 1)
        self.signers: list[Signer] = []
        self.notes: list[bytes] = []
        for _ in range(2):
            run_exchange(self.ledger, "s-1")
            self._keep()
            self.ledger.rotate_key()
        run_exchange(self.ledger, "s-1")
        self._keep()
        self.bodies = [
            f.body for s in segments(self.ledger.directory, EVENTS) for f in frames(s, EVENTS)
        ]
        self.places = [i for i, body in enumerate(self.bodies) if decode(body)["type"] == ROTATED]

    def _keep(self) -> None:
        self.signers.append(Signer(ORIGIN, (self.home / "keys" / "signing.key").read_bytes()))
        self.notes.append(self.ledger.note())

    @property
    def keys(self) -> list[VerifierKey]:
        return [signer.key for signer in self.signers]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("s"))


def judged(
    bodies: Sequence[bytes], key: VerifierKey, *signers: Signer, pinned: Sequence[bytes] = ()
) -> Report:
    """What is said of a log of these events under a checkpoint by these signers."""
    root = root_of([leaf_hash(body) for body in bodies])
    note = signers[0].sign(Checkpoint(ORIGIN, len(bodies), root), *signers[1:])
    with log_site() as site:
        serve(site, list(bodies), note)
        return check_log(site, key, *pinned)


def said(report: Report) -> str:
    return " ".join(str(fault) for fault in (*report.faults, *report.doubts))


def changed(bodies: Sequence[bytes], at: int, **data: Any) -> list[bytes]:
    """The same log with another change of keys at this place."""
    leaf = decode(bodies[at])
    leaf["data"].update(data)
    return [*bodies[:at], encode(leaf), *bodies[at + 1 :]]


def handed(
    bodies: Sequence[bytes], at: int, old: Signer, new: Signer, *signers: Signer
) -> list[bytes]:
    """A change of keys at this place that these signed."""
    before = Checkpoint(ORIGIN, at, root_of([leaf_hash(body) for body in bodies[:at]]))
    note = signers[0].sign_text(statement(before, new.key), *signers[1:]).decode()
    return changed(bodies, at, old=old.key.line(), new=new.key.line(), note=note)


def test_every_key_of_the_chain_will_do(tmp_path: Path, story: Story) -> None:
    """The oldest, the one between, the one in force; kept notes and a receipt of each time."""
    published = publish(tmp_path / "tiles", story.ledger)
    index = next(i for i, b in enumerate(story.bodies) if decode(b)["type"] == "backend.intent")
    receipt = Receipt(index, leaf_hash(story.bodies[index]), story.notes[0])
    with log_site(published) as site:
        for key in story.keys:
            report = check_log(site, key, *story.notes, receipt=receipt)
            assert (report.verdict, report.faults, report.doubts) == (Verdict.SOUND, [], [])
            assert len(report.keys) == 2
    published.close()


def test_a_key_of_nobody_is_tampered(story: Story) -> None:
    report = judged(story.bodies, STRANGER.key, story.signers[-1])
    assert report.verdict is Verdict.TAMPERED
    assert "never in force" in said(report)


@pytest.mark.parametrize("thief", [0, 1])
def test_a_key_that_was_replaced_signs_no_checkpoint(story: Story, thief: int) -> None:
    for key in story.keys:
        report = judged(story.bodies, key, story.signers[thief])
        assert report.verdict is Verdict.TAMPERED
        assert "the checkpoint does not hold" in said(report)


Forge = Callable[[Story, int], list[bytes]]
FORGERIES: dict[str, Forge] = {
    "by the old key alone": lambda s, at: handed(
        s.bodies, at, s.signers[1], s.signers[2], s.signers[1]
    ),
    "by the new key alone": lambda s, at: handed(
        s.bodies, at, s.signers[1], s.signers[2], s.signers[2]
    ),
    "to a stranger, by the new key": lambda s, at: handed(
        s.bodies, at, s.signers[1], STRANGER, STRANGER, s.signers[2]
    ),
    "by a key replaced before": lambda s, at: handed(
        s.bodies, at, s.signers[0], s.signers[2], s.signers[0], s.signers[2]
    ),
    "back to an old key": lambda s, at: handed(
        s.bodies, at, s.signers[1], s.signers[0], s.signers[1], s.signers[0]
    ),
    "of another place": lambda s, at: changed(
        s.bodies, at, note=decode(s.bodies[s.places[0]])["data"]["note"]
    ),
    "of other events": lambda s, at: changed(
        [s.bodies[0], s.bodies[2], s.bodies[1], *s.bodies[3:]], at
    ),
    "no note": lambda s, at: changed(s.bodies, at, note="x"),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_change_of_keys_leads_nowhere(story: Story, forge: Forge) -> None:
    """Whoever signs the checkpoint over it, and whichever key is trusted."""
    at = story.places[1]
    bodies = forge(story, at)
    for signer in (*story.signers, STRANGER):
        for key in story.keys:
            assert judged(bodies, key, signer).verdict is Verdict.TAMPERED


def test_both_keys_signed_the_events_before(story: Story) -> None:
    """The thief of the last key writes another history, with the true changes of keys in it."""
    at = story.places[1]
    leaf = decode(story.bodies[1])
    leaf["ts"] += 1
    bodies = [story.bodies[0], encode(leaf), *story.bodies[2:]]
    report = judged(bodies, story.keys[2], story.signers[2])
    assert report.verdict is Verdict.TAMPERED
    assert f"the first {at} events are not the ones that the change of keys" in said(report)


def test_a_hidden_change_is_seen_by_whoever_kept_something_newer(story: Story) -> None:
    """The thief of the first key goes on as if it had never been changed. Who has that key and
    nothing else must believe it; a later note, or a later key, shows it.
    """
    bodies = story.bodies[: story.places[0]]
    stale = judged(bodies, story.keys[0], story.signers[0], pinned=[story.notes[2]])
    assert stale.verdict is Verdict.CANNOT_TELL
    assert "it is behind, or events were removed" in said(stale)
    assert judged(bodies, story.keys[1], story.signers[0]).verdict is Verdict.TAMPERED
    more = [
        encode({**decode(bodies[-1]), "n": len(bodies) + i, "id": _other(i)}) for i in range(20)
    ]
    forked = judged([*bodies, *more], story.keys[0], story.signers[0], pinned=[story.notes[2]])
    assert forked.verdict is Verdict.TAMPERED


def _other(number: int) -> str:
    return f"0192f0c0-0000-7000-8000-{number:012d}"


def test_a_change_left_out_of_the_entries_is_found(story: Story) -> None:
    """Its checkpoint stays the true one: the entries do not lead to it."""
    at = story.places[1]
    without = [*story.bodies[:at], *story.bodies[at + 1 :], story.bodies[-1]]
    with log_site() as site:
        serve(site, without, story.notes[2])
        assert check_log(site, story.keys[0]).verdict is Verdict.TAMPERED


def test_what_does_not_hold_leaves_the_trusted_key_alone() -> None:
    """Leaves of any form; each is a fault, none an exception."""
    findings = Findings(lambda _size: None)
    odd: list[dict[str, Any]] = [
        {},
        {"n": True, "data": {}},
        {"n": 3, "data": {"old": 1, "new": 2}},
    ]
    assert follow_leaves(odd, STRANGER.key, findings).keys == [STRANGER.key]
    assert [fault.index for fault in findings.report.faults] == [None, None, 3]
