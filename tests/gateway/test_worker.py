from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sekisho import wiring
from sekisho.config import Settings
from sekisho.web.cors import Cors
from sekisho.web.data_path import DataPath
from sekisho.web.tls import TLSUnusable, server_context
from sekisho.worker import Loop, _config, _end_when, _Server
from support.authority import Authority

BACKEND = {"id": "local", "base_url": "https://models.example/v1", "models": ["*"]}


async def _app(*_: Any) -> None:
    """Any ASGI application."""


def test_the_server_is_as_tight_as_the_settings_say(tmp_path: Path) -> None:
    """No access log (paths hold ids), no trust in forwarded addresses, heads bounded."""
    server = {"header_bytes_max": 2048, "headers_timeout_s": 3, "drain_s": 7}
    settings = Settings.model_validate(
        {"data_dir": tmp_path, "backends": [BACKEND], "server": server}
    )
    config = _config(settings, cast("DataPath", _app))

    assert not config.access_log
    assert not config.proxy_headers
    assert not config.server_header
    assert 7 == config.timeout_graceful_shutdown
    protocol = cast("Any", config.http)
    assert (2048, 3) == (protocol.head_bytes_max, protocol.head_timeout_s)


async def test_exhausted_engines_end_the_worker() -> None:
    """It admits nobody from then on and leaves, to be replaced."""
    said: list[str] = []
    worker = cast("wiring.Worker", SimpleNamespace(stop_admitting=lambda: said.append("stopped")))
    server = cast("_Server", SimpleNamespace(should_exit=False))
    exhausted = asyncio.Event()
    ending = asyncio.create_task(_end_when(exhausted, worker, server))
    await asyncio.sleep(0)
    assert not said

    exhausted.set()
    await ending

    assert ["stopped"] == said
    assert server.should_exit


def test_every_answer_carries_what_browsers_need(tmp_path: Path) -> None:
    """The server itself says it; https is asked for only where people use it."""
    plain = {"data_dir": tmp_path, "backends": [BACKEND]}
    proxied = {**plain, "server": {"public_url": "https://gate.example"}}
    headers = [
        dict(_config(Settings.model_validate(document), cast("DataPath", _app)).headers)
        for document in (plain, proxied)
    ]

    assert ["nosniff", "nosniff"] == [each["x-content-type-options"] for each in headers]
    assert [False, True] == ["strict-transport-security" in each for each in headers]


def test_with_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    """The context is made before anything is served, so that a bad file ends the start."""
    pair = Authority(tmp_path).server()
    server = {"tls_certificate": pair.certificate, "tls_key": pair.key}
    document = {"data_dir": tmp_path, "backends": [BACKEND], "server": server}
    config = _config(Settings.model_validate(document), cast("DataPath", _app))
    made = cast("Any", config.ssl_context_factory)(config, None)

    assert config.is_ssl
    assert isinstance(made, ssl.SSLContext)
    with pytest.raises(TLSUnusable):
        _config(
            Settings.model_validate(
                {**document, "server": {**server, "tls_key": tmp_path / "none"}}
            ),
            cast("DataPath", _app),
        )


def test_pages_of_others_are_let_in_by_name_only(tmp_path: Path) -> None:
    """Without the setting the application stands there by itself."""
    document = {"data_dir": tmp_path, "backends": [BACKEND]}
    listed = {**document, "server": {"cors_origins": ["https://chat.example"]}}

    assert _config(Settings.model_validate(document), cast("DataPath", _app)).app is _app
    assert isinstance(_config(Settings.model_validate(listed), cast("DataPath", _app)).app, Cors)


def test_a_handshake_without_end_is_cut(tmp_path: Path) -> None:
    """Whoever connects and says nothing is let go; otherwise they cost a file each for a minute."""
    pair = Authority(tmp_path).server()
    context = server_context(pair.certificate, pair.key, None)

    async def silent() -> bytes:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(20):
            said = await reader.read()
        writer.close()
        server.close()
        return said

    with asyncio.Runner(loop_factory=lambda: Loop(0.2)) as runner:
        assert b"" == runner.run(silent())
