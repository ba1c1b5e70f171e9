"""Letters and marks that are drawn as nothing: no control and no format sign by class, yet unseen.

Of Unicode's Default_Ignorable_Code_Point those whose class does not say it, with the fillers of
Hangul and the blank of Braille. One set, for what is shown to people and for what they agree to.
"""

from __future__ import annotations

UNDRAWN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0").union(
    map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
