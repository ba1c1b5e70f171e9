from __future__ import annotations

import pytest

from sekisho.model.exchange import Exchange


@pytest.mark.parametrize(
    ("stream", "is_stream"),
    [(True, True), (False, False), (None, False), (1, False), ("yes", False)],
)
def test_only_true_asks_for_a_stream(stream: object, is_stream: bool) -> None:
    """What a backend might take for true is judged strictly here."""
    parsed = {"model": "m", "stream": stream}
    asked = Exchange("x", 0, "chat.completions", b"", parsed, "127.0.0.1")

    assert ("m", is_stream) == (asked.model, asked.stream)


def test_no_word_about_a_stream_is_none() -> None:
    """The API's default."""
    assert not Exchange("x", 0, "chat.completions", b"", {"model": "m"}, "").stream
