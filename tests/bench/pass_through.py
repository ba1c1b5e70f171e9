"""The yardstick: FastAPI and httpx relaying a request and doing nothing else.

python pass_through.py PORT BACKEND_URL
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

app = FastAPI()
client = httpx.AsyncClient(
    limits=httpx.Limits(max_connections=1000, max_keepalive_connections=1000), timeout=60
)


@app.post("/v1/chat/completions")
async def relay(request: Request) -> Response:
    """Bytes in, bytes out."""
    body = await request.body()
    outgoing = client.build_request(
        "POST", f"{sys.argv[2]}/chat/completions", content=body,
        headers={"content-type": "application/json"},
    )  # fmt: skip
    answer = await client.send(outgoing, stream=True)
    if b'"stream":true' not in body:
        content = await answer.aread()
        return Response(content, media_type=answer.headers["content-type"])

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_raw():
                yield piece
        finally:
            await answer.aclose()

    return StreamingResponse(pieces(), media_type="text/event-stream")


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False,
        loop="uvloop", http="httptools",
    )  # fmt: skip
