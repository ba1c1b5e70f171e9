"""Text of a ledger in a page: inert, and with nothing hidden in it.

It was written by whoever used the system, models among them. Markup is escaped; what does not
print, turns the direction of writing or takes no width is spelled out; each piece is isolated, so
that no script of any direction reorders what stands around it.
"""

from __future__ import annotations

import html
import unicodedata

# Format characters that change what is seen, tags and fillers that are seen as nothing.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def visible(text: str, *, lines: bool = False) -> str:
    """The text with what cannot be seen spelled out as `⟨U+202E⟩`; `lines` keeps line breaks."""
    return "".join(_shown(char, lines=lines) for char in text)


def _shown(char: str, *, lines: bool) -> str:
    if lines and char in "\n\t":
        return char
    if char in _FILLERS or unicodedata.category(char) in _HIDDEN:
        return f"⟨U+{ord(char):04X}⟩"
    return char


def escaped(text: str, *, lines: bool = False) -> str:
    """The text as it can stand anywhere in a page."""
    return html.escape(visible(text, lines=lines), quote=True)


def isolated(text: str) -> str:
    """The text as an element of its own, which nothing around it can reorder."""
    return f'<bdi dir="auto">{escaped(text)}</bdi>'
