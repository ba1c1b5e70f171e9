"""What the page of drafts shows of exchanges as the history tells them."""

from __future__ import annotations

from typing import Any

from sekisho.console.drafts_page import DraftLine, drafts_page

RECEIVED = {"model": "gpt-x", "endpoint": "chat.completions"}


def exchange(received: dict[str, Any] | None) -> dict[str, Any]:
    """One of the history."""
    return {"id": "x-1", "begun_us": 7_999_999, "received": received, "sends": []}


def test_an_answer_is_told_by_its_model_and_time() -> None:
    """In the order that is given."""
    page = drafts_page([exchange(RECEIVED), {**exchange(RECEIVED), "id": "x-2"}], said=True)

    assert page.waiting[0] == DraftLine("x-1", "gpt-x", "chat.completions", 7)
    assert [line.id for line in page.waiting] == ["x-1", "x-2"]
    assert page.said


def test_what_the_ledger_does_not_have_any_more_is_left_out() -> None:
    """An event that was pruned, a request without a model."""
    [line] = drafts_page([exchange(None)], said=False).waiting
    assert line == DraftLine("x-1", "", "", 7)
    [line] = drafts_page([exchange({"model": None, "endpoint": "batches"})], said=False).waiting
    assert (line.model, line.endpoint) == ("", "batches")
