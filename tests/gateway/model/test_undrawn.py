"""Signs that are drawn as nothing."""

from __future__ import annotations

import unicodedata

import pytest

from sekisho.model.undrawn import UNDRAWN


@pytest.mark.parametrize(
    "sign", "\u034f\u115f\u1160\u17b4\u180b\u180f\u2800\u3164\ufe0f\uffa0\U000e0100"
)
def test_fillers_blanks_and_selectors_are_undrawn(sign: str) -> None:
    """Python calls each of them printable or a mark."""
    assert sign in UNDRAWN


def test_what_stands_in_texts_is_drawn() -> None:
    """Accents that join a letter, and letters of scripts that these signs belong to."""
    assert UNDRAWN.isdisjoint("aé\u0301第한ក⠁ \n")
    assert not any(unicodedata.category(sign)[0] == "N" for sign in UNDRAWN)
