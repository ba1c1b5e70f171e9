"""A request body of a control route, read whole: at most so many bytes, and in time.

The data path has its own reader with a total over all requests; here bodies are small. A client
that sends slowly must not keep a task, and one that sends much must not fill memory.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from sekisho.config.faults import in_words
from sekisho.content.strict_json import NotStrictJSON, parse
from sekisho.content.written_numbers import as_written
from sekisho.errors import BadRequest, TooLarge, TooSlow

BODY_S = 10.0  # for all of a body, also over a slow line
LENGTH_DIGITS_MAX = 18  # more is no length; int() of a long text takes long


Model = TypeVar("Model", bound=BaseModel)


async def read_model(
    request: Request,
    model: type[Model],
    *,
    what: str,
    bytes_max: int,
    depth_max: int,
    written: bool = False,
) -> Model:
    """The body as a `model`, read here and not by the framework: bounded in size and time, read
    only after the key was checked, and refused if it says a thing twice or anything we do not know.

    `what` is what it should be, for the message; `written` is for numbers as they are written, and
    not as a parser keeps them. Raises BadRequest, TooLarge, TooSlow.
    """
    body = await read_body(request, bytes_max=bytes_max, timeout_s=BODY_S)
    try:
        said = parse(body, depth_max=depth_max)
        return model.model_validate(as_written(body) if written else said)
    except NotStrictJSON as error:
        raise BadRequest(f"This is not {what}: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or None
        raise BadRequest(f"{where or 'The body'} {in_words(first)}.", param=where) from error


async def read_body(request: Request, *, bytes_max: int, timeout_s: float) -> bytes:
    """The body. Raises TooLarge before reading what is declared too large, and TooSlow."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and (len(declared) > LENGTH_DIGITS_MAX or int(declared) > bytes_max):
        raise _too_large(bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while await _piece(request, body, bytes_max):
                pass
    except TimeoutError as error:
        message = f"The request body did not arrive within {timeout_s:g} s."
        raise TooSlow(message) from error
    return bytes(body)


async def _piece(request: Request, body: bytearray, bytes_max: int) -> bool:
    """Add what has come to `body`; whether more follows."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise TooSlow("The client left before its request was whole.")
    body.extend(message.get("body", b""))
    if len(body) > bytes_max:
        raise _too_large(bytes_max)
    return bool(message.get("more_body", False))


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge(f"The body is larger than {bytes_max} bytes. Send less at once.")
