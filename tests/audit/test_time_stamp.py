"""Time stamps of a real authority (`openssl ts`): what holds, and everything that must not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cryptography import x509

from sekisho_audit.time_stamp import BadStamp, check, read_roots, request
from support.stamping import StampingAuthority

NOTE = b"ledger.example/test\n42\nAAAA\n\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> StampingAuthority:
    return StampingAuthority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def roots(authority: StampingAuthority) -> list[x509.Certificate]:
    return read_roots(authority.roots)


@pytest.fixture(scope="module")
def stamp(authority: StampingAuthority) -> bytes:
    return authority.stamp(request(NOTE).body)


def test_a_stamp_states_its_time(stamp: bytes, roots: list[x509.Certificate]) -> None:
    assert abs(check(stamp, NOTE, roots) / 1_000_000 - time.time()) < 120


def test_the_number_of_the_request_comes_back(
    authority: StampingAuthority, roots: list[x509.Certificate]
) -> None:
    """An old answer, given again, has another one."""
    asked = request(NOTE)
    stamp = authority.stamp(asked.body)
    assert asked.nonce is not None
    assert check(stamp, NOTE, roots, asked.nonce)
    with pytest.raises(BadStamp, match="Nonce"):
        check(stamp, NOTE, roots, asked.nonce ^ 1)


def test_it_is_of_one_text(stamp: bytes, roots: list[x509.Certificate]) -> None:
    with pytest.raises(BadStamp, match="messages"):
        check(stamp, NOTE + b"x", roots)


def test_another_root_does_not_vouch(tmp_path: Path, stamp: bytes) -> None:
    """Same names, another key."""
    other = StampingAuthority(tmp_path / "other")
    with pytest.raises(BadStamp, match="certificates"):
        check(stamp, NOTE, read_roots(other.roots))


def test_without_roots_nothing_holds(stamp: bytes) -> None:
    with pytest.raises(BadStamp, match="root"):
        check(stamp, NOTE, [])


def test_an_authority_must_answer_in_der(tmp_path: Path) -> None:
    """Certificates in the order of `openssl ts` are refused, with the reason; docs say so."""
    chained = StampingAuthority(tmp_path / "chain", chain=True)
    stamp = chained.stamp(request(NOTE).body)
    with pytest.raises(BadStamp, match="InvalidSetOrdering"):
        check(stamp, NOTE, read_roots(chained.roots))


def test_every_changed_byte_is_found(stamp: bytes, roots: list[x509.Certificate]) -> None:
    """Of the part that is signed: a flipped bit never states another time."""
    stated = check(stamp, NOTE, roots)
    for offset in range(0, len(stamp), 23):
        changed = bytearray(stamp)
        changed[offset] ^= 1
        try:
            assert check(bytes(changed), NOTE, roots) == stated
        except BadStamp:
            continue


@pytest.mark.parametrize("raw", [b"", b"x", b"\x30\x03\x02\x01\x00", b"0" * 60_000])
def test_what_is_no_stamp_is_refused(roots: list[x509.Certificate], raw: bytes) -> None:
    with pytest.raises(BadStamp):
        check(raw, NOTE, roots)


def test_roots_are_certificates(tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_text("none")
    with pytest.raises(ValueError):
        read_roots(tmp_path / "roots.pem")
