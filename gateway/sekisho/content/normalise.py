r"""Text as a reader sees it, with the way back to where each character stood.

Entities are looked for in this view, because a model reads full-width digits, a card number with
zero-width characters between its digits, or `\u0034` inside a tool argument just as well as the
plain form. Only characters that matter to the rules are folded (ASCII letters and digits in other
dress, and the signs that stand inside an address or a number), each into exactly one, so a span in
the view always points at a span of the original.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_KEPT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@._-+/= ")
_HIDDEN_RANGES = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x0300, 0x036F),  # combining marks: struck-through digits
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian selectors
    (0x200B, 0x200F),  # zero width, direction marks
    (0x202A, 0x202E),  # direction overrides
    (0x2060, 0x206F),  # joiners, isolates
    (0x20D0, 0x20F0),  # combining marks for symbols
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # half-width Hangul filler
    (0xFFF9, 0xFFFB),  # interlinear annotation
    (0x1BCA0, 0x1BCA3),  # shorthand format controls
    (0xE0000, 0xE0FFF),  # tags and more variation selectors
)
_FOLDED_RANGES = (
    (0x00A0, 0x33FF),
    (0xFE10, 0xFFEF),
    (0x10400, 0x1FFFF),
)
"""Where characters stand that mean an ASCII one; ideographs and Hangul are left out."""


def _fold(code: int) -> str | None:
    """The ASCII character that `code` stands for, or None."""
    char = chr(code)
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(int(digit))
    if unicodedata.category(char) == "Pd":
        return "-"
    if unicodedata.category(char) == "Zs":
        return " "
    plain = unicodedata.normalize("NFKC", char)
    return plain if len(plain) == 1 and plain in _KEPT and plain != char else None


def _table() -> dict[int, str | None]:
    """For str.translate: the character to read instead, or None to read nothing there."""
    table: dict[int, str | None] = {}
    for first, last in _FOLDED_RANGES:
        for code in range(first, last + 1):
            folded = _fold(code)
            if folded is not None:
                table[code] = folded
    for first, last in _HIDDEN_RANGES:
        table.update(dict.fromkeys(range(first, last + 1)))
    return table


def _char_class(codes: Iterable[int]) -> str:
    """A regular expression class of `codes`, as ranges."""
    ranges: list[list[int]] = []
    for code in sorted(codes):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges) + "]"


_TABLE = _table()
_ASTRAL = range(0x10000, 0x110000)
# One range for everything beyond the BMP: the engine has a fast class for the BMP only.
_CHANGED = re.compile(
    _char_class(code for code in _TABLE if code not in _ASTRAL) + "|[\U00010000-\U0010ffff]"
)
_HIDDEN = re.compile(_char_class(code for code, plain in _TABLE.items() if plain is None))
_ESCAPE_CHARS = 6  # \uXXXX; a character beyond the BMP takes two of them
_ESCAPE = re.compile(r"\\(?:((?:u[0-9a-fA-F]{4})(?:\\u[0-9a-fA-F]{4})*)|[nrtbf])")


@dataclass(frozen=True, slots=True)
class View:
    """`text` to search in. `places[i]` is where its character i began, with the original's length
    at the end; None if nothing moved.
    """

    text: str
    places: Sequence[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original that `start:end` of the view was read from."""
        if self.places is None:
            return start, end
        return self.places[start], self.places[end]


def normalise(text: str) -> View:
    """`text` with lookalikes folded and hidden characters left out."""
    if text.isascii() or _CHANGED.search(text) is None:
        return View(text)
    folded = text.translate(_TABLE)
    if len(folded) == len(text):
        return View(folded)
    places = [place for place, char in enumerate(text) if _TABLE.get(ord(char), "") is not None]
    return View(folded, [*places, len(text)])


def hidden_chars(text: str) -> int:
    """How many characters of `text` cannot be seen."""
    return 0 if text.isascii() else sum(1 for _ in _HIDDEN.finditer(text))


def unescape(text: str) -> View | None:
    r"""`text` with the JSON escapes in it resolved once, normalised; None if it has none.

    For JSON inside a string (tool arguments, tool results). `\n` and its like become a space.
    """
    if "\\" not in text or _ESCAPE.search(text) is None:
        return None
    chars: list[str] = []
    places: list[int] = []
    done = 0
    for escape in _ESCAPE.finditer(text):
        start, end = escape.span()
        chars.append(text[done:start])
        places.extend(range(done, start))
        plain = _resolve(escape[1]) if escape[1] else " "
        chars.append(plain)
        for char in plain:
            places.append(min(start, end - 1))
            start += _ESCAPE_CHARS * (2 if ord(char) in _ASTRAL else 1)
        done = end
    chars.append(text[done:])
    places.extend(range(done, len(text) + 1))
    inner = normalise("".join(chars))
    if inner.places is None:
        return View(inner.text, places)
    return View(inner.text, [places[place] for place in inner.places])


def _resolve(escapes: str) -> str:
    units = bytes.fromhex(escapes.replace("\\", "").replace("u", ""))
    return units.decode("utf-16-be", "replace")
