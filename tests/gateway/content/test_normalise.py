"""Folding text for the search, and the way back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.content.normalise import hidden_chars, normalise, unescape


def test_plain_text_is_left_alone() -> None:
    """ASCII and ordinary Chinese come back as they are, without a map."""
    for text in ("hello", "这是一个测试，好吗？", "naïve café"):
        view = normalise(text)
        assert (text, None) == (view.text, view.places)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("４１１１", "4111"),
        ("𝟒𝟏𝟏𝟏", "4111"),
        ("٤١١١", "4111"),
        ("४१११", "4111"),
        ("④①①①", "4111"),
        ("41\u200b11", "4111"),
        ("41\u202e11", "4111"),
        ("4\u03361\u03361\u0336", "411"),
        ("41\U000e004111", "4111"),
        ("4\ufe0f1", "41"),
        ("41–11", "41-11"),
        ("41\u00a011", "41 11"),
        ("bob＠example．com", "bob@example.com"),
        ("ＡＫＩＡ", "AKIA"),
        ("𝓼𝓴", "sk"),
    ],
)
def test_folded(text: str, plain: str) -> None:
    """Digits, letters and signs in other dress, and characters nobody sees."""
    assert plain == normalise(text).text


def test_the_way_back() -> None:
    """A span in the view covers what stood there, hidden characters included."""
    text = "a\u200b\u200bb\u200bc"
    view = normalise(text)

    assert "abc" == view.text
    assert "b\u200b" == text[slice(*view.span(1, 2))]
    assert "b\u200bc" == text[slice(*view.span(1, 3))]


@given(st.text(max_size=60))
def test_every_span_leads_back(text: str) -> None:
    """For any text: places rise, stay inside, and folding twice changes nothing more."""
    view = normalise(text)
    starts = [view.span(place, place + 1)[0] for place in range(len(view.text))]

    assert starts == sorted(starts)
    assert all(0 <= start < len(text) for start in starts)
    assert all(view.span(p, p + 1)[1] <= len(text) for p in range(len(view.text)))
    assert view.text == normalise(view.text).text


def test_hidden_chars() -> None:
    """They are counted; ordinary accents and ideographs are not."""
    assert 0 == hidden_chars("café 测试 ok")
    assert 3 == hidden_chars("a\u200bb\u202ec\U000e0041")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"\u0034\u0031", "41"),
        (r"\u00341", "41"),
        (r"a\nb", "a b"),
        (r"\ud835\udfd2", "4"),
        (r"\uff14", "4"),
        (r"bob\u0040example.com", "bob@example.com"),
    ],
)
def test_unescape(text: str, plain: str) -> None:
    """One level of JSON escapes, then the folding."""
    view = unescape(text)
    assert view is not None
    assert plain == view.text
    assert (0, len(text)) == view.span(0, len(view.text))


@pytest.mark.parametrize("text", ["plain", r"C:\Windows", r"\d+", "\\", r"\u12"])
def test_nothing_to_unescape(text: str) -> None:
    """Backslashes that escape nothing cost no second pass."""
    assert unescape(text) is None


@given(st.text(alphabet="a4\\u0031n\ud7ff", max_size=40))
def test_unescape_leads_back(text: str) -> None:
    """For any mix of escapes and text every span lies inside, in order."""
    view = unescape(text)
    if view is None:
        return
    ends = [view.span(place, place + 1) for place in range(len(view.text))]
    assert all(0 <= start <= end <= len(text) for start, end in ends)
    assert ends == sorted(ends)
