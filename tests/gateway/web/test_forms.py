from __future__ import annotations

from typing import Any

import pytest
from fastapi import Request

from sekisho.errors import BadRequest, TooLarge
from sekisho.web.forms import once, read_form

FORM = "application/x-www-form-urlencoded"


async def read(body: bytes, kind: str = FORM, *, bytes_max: int = 100, fields_max: int = 3) -> Any:
    """What is read of this body."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    request = Request(scope, receive)
    return await read_form(request, bytes_max=bytes_max, fields_max=fields_max)


async def test_fields_are_read_with_plain_line_ends() -> None:
    """Browsers send what is in a text field with two characters a line."""
    assert {"a": "x\ny", "b": "", "c": "中"} == await read(b"a=x%0D%0Ay&b=&c=%E4%B8%AD")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"a":1}'),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("", b"a=1"),
        (FORM, b"a"),
        (FORM, b"a=%ff"),
        (FORM, b"a=\xff"),
        (FORM, b"a=1&b=2&c=3&d=4"),
    ],
)
async def test_what_is_no_form_of_ours_is_refused(kind: str, body: bytes) -> None:
    """Other kinds, other bytes, more fields."""
    with pytest.raises(BadRequest):
        await read(body, kind)


async def test_a_large_form_is_refused() -> None:
    """Before all of it is read."""
    with pytest.raises(TooLarge):
        await read(b"a=" + b"x" * 100)


def test_a_field_that_stands_twice_is_refused() -> None:
    """One reader takes the first, another the last."""
    with pytest.raises(BadRequest, match="twice"):
        once([("a", "1"), ("a", "1")])
