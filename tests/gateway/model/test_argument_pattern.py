"""Which arguments a grant is for: typed, closed, and deaf to texts that climb, hide or escape."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.model.argument_pattern import (
    EQUALS_DEPTH_MAX,
    NAMED_MAX,
    TEXT_CHARS_MAX,
    BadPattern,
    Pattern,
    glob,
    read,
)


def pattern(others: str = "absent", **named: Any) -> Pattern:
    """A pattern over these arguments."""
    return read({"named": named, "others": others})


def fits(one: Any, value: Any) -> bool:
    """Whether a value fits what is said of its argument."""
    return pattern(x=one).fits({"x": value})


def test_every_named_argument_must_be_there() -> None:
    """One that is missing has a default nobody here knows."""
    two = pattern(a={"equals": 1}, b={"equals": 2})

    assert two.fits({"a": 1, "b": 2})
    assert not two.fits({"a": 1})
    assert not two.fits({})


def test_what_is_not_named_must_be_absent() -> None:
    """Unless that is said."""
    assert not pattern(a={"equals": 1}).fits({"a": 1, "force": True})
    assert pattern("any", a={"equals": 1}).fits({"a": 1, "force": True})
    assert pattern().fits({})
    assert not pattern().fits({"a": None})
    assert pattern("any").fits({"a": None})


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        (1, True),
        (True, 1),
        (1, 1.0),
        (1, "1"),
        ("1", 1),
        (0, False),
        (None, ""),
        (None, False),
        ("a", "A"),
        ("a", "a "),
        ("é", "e\u0301"),
        ([1, 2], [2, 1]),
        ([1], [1, 2]),
        ([True], [1]),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": True}),
        ({}, []),
        ("a", ["a"]),
    ],
    ids=repr,
)
def test_equal_is_equal_in_type_too(wanted: Any, value: Any) -> None:
    """Python thinks that some of these are."""
    assert not fits({"equals": wanted}, value)
    assert fits({"equals": wanted}, wanted)


@pytest.mark.parametrize(
    "value",
    [
        "/reports/../etc/passwd",
        "/reports/..",
        "/reports/a\\..\\b",
        "/reports/%2e%2e/etc",
        "/reports/%2E./etc",
        "/reports/%252e%252e/etc",
        "/reports/a%2fb",
        "/reports/a%00.txt",
        "/reports/a\x00",
        "/reports/a\n/etc",
        "/reports/\u202etxt",
        "/reports/\u200b",
        "/reports/\u2028",
        "/reports/\u00a0",
        "/reports/\uff0e\uff0e/etc",
        "/reports/\u2025/etc",
        "/reports/\uff3c",
        "/report",
        "reports/a",
        " /reports/a",
        "/Reports/a",
        "",
        7,
        None,
        ["/reports/a"],
        {"/reports/": "a"},
        True,
    ],
)
def test_what_is_not_plainly_below_a_prefix_is_not(value: Any) -> None:
    """Whatever the program that gets it would make of it."""
    assert not fits({"prefix": "/reports/"}, value)


@pytest.mark.parametrize("value", ["/reports/", "/reports/a b.txt", "/reports/2026/第三季度.md"])
def test_what_is_plainly_below_a_prefix_fits(value: str) -> None:
    assert fits({"prefix": "/reports/"}, value)


@pytest.mark.parametrize(
    ("shape", "text", "matches"),
    [
        ("*", "abc", True),
        ("*", "", True),
        ("*", "a/b", False),
        ("/a/*/c", "/a/b/c", True),
        ("/a/*/c", "/a/b/b/c", False),
        ("/a/*/c", "/a//c", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a?c", "a/c", False),
        ("*.txt", "a.txt", True),
        ("*.txt", "a.txt.exe", False),
        ("*a*b", "xaxbxb", True),
        ("*a*b", "xaxbxc", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("a*", "A", False),
        ("https://wiki.corp/*", "https://wiki.corp/a", True),
        ("https://wiki.corp/*", "https://wiki.corp.evil.example/a", False),
        ("https://wiki.corp/*", "https://wiki.corp@evil.example/a", False),
        ("*@corp.example", "a@corp.example", True),
        ("*@corp.example", "a@corp.example.evil", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_a_star_stays_between_slashes(shape: str, text: str, matches: bool) -> None:
    """All other signs stand for themselves."""
    assert glob(shape, text) is matches


@pytest.mark.parametrize("value", ["a\n", "..", "a\u202eb", 7, None, ["a"]])
def test_a_glob_is_of_plain_texts(value: Any) -> None:
    assert not fits({"glob": "*"}, value)


def test_no_glob_takes_for_ever() -> None:
    """A pattern with many stars on a text that nearly fits: steps are bounded by both lengths."""
    assert not glob("*a" * (TEXT_CHARS_MAX // 2) + "b", "a" * 4_000)


def test_a_pattern_is_told_and_read_again() -> None:
    one = pattern("any", a={"equals": {"b": [1]}}, c={"prefix": "d"}, e={"glob": "f*"})

    assert read(one.document()) == one


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"named": {}},
        {"named": {}, "others": "maybe"},
        {"named": {}, "others": True},
        {"named": {}, "others": "any", "more": 1},
        {"named": [], "others": "any"},
        {"named": {"a": 1}, "others": "any"},
        {"named": {"a": {}}, "others": "any"},
        {"named": {"a": {"equals": 1, "prefix": "b"}}, "others": "any"},
        {"named": {"a": {"regex": ".*"}}, "others": "any"},
        {"named": {"a": {"prefix": ""}}, "others": "any"},
        {"named": {"a": {"prefix": 7}}, "others": "any"},
        {"named": {"a": {"prefix": "../"}}, "others": "any"},
        {"named": {"a": {"glob": "a\n*"}}, "others": "any"},
        {"named": {"a": {"glob": "a" * (TEXT_CHARS_MAX + 1)}}, "others": "any"},
        {"named": {"a": {"equals": _deep(EQUALS_DEPTH_MAX + 1)}}, "others": "any"},
        {"named": {str(n): {"equals": n} for n in range(NAMED_MAX + 1)}, "others": "any"},
    ],
)
def test_what_is_no_pattern_is_not_read(document: Any) -> None:
    """An empty prefix would be everything, and says so nowhere."""
    with pytest.raises(BadPattern):
        read(document)
