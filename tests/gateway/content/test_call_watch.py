"""Nothing of a tool call passes, however the stream is cut; all else passes as it came."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.content.call_watch import CallWatch, is_clear

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"say \\"tool_calls\\": []"}}]}\n\n'
QUIET = b'data: {"choices":[{"index":0,"delta":{"content":"x","tool_calls":null}}]}\n\n'
CALL = (
    b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t1",'
    b'"function":{"name":"crm.write","arguments":"{\\"secret\\":1}"}}]}}]}\n\n'
)
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    """The stream cut at these places."""
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    return [whole[a:b] for a, b in pairwise(places)]


@given(st.lists(st.integers(1, 700), max_size=8))
def test_from_the_first_call_on_everything_is_kept(cuts: list[int]) -> None:
    """For any cut: the text before it passes, and not a byte of what comes after."""
    whole = TEXT + QUIET + CALL + END + DONE
    watch = CallWatch()

    passed = b"".join(watch.feed(piece) for piece in pieces(whole, cuts)) + watch.end()

    assert watch.calling
    assert TEXT + QUIET == passed
    assert CALL + END + DONE == watch.kept


@given(st.lists(st.integers(1, 400), max_size=8))
def test_a_stream_without_calls_passes_whole(cuts: list[int]) -> None:
    """Words about tool calls are no call."""
    whole = TEXT + QUIET + b": comment\n\n" + TEXT + DONE
    watch = CallWatch()

    passed = b"".join(watch.feed(piece) for piece in pieces(whole, cuts)) + watch.end()

    assert not watch.calling
    assert whole == passed


def test_events_go_on_as_soon_as_they_are_whole() -> None:
    """Nobody waits for the next one."""
    watch = CallWatch()

    assert TEXT == watch.feed(TEXT)
    assert b"" == watch.feed(QUIET[:20])
    assert QUIET + TEXT == watch.feed(QUIET[20:] + TEXT)


def delta(said: Any, place: str = "delta") -> bytes:
    """One event."""
    return b"data: " + orjson.dumps({"choices": [{"index": 0, place: said}]}) + b"\n\n"


@pytest.mark.parametrize(
    "event",
    [
        CALL.replace(b'"tool_calls"', b'"tool\\u005fcalls"'),
        CALL.replace(b"\n\n", b"\r\n\r\n"),
        CALL.replace(b"data: ", b"data:"),
        CALL.replace(b'"choices"', b'\ndata: "choices"'),
        delta({"function_call": {"name": "f", "arguments": "{}"}}),
        delta({"tool_calls": "x"}),
        delta({"tool_calls": [None]}),
        delta({"tool_calls": [{"index": 0}]}, place="message"),
        CALL.replace(b'{"choices"', b'{"choices":[{"tool_calls":1}],"choices"'),
        CALL.replace(b"}]}}]}", b'}]}}],"choices":[]}'),
        CALL.removesuffix(b"\n\n"),
        CALL.replace(b"\n\n", b"\r\r"),
        CALL.replace(b"\n\n", b"\r\r") + DONE,
        CALL.replace(b"\n\n", b"\n\r\n"),
        b"\xef\xbb\xbf" + CALL,
        CALL.replace(b'"tool_calls"', b'"Tool_Calls"').replace(b'"choices"', b'"Choices"'),
        CALL.replace(b'"delta"', b'"x"'),
        delta({"content": "x", "also": [{"tool_calls": [1]}]}),
    ],
)
def test_a_call_in_disguise_is_kept(event: bytes) -> None:
    """Whatever a client would read as a call."""
    watch = CallWatch()

    assert event not in watch.feed(TEXT + event) + watch.end()
    assert watch.calling


ODD = [b"NaN", b"1e999", b'"\\ud800"', b"[" * 1100 + b"]" * 1100, b'"\xff"', b"{,}"]


@pytest.mark.parametrize("odd", ODD)
def test_a_call_that_only_other_parsers_read_is_kept_back(odd: bytes) -> None:
    """Clients read NaN, lone surrogates and more levels than we do; what we cannot read is judged
    as malformed and never given on.
    """
    call = b'{"index":0,"id":"c","function":{"name":"pay","arguments":"{}"}}'
    event = b'{"choices":[{"index":0,"delta":{"tool_calls":[' + call + b']},"x":' + odd + b"}]}"
    watch = CallWatch()

    assert (watch.feed(b"data: " + event + b"\n\n"), watch.calling) == (b"", True)
    assert watch.ambiguous


@pytest.mark.parametrize("data", [b"[DONE]", b" [DONE] ", b""])
def test_the_closing_mark_is_no_call(data: bytes) -> None:
    """Nor is an event without data."""
    assert is_clear(data)
