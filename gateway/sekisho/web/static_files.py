"""`/static/…`: the style sheet and the script of pages, kept by browsers for ever.

Their names change with their content. They hold nothing of anybody, so nobody is asked who asks.
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from sekisho.console.assets import SERVED
from sekisho.errors import NotFound

_FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@router.get("/static/{name}")
async def static_file(name: str) -> Response:
    """One of our own files, by its full name."""
    asset = SERVED.get(name)
    if asset is None:
        raise NotFound("There is no such file here.")
    headers = {"content-type": asset.content_type, "cache-control": _FOR_EVER}
    return Response(asset.content, headers=headers)
