"""The language of search, one for command line, HTTP and pages: text in, a small tree out.

    principal:staff-7 effect:deny rule:dlp.* model:gpt-* after:2026-03-01 "身份证" -"draft"

A query is items between blanks; all of them must hold. `field:value` asks what an exchange did; the
same field again means any of the values. `"…"` or a bare word is text. A leading `-` means not.
In a bare value `*` stands for any characters; in quotes it is a star. `after:` (from then on) and
`before:` (earlier than that) compare when an exchange began; a date means its first moment, and
what names no offset is UTC. Values are compared as they are written, text without regard to case.
`text_of` prints a query so that it reads back the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase

from sekisho_audit.bad_query import JOINING, OPENING, BadQuery, check_plain, grouped
from sekisho_audit.events import TYPES
from sekisho_audit.tokens import units_of

QUERY_CHARS_MAX = 2_000  # a screen of text; every item costs a reading of the index
ITEMS_MAX = 64
VALUE_CHARS_MAX = 512  # no longer word is in the index

EFFECTS = ("allow", "hold", "deny")
STATES = ("filed", "approved", "denied", "expired", "withdrawn", "released", "delivered")
STATUSES = (
    *("released", "held", "stopped", "cancelled", "failed", "unknown"),
    *("refused", "checked"),
)
# Fields whose words are known beforehand; a query for another word is a slip of the pen.
_KNOWN_WORDS = {"effect": EFFECTS, "state": STATES, "status": STATUSES, "type": tuple(TYPES)}
# Fields that hold ids. The index has pseudonyms for people: a pattern could meet nothing.
ID_FIELDS = frozenset({"principal", "actor", "exchange"})
FIELDS = (
    *("principal", "actor", "exchange", "type", "effect", "rule", "reason", "stage", "revision"),
    *("model", "backend", "endpoint", "status", "state", "code"),
)
_TIMES = ("after", "before")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:T([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000
_TIME_END_US = 253_402_300_800_000_000
# An input method writes the second pair where a keyboard writes the first.
_QUOTES = {'"': '"', "“": "”"}
_PLAIN = re.compile(r"[A-Za-z0-9._@/+][A-Za-z0-9._@/+-]*")
_FIELD_COLON = re.compile(r"([A-Za-z_]+)([:：])")


@dataclass(frozen=True, slots=True)
class Term:
    """One value of a field; `pattern`: its stars stand for any characters."""

    field: str
    value: str
    pattern: bool = False
    negated: bool = False

    def meets(self, word: str) -> bool:
        """Whether a word of this field is meant."""
        if not self.pattern:
            return word == self.value
        # Of the shell's signs only the star has a meaning here.
        return fnmatchcase(word, self.value.replace("[", "[[]").replace("?", "[?]"))


@dataclass(frozen=True, slots=True)
class Phrase:
    """Text that must, or (`negated`) must not, be there."""

    text: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked. Times are microseconds since 1970, `after_us` included, `before_us` not."""

    terms: tuple[Term, ...] = field(default=())
    phrases: tuple[Phrase, ...] = field(default=())
    after_us: int | None = None
    before_us: int | None = None


@dataclass(frozen=True, slots=True)
class _Item:
    """One item as it was written. `field` is None for text; `quoted`: its stars are stars."""

    position: int
    negated: bool
    field: str | None
    value: str
    value_position: int
    quoted: bool


def parse(text: str) -> Query:
    """The query in `text`; "" asks for everything. Raises BadQuery."""
    if len(text) > QUERY_CHARS_MAX:
        raise BadQuery(QUERY_CHARS_MAX, "the query is too long", f"{QUERY_CHARS_MAX} are the limit")
    terms: dict[Term, None] = {}
    phrases: dict[Phrase, None] = {}
    times: dict[str, int] = {}
    for number, item in enumerate(_items(text)):
        if number == ITEMS_MAX:
            raise BadQuery(item.position, "too many items", f"{ITEMS_MAX} are the limit")
        if item.field is None:
            phrases[_phrase(item)] = None
        elif item.field in _TIMES:
            if item.field in times:
                raise BadQuery(item.position, f"{item.field} twice", "keep one of them")
            times[item.field] = _moment(item)
            if len(times) == len(_TIMES) and times["after"] >= times["before"]:
                raise BadQuery(item.position, "before is not later than after", "swap the two")
        else:
            terms[_term(item, item.field)] = None
    return Query(tuple(terms), tuple(phrases), times.get("after"), times.get("before"))


def _items(text: str) -> Iterator[_Item]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        start, negated = at, text[at] == "-"
        at += negated
        named = _FIELD_COLON.match(text, at)
        name = None
        if named is not None:
            name = _field_name(named[1], named[2], at)
            at = named.end()
        value_at = at
        if text.startswith(OPENING, at):
            raise grouped(at)
        value, at, quoted = _value(text, at)
        if not quoted:
            check_plain(value, value_at, named=name is not None)
        yield _Item(start, negated, name, value, value_at, quoted)


def _field_name(name: str, colon: str, at: int) -> str:
    if colon != ":":
        raise BadQuery(at + len(name), "this is a full-width colon", "write `:`, or quote the text")
    if name not in FIELDS and name not in _TIMES:
        near = get_close_matches(name.lower(), (*FIELDS, *_TIMES), 1)
        meant = f"did you mean `{near[0]}:`?" if near else f"fields are {', '.join(FIELDS)}"
        raise BadQuery(at, f"there is no field {name!r}", f"{meant} Text with a colon needs quotes")
    return name


def _value(text: str, at: int) -> tuple[str, int, bool]:
    """A value at `at`, where it ends, and whether it stood in quotes."""
    closing = _QUOTES.get(text[at : at + 1])
    if closing is None:
        end = at
        while end < len(text) and not text[end].isspace() and text[end] not in _QUOTES:
            end += 1
        if end == at:
            raise BadQuery(at, "a value is missing", 'write one, `""` is none')
        if end < len(text) and text[end] in _QUOTES:
            raise BadQuery(
                end, "a quote inside a word", "put a blank before it, or quote all of it"
            )
        return text[at:end], end, False
    said: list[str] = []
    place = at + 1
    while place < len(text):
        char = text[place]
        if char == closing:
            return _closed("".join(said), text, place + 1)
        if char == "\\" and text[place + 1 : place + 2] in {"\\", '"', "”"}:
            place += 1
            char = text[place]
        said.append(char)
        place += 1
    raise BadQuery(at, "the quote is not closed", f"add {closing} where it ends")


def _closed(value: str, text: str, end: int) -> tuple[str, int, bool]:
    if end < len(text) and not text[end].isspace():
        raise BadQuery(end, "something follows the quote", "put a blank between")
    return value, end, True


def _phrase(item: _Item) -> Phrase:
    if not item.quoted and "*" in item.value:
        at = item.value_position + item.value.index("*")
        raise BadQuery(at, "text is found by whole words", "leave the star away, or quote the text")
    if not units_of(item.value):
        raise BadQuery(item.value_position, "there is no letter to look for", "name a word")
    return Phrase(item.value, item.negated)


def _term(item: _Item, name: str) -> Term:
    value, at = item.value, item.value_position
    if not value:
        raise BadQuery(at, f"{name} without a value", "write one after the colon")
    if len(value) > VALUE_CHARS_MAX:
        raise BadQuery(at, "the value is too long", f"{VALUE_CHARS_MAX} characters are the limit")
    term = Term(name, value, not item.quoted and "*" in value, item.negated)
    if term.pattern and name in ID_FIELDS:
        at += value.index("*")
        raise BadQuery(at, f"{name} takes no star", f"name it whole; `{name}:` again adds another")
    if name == "exchange" and not _UUID.fullmatch(value):
        raise BadQuery(at, "not the id of an exchange", "it is a UUID in lower case")
    known = _KNOWN_WORDS.get(name)
    if known is not None and not any(term.meets(word) for word in known):
        near = get_close_matches(value.lower(), known, 1)
        meant = f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(known)}"
        raise BadQuery(at, f"{name} is never {value!r}", meant)
    return term


def _moment(item: _Item) -> int:
    if item.negated:
        other = _TIMES[1 - _TIMES.index(str(item.field))]
        raise BadQuery(item.position, "a time takes no `-`", f"use {other}:")
    read = _TIME.fullmatch(item.value)
    hint = "write 2026-03-01, 2026-03-01T09:30 or 2026-03-01T09:30+08:00; no offset means UTC"
    if read is None:
        raise BadQuery(item.value_position, f"{item.value[:40]!r} is no time", hint)
    try:
        moment = datetime.fromisoformat(f"{read[1]}T{read[2] or '00:00'}{read[3] or 'Z'}")
    except ValueError as error:
        raise BadQuery(item.value_position, f"no such time: {item.value}", hint) from error
    moment_us = (moment - _EPOCH) // _MICROSECOND
    if not 0 <= moment_us < _TIME_END_US:
        raise BadQuery(item.value_position, "no exchange began then", "1970 to 9999 are the limits")
    return moment_us


def text_of(query: Query) -> str:
    """The query as text that `parse` reads back as the same query."""
    said = [
        ("-" if term.negated else "") + f"{term.field}:{_written(term.value, bare=term.pattern)}"
        for term in query.terms
    ]
    said += [("-" if it.negated else "") + _written(it.text, bare=False) for it in query.phrases]
    moments = zip(_TIMES, (query.after_us, query.before_us), strict=True)
    said += [f"{name}:{_time_text(moment)}" for name, moment in moments if moment is not None]
    return " ".join(said)


def _written(value: str, *, bare: bool) -> str:
    if bare or (_PLAIN.fullmatch(value) and value not in JOINING):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _time_text(moment_us: int) -> str:
    moment = (_EPOCH + moment_us * _MICROSECOND).replace(tzinfo=None)
    return moment.date().isoformat() if moment_us % _DAY_US == 0 else f"{moment.isoformat()}Z"


def resolved(query: Query, pseudonym_of: Callable[[str], str | None]) -> Query:
    """The query with pseudonyms for principal ids. Nobody's id stands for itself, and meets
    nothing: no leaf holds a principal id.
    """
    terms = tuple(
        Term(it.field, pseudonym_of(it.value) or it.value, it.pattern, it.negated)
        if it.field in {"principal", "actor"}
        else it
        for it in query.terms
    )
    return Query(terms, query.phrases, query.after_us, query.before_us)
