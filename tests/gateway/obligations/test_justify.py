"""On which terms a request waits for a reason, and what is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.errors import BadRequest
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Threshold
from sekisho.obligations.justify import REASON_CHARS_MAX, TTL_S, reason_of, terms

TERMS = HoldTerms("request", (Threshold("reviewer", 1, 1),), 60, 50)
ALONE = HoldTerms("request", (), TTL_S, 0)


@pytest.mark.parametrize(
    ("effect", "asked", "waits"),
    [
        (Effect.ALLOW, Obligations(), None),
        (Effect.ALLOW, Obligations(justify=True), ALONE),
        (Effect.ALLOW, Obligations(hold=TERMS), None),
        (Effect.ALLOW, Obligations(hold=TERMS, justify=True), ALONE),
        (Effect.HOLD, Obligations(hold=TERMS), TERMS),
        (Effect.HOLD, Obligations(hold=TERMS, justify=True), TERMS),
        (Effect.HOLD, Obligations(justify=True), None),
        (Effect.DENY, Obligations(hold=TERMS, justify=True), None),
    ],
)
def test_terms(effect: Effect, asked: Obligations, waits: HoldTerms | None) -> None:
    """A hold keeps its reviewers; a reason never takes their place."""
    assert terms(Decision(effect, (), "s", asked)) == waits


@pytest.mark.parametrize(
    "text",
    [
        "客户要求",
        "The audit asks for it.",
        "two\nlines\tand a tab",
        "مطلوب للتدقيق",
        "x" * REASON_CHARS_MAX,
    ],
    ids=["chinese", "english", "laid out", "arabic", "longest"],
)
def test_a_reason(text: str) -> None:
    """Kept as it was written, without the blanks around it."""
    assert reason_of(text) == text
    assert reason_of(f" {text[:99]}\n") == text[:99]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "ok",
        "\u200b" * 20,
        "\u00ad\u2060\u200d\ufeff" * 9,
        "a \u200b b",
        "\n\t\r\n",
        "\ue000" * 9,
    ],
    ids=["none", "blank", "short", "zero width", "invisible", "padded", "lines", "private use"],
)
def test_what_nobody_can_read_is_no_reason(text: str) -> None:
    """Only characters that can be seen count."""
    with pytest.raises(BadRequest) as caught:
        reason_of(text)
    assert ("reason_required", "reason") == (caught.value.code, caught.value.param)


@pytest.mark.parametrize("hidden", list("\x00\x07\x1b\x7f\x85\u202a\u202e\u2066\u2069"))
def test_characters_that_hide_text_are_refused(hidden: str) -> None:
    """A terminal's commands and turned text; the message names the character, never prints it."""
    with pytest.raises(BadRequest, match=f"U\\+{ord(hidden):04X}") as caught:
        reason_of(f"asked by the client {hidden}yltcaxe")
    assert hidden not in caught.value.message


def test_a_reason_has_an_end() -> None:
    with pytest.raises(BadRequest, match="longer"):
        reason_of("x" * (REASON_CHARS_MAX + 1))


@given(st.text(st.characters(), max_size=40))
def test_any_text_is_a_reason_or_refused(text: str) -> None:
    """Never another error; what is kept is kept by a second look, too."""
    try:
        kept = reason_of(text)
    except BadRequest:
        return
    assert reason_of(kept) == kept
    assert kept in text
