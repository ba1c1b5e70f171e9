"""What of a payload people look for."""

from __future__ import annotations

import json

import pytest

from sekisho_audit.texts import text_of
from sekisho_audit.tokens import matches


def test_only_what_was_said_is_text() -> None:
    """Strings of values; names of members are nobody's words."""
    body = {"messages": [{"role": "user", "content": "合同 draft"}], "stream": True, "n": 7}
    assert text_of(json.dumps(body).encode()) == "user\n合同 draft"


def test_the_way_it_is_escaped_does_not_matter() -> None:
    r"""`\u8eab` in a client's JSON is the same character."""
    plain = json.dumps({"content": "身份证"}, ensure_ascii=False).encode()
    escaped = json.dumps({"content": "身份证"}).encode()
    assert b"\\u" in escaped
    assert text_of(plain) == text_of(escaped) == "身份证"


def test_no_word_runs_from_one_string_into_the_next() -> None:
    """Two strings side by side are not one text."""
    text = text_of(json.dumps(["Blue", "Heron"]).encode())
    assert not matches(text, "BlueHeron")
    assert not matches(text_of(json.dumps(["身份", "证"]).encode()), "身份证")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain words", "plain words"),
        (b"{not json", "{not json"),
        (b"[1, 2]", ""),
        (b"", ""),
        (b"ab\xffcd", "ab\ufffdcd"),
        ("合同".encode(), "合同"),
    ],
)
def test_everything_else_is_text_as_it_stands(content: bytes, text: str) -> None:
    """A reviewer's reason is no JSON; what only looks like it is text too."""
    assert text_of(content) == text


def test_deep_documents_are_read() -> None:
    """As deep as the parser goes; nothing recurses here."""
    deep = b"[" * 500 + b'"bottom"' + b"]" * 500
    assert text_of(deep) == "bottom"
