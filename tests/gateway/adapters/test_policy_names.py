"""Names in data.yaml that can never apply."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from sekisho.adapters.policy_names import Entity, Id, idle_labels, meant, no_such_id

ID = TypeAdapter(Id)
ENTITY = TypeAdapter(Entity)


def test_names_that_apply() -> None:
    """Ids as the directory writes them, kinds as the scan calls them."""
    assert "sales-7" == ID.validate_python("sales-7")
    assert "email" == ENTITY.validate_python("email")


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        (ID, "Sales", "did you mean sales?"),
        (ID, "a b", "lower case"),
        (ENTITY, "emial", "did you mean email?"),
        (ENTITY, "zzzz", "known: card"),
    ],
)
def test_names_that_never_do(kind: TypeAdapter[str], name: str, text: str) -> None:
    """They are refused with what was probably meant."""
    with pytest.raises(ValidationError, match=text.replace("?", r"\?")):
        kind.validate_python(name)


def test_the_ends_of_sentences() -> None:
    """Nothing near: all that is known; nothing known: none."""
    assert "; known: none" == meant("x", [])
    assert "; did you mean abc?" == meant("abd", ["abc"])
    assert no_such_id("A B", lambda _: False).endswith("@ + -")


def test_labels_that_no_word_gives() -> None:
    """Each with its place among the others, and what was probably meant."""
    assert [] == list(idle_labels(["secret"], ["secret"], "x"))
    ((at, label, text),) = idle_labels(["secret", "secrt"], ["secret"], "labels.held")
    assert (1, "secrt") == (at, label)
    assert text.startswith("labels.held: no line of words gives the label 'secrt'; did you mean")
