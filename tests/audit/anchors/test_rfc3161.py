"""A time stamping authority on loopback: its stamp is checked before it counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sekisho_audit.anchors import rfc3161 as module
from sekisho_audit.anchors.port import AnchorFailed
from sekisho_audit.anchors.rfc3161 import TimeStamps
from sekisho_audit.anchors.transport import Site
from sekisho_audit.time_stamp import check, read_roots, request
from support.claims import Grown
from support.stamping import StampingAuthority, StampingServer

REPLY = "application/timestamp-reply"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> StampingAuthority:
    return StampingAuthority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture
def server(authority: StampingAuthority) -> Iterator[StampingServer]:
    made = StampingServer(authority)
    yield made
    made.close()


@pytest.fixture
def anchor(server: StampingServer, authority: StampingAuthority) -> TimeStamps:
    return TimeStamps("tsa", Site(server.url, 10), read_roots(authority.roots))


def test_a_checkpoint_is_stamped(
    server: StampingServer, anchor: TimeStamps, authority: StampingAuthority
) -> None:
    """The evidence is the stamp and the note that it is over."""
    claim = Grown(5).claim()
    anchor.look(claim)
    evidence = anchor.take(claim)
    assert server.kinds == ["application/timestamp-query"]
    assert (evidence.main, sorted(evidence.files)) == ("tsr", ["note", "tsr"])
    assert evidence.files["note"] == claim.note
    stated = check(evidence.files["tsr"], claim.note, read_roots(authority.roots))
    assert evidence.time_us == stated


def test_what_is_no_stamp_for_this_request_is_a_failure(
    server: StampingServer, anchor: TimeStamps, authority: StampingAuthority
) -> None:
    """Another text, an old answer, an error page, the wrong type, nothing."""
    claim = Grown(5).claim()
    old = authority.stamp(request(claim.note).body)
    other = request(b"another")
    for cause, answer in (
        ("bad_answer", (200, REPLY, old)),
        ("bad_answer", (200, REPLY, authority.stamp(other.body))),
        ("bad_answer", (200, REPLY, b"<html>")),
        ("bad_answer", (200, REPLY, b"")),
        ("refused", (200, "text/html", old)),
        ("refused", (503, REPLY, b"")),
    ):
        server.answer = lambda _query, answer=answer: answer
        with pytest.raises(AnchorFailed) as caught:
            anchor.take(claim)
        assert caught.value.cause == cause


def test_a_clock_that_is_off_is_a_failure(
    anchor: TimeStamps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the authority or ours: such a stamp would date events wrongly."""
    monkeypatch.setattr(module, "CLOCK_S_MAX", -1)
    with pytest.raises(AnchorFailed) as caught:
        anchor.take(Grown(5).claim())
    assert caught.value.cause == "clock"
