from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sekisho.config.faults import in_words


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("must be even")
    return number


class Form(BaseModel):
    """One of each."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[str, Field(min_length=1, max_length=3)] = "a"
    count: Annotated[int, Field(ge=1, le=9)] = 1
    even: Annotated[int, AfterValidator(_even)] = 2
    word: Literal["yes", "no"] = "yes"
    names: Annotated[list[str], Field(max_length=1)] = []
    flag: bool = False


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"text": ""}, "must not be empty"),
        ({"text": "abcd"}, "must have at most 3 characters"),
        ({"text": 7}, "must be text (in quotes)"),
        ({"count": 0}, "must be at least 1"),
        ({"count": 10}, "must be at most 9"),
        ({"count": "1"}, "must be a whole number"),
        ({"even": 3}, "must be even"),
        ({"word": "maybe"}, "must be 'yes' or 'no'"),
        ({"names": "a"}, 'must be a list, as ["a", "b"]'),
        ({"names": ["a", "b"]}, "must have at most 1 entries"),
        ({"flag": 1}, "must be true or false"),
        ({"more": 1}, "is not known here"),
    ],
)
def test_a_fault_is_told_in_words(given: dict[str, object], words: str) -> None:
    """Behind the name of what is wrong they make a sentence."""
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(given)
    (detail,) = caught.value.errors()
    assert words == in_words(detail)
