"""Which language a refusal is said in: the client's own wish, else the installation's.

Only what rules say has been put into other languages; all else is English. Headers follow RFC 9110,
section 12.5.4; SDKs mostly send none, or `*`, which leaves the choice to us.
"""

from __future__ import annotations

SPOKEN = ("en", "zh", "ja")
WISHES_MAX = 16  # a browser sends five; the rest of a longer list is not read


def spoken(header: bytes, default: str) -> str:
    """The language of `SPOKEN` that `accept-language: header` likes best, else `default`."""
    best, best_weight = default, 0.0
    for wish in header.decode("latin-1").split(",")[:WISHES_MAX]:
        tag, _, quality = wish.partition(";")
        language = tag.strip().split("-", 1)[0].lower()
        weight = _weight(quality)
        if language in SPOKEN and weight > best_weight:
            best, best_weight = language, weight
    return best


def _weight(quality: str) -> float:
    """What stands behind `;q=`: 1 where nothing does, 0 where it cannot be read."""
    name, _, figure = quality.strip().partition("=")
    if not quality.strip():
        return 1.0
    digits = figure.strip()
    plain = digits.isascii() and digits.replace(".", "", 1).isdigit()
    return float(digits) if name.strip().lower() == "q" and plain else 0.0
