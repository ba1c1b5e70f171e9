"""Answers with tool calls, whole and in a stream, as a backend gives them."""

from __future__ import annotations

import orjson

from support.line import CHAT_BODY

STREAM_BODY = CHAT_BODY[:-1] + b',"stream":true}'
STREAMED = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"I write."}}]}\n\n',
    (
        b'data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t1",'
        b'"function":{"name":"crm.write","arguments":"{\\"id\\":7}"}}]}}]}\n\n'
    ),
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n',
    b"data: [DONE]\n\n",
)
"""Some text, then one call; `STREAMED[:1] + STREAMED[3:]` is the text alone."""


def calling(*arguments: str) -> bytes:
    """An answer that calls `crm.write` so often."""
    calls = [
        {"id": f"t{n}", "type": "function", "function": {"name": "crm.write", "arguments": one}}
        for n, one in enumerate(arguments)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    return orjson.dumps(
        {"choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]}
    )
