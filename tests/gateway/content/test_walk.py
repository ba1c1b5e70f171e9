"""From places in the joined text back to the strings of the body."""

from __future__ import annotations

from sekisho.content.walk import KEY, Strings


def test_every_string_is_there() -> None:
    """Values, names, list members and a body that is just a string."""
    strings = Strings({"a": ["b", {"c": "d"}], "e": None, "f": True})

    assert {"a", "b", "c", "d", "e", "f"} == set(strings.text.split("\0")) - {""}
    assert "x\0" == Strings("x").text


def test_places_lead_back() -> None:
    """A span of the joined text names the string and the span inside it."""
    strings = Strings({"a": ["first", "second"]})
    start = strings.text.index("second")

    assert [(("a", 1), 2, 4)] == list(strings.places(start + 2, start + 4))
    start = strings.text.index("a")
    assert [(("a", KEY), 0, 1)] == list(strings.places(start, start + 1))


def test_a_span_over_two_parts() -> None:
    """Parts of one message are joined once more, and a span may lie in both."""
    strings = Strings([{"text": "abc"}, {"text": "def"}])
    start = strings.text.index("abcdef")

    assert [((0, "text"), 2, 3), ((1, "text"), 0, 2)] == list(strings.places(start + 2, start + 5))


def test_opaque_is_only_what_stands_as_a_file() -> None:
    """Encoded text counts as opaque under the names that carry files, nowhere else."""
    encoded = "data:image/png;base64," + "QUJD" * 200

    assert 800 == Strings({"url": encoded}).opaque_chars
    assert 0 == Strings({"content": encoded}).opaque_chars
    assert 800 == Strings({"input_audio": {"data": "QUJD" * 200}}).opaque_chars
    assert 0 == Strings({"url": "https://example.com/"}).opaque_chars


def test_text_in_a_file_s_place_is_read() -> None:
    """What is not encoded is read whole, wherever it stands."""
    text = "data:text/plain;base64,not encoded at all: " + "x y " * 200

    assert text in Strings({"url": text}).text
