"""The plain part of YAML, read line by line; everything else is left to libyaml.

Ten thousand principals are sixty thousand lines that all look alike. PyYAML makes half a dozen
Python objects of each, and takes more than a second. This reader knows only blocks of mappings and
lists, lists and mappings on one line, and scalars that no version of YAML reads in two ways. It
gives None at the first line that may be anything else: an anchor, a tag, an escape, a text over
several lines, a word that YAML takes for something else, a key that stands twice. So it refuses
nothing and explains nothing. A property test holds it to what the full reader says.

What one principal's lines say follows from them alone, and a change leaves most as they were: short
entries are remembered. So documents share their parts, and whoever gets one only looks at it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

LINE_CHARS_MAX = 1000  # YAML's own bound for a key
ENTRIES_KEPT_MAX = 16_384  # of 10,000 principals one changes and the others do not: 10 MiB
ENTRY_CHARS_MAX = 1_000  # of an entry that is kept; a principal's has some hundred
_DEPTH_MAX = 8  # of lists and mappings on one line; data.yaml needs two

# Beyond ASCII nothing means anything in YAML but blanks, and those are not printable.
_FIRST = r"[A-Za-z\x80-\U0010ffff]"
_WORD = rf"{_FIRST}[\w\x80-\U0010ffff.@+/*?-]*"
_QUOTED = r'"[^"\\]*"|\'[^\']*\''
_NUMBER = r"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,9})?"
# A text of several words may have marks that mean nothing in YAML where they stand.
_MARKS = r"[\w\x80-\U0010ffff.@+/*?;,!()'-]"
_TEXT = rf"{_FIRST}{_MARKS}*(?:(?::(?=[\w*?])| (?=[\w(\x80-\U0010ffff])){_MARKS}+)*"
_END = r" *(?: #.*)?$"
_LINE = re.compile(
    rf"( *)(- (?! ))?(?:({_WORD}|{_QUOTED}):(?: +(?=[^ #])|(?={_END})))?"
    rf"(?:({_TEXT}|{_QUOTED})|({_NUMBER})|([\[{{].*))?{_END}"
)
_FLOW = re.compile(
    rf" *(?:([\[\]{{}},])|(?:({_WORD}|{_QUOTED})(:(?= ))?|({_NUMBER}))(?=[\]}}, ]|$))"
)
_COMMENT = re.compile(r" *(?:#|$)")
# What stands at the second column of a document, as a principal does, with all that stands deeper.
_ENTRY_COLUMN = 2
_ENTRY = re.compile(r"^(  [^ #\n-][^\n]*\n(?:(?: *(?:#[^\n]*)?\n)*   [^\n]*\n)*)", re.MULTILINE)
_REST = re.compile(_END)
# What YAML 1.1 or 1.2 takes for something else than text, in any spelling.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "null", "true", "false"})
_QUOTES = "\"'"
_WORD_MAX = max(map(len, _WORDS))
_TRUTH = {"true": True, "false": False}


class _NotPlain(Exception):
    """Here ends what this reader knows."""


def read_plain(source: bytes) -> dict[str, Any] | None:
    """The document of `source`, exactly as PyYAML's safe loader gives it, or None: ask that one."""
    try:
        text = source.decode("utf-8")
        lines = text.split("\n")
        if not "".join(lines).isprintable() or max(map(len, lines)) > LINE_CHARS_MAX:
            return None
        return _whole(text if text.endswith("\n") else f"{text}\n")
    except (_NotPlain, UnicodeDecodeError):
        return None


def _whole(text: str) -> dict[str, Any]:
    """Entries, and the other lines between them and at both ends."""
    reader = _Reader()
    for turn, part in enumerate(_ENTRY.split(text)):
        is_entry = turn % 2 == 1
        if not is_entry or not _take_entry(reader, part):
            reader.read(part[:-1].split("\n") if part else [])
    return reader.end()


def _take_entry(reader: _Reader, part: str) -> bool:
    """Whether the lines say something by themselves: a list may follow that stands no deeper."""
    try:
        entry = (_fresh_entry if len(part) > ENTRY_CHARS_MAX else _kept_entry)(part)
    except _NotPlain:
        return False
    reader.take(entry)
    return True


def _fresh_entry(part: str) -> dict[str, Any]:
    reader = _Reader(_ENTRY_COLUMN)
    reader.read(part[:-1].split("\n"))
    return reader.end()


_kept_entry = lru_cache(ENTRIES_KEPT_MAX)(_fresh_entry)


class _Reader:
    """The blocks that are open, outermost first, each with the column it stands at."""

    def __init__(self, column: int = 0) -> None:
        self._whole: dict[str, Any] = {}
        self._open: list[tuple[int, Any]] = [(column, self._whole)]
        self._waiting: str | None = None  # the key of the innermost block that has no value yet

    def take(self, entry: dict[str, Any]) -> None:
        """An entry that was read by itself: one key with its value."""
        block = self._block(_ENTRY_COLUMN, item=False)
        for key, value in entry.items():
            self._set(block, key, value)

    def read(self, lines: list[str]) -> None:
        """Some more of it."""
        for line in lines:
            found = _LINE.match(line)
            if found is None or found.lastindex == 1:
                if _COMMENT.match(line):
                    continue
                raise _NotPlain
            space, dash, key, text, number, flow = found.groups()
            column, item = len(space), dash is not None
            at, block = self._open[-1]
            if at != column or self._waiting is not None or isinstance(block, list) is not item:
                block = self._block(column, item=item)
            if text is not None:
                value = text if len(text) > _WORD_MAX and text[0] not in _QUOTES else _scalar(text)
            else:
                value = _other(number, flow)
            if item and key is not None:
                block.append({})
                block = block[-1]
                self._open.append((column + 2, block))
            if key is not None:
                self._set(block, key, value)
            elif item and value is not None:
                block.append(value)
            else:
                raise _NotPlain

    def end(self) -> dict[str, Any]:
        """All of it."""
        if self._waiting is not None or not self._whole:
            raise _NotPlain
        return self._whole

    def _block(self, column: int, *, item: bool) -> Any:
        """The block that a line at this column belongs to; deeper ones end."""
        at, block = self._open[-1]
        if self._waiting is not None:
            if column < at or (column == at and not item):
                raise _NotPlain  # a key without a value
            made: Any = [] if item else {}
            block[self._waiting] = made
            self._waiting = None
            self._open.append((column, made))
            return made
        while at > column:
            self._open.pop()
            at, block = self._open[-1]
        if not item and isinstance(block, list):
            self._open.pop()  # a list may stand as far left as the key it belongs to
            at, block = self._open[-1]
        if at != column or isinstance(block, list) is not item:
            raise _NotPlain
        return block

    def _set(self, block: dict[str, Any], key: str, value: Any) -> None:
        name = key if len(key) > _WORD_MAX and key[0] not in _QUOTES else _scalar(key)
        if name in block or not isinstance(name, str):
            raise _NotPlain
        block[name] = value
        if value is None:
            self._waiting = name


def _other(number: str | None, flow: str | None) -> Any:
    """What stands behind a key or a dash and is no text; None for nothing."""
    if number is not None:
        return _number(number)
    return None if flow is None else _Flow(flow).whole()


def _scalar(text: str) -> str | bool:
    if text[0] in _QUOTES:
        return text[1:-1]
    if len(text) <= _WORD_MAX and text.lower() in _WORDS:
        if text not in _TRUTH:
            raise _NotPlain
        return _TRUTH[text]
    return text


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


class _Flow:
    """A list or a mapping on one line."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> Any:
        """All of it, with nothing but a comment behind."""
        made = self._value(self._next(), 0)
        if not _REST.match(self._text, self._at):
            raise _NotPlain
        return made

    def _next(self) -> re.Match[str]:
        found = _FLOW.match(self._text, self._at)
        if found is None:
            raise _NotPlain
        self._at = found.end()
        return found

    def _value(self, token: re.Match[str], depth: int) -> Any:
        mark, text, colon, number = token.groups()
        if depth == _DEPTH_MAX or colon:
            raise _NotPlain
        if text:
            return _scalar(text)
        if number:
            return _number(number)
        if mark == "[":
            return self._list(depth + 1)
        if mark == "{":
            return self._mapping(depth + 1)
        raise _NotPlain

    def _list(self, depth: int) -> list[Any]:
        made: list[Any] = []
        token = self._next()
        while token[1] != "]":
            made.append(self._value(token, depth))
            token = self._after("]")
        return made

    def _mapping(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        token = self._next()
        while token[1] != "}":
            if not token[3]:
                raise _NotPlain
            name = _scalar(token[2])
            if name in made or not isinstance(name, str):
                raise _NotPlain
            made[name] = self._value(self._next(), depth)
            token = self._after("}")
        return made

    def _after(self, end: str) -> re.Match[str]:
        """The next member, or the end; a comma stands between two and nowhere else."""
        token = self._next()
        if token[1] == end:
            return token
        if token[1] != ",":
            raise _NotPlain
        token = self._next()
        if token[1] == end:
            raise _NotPlain
        return token
