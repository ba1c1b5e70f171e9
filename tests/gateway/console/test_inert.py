from __future__ import annotations

from html import unescape

import pytest

from sekisho.console.inert import inert


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "\" onload='x'", "&amp;&lt;", "</textarea>", "{{ x }}", "<!--"],
)
def test_markup_is_text(text: str) -> None:
    """Nothing of it can begin a tag, end an attribute or be an entity."""
    shown = str(inert(text))

    assert not set("<>\"'") & set(shown)
    assert unescape(shown) == text


def test_hidden_characters_are_spelled_out_in_runs() -> None:
    """By number in the text, by name where one points; of a long run the first are named."""
    assert '<span class="hid" title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>' == inert("\u202e")
    shown = str(inert("a" + "\u200b" * 20 + "b"))
    assert 1 == shown.count("<span")
    assert 8 == shown.count("ZERO WIDTH SPACE")
    assert 20 == shown.count("U+200B")


def test_no_hidden_character_reaches_the_page() -> None:
    """Not in front, at the end, next to markup, nor inside of a marked word."""
    text = "\u202e<b>\u2066p\u0430y\u200bpal\u202c[EMAIL]\ufeff\ud800\x00"
    shown = str(inert(text, {"email"}))

    assert not set("\u202e\u2066\u200b\u202c\ufeff\ud800\x00") & set(shown)
    assert "&lt;b&gt;" in shown


def test_tabs_keep_their_room() -> None:
    """Code is indented with them; each has a mark of its own."""
    assert 2 == str(inert("\t\tx")).count("⇥</span>\t")


def test_lines_and_letters_stay_as_they_are() -> None:
    """Of every script."""
    text = "a\nb  c 中文 日本語 עברית é 👍"
    assert text == inert(text)


def test_words_of_two_alphabets_are_marked() -> None:
    """The whole word, and nothing around it."""
    assert 'a <span class="mixed">p\u0430y</span>!' == inert("a p\u0430y!")


def test_masks_are_struck_only_where_that_kind_was_masked() -> None:
    """What was typed by somebody and only looks like one of another kind is plain text."""
    shown = inert("[EMAIL] [IBAN] [email]", {"email"})
    assert '<del class="mask">[EMAIL]</del> [IBAN] [email]' == shown
    assert "[EMAIL]" == inert("[EMAIL]")


def test_kinds_are_no_patterns() -> None:
    """A kind with odd characters matches itself alone."""
    assert "[AB]" == inert("[AB]", {"a.*b", "(", ""})
