"""Text of others in a page does nothing and hides nothing."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from sekisho_audit.exports.inert import escaped, isolated, visible


class Listener(HTMLParser):
    """Notes every tag and the text between."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_comment(self, data: str) -> None:
        self.tags.append("comment")

    def handle_data(self, data: str) -> None:
        self.text += data


@given(text=st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("<>&\"'!-/=")))
def test_no_text_makes_a_tag(text: str) -> None:
    page = Listener()
    page.feed(f'<p title="{escaped(text)}">{isolated(text)}</p>')
    page.close()
    assert page.tags == ["p", "bdi"]
    assert page.text == visible(text)


def test_what_cannot_be_seen_is_spelled_out() -> None:
    """Turning the direction of writing, taking no width, tags, fillers, controls."""
    for char in "\u202e\u2066\u200b\ufeff\x1b\x00\u3164\u2028\U000e0041\u00ad":
        assert visible(f"a{char}b") == f"a⟨U+{ord(char):04X}⟩b"


def test_lines_stay_lines_where_they_may() -> None:
    assert visible("a\n\tb", lines=True) == "a\n\tb"
    assert visible("a\nb") == "a⟨U+000A⟩b"


def test_scripts_of_the_world_are_left_alone() -> None:
    for text in ("身份证 号码", "ありがとう、ヶ", "עברית", "👍é", "한국어"):
        assert visible(text) == text
