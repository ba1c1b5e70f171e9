"""The channel to an OPA server: each trap of the client behind it, and what we put against it."""

from __future__ import annotations

import ast
import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opa_client.opa_async import AsyncOpaClient

from sekisho.adapters import opa_channel
from sekisho.adapters.opa_channel import (
    ANSWER_BYTES_MAX,
    PACKAGE,
    RULE,
    OpaChannel,
    OpaPlace,
    OpaRefused,
    OpaUnreadable,
    cause_of,
)
from support.authority import Authority, Pair
from support.installation import free_port
from support.opa_data_api import DataAPI, cut, data_api, flood, reset, says, slow
from support.rules import SHIPPED, document

PATH = "/v1/data/sekisho/decision?provenance=true&strict-builtin-errors=true"


@asynccontextmanager
async def opened(place: OpaPlace, timeout_s: float = 5.0) -> AsyncIterator[OpaChannel]:
    """A channel as the adapter uses it."""
    channel = OpaChannel(place, timeout_s)
    await channel.open()
    try:
        yield channel
    finally:
        await channel.close_connection()


async def failure(api: DataAPI, timeout_s: float = 5.0, **more: Any) -> Exception:
    """What a question raises."""
    async with opened(OpaPlace(api.url, **more), timeout_s) as channel:
        with pytest.raises(Exception) as caught:
            await channel.ask(document())
    assert isinstance(caught.value, Exception)
    return caught.value


async def test_a_whole_answer() -> None:
    """One POST to one constant path; OPA's whole body comes back, with provenance."""
    with data_api(SHIPPED) as api:
        async with opened(OpaPlace(api.url)) as channel:
            answer = await channel.ask(document())

    assert "allow" == answer["result"]["effect"]
    assert api.revisions["sekisho"] == answer["provenance"]["bundles"]["sekisho"]["revision"]
    (asked,) = api.seen
    assert ("POST", PATH) == (asked.method, asked.path)
    assert {"input": document()} == json.loads(asked.body)


async def test_trap_1_before_it_is_open() -> None:
    """The client has no session then and stumbles over None; this says what is wrong."""
    with pytest.raises(RuntimeError, match="not open"):
        await OpaChannel(OpaPlace("http://127.0.0.1:1"), 1.0).ask(document())


async def test_trap_1_opened_twice() -> None:
    """A start that is tried again keeps the session it has."""
    async with opened(OpaPlace("http://127.0.0.1:1")) as channel:
        first = channel._session
        await channel.open()
        assert first is channel._session


async def test_trap_2_a_500_is_asked_once_and_keeps_its_body() -> None:
    """The client would ask three times for a second and drop what OPA says of its rules."""
    body = {"code": "internal_error", "errors": [{"code": "eval_conflict_error"}]}
    with data_api(None) as api:
        api.fail(says(500, body))
        error = await failure(api)

    assert 1 == len(api.seen)
    assert isinstance(error, OpaRefused)
    assert (500, "internal_error") == (error.status, error.code)
    assert {"eval_conflict_error"} == error.inner


async def test_trap_2_a_dead_port_is_tried_once() -> None:
    """The client would take 0.9 s for three tries."""
    tries: list[float] = []

    async def on_connect(*_: Any) -> None:
        tries.append(asyncio.get_running_loop().time())

    async with opened(OpaPlace(f"http://127.0.0.1:{free_port()}")) as channel:
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_start.append(on_connect)
        tracing.freeze()
        channel._session._trace_configs.append(tracing)
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await channel.ask(document())

    assert 1 == len(tries)
    assert "unreachable" == cause_of(caught.value)


FAULTS = {
    "status_500": says(500, {"code": "internal_error"}),
    "status_503": says(503, b"busy", "text/plain"),
    "status_302": says(302, b""),
    "status_404": says(404, {"code": "resource_not_found"}),
    "refused": says(401, {"code": "unauthorized"}),
    "late": slow(2.0),
    "reset": reset,
    "cut": cut,
}
UNREADABLE = {
    "no JSON": says(200, b"<html>welcome</html>", "text/html"),
    "nothing": says(200, b""),
    "a list": says(200, b'[{"result": {}}]'),
    "a number JSON does not have": says(200, b'{"result": {"risk": NaN}}'),
    "not UTF-8": says(200, b'{"result": "\xff"}'),
    "without an end": flood,
    "one byte too large": says(200, b" " * (ANSWER_BYTES_MAX + 1)),
}


@pytest.mark.parametrize("cause", FAULTS)
async def test_trap_3_every_failure_has_a_word(cause: str) -> None:
    """Errors of three libraries come through the client; each becomes one word for operators."""
    with data_api(None) as api:
        api.fail(FAULTS[cause])
        error = await failure(api, 0.5 if cause == "late" else 5.0)

    assert cause == cause_of(error)


@pytest.mark.parametrize("case", UNREADABLE)
async def test_trap_3_an_answer_that_cannot_be_read(case: str) -> None:
    """Whatever has no end or no meaning is left, and memory stays bounded."""
    with data_api(None) as api:
        api.fail(UNREADABLE[case])
        error = await failure(api)

    assert isinstance(error, OpaUnreadable)
    assert "unreadable" == cause_of(error)


def test_trap_3_what_nobody_thought_of() -> None:
    """An error of any other kind has a word too."""
    assert "broken" == cause_of(KeyError("x"))


async def test_trap_4_undefined_has_no_result() -> None:
    """OPA answers 200 and leaves `result` out; the adapter must see that it is not there."""
    with data_api(None) as api:
        async with opened(OpaPlace(api.url)) as channel:
            answer = await channel.ask(document())

    assert "result" not in answer
    assert "bundles" not in answer["provenance"]


def test_traps_5_6_8_nothing_else_of_the_client_is_used() -> None:
    """Its uploads rewrite refused rules and send the token elsewhere; its bulk call pastes inputs
    into query text. No module of ours names any of its calls but one.
    """
    folder = Path(opa_channel.__file__).parents[1]
    calls = {name for name in vars(AsyncOpaClient) if not name.startswith("_")}
    barred = calls - {"query_rule", "close_connection"}
    assert {"update_policy_from_string", "update_policy_from_url", "bulk_query_rule"} <= barred
    named = {
        (path.name, node.attr)
        for path in folder.rglob("*.py")
        if "opa" in path.read_text("utf-8").lower()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in barred
    }
    assert set() == named


CALLS: dict[str, Any] = {
    "update_policy_from_string": ("package a", "a"),
    "update_policy_from_url": ("http://127.0.0.1:1/a.rego", "a"),
    "delete_policy": ("a",),
    "update_or_create_data": ({}, "a"),
    "patch_data": ("a", []),
    "get_policies_list": (),
    "ad_hoc_query": ("x = 1",),
    "bulk_query_rule": ([{}], "sekisho", "decision"),
    "compile_query": ("x = 1",),
    "get_config": (),
    "query_rule": ({}, "sekisho", "effect"),
    "query_rule ": ({}, "sekisho/decision?x=", None),
}


@pytest.mark.parametrize("call", CALLS)
async def test_traps_5_6_8_the_channel_refuses_everything_else(call: str) -> None:
    """Whoever calls it by mistake gets an error here, and OPA hears nothing."""
    with data_api(None) as api:
        async with opened(OpaPlace(api.url, token="t-1")) as channel:
            with pytest.raises((RuntimeError, TypeError)):
                await getattr(channel, call.strip())(*CALLS[call])

    assert [] == api.seen


async def test_trap_6_a_redirect_is_not_followed() -> None:
    """Neither the token nor the facts go where an answer points."""
    with data_api(None) as other, data_api(None) as api:
        api.fail(says(307, b""))

        async def away(request: Any, _api: DataAPI) -> Any:
            raise aiohttp.web.HTTPTemporaryRedirect(f"{other.url}{request.path_qs}")

        api.fail(away)
        error = await failure(api, token="t-1")

    assert [] == other.seen
    assert "status_307" == cause_of(error)


async def test_trap_7_the_path_is_a_constant() -> None:
    """The client builds paths by replacing dots; nothing of a request may get into one."""
    assert PACKAGE.isalpha()
    assert RULE.isalpha()
    with data_api(None) as api:
        async with opened(OpaPlace(api.url)) as channel:
            odd = document(principal__id="users/../../policies/x?y=", request__model="a.b/../c")
            await channel.ask(odd)

    assert [PATH] == [asked.path for asked in api.seen]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_side(pair: Pair, clients: Authority | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.pem)
    return context


async def test_trap_9_an_authority_of_ones_own(authority: Authority) -> None:
    """The client knows this machine's authorities only."""
    with data_api(None, tls=server_side(authority.server())) as api:
        async with opened(OpaPlace(api.url, ca_file=authority.pem)) as channel:
            assert "provenance" in await channel.ask(document())


async def test_trap_9_another_authority(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A server that ours did not sign is not asked anything."""
    other = Authority(tmp_path_factory.mktemp("other"))
    with data_api(None, tls=server_side(other.server())) as api:
        error = await failure(api, ca_file=authority.pem)

    assert "untrusted" == cause_of(error)
    assert [] == api.seen


async def test_trap_9_a_certificate_of_the_client(authority: Authority) -> None:
    """A server may ask who asks."""
    mine = authority.client("gateway")
    with data_api(None, tls=server_side(authority.server(), authority)) as api:
        place = OpaPlace(api.url, ca_file=authority.pem, client_pair=(mine.certificate, mine.key))
        async with opened(place) as channel:
            assert "provenance" in await channel.ask(document())
        error = await failure(api, ca_file=authority.pem)

    assert cause_of(error) in {"untrusted", "reset"}
    assert 1 == len(api.seen)


async def test_trap_9_plain_http_to_a_tls_port(authority: Authority) -> None:
    """A wrong scheme in the settings is an ended connection, not a hang."""
    with data_api(None, tls=server_side(authority.server())) as api:
        async with opened(OpaPlace(api.url.replace("https", "http"))) as channel:
            with pytest.raises(aiohttp.ClientError) as caught:
                await channel.ask(document())

    assert cause_of(caught.value) in {"reset", "status_400", "broken"}


async def test_trap_9_an_empty_document_is_sent() -> None:
    """The client's other calls drop `{}`; a question without `input` would read data alone."""
    with data_api(None) as api:
        async with opened(OpaPlace(api.url)) as channel:
            await channel.ask({})

    assert b'{"input":{}}' == api.seen[0].body


async def test_the_token_is_a_bearer_token() -> None:
    """It is sent with every question and stands in no repr."""
    with data_api(None, token="t-1") as api:
        place = OpaPlace(api.url, token="t-1")
        async with opened(place) as channel:
            assert "provenance" in await channel.ask(document())
        error = await failure(api)

    assert "refused" == cause_of(error)
    assert "t-1" not in repr(place)


async def test_cookies_are_not_kept() -> None:
    """Two decisions have nothing to do with each other."""

    async def baked(request: Any, api: DataAPI) -> Any:
        response = await api.decide(request, await request.json())
        response.set_cookie("a", "b")
        return response

    with data_api(None) as api:
        api.fail(baked)
        async with opened(OpaPlace(api.url)) as channel:
            await channel.ask(document())
            await channel.ask(document())

    assert not any("Cookie" in asked.headers for asked in api.seen)


async def test_an_address_of_version_6() -> None:
    """Its brackets survive the client's way to build URLs."""
    channel = OpaChannel(OpaPlace("http://[::1]:8181"), 1.0)

    assert "http://[::1]:8181/v1" == channel.root_url
