from __future__ import annotations

import re
import string
from pathlib import Path
from typing import get_args

import pytest

from sekisho.console import words
from sekisho.console.words import WORDS
from sekisho.model.break_glass import Ended, Status
from sekisho.model.hold import HoldState
from sekisho.web.language import SPOKEN

PACKAGE = Path(words.__file__).parent
STAGES = ("request", "response", "tool_call")
# What templates put together: a stage, a state or a decision after these.
COMPOSED = {
    *(f"opening_{status}" for status in get_args(Status)),
    *(f"opening_ended_{cause}" for cause in get_args(Ended) if cause),
    *("told_unjustified", "told_alone", "told_anew"),
    *(f"figures_{kind}" for kind in ("own", "total", "rules", "people")),
    *("figure_rules", "figure_people"),
    *(f"figure_{name}" for name in ("answers", "median", "hourly", "caught")),
    *(f"{kind}_{state}" for kind in ("state", "told") for state in HoldState),
    *(f"{kind}_{stage}" for kind in ("stage", "title", "title_own", "line") for stage in STAGES),
    *(f"step_{standing}" for standing in ("done", "now", "ahead", "denied")),
    *(f"{kind}_{said}" for kind in ("said", "you_answered") for said in ("approve", "deny")),
}


def test_there_is_a_catalogue_for_each_language_that_is_spoken() -> None:
    """And no other."""
    assert set(SPOKEN) == set(WORDS)


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", SPOKEN)
def test_catalogues_say_the_same(language: str) -> None:
    """The same keys, each with the same names in braces, and nothing empty or like markup."""
    texts, english = WORDS[language].texts, WORDS["en"].texts

    assert english.keys() == texts.keys()
    for key, text in texts.items():
        assert _names(english[key]) == _names(text), key
        assert text.strip()
        assert not set("<>&") & set(text), key


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_everything_is_translated(language: str) -> None:
    """No sentence was left in English."""
    assert not [
        key for key, text in WORDS[language].texts.items() if text == WORDS["en"].texts[key]
    ]


def test_every_sentence_is_used_and_every_used_one_is_there() -> None:
    """By a template, or by the module that says times."""
    sources = [*(PACKAGE / "templates").glob("*.html"), PACKAGE / "words.py"]
    text = "\n".join(path.read_text() for path in sources)
    used = set(re.findall(r'(?:\bt|self)\("(\w+)"[,)]', text))
    used |= set(re.findall(r't\.texts\["(\w+)"\]', text))
    used |= set(re.findall(r'else "(\w+)"', text)) & WORDS["en"].texts.keys()

    assert WORDS["en"].texts.keys() == used | COMPOSED


def test_what_is_put_into_a_sentence_is_escaped() -> None:
    """Names are chosen by others."""
    said = WORDS["en"]("line_request", who="<b>", model='"')
    assert "&lt;b&gt; asks &#34;" == said


def test_a_sentence_that_is_not_there_is_a_fault() -> None:
    """Not an empty place in a page."""
    with pytest.raises(KeyError):
        WORDS["en"]("no_such_sentence")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_length_of_time_has_two_units_at_most(seconds: int, said: str) -> None:
    """As the script counts them down."""
    assert said == WORDS["en"].span(seconds)
