"""A log on a network is read like a stranger's: bounded in every direction, and told no secrets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from sekisho_audit import remote_log as module
from sekisho_audit.remote_log import (
    Address,
    BadAddress,
    NotThere,
    RemoteLog,
    TooLong,
    Unreachable,
    check_credential,
)
from support.authority import Authority
from support.log_site import LogSite, log_site
from support.tls_site import tls_site

SHORT_S = 0.6


@pytest.fixture
def site() -> Iterator[LogSite]:
    with log_site() as made:
        made.files["checkpoint"] = b"a note"
        yield made


@pytest.fixture
def log(site: LogSite) -> Iterator[RemoteLog]:
    with RemoteLog(Address.parse(site.url), "key-1", answer_s=SHORT_S) as opened:
        yield opened


# -- addresses and credentials


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("https://gw.example", Address("gw.example", 443, "/v1/audit/log", tls=True)),
        ("https://gw.example/", Address("gw.example", 443, "/v1/audit/log", tls=True)),
        ("https://gw.example:8443/logs/a/", Address("gw.example", 8443, "/logs/a", tls=True)),
        ("http://127.0.0.1:80", Address("127.0.0.1", 80, "/v1/audit/log", tls=False)),
        ("http://127.9.9.9", Address("127.9.9.9", 80, "/v1/audit/log", tls=False)),
        ("http://[::1]:8080/x", Address("::1", 8080, "/x", tls=False)),
        ("http://localhost", Address("localhost", 80, "/v1/audit/log", tls=False)),
    ],
)
def test_address_of_a_gateway_or_of_a_log(url: str, where: Address) -> None:
    """A bare gateway has its log where every Sekisho has it."""
    assert Address.parse(url) == where


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://gw.example", "use https"),
        ("http://10.0.0.1/v1/audit/log", "use https"),
        ("http://127.0.0.1.example", "use https"),
        ("http://localhost.example", "use https"),
        ("ftp://gw.example", "URL like"),
        ("file:///etc/passwd", "URL like"),
        ("https://", "URL like"),
        ("https://user:secret@gw.example", "no name"),
        ("https://@gw.example", "no name"),
        ("https://gw.example/?a=b", "no question mark"),
        ("https://gw.example/#a", "no #"),
        ("https://gw.example:x", "not a URL"),
        ("https://gw.example:99999", "not a URL"),
        ("https://[gw.example", "not a URL"),
        ("https://gw.example/a b", "blank"),
        ("https://gw.example/\u00e9", "character"),
    ],
)
def test_address_that_is_not_used(url: str, said: str) -> None:
    with pytest.raises(BadAddress, match=said):
        Address.parse(url)


def test_address_in_clear_must_be_asked_for() -> None:
    """The credential goes over that wire."""
    assert not Address.parse("http://gw.example", in_clear=True).tls


@pytest.mark.parametrize("text", ["", " ", "a b", "a\nb", "a\r\nhost: x", "\u00e9", "x" * 4_097])
def test_credential_is_one_word(text: str) -> None:
    """Nothing in it begins another header."""
    with pytest.raises(BadAddress, match="one word"):
        check_credential(text)


def test_blanks_around_a_credential_are_none() -> None:
    """Files end with a newline."""
    assert check_credential(" key-1\n") == "key-1"


# -- ordinary answers


def test_credential_goes_into_the_header_and_nowhere_else(site: LogSite, log: RemoteLog) -> None:
    assert log.get("checkpoint", 100) == b"a note"
    assert (site.asked, site.credentials) == (["checkpoint"], {"Bearer key-1"})


def test_without_a_credential_none_is_shown(site: LogSite) -> None:
    with RemoteLog(Address.parse(site.url), None) as log:
        assert log.get("checkpoint", 100) == b"a note"
    assert site.credentials == {None}


def test_proxies_of_the_environment_are_not_used(
    site: LogSite, log: RemoteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credential is shown to whom it is meant for."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert log.get("checkpoint", 100) == b"a note"


def test_connection_that_was_closed_is_made_again(site: LogSite, log: RemoteLog) -> None:
    """Servers hang up between two answers."""

    def once(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", "1")
        request.end_headers()
        request.wfile.write(b"x")
        request.close_connection = True

    site.lies["tile/0/000"] = once
    for _ in range(3):
        assert log.get("tile/0/000", 1) == b"x"
        assert log.get("checkpoint", 100) == b"a note"


def test_busy_log_is_asked_again(
    site: LogSite, log: RemoteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is building its tiles; but not for ever."""
    monkeypatch.setattr(module, "BUSY_WAIT_S", 0)
    left = [503, 429]

    def busy(request: BaseHTTPRequestHandler) -> None:
        request.send_response(left.pop() if left else 200)
        request.send_header("content-length", "2")
        request.end_headers()
        request.wfile.write(b"ok")

    site.lies["tile/0/000"] = busy
    assert log.get("tile/0/000", 2) == b"ok"
    left += [503] * 100
    with pytest.raises(Unreachable, match="busy"):
        log.get("tile/0/000", 2)
    assert len(left) == 100 - module.BUSY_TRIES - 1


# -- refusals


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "scope `audit`"),
        (403, "role auditor"),
        (500, r"no tile/0/000 \(status 500\)"),
        (302, "redirects are not followed"),
        (307, "redirects are not followed"),
        (304, "redirects are not followed"),
        (204, "status 204"),
    ],
)
def test_any_other_answer_proves_nothing(
    site: LogSite, log: RemoteLog, status: int, said: str
) -> None:
    """No redirect is followed: a credential goes along."""
    with log_site() as elsewhere:

        def refuse(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            request.send_header("location", f"{elsewhere.url}/v1/audit/log/checkpoint")
            request.send_header("content-length", "0")
            request.end_headers()

        site.lies["tile/0/000"] = refuse
        with pytest.raises(Unreachable, match=said) as caught:
            log.get("tile/0/000", 32)
        assert "key-1" not in str(caught.value)
        assert elsewhere.asked == []


def test_file_that_is_not_there_is_told_apart(log: RemoteLog) -> None:
    with pytest.raises(NotThere):
        log.get("tile/0/001", 32)


def test_nobody_there_is_unreachable() -> None:
    with (
        RemoteLog(Address.parse("http://127.0.0.1:1"), "key-1") as log,
        pytest.raises(Unreachable, match="cannot be read"),
    ):
        log.get("checkpoint", 100)


# -- hostile answers


def _send(request: BaseHTTPRequestHandler, *headers: tuple[str, str]) -> None:
    request.send_response(200)
    for name, value in headers:
        request.send_header(name, value)
    request.end_headers()


def _endless(request: BaseHTTPRequestHandler) -> None:
    _send(request, ("content-length", str(2**60)))
    while True:
        request.wfile.write(b"x" * 65_536)


def _endless_chunks(request: BaseHTTPRequestHandler) -> None:
    _send(request, ("transfer-encoding", "chunked"))
    while True:
        request.wfile.write(b"8000\r\n" + b"x" * 32_768 + b"\r\n")


def _one_byte_more(request: BaseHTTPRequestHandler) -> None:
    _send(request, ("content-length", "101"))
    request.wfile.write(b"x" * 101)


@pytest.mark.parametrize("lie", [_endless, _endless_chunks, _one_byte_more])
def test_answer_is_no_longer_than_it_can_be(site: LogSite, log: RemoteLog, lie: object) -> None:
    """And the next one is not what was left of it."""
    site.lies["tile/0/000"] = lie  # type: ignore[assignment]
    with pytest.raises(TooLong, match="longer than the 100 bytes"):
        log.get("tile/0/000", 100)
    assert log.get("checkpoint", 100) == b"a note"


def _silent(request: BaseHTTPRequestHandler, site: LogSite) -> None:
    site.ended.wait(20)


def _trickle(request: BaseHTTPRequestHandler, site: LogSite) -> None:
    _send(request, ("content-length", "100"))
    while not site.ended.wait(0.1):
        request.wfile.write(b"x")
        request.wfile.flush()


def _trickle_headers(request: BaseHTTPRequestHandler, site: LogSite) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not site.ended.wait(0.1):
        request.wfile.write(b"x")
        request.wfile.flush()


def _short(request: BaseHTTPRequestHandler, _site: LogSite) -> None:
    _send(request, ("content-length", "100"))
    request.wfile.write(b"x")
    request.close_connection = True


def _of_unknown_length(request: BaseHTTPRequestHandler, _site: LogSite) -> None:
    _send(request, ("connection", "close"))
    request.wfile.write(b"x" * 100)
    request.close_connection = True


def _nonsense(request: BaseHTTPRequestHandler, _site: LogSite) -> None:
    request.wfile.write(b"no HTTP at all\r\n\r\n")
    request.close_connection = True


def _hang_up(request: BaseHTTPRequestHandler, _site: LogSite) -> None:
    request.close_connection = True


def _long_headers(request: BaseHTTPRequestHandler, _site: LogSite) -> None:
    _send(request, *(("x-more", "x" * 60_000) for _ in range(200)))


@pytest.mark.parametrize(
    "lie",
    [
        _silent,
        _trickle,
        _trickle_headers,
        _short,
        _of_unknown_length,
        _nonsense,
        _hang_up,
        _long_headers,
    ],
)
def test_answer_that_does_not_come_ends_in_its_time(
    site: LogSite, log: RemoteLog, lie: object
) -> None:
    """All bytes of an answer share one time, so a byte now and then does not prolong it."""
    site.lies["tile/0/000"] = lambda request: lie(request, site)  # type: ignore[operator]
    with pytest.raises(Unreachable, match="cannot be read"):
        log.get("tile/0/000", 100)
    assert not site.ended.is_set()
    assert log.get("checkpoint", 100) == b"a note"


def test_time_is_counted_for_each_answer(site: LogSite, log: RemoteLog) -> None:
    """A long log takes longer than any one of its answers."""
    for _ in range(4):
        time.sleep(SHORT_S / 3)
        assert log.get("checkpoint", 100) == b"a note"


# -- TLS


def test_certificate_must_be_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is checked as everywhere on the machine; an authority of one's own is told by the
    environment, as OpenSSL has it.
    """
    authority = Authority(tmp_path)
    with tls_site(authority.server(), {"a": 1}) as port:
        address = Address.parse(f"https://127.0.0.1:{port}")
        with RemoteLog(address, "key-1") as log, pytest.raises(Unreachable, match="certificate"):
            log.get("checkpoint", 100)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))
        with RemoteLog(address, "key-1") as log:
            assert log.get("checkpoint", 100) == b'{"a": 1}'
