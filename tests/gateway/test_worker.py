from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from sekisho import wiring
from sekisho.config import Settings
from sekisho.web.data_path import DataPath
from sekisho.worker import _config, _end_when, _Server

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
