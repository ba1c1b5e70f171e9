"""A whole installation that ends TLS itself, with and without client certificates."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from support.authority import Authority, Pair
from support.installation import START_S, Installation
from support.loopback_backend import LoopbackBackend

from .conftest import Site

BATCH = "spiffe://example/svc-batch"


class OverTLS(Installation):
    """Reached by https; `trust` is what its clients believe."""

    trust: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def wait_ready(self, timeout_s: float = START_S) -> None:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            try:
                with httpx.Client(verify=self.trust, trust_env=False, timeout=3) as client:
                    if client.get(f"{self.url}/readyz").status_code == httpx.codes.OK:
                        return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(self.log.read_text()[-4000:])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, scripted: LoopbackBackend, authority: Authority
) -> Iterator[Site]:
    """An installation with a certificate, to which a service's certificate is linked."""
    pair = authority.server()
    server = {
        "tls_certificate": str(pair.certificate),
        "tls_key": str(pair.key),
        "tls_client_ca": str(authority.pem),
    }
    installation = OverTLS(
        tmp_path_factory.mktemp("t"), {"*": scripted.url}, settings={"server": server}
    )
    installation.trust = authority.trusting()
    installation.start()
    employee = installation.key("staff-7")
    installation.run(
        "principal", "link", "staff-7", "--config", str(installation.config),
        "--issuer", "certificate", "--subject", f"uri:{BATCH}",
    )  # fmt: skip
    time.sleep(1.0)  # a worker looks for changes of the registry twice a second
    yield Site(installation, scripted, employee, "")
    assert installation.stop() == 0


def _models(site: Site, authority: Authority, client: Pair | None, key: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    context = authority.trusting(client)
    with httpx.Client(verify=context, trust_env=False, timeout=5) as http:
        return http.get(f"{site.installation.url}/v1/models", headers=headers)


def _batch(authority: Authority, *, expired: bool = False) -> Pair:
    return authority.client("batch", [x509.UniformResourceIdentifier(BATCH)], expired=expired)


def test_a_key_needs_no_certificate(site: Site, authority: Authority) -> None:
    """Certificates are another way in, not a second lock."""
    assert 200 == _models(site, authority, None, site.employee).status_code
    assert 401 == _models(site, authority, None).status_code


def test_a_linked_certificate_is_a_way_in(site: Site, authority: Authority) -> None:
    """Without any key."""
    assert 200 == _models(site, authority, _batch(authority)).status_code


def test_a_certificate_that_is_not_linked_is_not(site: Site, authority: Authority) -> None:
    """The authority vouches for who it is, not that it may."""
    assert 401 == _models(site, authority, authority.client("staff-7")).status_code


def test_a_wrong_key_is_not_mended_by_a_certificate(site: Site, authority: Authority) -> None:
    """The first thing shown decides."""
    wrong = "sk-sekisho-abcdefgh-" + "x" * 43

    assert 401 == _models(site, authority, _batch(authority), wrong).status_code


@pytest.mark.parametrize("bad", ["expired", "stranger"])
def test_a_bad_certificate_reaches_nothing(
    site: Site, authority: Authority, bad: str, tmp_path: Path
) -> None:
    """Refused in the handshake."""
    pair = _batch(authority, expired=True) if bad == "expired" else _batch(Authority(tmp_path))
    with pytest.raises(httpx.TransportError):
        _models(site, authority, pair)


def test_plain_http_gets_nothing(site: Site) -> None:
    """Not a byte of an answer, and the installation goes on."""
    with socket.create_connection(("127.0.0.1", site.installation.port), timeout=5) as link:
        link.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
        try:
            said = link.recv(1000)
        except ConnectionError:
            said = b""
    assert b"HTTP" not in said


def test_a_bad_file_ends_the_start_with_a_sentence(tmp_path: Path, authority: Authority) -> None:
    """Which setting, and why; nothing is left running."""
    pair = authority.server()
    server = {"tls_certificate": str(pair.certificate), "tls_key": str(tmp_path / "none.key")}
    installation = OverTLS(
        tmp_path / "bad", {"*": "http://127.0.0.1:9/v1"}, settings={"server": server}
    )
    installation.write()
    done = subprocess.run(
        [sys.executable, "-m", "sekisho.cli", "serve", "--config", str(installation.config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert "server.tls_key" in done.stderr
    assert "Traceback" not in done.stderr
