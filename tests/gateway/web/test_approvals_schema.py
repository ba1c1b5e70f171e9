"""The wire form of holds shows what is bound, exactly, and nothing in summaries."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from sekisho.holding import record
from sekisho.model.hold import HoldView
from sekisho.web.approvals_schema import detail, summary
from support.holds import CANARY, REVIEWER, STAFF, Desk


async def shown(desk: Desk, body: bytes) -> HoldView:
    """A hold with these outgoing bytes."""
    view = await desk.file()
    return replace(view, hold=replace(view.hold, outgoing=body))


@pytest.mark.parametrize("body", [b'{"a":"\xe2\x80\xae\\u202e"}', b"\xef\xbb\xbf{}", b"a\r\nb\x00"])
async def test_text_is_shown_as_it_is(desk: Desk, body: bytes) -> None:
    """No character is dropped, replaced or normalised on the way to the reviewer."""
    found = detail(await shown(desk, body), REVIEWER)
    assert found.outgoing.text is not None
    assert found.outgoing.text.encode() == body
    assert found.outgoing.base64 is None


async def test_bytes_that_are_no_text_are_shown_as_base64(desk: Desk) -> None:
    """A reviewer never sees replacement characters for what would leave."""
    found = detail(await shown(desk, b"\xff\xfe"), REVIEWER)
    assert found.outgoing.text is None
    assert base64.b64decode(found.outgoing.base64 or "") == b"\xff\xfe"


async def test_a_summary_is_a_line_without_content(desk: Desk) -> None:
    """Sizes, rules and times; whether the reader may review it; never the prompt."""
    view = await desk.file()
    card = record.decode_card(record.encode_card(view.hold), "pending")
    line = summary(card, REVIEWER)
    assert (line.may_review, summary(card, STAFF).may_review) == (True, False)
    assert line.outgoing_bytes == len(view.hold.outgoing)
    assert CANARY not in line.model_dump_json()
