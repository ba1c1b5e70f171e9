"""What the ledger keeps of the content, by log level."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from sekisho.content.kept import INLINE_BYTES_MAX, Kept
from sekisho.content.scan import FOUND_MAX, Scanner

SCANNER = Scanner()
KEPT = Kept(SCANNER)
MAIL = "li.wei@corp.example"
MASKED = "[EMAIL]"


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"content": text}]}


@pytest.mark.parametrize("long", [False, True])
async def test_of_a_request(long: bool) -> None:
    """The bytes themselves, masked ones, or nothing; large ones outside the event loop."""
    parsed = said(MAIL + " " + "x" * (INLINE_BYTES_MAX if long else 1))
    body, found = orjson.dumps(parsed) + b" ", SCANNER.scan(parsed).found

    assert await KEPT.request(body, parsed, found, "metadata") is None
    assert body == await KEPT.request(body, parsed, found, "full")
    masked = await KEPT.request(body, parsed, found, "redacted")
    assert masked == orjson.dumps(parsed).replace(MAIL.encode(), MASKED.encode())
    assert body == await KEPT.request(body, parsed, (), "redacted")


@pytest.mark.parametrize("long", [False, True])
async def test_of_an_answer(long: bool) -> None:
    answer = said(MAIL + " " + "x" * (INLINE_BYTES_MAX if long else 1))
    plain = orjson.dumps(answer)

    assert await KEPT.answer(answer, "metadata") is None
    assert plain == await KEPT.answer(answer, "full")
    masked = plain.replace(MAIL.encode(), MASKED.encode())
    assert masked == await KEPT.answer(answer, "redacted")
    assert orjson.dumps(said("hi")) == await KEPT.answer(said("hi"), "redacted")


async def test_an_answer_that_cannot_be_looked_through_is_not_kept() -> None:
    answer = said(" ".join(f"a{n}@b.example" for n in range(FOUND_MAX + 1)))
    assert await KEPT.answer(answer, "redacted") is None
    assert await KEPT.answer(answer, "full") is not None
