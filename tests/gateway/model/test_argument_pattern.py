"""Which arguments a grant is for: typed, closed, and deaf to texts that climb, hide or escape."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sekisho.model.argument_pattern import (
    EQUALS_DEPTH_MAX,
    NAMED_MAX,
    PATTERN_CHARS_MAX,
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
        "/reports/%c0%ae%c0%ae/etc",
        "/reports/%u002e%u002e/etc",
        "/reports/%EF%BC%8E",
        "/reports/100%",
        "/reports/\uff05c0",
        "/reports/\u3164",
        "/reports/\ufe0f",
        "/reports/\u2800",
        "/reports/\u115f",
        "/reports/\u034f",
        "/reports/\u180b",
        "/reports/" + "a" * TEXT_CHARS_MAX,
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
        ("*@corp.example", "li@corp.example", True),
        ("*@corp.example", "wei.li+q3@corp.example", True),
        ("*@corp.example", "evil@evil.example,x@corp.example", False),
        ("*@corp.example", "evil@evil.example;x@corp.example", False),
        ("*@corp.example", "evil.example x@corp.example", False),
        ("*@corp.example", "<evil@evil.example>x@corp.example", False),
        ("*@corp.example", "'evil'@corp.example", False),
        ("*@corp.example", 'evil"@corp.example', False),
        ("*@corp.example", "evil\uff20evil.example\uff0cx@corp.example", False),
        ("*@corp.example", "evil|x@corp.example", False),
        ("https://*.corp/", "https://a.corp/", True),
        ("https://*.corp/", "https://evil.example?.corp/", False),
        ("https://*.corp/", "https://evil.example#.corp/", False),
        ("https://*.corp/", "https://evil.example:8.corp/", False),
        ("a?c", "a,c", False),
        ("a?c", "a@c", False),
        ("*.md", "\u7b2c\u4e09\u5b63\u5ea6.md", True),
        ("*, *", "a, b", True),
        ("*, *", "a, b, c", False),
        ("**", "abc", True),
        ("*ab*b", "aabab", True),
        ("*?", "", False),
        ("a*a", "a", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_a_star_stays_in_one_word(shape: str, text: str, matches: bool) -> None:
    """All other signs stand for themselves."""
    assert glob(shape, text) is matches


@pytest.mark.parametrize("value", ["a\n", "..", "a\u202eb", 7, None, ["a"]])
def test_a_glob_is_of_plain_texts(value: Any) -> None:
    assert not fits({"glob": "*"}, value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shape", ["*a" * 127 + "b", "*" + "a" * 254 + "b", "*" + "?" * 254 + "b"])
def test_no_glob_takes_for_ever(shape: str) -> None:
    """Each sign of a text is one step, for a pattern that nearly fits everywhere too."""
    assert len(shape) <= PATTERN_CHARS_MAX
    assert not glob(shape, "a" * 1_000_000)
    assert glob(shape, "a" * 1_000_000 + "b")


def test_a_text_that_is_too_long_fits_nothing() -> None:
    """But what it equals."""
    assert fits({"glob": "*"}, "a" * TEXT_CHARS_MAX)
    assert not fits({"glob": "*"}, "a" * (TEXT_CHARS_MAX + 1))
    assert fits({"equals": "a" * (TEXT_CHARS_MAX + 1)}, "a" * (TEXT_CHARS_MAX + 1))


def test_what_equals_may_have_any_signs() -> None:
    """Somebody wrote it out."""
    assert fits({"equals": "100%"}, "100%")
    assert not fits({"equals": "100%"}, "100%25")


@pytest.mark.parametrize(
    "value",
    [
        2**64,
        -(2**63) - 1,
        10**30,
        Decimal("100.000000000000001"),
        Decimal("1e-400"),
        float("inf"),
        [[2**64]],
        {"a": {"b": Decimal("0.5")}},
    ],
    ids=repr,
)
def test_a_number_that_programs_read_differently_fits_nothing(value: Any) -> None:
    """Neither as what is wanted nor in a call, also where nothing is said of it."""
    with pytest.raises(BadPattern):
        pattern(x={"equals": value})
    for one in ({"equals": 2**63}, {"equals": 100.0}, {"equals": 0.0}):
        assert not fits(one, value)
    assert not pattern("any", x={"equals": 1}).fits({"x": 1, "y": value})


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 0.1, 100.0, 1e300])
def test_the_last_numbers_of_64_bits_fit_themselves(number: float) -> None:
    assert fits({"equals": number}, number)


@pytest.mark.parametrize(
    "other",
    ["Path", "PATH", "pa_th", "-path", "_path", "\uff50ath", "pa\u200bth", "path\u3164", "path "],
)
def test_names_that_are_one_to_some_programs_fit_nothing(other: str) -> None:
    """The program may take the one that nobody looked at."""
    one = pattern("any", path={"prefix": "/reports/"})

    assert one.fits({"path": "/reports/a", "mode": "r"})
    assert not one.fits({"path": "/reports/a", other: "/etc/passwd"})
    assert not pattern("any").fits({"path": "/reports/a", other: "/etc/passwd"})
    with pytest.raises(BadPattern):
        read({"named": {"path": {"equals": 1}, other: {"equals": 1}}, "others": "any"})


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
        {"named": {"a": {"prefix": "/%41/"}}, "others": "any"},
        {"named": {"a": {"glob": "*%"}}, "others": "any"},
        {"named": {"a": {"glob": "*\u2800"}}, "others": "any"},
        {"named": {"a": {"prefix": "../"}}, "others": "any"},
        {"named": {"a": {"glob": "a\n*"}}, "others": "any"},
        {"named": {"a": {"glob": "a" * (PATTERN_CHARS_MAX + 1)}}, "others": "any"},
        {"named": {"a": {"equals": _deep(EQUALS_DEPTH_MAX + 1)}}, "others": "any"},
        {"named": {str(n): {"equals": n} for n in range(NAMED_MAX + 1)}, "others": "any"},
    ],
)
def test_what_is_no_pattern_is_not_read(document: Any) -> None:
    """An empty prefix would be everything, and says so nowhere."""
    with pytest.raises(BadPattern):
        read(document)
