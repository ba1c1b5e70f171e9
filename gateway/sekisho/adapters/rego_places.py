"""Where things stand in a Rego module: names, heads of rules, METADATA.

The engine's syntax tree carries no places and its errors no columns, but whoever mends a rule needs
both. So the text is cut into tokens here, by the lexical rules of Rego v1: strings, raw strings,
templates (with the code in their braces) and comments are told apart, nothing more is understood.
What a name means is read from the tree; this module only says where it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

Place = tuple[int, int]  # line and column, both from 1; columns count characters

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MARK = "# METADATA"
_NESTED_MAX = 50  # templates in templates; what lies deeper is not looked at
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Token:
    """One name or sign. `depth` counts the brackets around it, `first`: it begins a line."""

    text: str
    line: int
    column: int
    depth: int
    first: bool

    @property
    def place(self) -> Place:
        """Where it begins."""
        return self.line, self.column


@dataclass(frozen=True, slots=True)
class Metadata:
    """One METADATA block. `members` is what its YAML says, None if that cannot be read."""

    place: Place
    last_line: int
    members: Mapping[str, Any] | None

    def said(self, name: str) -> str:
        """The text of a member, in one line; empty where it is absent."""
        value = (self.members or {}).get(name, "")
        return " ".join(str(value).split())


class Places:
    """The tokens and METADATA blocks of one module, found when somebody asks: a bundle without
    faults is loaded without looking.
    """

    def __init__(self, source: str) -> None:
        self.lines = source.split("\n")
        self._source = source
        self._comments: dict[int, tuple[int, str]] = {}

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """Names and signs, from top to bottom."""
        cutter = _Cutter(self._source)
        found = tuple(cutter.code(closing=""))
        self._comments = cutter.comments
        return found

    @cached_property
    def metadata(self) -> tuple[Metadata, ...]:
        """METADATA blocks, from top to bottom."""
        return tuple(self._blocks()) if self.tokens else ()

    def name(self, dotted: str, *, after: int = 0, whole: bool = False) -> Place | None:
        """The first place where the name `dotted` is written, on line `after` or later; `whole`
        where it does not go on with another dot.
        """
        wanted = re.findall(r"\.|[^.]+", dotted)
        for at, token in enumerate(self.tokens):
            if token.line < after or token.text != wanted[0]:
                continue
            before = self.tokens[at - 1].text if at else ""
            behind = [t.text for t in self.tokens[at : at + len(wanted) + 1]]
            if before == "." or behind[: len(wanted)] != wanted:
                continue
            if not (whole and behind[-1] == "." and len(behind) > len(wanted)):
                return token.place
        return None

    def heads(self, names: Sequence[str]) -> list[Place]:
        """Where each rule of a module begins; `names` are their names in the order of the tree."""
        found: list[Place] = []
        at = 0
        for name in names:
            start = self._head(name, at)
            if start is None:  # two on one line, or written as no formatter would
                found.append(self.name(name) or (1, 1))
                continue
            found.append(self.tokens[start].place)
            at = start + 1
        return found

    def _head(self, name: str, at: int) -> int | None:
        for index in range(at, len(self.tokens)):
            token = self.tokens[index]
            if token.depth or token.text != name:
                continue
            before = self.tokens[index - 1] if index else None
            if token.first or (before and before.text == "default" and before.first):
                return index
        return None

    def above(self, line: int) -> Metadata | None:
        """The METADATA block that belongs to what begins on `line`: nothing but blanks between."""
        for block in self.metadata:
            between = self.lines[block.last_line : line - 1]
            if block.last_line < line and not any(text.strip() for text in between):
                return block
        return None

    def _blocks(self) -> Iterator[Metadata]:
        line = 1
        while line <= len(self.lines):
            comment = self._comments.get(line)
            if comment is None or comment[1].rstrip() != _MARK:
                line += 1
                continue
            began = line
            while line + 1 in self._comments and self.lines[line].lstrip().startswith("#"):
                line += 1
            yield Metadata((began, comment[0]), line, _members(self.lines[began:line]))
            line += 1


def _members(comments: Sequence[str]) -> Mapping[str, Any] | None:
    text = "\n".join(line.strip()[1:].removeprefix(" ") for line in comments)
    try:
        members = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return members if isinstance(members, dict) else None


class _Cutter:
    """Walks over one source. Templates in templates are followed by recursion."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._depth = 0
        self._nested = 0
        self._first = True
        self.comments: dict[int, tuple[int, str]] = {}

    def code(self, closing: str) -> Iterator[Token]:
        """Tokens up to the bracket that closes this piece of code, or to the end."""
        outer = self._depth
        while self._at < len(self._source):
            char = self._source[self._at]
            if char.isspace():
                self._step()
            elif char == "#":
                self._comment()
            elif char in '"`' or self._source.startswith(('$"', "$`"), self._at):
                yield from self._string()
            elif closing and char == closing and self._depth == outer:
                return
            else:
                yield self._token(char)

    def _token(self, char: str) -> Token:
        name = _NAME.match(self._source, self._at)
        text = name.group() if name else char
        if char in _CLOSING:
            self._depth = max(0, self._depth - 1)
        column = self._at - self._line_start + 1
        token = Token(text, self._line, column, self._depth, self._first)
        if char in _OPENING:
            self._depth += 1
        self._first = False
        self._at += len(text)
        return token

    def _comment(self) -> None:
        end = self._source.find("\n", self._at)
        end = len(self._source) if end < 0 else end
        column = self._at - self._line_start + 1
        self.comments[self._line] = (column, self._source[self._at : end])
        self._at = end

    def _string(self) -> Iterator[Token]:
        template = self._source[self._at] == "$"
        self._at += template
        quote = self._source[self._at]
        self._step()
        self._first = False
        while self._at < len(self._source) and self._source[self._at] != quote:
            char = self._source[self._at]
            if char == "\\" and (quote == '"' or template):
                self._step()
            elif template and char == "{" and self._nested < _NESTED_MAX:
                self._at += 1
                self._depth, self._nested = self._depth + 1, self._nested + 1
                yield from self.code(closing="}")
                self._depth, self._nested = self._depth - 1, self._nested - 1
            if self._at < len(self._source):
                self._step()
        self._at += 1

    def _step(self) -> None:
        if self._source[self._at] == "\n":
            self._line += 1
            self._line_start = self._at + 1
            self._first = True
        self._at += 1
