"""Masking for the record."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.content.redact import mask, redact_body
from sekisho.content.scan import Scanner

CARD = "4111111111111111"
SCANNER = Scanner()


def redacted(parsed: Any) -> Any:
    """What the record would keep."""
    return orjson.loads(redact_body(parsed, SCANNER.scan(parsed).found))


def test_mask() -> None:
    """Spans are replaced by their kind; overlapping ones become one."""
    assert "a [X] b [Y]" == mask("a 123 b 45", [(8, 10, "y"), (2, 5, "x")])
    assert "[X]" == mask("12345", [(0, 3, "x"), (2, 5, "y")])
    assert "[X][Y]" == mask("1234", [(0, 2, "x"), (2, 4, "y")])


@pytest.mark.parametrize(
    ("parsed", "kept"),
    [
        ({"a": f"n {CARD}."}, {"a": "n [CARD]."}),
        ({"a": [1, CARD]}, {"a": [1, "[CARD]"]}),
        ({"a": int(CARD)}, {"a": "[CARD]"}),
        ({CARD: {CARD: CARD}}, {"[CARD]": {"[CARD]": "[CARD]"}}),
        ({"x@example.com": 1, "y@example.com": 2}, {"[EMAIL]": 1, "[EMAIL]#2": 2}),
        ({"a": "1\u200b".join("4111")}, {"a": "1\u200b".join("4111")}),
        ({"a": "\u200b".join(CARD) + "!"}, {"a": "[CARD]!"}),
        ({"a": '{"n":"\\u0034111111111111111"}'}, {"a": '{"n":"[CARD]"}'}),
        ([{"text": CARD[:7]}, {"text": CARD[7:]}], [{"text": "[CARD]"}, {"text": "[CARD]"}]),
    ],
)
def test_redact_body(parsed: Any, kept: Any) -> None:
    """Values, names, numbers, hidden characters, escapes and split parts."""
    before = json.dumps(parsed)

    assert kept == redacted(parsed)
    assert before == json.dumps(parsed)


TEXT = st.lists(
    st.sampled_from([CARD, "a@example.com", " ", "\u200b", "x", "\\n", "测", "4", "\\u0034", ","]),
    max_size=12,
).map("".join)
JSON = st.recursive(
    TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_nothing_found_is_left(parsed: Any) -> None:
    """Whatever the body, no hit's text stands in what is kept, and its order stays."""
    kept = redacted(parsed)

    # Masked neighbours may stand together now, so only what was found before must be gone.
    assert "a@example.com" not in json.dumps(kept)
    if isinstance(parsed, dict):
        assert len(parsed) == len(kept)
