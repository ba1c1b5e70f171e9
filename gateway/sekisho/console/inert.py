"""Content in a page: text and nothing else, with everything in it that the eye would miss.

Whoever wrote it may want to talk the reviewer into something. Markup is escaped, so there are no
links, pictures or forms in it; characters that hide are spelled out with their names; words that
mix alphabets are marked; what was masked before sending is struck. Each piece stands in an element
of its own, whose direction of writing cannot reach what stands around it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from html import escape
from itertools import groupby

from markupsafe import Markup

from sekisho.content.hidden import ODD, code_point, is_hidden, mixed_words

NAMED_MAX = 8  # of a run of hidden characters so many are named; all are numbered


def inert(text: str, masked: Collection[str] = ()) -> Markup:
    """`text` as it can stand in any element. `masked` are kinds of data that were masked, in small
    letters: where `[EMAIL]` stands for such a kind, it is struck.
    """
    pieces, done = [], 0
    for start, end, opening, closing in _marks(text, masked):
        pieces += [_plain(text[done:start]), opening, _plain(text[start:end]), closing]
        done = end
    return Markup("".join([*pieces, _plain(text[done:])]))  # noqa: S704 - of escaped pieces


def _marks(text: str, masked: Collection[str]) -> Iterator[tuple[int, int, str, str]]:
    """Spans with what stands before and after them, in order; none overlaps another."""
    found = [(*span, '<span class="mixed">', "</span>") for span in mixed_words(text)]
    if masked:
        kinds = "|".join(re.escape(kind.upper()) for kind in sorted(masked))
        masks = re.finditer(rf"\[(?:{kinds})\]", text)
        found += [(*match.span(), '<del class="mask">', "</del>") for match in masks]
    done = 0
    for mark in sorted(found):
        if mark[0] >= done:
            yield mark
            done = mark[1]


def _plain(text: str) -> str:
    """Escaped, with hidden characters spelled out in runs."""
    pieces, done = [], 0
    for odd in ODD.finditer(text):
        pieces.append(escape(text[done : odd.start()]))
        for hidden, run in groupby(odd.group(), key=is_hidden):
            piece = "".join(run)
            pieces.append(_spelled(piece) if hidden else escape(piece))
        done = odd.end()
    return "".join([*pieces, escape(text[done:])])


def _spelled(run: str) -> str:
    if set(run) == {"\t"}:
        return '<span class="tab" title="TAB">⇥</span>\t' * len(run)
    names = ", ".join(unicodedata.name(char, code_point(char)) for char in run[:NAMED_MAX])
    numbers = " ".join(map(code_point, run))
    return f'<span class="hid" title="{names}">{numbers}</span>'
