"""What two JSON parsers could read differently is refused."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.content.strict_json import NotStrictJSON, parse

DEPTH = 64
PLAIN_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | PLAIN_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_TEXT, inner, max_size=4),
    max_leaves=20,
)

REFUSED = {
    "empty": b"",
    "duplicate key": b'{"a":1,"a":2}',
    "duplicate key deep inside": b'{"a":[{"b":{"c":1,"c":1}}]}',
    "duplicate key by escape": b'{"model":1,"mod\\u0065l":2}',
    "invalid UTF-8": b'{"a":"\xff"}',
    "overlong UTF-8": b'{"a":"\xc0\xaf"}',
    "lone high surrogate": b'{"a":"\\ud800"}',
    "lone low surrogate": b'{"a":"\\udc00"}',
    "raw surrogate bytes": b'{"a":"\xed\xa0\x80"}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "a number that becomes infinity": b'{"a":1e400}',
    "trailing data": b'{"a":1} {"b":2}',
    "trailing garbage": b'{"a":1}x',
    "byte order mark": b'\xef\xbb\xbf{"a":1}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "raw NUL": b'{"a":"\x00"}',
    "escaped NUL": b'{"a":"x\\u0000y"}',
    "NUL in a key": b'{"a\\u0000":1}',
    "comment": b'{"a":1/* x */}',
    "single quotes": b"{'a':1}",
    "trailing comma": b'{"a":1,}',
    "control character": b'{"a":"\x01"}',
    "deep nesting": b"[" * 65 + b"]" * 65,
    "very deep nesting": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 70 + b"1" + b"}" * 70,
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_ambiguous_bodies_are_refused(body: bytes) -> None:
    """Each of these reads differently in some parser, so none of them passes."""
    with pytest.raises(NotStrictJSON):
        parse(body, DEPTH)


@given(VALUES)
def test_every_plain_value_passes_however_it_is_written(value: object) -> None:
    """Compact, spaced and escaped spellings of a value all parse to that value."""
    for body in (
        orjson.dumps(value),
        json.dumps(value).encode(),
        json.dumps(value, indent=2, ensure_ascii=False).encode(),
    ):
        assert value == parse(body, DEPTH)


def test_nesting_up_to_the_limit_passes() -> None:
    """The limit itself is allowed; one more is not."""
    assert parse(b"[" * 64 + b"]" * 64, DEPTH) is not None

    with pytest.raises(NotStrictJSON, match="64 levels"):
        parse(b"[" * 65 + b"]" * 65, DEPTH)


def test_the_message_names_the_key_that_stands_twice() -> None:
    """A client can find what to mend."""
    with pytest.raises(NotStrictJSON, match="'model' stands twice"):
        parse(b'{"model":"a", "model":"b"}', DEPTH)
