"""The way out: exact bytes, our credential only, no cookies, no redirects, no retries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from sekisho.adapters.aiohttp_backend import LIST_BYTES_MAX, AiohttpBackend, Endpoint
from sekisho.backends.profile import Profile, load
from sekisho.errors import BackendFailed, BackendTimedOut
from support.loopback_backend import LoopbackBackend

PATH = "/chat/completions"


def _endpoint(url: str, profile: Profile | None = None, read_s: float = 5.0) -> Endpoint:
    return Endpoint(
        id="b",
        profile=profile or load("openai"),
        base_url=url,
        api_key="backend-key",
        timeout_connect_s=2.0,
        timeout_read_s=read_s,
        keepalive_s=5.0,
        concurrency=8,
    )


@pytest.fixture
async def scripted() -> AsyncIterator[LoopbackBackend]:
    """The backend on the other side."""
    async with LoopbackBackend() as running:
        yield running


@pytest.fixture
async def backend(scripted: LoopbackBackend) -> AsyncIterator[AiohttpBackend]:
    """The adapter under test, open."""
    made = AiohttpBackend({"b": _endpoint(scripted.url)})
    await made.open()
    yield made
    await made.close()


async def _all(backend: AiohttpBackend, body: bytes) -> tuple[int, bytes]:
    reply = await backend.send("b", PATH, body, {})
    content = b"".join([chunk async for chunk in reply.chunks()])
    await reply.close()
    return reply.status, content


async def test_the_bytes_that_arrive_are_the_bytes_that_were_given(
    backend: AiohttpBackend, scripted: LoopbackBackend
) -> None:
    """Spaces, key order and number spellings included."""
    body = b'{ "model":"ok",  "messages": [], "x": 1.50 }'

    status, _ = await _all(backend, body)

    assert 200 == status
    assert [body] == [seen.body for seen in scripted.seen]


async def test_only_our_credential_and_no_cookie_goes_out(
    backend: AiohttpBackend, scripted: LoopbackBackend
) -> None:
    """A cookie the backend set in one call is not in the next."""
    for _ in range(2):
        await _all(backend, b'{"model":"cookie","messages":[]}')

    headers = {name.lower(): value for name, value in scripted.seen[1].headers.items()}
    assert "Bearer backend-key" == headers["authorization"]
    assert "identity" == headers["accept-encoding"]
    assert "cookie" not in headers


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [("raw", "authorization", "backend-key"), ("api-key", "api-key", "backend-key")],
)
async def test_the_profile_says_how_the_credential_is_sent(
    scripted: LoopbackBackend, auth: str, header: str, value: str
) -> None:
    """Some backends want no scheme, some a header of their own."""
    profile = Profile("p", auth, {"chat.completions": PATH})
    made = AiohttpBackend({"b": _endpoint(scripted.url, profile)})
    await made.open()
    await _all(made, b'{"model":"ok","messages":[]}')
    await made.close()

    headers = {name.lower(): text for name, text in scripted.seen[0].headers.items()}
    assert value == headers[header]


async def test_a_redirect_is_never_followed(
    backend: AiohttpBackend, scripted: LoopbackBackend
) -> None:
    """Following it would send the bytes, and our credential, somewhere nobody decided on."""
    with pytest.raises(BackendFailed) as caught:
        await backend.send("b", PATH, b'{"model":"redirect","messages":[]}', {})

    assert "backend_redirected" == caught.value.code
    assert 1 == len(scripted.seen)


async def test_a_connection_that_dies_before_an_answer_is_told_apart(
    backend: AiohttpBackend, scripted: LoopbackBackend
) -> None:
    """The line may then try once more, with another intent; the adapter itself never does."""
    with pytest.raises(BackendFailed) as caught:
        await backend.send("b", PATH, b'{"model":"dead","messages":[]}', {})

    assert "backend_disconnected" == caught.value.code
    assert 1 == len(scripted.seen)


async def test_nobody_listening_is_unreachable(scripted: LoopbackBackend) -> None:
    """A clear error instead of an aiohttp exception."""
    made = AiohttpBackend({"b": _endpoint("http://127.0.0.1:9/v1")})
    await made.open()
    with pytest.raises(BackendFailed) as caught:
        await made.send("b", PATH, b"{}", {})
    await made.close()

    assert "backend_unreachable" == caught.value.code


async def test_waiting_for_a_place_ends(scripted: LoopbackBackend) -> None:
    """When all connections to a backend are taken, the next request is told so in time."""
    endpoint = replace(_endpoint(scripted.url), concurrency=1, timeout_connect_s=0.3)
    made = AiohttpBackend({"b": endpoint})
    await made.open()
    taken = await made.send("b", PATH, b'{"model":"stall","messages":[],"stream":true}', {})

    with pytest.raises(BackendTimedOut):
        await made.send("b", PATH, b'{"model":"ok","messages":[]}', {})

    await taken.close()
    await made.close()


async def test_a_stalled_answer_times_out(scripted: LoopbackBackend) -> None:
    """Silence in mid-stream ends at the read timeout."""
    made = AiohttpBackend({"b": _endpoint(scripted.url, read_s=0.3)})
    await made.open()
    reply = await made.send("b", PATH, b'{"model":"stall","messages":[],"stream":true}', {})

    with pytest.raises(BackendTimedOut):
        async for _ in reply.chunks():
            pass

    await reply.close()
    await made.close()


async def test_a_cut_stream_is_a_failure_not_an_end(backend: AiohttpBackend) -> None:
    """A broken connection must not look like a finished answer."""
    reply = await backend.send("b", PATH, b'{"model":"cut","messages":[],"stream":true}', {})

    with pytest.raises(BackendFailed) as caught:
        async for _ in reply.chunks():
            pass

    assert "backend_cut" == caught.value.code
    await reply.close()


async def test_closing_cancels_the_backend(
    backend: AiohttpBackend, scripted: LoopbackBackend
) -> None:
    """What the client no longer wants is not paid for."""
    reply = await backend.send("b", PATH, b'{"model":"stall","messages":[],"stream":true}', {})
    async for _ in reply.chunks():
        break

    await reply.close()

    async with asyncio.timeout(2):
        while not scripted.seen[0].cancelled:
            await asyncio.sleep(0.01)
    assert scripted.seen[0].cancelled


async def test_a_backends_own_list_is_read(
    backend: AiohttpBackend, scripted: LoopbackBackend
) -> None:
    """With our credential, and without anything of a client's."""
    scripted.models = web.json_response({"data": [{"id": "m"}]})

    assert b'{"data": [{"id": "m"}]}' == await backend.listed_models("b")
    (seen,) = scripted.listed
    headers = {name.lower(): value for name, value in seen.headers.items()}
    assert ("/v1/models", b"") == (seen.path, seen.body)
    assert "Bearer backend-key" == headers["authorization"]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        web.Response(status=302, headers={"location": "/elsewhere"}),
        web.Response(status=500),
        web.Response(body=b"x", headers={"content-encoding": "gzip"}),
        web.Response(body=b" " * (LIST_BYTES_MAX + 1)),
    ],
)
async def test_what_is_no_list_of_bounded_size_is_a_failure(
    backend: AiohttpBackend, scripted: LoopbackBackend, answer: web.Response | None
) -> None:
    """None there, sent elsewhere, broken, compressed, endless."""
    scripted.models = answer
    with pytest.raises(BackendFailed):
        await backend.listed_models("b")


async def test_a_profile_without_a_list_is_not_asked(scripted: LoopbackBackend) -> None:
    """Nor a backend that is not there."""
    profile = Profile("x", "bearer", {"chat.completions": PATH})
    made = AiohttpBackend({"b": _endpoint(scripted.url, profile)})
    await made.open()
    with pytest.raises(BackendFailed, match="no list"):
        await made.listed_models("b")
    await made.close()
    gone = AiohttpBackend({"b": _endpoint("http://127.0.0.1:9/v1")})
    await gone.open()
    with pytest.raises(BackendFailed, match="could not be reached"):
        await gone.listed_models("b")
    await gone.close()
    assert not scripted.listed
