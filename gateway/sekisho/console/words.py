"""What pages say, in the languages of `web/language.py`: one catalogue of sentences each.

The catalogues have the same keys and the same names in braces; a test compares them. What is put
into a sentence is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

_FOLDER = Path(__file__).parent / "words"
_TAGS = {"en": "en", "zh": "zh-Hans", "ja": "ja"}  # as BCP 47 has it, for the page's own `lang`
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


class Words:
    """The sentences of one language; `Words("ja")("queue_title")`."""

    def __init__(self, language: str) -> None:
        self.tag = _TAGS[language]
        self.texts: Mapping[str, str] = json.loads((_FOLDER / f"{language}.json").read_text())

    def __call__(self, key: str, **values: object) -> Markup:
        """The sentence of this key with `values` in it. Raises KeyError for one there is not."""
        return Markup(self.texts[key]).format(**values)  # noqa: S704 - the catalogues are ours

    def span(self, seconds: int) -> Markup:
        """A length of time, in the two largest units that matter."""
        if seconds < MINUTE_S:
            return self("span_seconds", seconds=max(seconds, 0))
        if seconds < HOUR_S:
            return self("span_minutes", minutes=seconds // MINUTE_S)
        if seconds < DAY_S:
            minutes = seconds % HOUR_S // MINUTE_S
            return self("span_hours", hours=seconds // HOUR_S, minutes=minutes)
        return self("span_days", days=seconds // DAY_S, hours=seconds % DAY_S // HOUR_S)


WORDS: Mapping[str, Words] = {language: Words(language) for language in _TAGS}
