"""For operators and their load balancers: alive, ready, and the metrics.

`/readyz` asks each part a question that it can only answer when it works, with a deadline of its
own, and names what does not; `/healthz` only says that this worker answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from sekisho.errors import SekishoError

CHECK_S = 1.5  # a part that takes longer is not ready, whatever it would have said

Check = Callable[[], Awaitable[None]]
router = APIRouter(tags=["operators"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """This worker answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Not ready; the parts say why."}})
async def readyz(request: Request) -> JSONResponse:
    """200 when every part works, else 503 with what each part said."""
    checks: Mapping[str, Check] = request.app.state.checks
    names = list(checks)
    said = await asyncio.gather(*(_ask(checks[name]) for name in names))
    ready = all(word == "ok" for word in said)
    body = {
        "status": "ready" if ready else "not ready",
        "parts": dict(zip(names, said, strict=True)),
    }
    return JSONResponse(body, status_code=200 if ready else 503)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Prometheus text format; counts and durations, never content."""
    body, content_type = request.app.state.metrics.render()
    return Response(body, media_type=content_type)


async def _ask(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_S:g} s"
    except SekishoError as error:
        return error.message
    return "ok"
