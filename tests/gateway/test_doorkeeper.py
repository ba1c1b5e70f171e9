from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sekisho.doorkeeper import READ_BYTES_MAX, Doorkeeper
from sekisho.web.tls import server_context
from support.authority import Authority


@dataclass
class Door:
    keeper: Doorkeeper
    listener: socket.socket

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """An open door on a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        keeper = Doorkeeper(listener)
        await keeper.open()
        yield Door(keeper, listener)
        await keeper.close()


async def _ask(door: Door, body: bytes = b"{}") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        return await client.post(f"http://127.0.0.1:{door.port}/v1/chat/completions", content=body)


async def test_while_no_worker_answers_the_client_is_told(door: Door) -> None:
    """503 at once in the shape every SDK reads, with when to come back."""
    answer = await _ask(door)

    assert (503, "gateway_starting") == (answer.status_code, answer.json()["error"]["code"])
    assert int(answer.headers["retry-after"]) > 0
    assert "close" == answer.headers["connection"]


async def test_a_large_request_is_answered_too(door: Door) -> None:
    """More than it reads at once is drained for a moment, so that the answer arrives."""
    assert 503 == (await _ask(door, b"x" * READ_BYTES_MAX * 8)).status_code


async def test_a_silent_client_is_answered_and_let_go(door: Door) -> None:
    """It does not hold a connection by saying nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    said = await reader.read()
    writer.close()

    assert said.startswith(b"HTTP/1.1 503 ")


async def test_opening_and_closing_twice_is_once(door: Door) -> None:
    """Whoever calls need not know how it stands; the shared socket stays open."""
    await door.keeper.open()
    await door.keeper.close()
    await door.keeper.close()
    assert door.listener.fileno() >= 0

    await door.keeper.open()
    assert 503 == (await _ask(door)).status_code


async def test_two_who_open_it_at_once_open_one_door(door: Door) -> None:
    """As when two workers die together: once closed, nobody is answered in place of a worker."""
    await door.keeper.close()
    await asyncio.gather(*(door.keeper.open() for _ in range(3)))
    assert 503 == (await _ask(door)).status_code

    await asyncio.gather(door.keeper.open(), door.keeper.close())

    with pytest.raises(httpx.ReadTimeout):
        async with httpx.AsyncClient(trust_env=False, timeout=0.5) as client:
            await client.get(f"http://127.0.0.1:{door.port}/")


async def test_with_tls_it_answers_over_tls(tmp_path: Path) -> None:
    """A client that speaks TLS would take plain text for a broken server."""
    authority = Authority(tmp_path)
    pair = authority.server()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        keeper = Doorkeeper(listener, server_context(pair.certificate, pair.key, None))
        await keeper.open()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1/models"
        async with httpx.AsyncClient(verify=authority.trusting(), trust_env=False) as client:
            answer = await client.get(url)
        await keeper.close()

    assert (503, "gateway_starting") == (answer.status_code, answer.json()["error"]["code"])
