from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import Request
from pydantic import BaseModel, ConfigDict

from sekisho.errors import BadRequest, TooLarge, TooSlow
from sekisho.web.bodies import read_body, read_model

BYTES_MAX = 10


def _request(*messages: dict[str, Any], length: str | None = None) -> Request:
    """A request whose body comes as these messages, and then nothing more."""
    headers = [] if length is None else [(b"content-length", length.encode())]
    waiting: AsyncIterator[dict[str, Any]] = _coming(*messages)
    return Request({"type": "http", "headers": headers}, waiting.__anext__)


async def _coming(*messages: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for message in messages:
        yield message
    await asyncio.Event().wait()


def _piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def _read(request: Request) -> bytes:
    return await read_body(request, bytes_max=BYTES_MAX, timeout_s=0.05)


async def test_a_body_comes_in_pieces() -> None:
    """Exactly as large as it may be."""
    assert b"0123456789" == await _read(_request(_piece(b"01234", more=True), _piece(b"56789")))


async def test_no_body_is_an_empty_one() -> None:
    """GET, and a POST without a word."""
    assert b"" == await _read(_request({"type": "http.request"}))


@pytest.mark.parametrize("length", ["11", "9" * 5000])
async def test_what_is_declared_too_large_is_not_read(length: str) -> None:
    """Not a byte: the client has not sent any."""
    with pytest.raises(TooLarge):
        await _read(_request(length=length))


@pytest.mark.parametrize("length", [None, "5", "-1", "five", "²"])
async def test_what_turns_out_too_large_is_refused(length: str | None) -> None:
    """Whatever was declared."""
    with pytest.raises(TooLarge):
        await _read(_request(_piece(b"x" * 6, more=True), _piece(b"x" * 5, more=True),
                             length=length))  # fmt: skip


async def test_a_slow_body_is_given_up() -> None:
    """It keeps no task longer than its time."""
    with pytest.raises(TooSlow):
        await _read(_request(_piece(b"x", more=True)))


async def test_a_client_that_leaves_is_no_fault_of_ours() -> None:
    """An error with a status, not an exception in the log."""
    with pytest.raises(TooSlow):
        await _read(_request(_piece(b"x", more=True), {"type": "http.disconnect"}))


class _Word(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    word: str


async def _model(body: bytes) -> _Word:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    return await read_model(request, _Word, what="a word", bytes_max=100, depth_max=1)


async def test_a_body_is_read_as_what_it_should_be() -> None:
    """Strictly, and once."""
    assert "x" == (await _model(b'{"word":"x"}')).word


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b'{"word":"x","word":"y"}', None),
        (b'{"word":{"x":{}}}', None),
        (b'{"word":1}', "word"),
        (b'{"word":"x","more":1}', "more"),
        (b"[]", None),
    ],
)
async def test_a_body_that_is_something_else_says_where(body: bytes, param: str | None) -> None:
    """With the member at fault, if it is one."""
    with pytest.raises(BadRequest) as caught:
        await _model(body)
    assert param == caught.value.param
