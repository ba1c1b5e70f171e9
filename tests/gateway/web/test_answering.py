"""How an answer is written; its life with a client is in test_data_path.py."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.web.answering import PIECE_BYTES, Answering, Message, as_headers


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
async def test_every_size_is_written_whole_and_ended_once(size: int) -> None:
    """The last piece, and only the last, says that no more follows."""
    sent: list[dict[str, Any]] = []

    async def send(message: Message) -> None:
        sent.append(dict(message))

    await Answering(send, _nothing).whole(200, [], b"x" * size)

    bodies = sent[1:]
    assert b"x" * size == b"".join(m["body"] for m in bodies)
    assert [False] == [m.get("more_body", False) for m in bodies][-1:]
    assert all(m["more_body"] for m in bodies[:-1])
    assert (b"content-length", str(size).encode()) in sent[0]["headers"]


def test_headers_become_bytes() -> None:
    """As ASGI wants them."""
    assert [(b"a", b"\xe9")] == as_headers({"a": "\u00e9"})
