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
from itertools import groupby

from markupsafe import Markup, escape

from sekisho.content.hidden import ODD, code_point, is_hidden, mixed_words

NAMED_MAX = 8  # of a run of hidden characters so many are named; all are numbered


def inert(text: str, masked: Collection[str] = ()) -> Markup:
    """`text` as it can stand in any element. `masked` are kinds of data that were masked, in small
    letters: where `[EMAIL]` stands for such a kind, it is struck.
    """
    pieces, done = [], 0
    for start, end, kind in _marks(text, masked):
        pieces += [_plain(text[done:start]), _marked(text[start:end], kind)]
        done = end
    return Markup("").join([*pieces, _plain(text[done:])])


def _marks(text: str, masked: Collection[str]) -> Iterator[tuple[int, int, str]]:
    """Spans with a mark of their own, in order; none overlaps another."""
    found = [(start, end, "mixed") for start, end in mixed_words(text)]
    if masked:
        kinds = "|".join(re.escape(kind.upper()) for kind in sorted(masked))
        found += [(*match.span(), "mask") for match in re.finditer(rf"\[(?:{kinds})\]", text)]
    done = 0
    for start, end, kind in sorted(found):
        if start >= done:
            yield start, end, kind
            done = end


def _marked(text: str, kind: str) -> Markup:
    if kind == "mask":
        return Markup('<del class="mask">{}</del>').format(text)
    return Markup('<span class="mixed">{}</span>').format(_plain(text))


def _plain(text: str) -> Markup:
    """Escaped, with hidden characters spelled out in runs."""
    pieces, done = [], 0
    for odd in ODD.finditer(text):
        pieces.append(escape(text[done : odd.start()]))
        for hidden, run in groupby(odd.group(), key=is_hidden):
            piece = "".join(run)
            pieces.append(_spelled(piece) if hidden else escape(piece))
        done = odd.end()
    return Markup("").join([*pieces, escape(text[done:])])


def _spelled(run: str) -> Markup:
    if set(run) == {"\t"}:
        return Markup('<span class="tab" title="TAB">⇥</span>\t') * len(run)
    names = ", ".join(unicodedata.name(char, code_point(char)) for char in run[:NAMED_MAX])
    numbers = " ".join(map(code_point, run))
    return Markup('<span class="hid" title="{}">{}</span>').format(names, numbers)
