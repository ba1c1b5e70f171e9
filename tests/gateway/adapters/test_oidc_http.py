from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from sekisho.adapters.oidc_http import (
    ANSWER_BYTES_MAX,
    IssuerSilent,
    ask,
    may_be_asked,
    open_client,
)
from support.authority import Authority
from support.oidc import LoopbackIssuer
from support.tls_site import tls_site


@pytest.fixture
async def issuer() -> AsyncIterator[LoopbackIssuer]:
    async with LoopbackIssuer() as one:
        yield one


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with open_client() as client:
        yield client


async def test_a_certificate_that_is_not_trusted_is_told(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """An operator who reads "no answer" looks in the wrong place."""
    with (
        tls_site(Authority(tmp_path).server(), {}) as port,
        pytest.raises(IssuerSilent, match="certificate is not trusted here: unable to"),
    ):
        await ask(http, f"https://127.0.0.1:{port}/jwks")


@pytest.mark.parametrize(
    "url",
    [
        "https://issuer.example/jwks",
        "https://issuer.example:8443/a?b=c",
        "http://127.0.0.1:9400/jwks",
        "http://localhost/jwks",
        "http://[::1]:80/jwks",
    ],
)
def test_https_and_this_machine_may_be_asked(url: str) -> None:
    """Keys fetched in clear from elsewhere prove nothing."""
    assert may_be_asked(url, by="http://127.0.0.1:9400")


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/jwks",
        "http://localhost.issuer.example/jwks",
        "http://127.0.0.1.issuer.example/jwks",
        "http://127.0.0.1@issuer.example/jwks",
        "https://name:word@issuer.example/jwks",
        "https:///jwks",
        "//issuer.example/jwks",
        "file:///etc/passwd",
        "ftp://issuer.example/jwks",
        "https://issuer.example/#part",
        "https://issuer.example/\njwks",
        "https://issuer.example/a b",
        "https://issuer.example/é",
        "https://issuer.example:99999/",
        "https://[::1/",
        "https://issuer.example/" + "a" * 3000,
        "",
        None,
        17,
        ["https://issuer.example"],
    ],
)
def test_anything_else_is_never_asked(url: object) -> None:
    """A document of an issuer must not send us to where we would not go."""
    assert not may_be_asked(url, by="http://127.0.0.1:9400")


def test_an_issuer_elsewhere_does_not_lead_us_to_this_machine() -> None:
    """What listens on loopback trusts whoever can reach it."""
    by = "https://issuer.example"

    assert may_be_asked("https://keys.example/jwks", by=by)
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert not may_be_asked(f"http://{host}:6379/", by=by)


async def test_an_answer_is_status_and_json(
    issuer: LoopbackIssuer, http: httpx.AsyncClient
) -> None:
    """A refusal of the issuer is an answer too."""
    issuer.tokens, issuer.token_status = {"error": "invalid_grant"}, 400

    assert await ask(http, f"{issuer.url}/token", form="a=b") == (400, {"error": "invalid_grant"})


async def test_a_redirect_is_not_followed(issuer: LoopbackIssuer, http: httpx.AsyncClient) -> None:
    """It would lead to a server nobody configured."""
    issuer.faults["/jwks"] = web.Response(
        status=302, headers={"location": f"{issuer.url}/token"}, text="{}"
    )

    assert (await ask(http, f"{issuer.url}/jwks"))[0] == 302
    assert issuer.asked["/token"] == 0


async def test_no_cookie_is_kept(issuer: LoopbackIssuer, http: httpx.AsyncClient) -> None:
    """One client serves many people."""
    issuer.faults["/jwks"] = web.Response(text="{}", headers={"set-cookie": "who=one; Path=/"})

    await ask(http, f"{issuer.url}/jwks")
    await ask(http, f"{issuer.url}/jwks")

    assert issuer.asked["/jwks"] == 2
    assert issuer.cookies == []


async def test_the_proxy_of_the_environment_is_ignored(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sets an environment variable must not choose whose keys we see."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async with open_client() as http:
        assert (await ask(http, f"{issuer.url}/jwks"))[0] == 200


@pytest.mark.parametrize(
    "text", ["", "<html>", '{"a":1,"a":2}', '{"a":1} x', "[" * 40, '{"a":NaN}']
)
async def test_what_is_not_one_json_document_is_no_answer(
    text: str, issuer: LoopbackIssuer, http: httpx.AsyncClient
) -> None:
    """Two parsers must not see different keys in it."""
    issuer.faults["/jwks"] = web.Response(text=text)

    with pytest.raises(IssuerSilent):
        await ask(http, f"{issuer.url}/jwks")


async def test_a_large_answer_is_no_answer(issuer: LoopbackIssuer, http: httpx.AsyncClient) -> None:
    """Our memory is not an issuer's to fill."""
    issuer.faults["/jwks"] = web.Response(text='"' + "a" * ANSWER_BYTES_MAX + '"')

    with pytest.raises(IssuerSilent, match="bytes"):
        await ask(http, f"{issuer.url}/jwks")


async def test_a_compressed_answer_is_no_answer(
    issuer: LoopbackIssuer, http: httpx.AsyncClient
) -> None:
    """A small one could unpack to any size."""
    issuer.faults["/jwks"] = web.Response(
        body=gzip.compress(b"{}"), headers={"content-encoding": "gzip"}
    )

    with pytest.raises(IssuerSilent, match="compressed"):
        await ask(http, f"{issuer.url}/jwks")


async def test_a_closed_port_is_no_answer(http: httpx.AsyncClient) -> None:
    """The text says what happened and not what was sent."""
    with pytest.raises(IssuerSilent, match="ConnectError"):
        await ask(http, "http://127.0.0.1:9/jwks", form="code=canary")


@pytest.mark.parametrize("drips", [False, True])
async def test_a_hanging_issuer_is_given_up(drips: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for the whole exchange: one byte now and then does not lengthen it."""
    left = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            if drips:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while drips and not writer.is_closing():
                writer.write(b" ")
                await asyncio.sleep(0.02)
            await reader.read()
        writer.close()
        left.set()

    monkeypatch.setattr("sekisho.adapters.oidc_http.ANSWER_S", 0.3)
    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        async with open_client() as http:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(IssuerSilent, match="Timeout"):
                await ask(http, f"http://127.0.0.1:{port}/")
        await left.wait()
