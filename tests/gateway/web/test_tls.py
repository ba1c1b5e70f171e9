"""Real handshakes with certificates of an authority made here."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from cryptography import x509

from sekisho.config.sections import ServerSettings
from sekisho.web.http_guard import guarded
from sekisho.web.tls import (
    IDENTITY_CHARS_MAX,
    TLSUnusable,
    configured,
    identity_of,
    server_context,
    valid_until_s,
)
from support.authority import Authority, Pair


@dataclass
class Served:
    """A gateway's front that answers with the identity it was given."""

    authority: Authority
    port: int

    async def ask(self, client: Pair | None = None, **more: Any) -> str:
        verify = more.get("context") or self.authority.trusting(client)
        async with httpx.AsyncClient(verify=verify, trust_env=False) as http:
            return (await http.get(f"https://127.0.0.1:{self.port}/")).text


async def _echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    said = scope.get("extensions", {}).get("tls", {}).get("client_identity", "nobody")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": said.encode()})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def served(authority: Authority) -> AsyncIterator[Served]:
    """Served over TLS that asks for client certificates."""
    pair = authority.server()
    context = server_context(pair.certificate, pair.key, authority.pem)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        _echo,
        http=guarded(32_768, 5, 100),
        ws="none",
        lifespan="off",
        log_config=None,
        ssl_context_factory=lambda _config, _default: context,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield Served(authority, listener.getsockname()[1])
    server.should_exit = True
    await running


async def test_a_certificate_is_optional(served: Served) -> None:
    """Most come with a key instead."""
    assert "nobody" == await served.ask()


async def test_a_good_certificate_names_its_holder(served: Served) -> None:
    """The common name, for authorities that know nothing else."""
    assert "cn:staff-7" == await served.ask(served.authority.client("staff-7"))


async def test_alternative_names_count_before_the_common_name(served: Served) -> None:
    """A workload's URI first, then a mail address."""
    uri = x509.UniformResourceIdentifier("spiffe://example/svc-batch")
    mail = x509.RFC822Name("staff-7@example.org")

    assert "uri:spiffe://example/svc-batch" == await served.ask(
        served.authority.client("other", [mail, uri])
    )
    assert "email:staff-7@example.org" == await served.ask(served.authority.client("other", [mail]))


@pytest.mark.parametrize("bad", ["stranger", "expired", "for_servers"])
async def test_a_bad_certificate_opens_no_connection(
    served: Served, bad: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of an unknown authority, over its time, or meant for something else."""
    if bad == "stranger":
        other = Authority(tmp_path_factory.mktemp("other"), "authority")
        pair = other.client("staff-7")
    else:
        pair = served.authority.client("staff-7", **{bad: True})

    with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
        await served.ask(pair)


async def test_old_tls_is_not_spoken(served: Served) -> None:
    """1.2 at least."""
    context = served.authority.trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(httpx.ConnectError):
        await served.ask(context=context)


async def test_an_identity_ends_with_its_certificate(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may be kept longer than the certificate is good."""
    pair = served.authority.client("staff-7")
    async with httpx.AsyncClient(verify=served.authority.trusting(pair), trust_env=False) as http:
        url = f"https://127.0.0.1:{served.port}/"
        before = (await http.get(url)).text
        monkeypatch.setattr("sekisho.web.http_guard.time.time", lambda: 4_000_000_000.0)
        after = (await http.get(url)).text

    assert ("cn:staff-7", "nobody") == (before, after)


@pytest.mark.parametrize(
    ("certificate", "expected"),
    [
        (None, ""),
        ({}, ""),
        ({"subject": ((("commonName", "a"),),)}, "cn:a"),
        ({"subject": ((("commonName", "a"),), (("commonName", "b"),))}, ""),
        ({"subject": ((("commonName", "uri:spiffe://x"),),)}, "cn:uri:spiffe://x"),
        ({"subject": ((("commonName", ""),),)}, ""),
        ({"subject": ((("commonName", " a"),),)}, ""),
        ({"subject": ((("commonName", "a\0b"),),)}, ""),
        ({"subject": ((("commonName", "a" * IDENTITY_CHARS_MAX),),)}, ""),
        (
            {"subject": ((("commonName", "a"),),),
             "subjectAltName": (("URI", "x:1"), ("URI", "x:2"))},
            "",
        ),
        (
            {"subject": ((("commonName", "a"),),), "subjectAltName": (("DNS", "host"),)},
            "cn:a",
        ),
    ],
)  # fmt: skip
def test_what_names_two_or_nobody_is_nobody(
    certificate: dict[str, Any] | None, expected: str
) -> None:
    """The kinds stand in front, so one cannot be taken for another."""
    assert expected == identity_of(certificate)


def test_without_a_date_a_certificate_is_over() -> None:
    """Nothing is good for ever."""
    assert 0 == valid_until_s(None) == valid_until_s({})


def test_plain_http_needs_no_files() -> None:
    """The default, for a proxy that ends TLS."""
    assert configured(ServerSettings()) is None


def test_clients_are_not_asked_where_no_authority_is_named(authority: Authority) -> None:
    """A certificate nobody could check proves nothing."""
    pair = authority.server()
    settings = ServerSettings(tls_certificate=pair.certificate, tls_key=pair.key)
    context = configured(settings)

    assert context is not None
    assert ssl.CERT_NONE == context.verify_mode


@pytest.mark.parametrize("fault", ["missing", "no_pem", "other_key", "no_ca", "key_as_ca"])
def test_files_that_cannot_be_used_are_named(authority: Authority, fault: str) -> None:
    """The start fails with the setting and the reason, and never with a key's content."""
    pair, other = authority.server(), authority.client("other")
    junk = authority.folder / "junk.pem"
    junk.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n")
    certificate, key, ca = {
        "missing": (authority.folder / "none.pem", pair.key, None),
        "no_pem": (pair.certificate, junk, None),
        "other_key": (pair.certificate, other.key, None),
        "no_ca": (pair.certificate, pair.key, authority.folder / "none.pem"),
        "key_as_ca": (pair.certificate, pair.key, pair.key),
    }[fault]
    with pytest.raises(TLSUnusable) as refused:
        server_context(certificate, key, ca)

    assert "server.tls_" in refused.value.message
    assert ("cannot be read" in refused.value.message) == (fault in {"missing", "no_ca"})
    assert "c2VjcmV0" not in refused.value.message
