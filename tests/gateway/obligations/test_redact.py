"""What policy wants masked does not leave, wherever it stands; all else is as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.content.scan import Scanner
from sekisho.obligations import redact

SCANNER = Scanner()
MAIL, CARD = "li.wei@corp.example", "4111 1111 1111 1111"
PIECES = st.sampled_from([MAIL, CARD, "x", " ", "，", "123", "@", "\\u0040", "身份证", "a.b", "\n"])
BODIES = st.recursive(
    st.lists(PIECES, max_size=5).map("".join) | st.integers(-(2**63), 2**63) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PIECES, inner, max_size=3),
    max_leaves=8,
)


def body(text: str) -> dict[str, Any]:
    """A request with this text."""
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def test_only_the_kinds_that_are_asked_for() -> None:
    asked = body(f"{MAIL} paid with {CARD}")
    before, found = copy.deepcopy(asked), SCANNER.scan(asked).found

    assert body(f"[EMAIL] paid with {CARD}") == redact.apply(asked, ("email",), found)
    assert body("[EMAIL] paid with [CARD]") == redact.apply(asked, ("email", "card"), found)
    assert before == asked


@pytest.mark.parametrize("kinds", [("card",), ()])
def test_nothing_to_mask_leaves_the_bytes_of_the_client(kinds: tuple[str, ...]) -> None:
    asked = body(f"write to {MAIL}")
    assert redact.apply(asked, kinds, SCANNER.scan(asked).found) is None


@given(inner=BODIES)
def test_nothing_of_the_kind_is_found_again(inner: Any) -> None:
    """In values, names, lists and written escapes; and doing it twice changes nothing more."""
    asked = {"model": "m", "messages": inner}
    masked = redact.apply(asked, ("email", "card"), SCANNER.scan(asked).found)
    if masked is None:
        assert not SCANNER.scan(asked).entities.keys() & {"email", "card"}
        return
    again = SCANNER.scan(masked)
    assert not again.entities.keys() & {"email", "card"}
    assert redact.apply(masked, ("email", "card"), again.found) is None
