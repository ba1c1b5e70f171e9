"""The language of search: what it means, that printing reads back, and what its errors say."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sekisho_audit.bad_query import BadQuery
from sekisho_audit.query import (
    FIELDS,
    ITEMS_MAX,
    QUERY_CHARS_MAX,
    Phrase,
    Query,
    Term,
    parse,
    resolved,
    text_of,
)
from sekisho_audit.tokens import units_of

DAY_US = 86_400_000_000
MARCH_US = 20_513 * DAY_US  # 2026-03-01


def _words(*words: str, **terms: str) -> Query:
    return Query(tuple(Term(*term) for term in terms.items()), tuple(map(Phrase, words)))


def test_the_query_of_the_manual_means_what_it_says() -> None:
    """Fields, patterns, a time and a phrase, each at its place."""
    asked = parse('principal:staff-7 effect:deny rule:dlp.* model:gpt-* after:2026-03-01 "身份证"')
    assert asked == Query(
        (
            Term("principal", "staff-7"),
            Term("effect", "deny"),
            Term("rule", "dlp.*", pattern=True),
            Term("model", "gpt-*", pattern=True),
        ),
        (Phrase("身份证"),),
        MARCH_US,
    )


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("", Query()),
        (" \u3000\n", Query()),
        ("-effect:deny", Query((Term("effect", "deny", negated=True),))),
        ('rule:"dlp.*"', Query((Term("rule", "dlp.*"),))),
        ('rule:"a b" rule:c', Query((Term("rule", "a b"), Term("rule", "c")))),
        (r'"say \"yes\" \\ no"', Query((), (Phrase('say "yes" \\ no'),))),
        ("“身份证” 12:30 电话:7", Query((), (Phrase("身份证"), Phrase("12:30"), Phrase("电话:7")))),
        ('-draft -"b c"', Query((), (Phrase("draft", negated=True), Phrase("b c", negated=True)))),
        ('"-draft"', Query((), (Phrase("-draft"),))),
        ("rule:a rule:a x x", Query((Term("rule", "a"),), (Phrase("x"),))),
        ('"a OR b" "(x)" "NOT"', Query((), (Phrase("a OR b"), Phrase("(x)"), Phrase("NOT")))),
        ("or And rule:OR ORDER", _words("or", "And", "ORDER", rule="OR")),
        ("f(x) model:m(2)", _words("f(x)", model="m(2)")),
        ("model:qwen:7b", Query((Term("model", "qwen:7b"),))),
        ("type:hold.*", Query((Term("type", "hold.*", pattern=True),))),
        ("after:2026-03-01T01:30", Query(after_us=MARCH_US + 5_400_000_000)),
        ("after:2026-03-01T01:30Z", Query(after_us=MARCH_US + 5_400_000_000)),
        ("before:2026-03-01T08:00:00+08:00", Query(before_us=MARCH_US)),
        ("before:2026-03-01T00:00:00.5", Query(before_us=MARCH_US + 500_000)),
    ],
)
def test_each_form_means_one_thing(text: str, asked: Query) -> None:
    """Negation, quotes, escapes, several colons, times with and without an offset."""
    assert parse(text) == asked


@pytest.mark.parametrize(
    ("text", "position", "message", "hint"),
    [
        ("effect:deny efect:deny", 12, "no field 'efect'", "did you mean `effect:`?"),
        ("http://x", 0, "no field 'http'", "quotes"),
        ("effect：deny", 6, "full-width colon", "write `:`"),
        ("effect:denied", 7, "never 'denied'", "'deny'"),
        ("state:what", 6, "never 'what'", "filed, approved"),
        ("type:holt.*", 5, "never 'holt.*'", "hold"),
        ("effect:", 7, "value is missing", "write one"),
        ('rule:""', 5, "without a value", "after the colon"),
        ('a "b', 2, "not closed", 'add "'),
        ('a "b"c', 5, "something follows", "blank"),
        ('a"b"', 1, "quote inside a word", "blank"),
        ("-", 1, "value is missing", "write one"),
        ("a OR b", 2, "OR joins nothing", "search for each text by itself"),
        ("rule:a OR rule:b", 7, "OR joins nothing", "the same field again means any of the values"),
        ("a AND b", 2, "AND joins nothing", "leave it out: all items must hold"),
        ("NOT x", 0, "NOT joins nothing", "`-` before"),
        ("a -NOT", 3, "NOT joins nothing", "quote"),
        ("(a b)", 0, "brackets group nothing", "leave them out, or quote the text"),
        ('x ("a b" OR c)', 2, "brackets group nothing", "leave them out"),
        ("-(effect:deny)", 1, "brackets group nothing", "leave them out"),
        ("effect:(deny OR hold)", 7, "brackets group nothing", "leave them out"),
        ("（a）", 0, "brackets group nothing", "quote"),
        ("a b)", 3, "brackets group nothing", "quote"),
        ("rule:b)", 6, "brackets group nothing", "quote"),
        ("NOT(a b)", 3, "brackets group nothing", "quote"),
        ('""', 0, "no letter", "name a word"),
        ("x ...", 2, "no letter", "name a word"),
        ("mer*", 3, "whole words", "star"),
        ("principal:staff-*", 16, "takes no star", "again"),
        ("exchange:7", 9, "not the id", "UUID"),
        ("after:yesterday", 6, "no time", "2026-03-01"),
        ("after:2026-02-30", 6, "no such time", "UTC"),
        ("after:2026-03-01T25:00", 6, "no such time", "UTC"),
        ("after:1969-12-31", 6, "no exchange began then", "1970"),
        ("-after:2026-03-01", 0, "no `-`", "use before:"),
        ("after:2026-03-01 after:2026-03-02", 17, "after twice", "keep one"),
        ("after:2026-03-01 before:2026-03-01", 17, "not later", "swap"),
        ("x" * (QUERY_CHARS_MAX + 1), QUERY_CHARS_MAX, "too long", "limit"),
        ("rule:" + "x" * 513, 5, "too long", "512"),
        ("a " * (ITEMS_MAX + 1), 2 * ITEMS_MAX, "too many", "limit"),
    ],
)
def test_an_error_says_where_what_and_what_to_do(
    text: str, position: int, message: str, hint: str
) -> None:
    """Each slip has its place, its sentence and its advice."""
    with pytest.raises(BadQuery) as told:
        parse(text)
    assert told.value.position == position
    assert message in told.value.message
    assert hint in told.value.hint
    assert f"at character {position + 1}:" in str(told.value)


_VALUES = st.text(min_size=1, max_size=20)
_FREE = [name for name in FIELDS if name not in {"exchange", "type", "effect", "state", "status"}]
_TERMS = st.one_of(
    st.builds(
        lambda name, value, no: Term(name, value, negated=no),
        st.sampled_from(_FREE),
        _VALUES,
        st.booleans(),
    ),
    st.builds(
        lambda name, value, no: Term(name, value, pattern=True, negated=no),
        st.sampled_from(["rule", "model", "backend"]),
        st.from_regex(r'[^\s"“*()（）]{0,5}\*[^\s"“()（）]{0,5}', fullmatch=True),
        st.booleans(),
    ),
    st.builds(Term, st.just("effect"), st.sampled_from(["allow", "hold", "deny"])),
)
_PHRASES = st.builds(Phrase, _VALUES.filter(units_of), st.booleans())
_MOMENTS = st.integers(0, 253_402_300_800_000_000 - 1)


@settings(deadline=None)
@given(
    st.lists(_TERMS, max_size=5, unique=True),
    st.lists(_PHRASES, max_size=3, unique=True),
    st.none() | _MOMENTS,
    st.none() | st.just(253_402_300_800_000_000 - 1),
)
@example([Term("rule", 'a"b\\'), Term("rule", "-x")], [Phrase("effect:deny")], 0, None)
@example([], [Phrase("-x”")], 1, None)
@example([Term("rule", "OR")], [Phrase("OR"), Phrase("NOT", negated=True), Phrase("(x")], 1, None)
def test_what_is_printed_reads_back_the_same(
    terms: list[Term], phrases: list[Phrase], after_us: int | None, before_us: int | None
) -> None:
    """For any query that can be asked."""
    if after_us is not None and before_us is not None and after_us >= before_us:
        after_us = None
    asked = Query(tuple(terms), tuple(phrases), after_us, before_us)
    assert parse(text_of(asked)) == asked


@settings(deadline=None)
@given(st.text(st.sampled_from('ab:*-" \\“”：effectdny123T身()（）NOR'), max_size=30))
def test_any_text_is_a_query_or_an_error_within_it(text: str) -> None:
    """Nothing else is raised, and positions lie in the text."""
    error = None
    try:
        asked = parse(text)
    except BadQuery as told:
        error = told
    else:
        assert parse(text_of(asked)) == asked
    assert error is None or 0 <= error.position <= len(text)


def test_a_star_is_the_only_sign_of_a_pattern() -> None:
    """Brackets and question marks stand for themselves."""
    assert Term("model", "a[b]?*", pattern=True).meets("a[b]?c")
    assert not Term("model", "a[b]?*", pattern=True).meets("abxc")
    assert Term("rule", "*.cn*id", pattern=True).meets("dlp.cn_id")
    assert not Term("rule", "dlp.*").meets("dlp.cn")


def test_people_become_pseudonyms_and_nothing_else_does() -> None:
    """An id that nobody has stays, and can meet nothing."""
    asked = parse("principal:staff-7 actor:nobody model:staff-7 -x after:2026-03-01")
    known = {"staff-7": "p-1"}
    assert text_of(resolved(asked, known.get)) == (
        "principal:p-1 actor:nobody model:staff-7 -x after:2026-03-01"
    )
