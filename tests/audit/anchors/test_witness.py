"""A witness on loopback, honest or not: what it signs is checked, what it knows is believed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sekisho_audit.anchors import witness as module
from sekisho_audit.anchors.port import AnchorFailed, Diverged, Evidence
from sekisho_audit.anchors.transport import Site
from sekisho_audit.anchors.witness import Witness
from sekisho_audit.checkpoint import Signer, open_note, split_note
from sekisho_audit.cosignature import ED25519, ML_DSA_44, Cosigner, check
from support import witness as support
from support.claims import ORIGIN, SIGNER, Grown

COSIGNER = Cosigner("witness.example/w1", bytes(32))
STRANGER = Cosigner("witness.example/w2", b"2" * 32)


@pytest.fixture
def server() -> Iterator[support.WitnessServer]:
    made = support.WitnessServer(support.Witness(COSIGNER, {ORIGIN: [SIGNER.key]}))
    yield made
    made.close()


def anchor(server: support.WitnessServer, *, timeout_s: float = 5, **changed: Any) -> Witness:
    site = Site(server.url, timeout_s)
    return Witness("w1", site, changed.get("keys", [COSIGNER.key]), changed.get("monitor", site))


def times(evidence: Evidence) -> list[int]:
    body, signatures = split_note(evidence.files["note"])
    return [one.time_s for one in check(body, signatures, [COSIGNER.key])]


@pytest.mark.parametrize("algorithm", [ED25519, ML_DSA_44])
def test_a_checkpoint_is_cosigned(server: support.WitnessServer, algorithm: int) -> None:
    """The evidence is our note with the witness's line in it, and the time it says."""
    cosigner = server.witness.cosigner = Cosigner("witness.example/w1", bytes(32), algorithm)
    ledger, ours = Grown(5), anchor(server, keys=[cosigner.key])
    for _ in range(3):
        evidence = ours.take(ledger.claim())
        assert open_note(evidence.files["note"], SIGNER.key) == ledger.checkpoint()
        body, signatures = split_note(evidence.files["note"])
        [one] = check(body, signatures, [cosigner.key])
        assert evidence.time_us == one.time_s * 1_000_000
        ledger.grow(300)
    assert server.witness.asked == ["old 0", "old 5", "old 305"]


def test_after_a_restart_the_witness_tells_where_it_stands(server: support.WitnessServer) -> None:
    """Nothing is kept by us: 409 has the size, the second try proves from there."""
    ledger = Grown(5)
    anchor(server).take(ledger.claim())
    anchor(server).take(ledger.grow(4).claim())
    anchor(server).take(ledger.claim())
    assert server.witness.asked == ["old 0", "old 0", "old 5", "old 0", "old 9"]
    assert server.witness.seen[ORIGIN].checkpoint == ledger.checkpoint()


def test_a_witness_that_has_more_of_ours_stops(server: support.WitnessServer) -> None:
    """An old copy was restored; what the witness shows proves it."""
    ledger = Grown(5)
    anchor(server).take(ledger.clone().grow(4).claim())
    with pytest.raises(Diverged, match="9 events") as caught:
        anchor(server).take(ledger.claim())
    assert open_note(caught.value.proof, SIGNER.key).size == 9
    assert server.witness.seen[ORIGIN].checkpoint.size == 9


@pytest.mark.parametrize("more", [1, 2, 3, 9])
def test_a_clone_that_went_another_way_stops(server: support.WitnessServer, more: int) -> None:
    """Shorter, as long or longer than ours: it cannot be proved to lead here."""
    ledger = Grown(5)
    ours = anchor(server)
    ours.take(ledger.claim())
    anchor(server).take(ledger.clone().grow(more, "clone").claim())
    ledger.grow(2)
    with pytest.raises(Diverged):
        ours.take(ledger.claim())


class FarSite(Site):
    """As if the witness were reached over plain HTTP on a network."""

    @property
    def authentic(self) -> bool:
        return False


def far(server: support.WitnessServer) -> Witness:
    site = FarSite(server.url, 5)
    return Witness("w1", site, [COSIGNER.key], site)


def ahead(reply: support.Reply) -> support.Reply:
    return (409, "text/x.tlog.size", b"1000\n") if reply[0] in {200, 409} else reply


def test_a_number_alone_is_believed_of_the_witness_itself(server: support.WitnessServer) -> None:
    """It says it has signed more and shows nothing: better to stop than to fork."""
    server.witness.twist = ahead
    with pytest.raises(Diverged, match="1000 events") as caught:
        anchor(server).take(Grown(5).claim())
    assert caught.value.proof == b""


def test_a_number_alone_over_plain_http_stops_nobody(server: support.WitnessServer) -> None:
    """Anybody on the way could have written it. A checkpoint of ours stops also there."""
    ledger = Grown(5)
    server.witness.twist = ahead
    with pytest.raises(AnchorFailed) as caught:
        far(server).take(ledger.claim())
    assert caught.value.cause == "ahead"
    server.witness.twist = None
    anchor(server).take(ledger.clone().grow(4).claim())
    with pytest.raises(Diverged):
        far(server).take(ledger.claim())


def test_a_checkpoint_of_somebody_else_proves_nothing(server: support.WitnessServer) -> None:
    """A witness, or whoever is in between, makes up a larger ledger with another key."""
    forged = Grown(50, signer=Signer(ORIGIN, bytes(32)))
    server.witness.keys[ORIGIN] = [forged.signer.key]
    anchor(server).take(forged.claim())
    server.witness.keys[ORIGIN] = [SIGNER.key]
    with pytest.raises(AnchorFailed) as caught:
        far(server).take(Grown(5).claim())
    assert caught.value.cause == "ahead"


def test_of_another_ledger_of_our_key_nothing_follows(server: support.WitnessServer) -> None:
    """The same key under another origin, shown in the place of ours."""
    other = Grown(50, signer=Signer("other.example/log", bytes(range(32))))
    note = other.claim().note
    server.witness.twist = lambda reply: (200, "", note) if reply[0] == 404 else (422, "", b"")
    with pytest.raises(AnchorFailed):
        far(server).take(Grown(5).claim())


Twist = Callable[[support.Reply], support.Reply]


FAULTS: dict[str, tuple[str, Twist]] = {
    "nothing": ("bad_answer", lambda _: (200, "", b"")),
    "thanks": ("bad_answer", lambda _: (200, "", b"thank you\n")),
    "no text": ("bad_answer", lambda _: (200, "", b"\xff\n")),
    "short line": ("bad_answer", lambda r: (200, "", r[2][:-9] + b"\n")),
    "open line": ("bad_answer", lambda r: (200, "", r[2][:-1])),
    "too many": ("bad_answer", lambda r: (200, "", r[2] * 1_000)),
    "no size": ("bad_answer", lambda _: (409, "text/x.tlog.size", b"")),
    "negative": ("bad_answer", lambda _: (409, "text/x.tlog.size", b"-1\n")),
    "zeroes": ("bad_answer", lambda _: (409, "text/x.tlog.size", b"007\n")),
    "huge": ("bad_answer", lambda _: (409, "text/x.tlog.size", b"9" * 99 + b"\n")),
    "stubborn": ("bad_answer", lambda _: (409, "text/x.tlog.size", b"3\n")),
    "unknown": ("refused", lambda _: (404, "", b"")),
    "forbidden": ("refused", lambda _: (403, "", b"")),
    "unproved": ("refused", lambda _: (422, "", b"")),
    "broken": ("refused", lambda _: (500, "", b"")),
    "elsewhere": ("refused", lambda _: (302, "", b"")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_witness_may_not_answer_is_a_failure(
    server: support.WitnessServer, fault: str
) -> None:
    """Never evidence, never an exception of another kind; the next round may go well."""
    ledger, ours = Grown(5), anchor(server)
    cause, server.witness.twist = FAULTS[fault]
    with pytest.raises(AnchorFailed) as caught:
        ours.take(ledger.claim())
    assert caught.value.cause == cause
    server.witness.twist = None
    assert times(ours.take(ledger.grow(1).claim()))


def test_another_key_is_no_cosignature(server: support.WitnessServer) -> None:
    """Not the configured one, also under its name; one of several is enough."""
    server.witness.cosigner = Cosigner("witness.example/w1", b"x" * 32)
    ledger = Grown(5)
    with pytest.raises(AnchorFailed, match="without a cosignature"):
        anchor(server).take(ledger.claim())
    known = [COSIGNER.key, server.witness.cosigner.key]
    assert anchor(server, keys=known).take(ledger.claim()).time_us


def test_an_old_cosignature_does_not_count(server: support.WitnessServer) -> None:
    """A witness that sends yesterday's line for the same checkpoint, or one of tomorrow."""
    for shift in (-4_000, 4_000):
        server.witness.clock_s = lambda shift=shift: time.time() + shift
        with pytest.raises(AnchorFailed) as caught:
            anchor(server).take(Grown(5).claim())
        assert caught.value.cause == "clock"


def test_a_line_of_another_checkpoint_does_not_count(server: support.WitnessServer) -> None:
    line = COSIGNER.line(Grown(4).checkpoint().body(), int(time.time())).encode()
    server.witness.twist = lambda _: (200, "", line)
    with pytest.raises(AnchorFailed, match="does not fit"):
        anchor(server).take(Grown(5).claim())


def test_lines_of_strangers_stay_outside(server: support.WitnessServer) -> None:
    """Only what was checked goes into the evidence."""
    ledger = Grown(5)
    strange = STRANGER.line(ledger.checkpoint().body(), int(time.time())).encode()
    server.witness.twist = lambda reply: (reply[0], reply[1], strange + reply[2])
    evidence = anchor(server).take(ledger.claim())
    assert {name for name, _ in split_note(evidence.files["note"])[1]} == {
        ORIGIN, "witness.example/w1",
    }  # fmt: skip


def test_a_witness_that_does_not_answer_is_left(server: support.WitnessServer) -> None:
    """Until the time-out; the next round finds it again."""
    server.witness.stuck = threading.Event()
    ours = anchor(server, timeout_s=0.2)
    with pytest.raises(AnchorFailed) as caught:
        ours.take(Grown(5).claim())
    assert caught.value.cause == "unreachable"
    server.witness.stuck.set()
    server.witness.stuck = None


def test_a_reply_that_was_lost_is_asked_for_again(server: support.WitnessServer) -> None:
    """It took effect and we do not know: 409 tells, and the second try is signed."""
    ledger, ours = Grown(5), anchor(server)
    ours.take(ledger.claim())
    server.witness.twist = lambda _: (500, "", b"")
    with pytest.raises(AnchorFailed):
        ours.take(ledger.grow(3).claim())
    server.witness.twist = None
    assert times(ours.take(ledger.grow(3).claim()))
    assert server.witness.asked[-2:] == ["old 5", "old 8"]


def test_a_proof_that_is_too_long_is_not_sent(
    server: support.WitnessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, ours = Grown(5), anchor(server)
    ours.take(ledger.claim())
    monkeypatch.setattr(module, "PATH_MAX", 1)
    with pytest.raises(AnchorFailed, match="longer"):
        ours.take(ledger.grow(9).claim())


def test_looking_asks_nobody(server: support.WitnessServer) -> None:
    anchor(server).look(Grown(5).claim())
    assert server.witness.asked == []
