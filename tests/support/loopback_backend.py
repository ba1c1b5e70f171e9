"""A scripted OpenAI-shaped backend on loopback: it records what it saw and misbehaves on request.

What it does is chosen by the model name of the request: `ok` answers, `slow` answers after
`slow_s`, `stall` sends a first chunk and then nothing, `cut` breaks the connection half way,
`status-503` answers with that status, `cookie` sets a cookie, `redirect` redirects, `big` sends a
large answer, `notjson` sends text, `dead` closes the connection without a byte. `agent` calls
each function it is offered once, in one turn, and says what came back in the next.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

ARGUMENTS = '{"customer": 7}'


@dataclass
class Seen:
    """One request as it reached the backend."""

    path: str
    headers: dict[str, str]
    body: bytes
    cancelled: bool = False


@dataclass
class LoopbackBackend:
    """Use as an async context manager; `url` is the base URL to configure."""

    words: int = 5
    chunk_pause_s: float = 0.0
    slow_s: float = 0.5
    seen: list[Seen] = field(default_factory=list)
    models: web.StreamResponse | None = None  # the answer to who asks which there are
    listed: list[Seen] = field(default_factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self.listed.append(Seen(request.path, dict(request.headers), await request.read()))
        return self.models or web.Response(status=404)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(request.path, dict(request.headers), await request.read())
        self.seen.append(seen)
        body = json.loads(seen.body)
        try:
            return await self._answer(request, body)
        except asyncio.CancelledError:
            seen.cancelled = True
            raise

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        model = body["model"]
        if model == "slow":
            await asyncio.sleep(self.slow_s)
        if model.startswith("status-"):
            error = {"error": {"message": "scripted", "type": "x", "param": None, "code": "x"}}
            return web.json_response(error, status=int(model.removeprefix("status-")))
        if model == "redirect":
            return web.Response(status=307, headers={"location": "http://127.0.0.1:9/steal"})
        if model == "notjson":
            return web.Response(text="<html>", content_type="text/html")
        if model == "dead":
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        if model == "agent":
            return await self._agent(request, body)
        if body.get("stream"):
            return await self._stream(request, model)
        text = "x" * 20_000_000 if model == "big" else "word " * self.words
        answer = web.json_response(completion(model, text))
        if model == "cookie":
            answer.set_cookie("session", "backend-secret")
        return answer

    async def _agent(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        results = [one["content"] for one in body["messages"] if one["role"] == "tool"]
        offered = [tool["function"]["name"] for tool in body.get("tools", [])]
        message = called(offered) if offered and not results else said(results)
        finish = "tool_calls" if "tool_calls" in message else "stop"
        if not body.get("stream"):
            whole = completion("agent", "")
            whole["choices"][0] |= {"message": message, "finish_reason": finish}
            return web.json_response(whole)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        calls = message.pop("tool_calls", [])
        if calls:
            message["content"] = "I write it."
        for delta in (
            message,
            *({"tool_calls": [{"index": n, **one}]} for n, one in enumerate(calls)),
        ):
            part = chunk("agent", "")
            part["choices"][0]["delta"] = delta
            await response.write(sse(part))
        last = chunk("agent", None)
        last["choices"][0]["finish_reason"] = finish
        await response.write(sse(last))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _stream(self, request: web.Request, model: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(self.words):
            await response.write(sse(chunk(model, "word " if number else "first ")))
            if model == "stall":
                await asyncio.sleep(3600)
            if model == "cut" and number == 1 and request.transport is not None:
                request.transport.close()
                return response
            await asyncio.sleep(self.chunk_pause_s)
        last = chunk(model, None)
        last["usage"] = {"prompt_tokens": 3, "completion_tokens": self.words, "total_tokens": 8}
        await response.write(sse(last))
        await response.write(b"data: [DONE]\n\n")
        return response


def called(names: list[str]) -> dict[str, Any]:
    """A message that calls these functions, each with an argument."""
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": ARGUMENTS}}
        for n, name in enumerate(names)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def said(results: list[str]) -> dict[str, Any]:
    """A message that tells what the functions gave."""
    return {"role": "assistant", "content": "done: " + ", ".join(results)}


def completion(model: str, text: str) -> dict[str, Any]:
    """A whole chat completion."""
    return {
        "id": "chatcmpl-backend-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }


def chunk(model: str, text: str | None) -> dict[str, Any]:
    """One chunk of a stream; None ends it."""
    delta = {} if text is None else {"role": "assistant", "content": text}
    finish = "stop" if text is None else None
    return {
        "id": "chatcmpl-backend-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def sse(data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


@contextmanager
def in_thread() -> Iterator[LoopbackBackend]:
    """A backend in a loop of its own, for tests that have none."""
    backend = LoopbackBackend()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(backend.__aenter__(), loop).result(10)
    try:
        yield backend
    finally:  # a thread that runs on would hold up pytest's end
        asyncio.run_coroutine_threadsafe(backend.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
