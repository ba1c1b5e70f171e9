"""What the page of a sample shows to whom: both sides of it, and verdicts only after one's own."""

from __future__ import annotations

from dataclasses import replace

from sekisho.console.sample_page import sample_page, samples_page
from sekisho.model.principal import Role
from sekisho.model.samples import Content, Sample, Verdict
from support.holds import person

READER = person("reviewer-1", Role.REVIEWER)
OTHER = Verdict("reviewer-2", "concern", 5_000_000)
SAMPLE = Sample(
    *("s-1", "x-1", "staff-7", "gpt-x", "demo", ("rule.a",), 10, 200),
    *(7_000_000, 9_000_000, "whole", 2),
    barred=frozenset({"staff-7"}),
    verdicts=(OTHER,),
)
CONTENT = Content(
    b'{"model":"gpt-x","messages":[{"role":"user","content":"a\\u202eb"}]}',
    b'{"choices":[{"message":{"role":"assistant","content":"hi"}}]}',
)
STREAM = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"one "}}]}\n\n'
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"two"}}]}\n\ndata: [DONE]\n\n'
)


def test_both_sides_are_taken_apart() -> None:
    """As on the page of a hold; what would not be seen is counted before it is read."""
    page = sample_page(SAMPLE, CONTENT, READER, 8_000_000)

    assert page.request is not None
    assert page.answer is not None
    assert page.request.messages[0].texts == ("a\u202eb",)
    assert page.answer.messages[0].texts == ("hi",)
    assert (page.hidden, page.mixed, page.cut) == (1, 0, False)
    assert (page.drawn, page.until, page.now) == (7, 9, 8)
    assert page.may_judge


def test_a_stream_reads_as_one_answer_and_keeps_its_bytes() -> None:
    """Put together for reading; the exact bytes are those of the stream."""
    page = sample_page(SAMPLE, replace(CONTENT, answer=STREAM), READER, 0)

    assert page.answer is not None
    assert page.answer.messages[0].texts == ("one two",)
    assert page.answer.text == STREAM.decode()


def test_what_was_cut_is_shown_as_it_is() -> None:
    """No reading of half a document is trusted; what is not there any more is None."""
    page = sample_page(SAMPLE, Content(b"", CONTENT.answer[:20], cut=True), READER, 0)

    assert page.request is None
    assert page.answer is not None
    assert not page.answer.structured
    assert (page.cut, page.may_judge) == (True, True)


def test_nothing_to_read_is_nothing_to_judge() -> None:
    page = sample_page(SAMPLE, None, READER, 0)

    assert (page.request, page.answer, page.may_judge) == (None, None, False)


def test_what_others_found_is_shown_after_ones_own() -> None:
    """And then there is nothing left to judge."""
    assert sample_page(SAMPLE, CONTENT, READER, 0).verdicts == ()
    mine = Verdict(READER.id, "fine", 6_000_000)
    page = sample_page(replace(SAMPLE, verdicts=(OTHER, mine)), CONTENT, READER, 0)

    assert (page.verdicts, page.mine, page.may_judge) == ((OTHER, mine), "fine", False)


def test_the_list_keeps_its_order() -> None:
    second = replace(SAMPLE, id="s-2", drawn_us=8_000_000)
    page = samples_page([SAMPLE, second], 9_000_000, said=True)

    assert [(line.sample.id, line.drawn) for line in page.waiting] == [("s-1", 7), ("s-2", 8)]
    assert (page.said, page.now) == (True, 9)
