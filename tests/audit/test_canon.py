"""One byte form for each value, and nothing else."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho_audit.canon import (
    DEPTH_MAX,
    INT_MAX,
    LEAF_BYTES_MAX,
    NotCanonical,
    check,
    decode,
    encode,
)

KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-INT_MAX, INT_MAX) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_encoding_is_read_back(value: object) -> None:
    """What is encoded decodes to itself."""
    assert decode(encode(value)) == value


@given(VALUES)
def test_fast_encoder_agrees(value: object) -> None:
    """The encoder of the writer gives the same bytes for every value that may be a leaf."""
    assert orjson.dumps(value, option=orjson.OPT_SORT_KEYS) == encode(value)


OTHER_SPELLINGS = {
    "blank": b'{"a": 1}',
    "order": b'{"b":1,"a":1}',
    "duplicate key": b'{"a":1,"a":1}',
    "float": b'{"a":1.0}',
    "exponent": b'{"a":1e2}',
    "minus zero": b'{"a":-0}',
    "nan": b'{"a":NaN}',
    "infinity": b'{"a":Infinity}',
    "large integer": b'{"a":9007199254740992}',
    "escaped letter": b'{"a":"\\u0061"}',
    "escaped slash": b'{"a":"\\/"}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "not utf-8": b'{"a":"\xff"}',
    "key not ascii": '{"é":1}'.encode(),
    "trailing newline": b'{"a":1}\n',
    "trailing data": b'{"a":1}{}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "empty": b"",
    "deep": b"[" * 40 + b"]" * 40,
    "very deep": b"[" * 30_000 + b"]" * 30_000,
    "too long": b'"' + b"x" * LEAF_BYTES_MAX + b'"',
}


@pytest.mark.parametrize("story", OTHER_SPELLINGS)
def test_other_spelling_is_refused(story: str) -> None:
    """Bytes that a JSON parser would take, but that are not the one form, are refused."""
    with pytest.raises(NotCanonical):
        decode(OTHER_SPELLINGS[story])


@pytest.mark.parametrize("value", [1.5, {1: 2}, {"é": 1}, "\ud800", 2**53, -(2**53), b"x", {1, 2}])
def test_value_without_form_is_refused(value: object) -> None:
    """Floats, keys that are not ASCII text, large integers and foreign types are refused."""
    with pytest.raises(NotCanonical):
        encode(value)


def nested(levels: int, *, mapping: bool) -> object:
    """So many containers in one another."""
    value: object = 1
    for _ in range(levels):
        value = {"in": value} if mapping else [value]
    return value


@pytest.mark.parametrize("mapping", [True, False])
def test_depth_is_bounded_exactly(mapping: bool) -> None:
    """Twelve levels of objects or lists are taken, thirteen are not, read or written."""
    deepest, deeper = (nested(levels, mapping=mapping) for levels in (DEPTH_MAX, DEPTH_MAX + 1))
    assert DEPTH_MAX == 12
    assert decode(encode(deepest)) == deepest
    with pytest.raises(NotCanonical, match="deeper than 12"):
        encode(deeper)
    with pytest.raises(NotCanonical, match="deeper than 12"):
        decode(json.dumps(deeper, separators=(",", ":")).encode())


def test_length_is_bounded_exactly() -> None:
    """65,535 bytes fit behind the 16-bit length of an entry bundle; one more does not."""
    assert LEAF_BYTES_MAX == 65_535 == 2**16 - 1
    longest = b'"' + b"x" * (LEAF_BYTES_MAX - 2) + b'"'
    assert encode(decode(longest)) == longest
    with pytest.raises(NotCanonical, match="longer than 65535"):
        decode(b'"' + b"x" * (LEAF_BYTES_MAX - 1) + b'"')


@pytest.mark.parametrize("raw", [b"1.5", b"1e2", b"NaN", b"-Infinity"])
def test_a_number_that_is_no_integer_is_called_that(raw: bytes) -> None:
    """The message names it, and not more of it than a line holds."""
    with pytest.raises(NotCanonical, match="not an integer") as caught:
        decode(raw)
    assert raw.decode() in str(caught.value)
    with pytest.raises(NotCanonical) as caught:
        decode(b"1." + b"5" * 5_000)
    assert len(str(caught.value)) < 100


def test_tuples_are_lists() -> None:
    """The writer may hand over either; the bytes are the same, and checked as deep."""
    assert encode((1, ("a",))) == encode([1, ["a"]]) == b'[1,["a"]]'
    with pytest.raises(NotCanonical):
        encode(((1.5,),))


@pytest.mark.parametrize("number", [INT_MAX, -INT_MAX, 0, 7])
def test_integers_are_read_to_the_bound(number: int) -> None:
    """The last one that every parser keeps, on both sides."""
    assert decode(b"[%d]" % number) == [number]


@pytest.mark.parametrize("digits", [b"9007199254740992", b"9" * 17, b"1" * 18, b"1" * 60_000])
def test_a_longer_integer_is_refused_however_long(digits: bytes) -> None:
    """Also one of so many digits that Python would not read it: that is no crash of a reader."""
    for sign in (b"", b"-"):
        with pytest.raises(NotCanonical, match="beyond 2"):
            decode(b"[" + sign + digits + b"]")


def test_largest_integer_is_allowed() -> None:
    """2^53 - 1 is the last integer every parser keeps."""
    check({"a": INT_MAX, "b": -INT_MAX})
