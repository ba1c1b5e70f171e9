"""A carried state is read strictly: nothing nearly right is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sekisho_audit.carried_values import (
    BadCarried,
    dict_in,
    exactly,
    maybe_text,
    members_of,
    parts_of,
    text_in,
    texts_in,
    whole_in,
)


def test_what_it_must_be_is_read() -> None:
    """As it stands, in its order."""
    assert (text_in("a"), texts_in(["a"]), maybe_text(None), whole_in(3)) == ("a", ("a",), None, 3)
    assert parts_of([1, "b"], 2) == [1, "b"]
    assert list(dict_in([["b", 1], ["a", 2]], whole_in).items()) == [("b", 1), ("a", 2)]
    assert members_of({"a": 1}, ("a",)) == {"a": 1}
    assert exactly(None, int, type(None)) is None


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (text_in, 1),
        (text_in, None),
        (whole_in, True),
        (whole_in, 1.0),
        (texts_in, "ab"),
        (texts_in, [1]),
        (lambda value: parts_of(value, 2), [1]),
        (lambda value: dict_in(value, whole_in), {"a": 1}),
        (lambda value: dict_in(value, whole_in), [["a", 1], ["a", 2]]),
        (lambda value: members_of(value, ("a",)), {"a": 1, "b": 2}),
        (lambda value: members_of(value, ("a", "b")), {"a": 1}),
        (lambda value: members_of(value, ()), []),
    ],
)
def test_what_is_nearly_that_is_refused(read: Callable[[Any], Any], value: Any) -> None:
    """Another type, a member more or less, a key twice."""
    with pytest.raises(BadCarried):
        read(value)
