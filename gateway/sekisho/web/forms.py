"""Forms of pages, read here and not by the framework: bounded in size, time and fields.

Whether a page of ours sent it is not asked here but at the entrance (`same_origin.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from fastapi import Request

from sekisho.errors import BadRequest
from sekisho.web.bodies import read_body

FORM_S = 5.0


async def read_form(request: Request, *, bytes_max: int, fields_max: int) -> Mapping[str, str]:
    """The fields of a form, each at most once; a line ends with a line feed alone.

    Raises BadRequest, TooLarge, TooSlow.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise _not_ours()
    body = await read_body(request, bytes_max=bytes_max, timeout_s=FORM_S)
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=fields_max,
        )
    except ValueError as error:
        raise _not_ours() from error
    # Browsers send the lines of a text field with \r\n, whatever was put into it.
    return once([(name, value.replace("\r\n", "\n")) for name, value in fields])


def once(fields: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The fields by name. Raises BadRequest if one stands twice: it might be read either way."""
    found = dict(fields)
    if len(found) != len(fields):
        raise BadRequest("A field of this request stands twice.")
    return found


def _not_ours() -> BadRequest:
    return BadRequest("This is not a form of a page of this gateway.")
