from __future__ import annotations

from typing import Any

import orjson
import pytest

from sekisho.console.difference import CHANGES_MAX, WORDS_MAX, Change, differences


def between(before: Any, after: Any) -> tuple[Change, ...]:
    """The changes between two documents."""
    return differences(orjson.dumps(before), orjson.dumps(after))


def tools(*calls: tuple[str, str]) -> dict[str, Any]:
    """An answer with calls of these ids and arguments."""
    return {"tool_calls": [{"id": i, "function": {"arguments": a}} for i, a in calls]}


def test_a_text_is_compared_word_by_word() -> None:
    """What stayed, what went and what came, in order."""
    [change] = between({"a": "pay Ann now", "b": 1}, {"a": "pay Bo now", "b": 1})

    assert change.place == "a"
    assert change.pieces == (("same", "pay "), ("gone", "Ann"), ("new", "Bo"), ("same", " now"))


def test_arguments_are_compared_by_what_they_say() -> None:
    """Spaces between members are no change of what a tool gets, a value is."""
    assert not between(tools(("c", '{"x":1}')), tools(("c", '{ "x": 1 }')))
    [change] = between(tools(("c", '{"x":1}')), tools(("c", '{"x":2}')))
    assert change.place == "tool_calls[c].function.arguments.x"


def test_a_call_that_was_taken_out_is_gone_and_its_neighbour_unchanged() -> None:
    """Calls are known by their ids, not by their place."""
    changes = between(tools(("a", "{}"), ("b", '{"y":1}')), tools(("b", '{"y":1}')))

    assert {change.place.split("]")[0] for change in changes} == {"tool_calls[a"}
    assert {kind for change in changes for kind, _ in change.pieces} == {"gone"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": "5"}, {"a": 5}),
        ({"a": None}, {"a": "null"}),
        ({"a": []}, {"a": {}}),
        ({"a.b": 1, "a": {"b": 1}}, {"a.b": 1, "a": {"b": 2}}),
        (
            {"l": [{"id": "x", "v": 1}, {"id": "x", "v": 1}]},
            {"l": [{"id": "x", "v": 1}, {"id": "x", "v": 2}]},
        ),
        ({"a": "x"}, {}),
        ({"a": "x "}, {"a": "x"}),
        ({"a": "\u200b"}, {"a": ""}),
    ],
)
def test_no_change_is_overlooked(before: Any, after: Any) -> None:
    """The kind of a value, places that look alike, ids that stand twice, what is not seen."""
    assert between(before, after)
    assert between(after, before)
    assert not between(before, before)


def test_a_long_text_is_shown_whole() -> None:
    """Comparing takes time with the square of its words."""
    long = "word " * (WORDS_MAX // 4 + 1)
    [change] = between({"a": long}, {"a": long + "more"})
    assert [kind for kind, _ in change.pieces] == ["gone", "new"]


def test_many_texts_are_not_compared_without_end() -> None:
    """The limit is for all of them together; every change is shown all the same."""
    before = {f"m{number}": "a b c d e f " * 40 for number in range(40)}
    after = {name: text + "g" for name, text in before.items()}
    changes = between(before, after)
    kinds = [[kind for kind, _ in change.pieces] for change in changes]
    assert len(changes) == 40
    assert kinds[0] == ["same", "new"]
    assert kinds[-1] == ["gone", "new"]


def test_of_very_many_changes_both_versions_are_shown() -> None:
    """Whole, so that none is left out."""
    before = {f"m{number}": number for number in range(CHANGES_MAX + 1)}
    after = dict.fromkeys(before, -1)
    [change] = between(before, after)
    assert change.pieces == (
        ("gone", orjson.dumps(before).decode()),
        ("new", orjson.dumps(after).decode()),
    )


def test_what_cannot_be_taken_apart_is_compared_as_text() -> None:
    """Bytes that are no text as well."""
    assert differences(b"one two", b"one three")[0].pieces[0] == ("same", "one ")
    assert differences(b"\xff a", b"\xff b")
