"""Words of notifications: all languages say everything, and nothing from elsewhere turns them."""

from __future__ import annotations

import pytest

from sekisho.adapters.notification_words import WORDS, inert, say
from sekisho.model.notification import Moment, Notification

NOW_US = 1_795_000_000_000_000
S = 1_000_000


def test_every_language_has_every_word() -> None:
    """A word that is missing would be an error at the moment it is needed."""
    assert len({frozenset(words) for words in WORDS.values()}) == 1
    assert all(all(words.values()) for words in WORDS.values())


@pytest.mark.parametrize("language", sorted(WORDS))
@pytest.mark.parametrize("moment", list(Moment))
def test_every_moment_can_be_said(language: str, moment: Moment) -> None:
    """Title, lines and, where there is a hold, the link."""
    told = Notification(
        "i", "c", moment, ("r",), "request", 5, "approved", "hold_1", "", 0, NOW_US + 600 * S
    )
    said = say(told, language, "https://g", NOW_US)
    assert said.title == WORDS[language][moment]
    assert said.link == "https://g/approvals/hold_1"
    assert "approved" not in said.plain() or language == "en"


@pytest.mark.parametrize(
    ("left_s", "words"),
    [(-5, "none"), (0, "none"), (59, "1 min"), (1800, "30 min"), (7200, "2 h"), (259_200, "3 d")],
)
def test_time_left_is_said_as_people_count_it(left_s: int, words: str) -> None:
    """And with the hour it ends, since a message may be read late."""
    told = Notification("i", "c", Moment.FILED, hold="h", expires_us=NOW_US + left_s * S)
    [left] = [value for name, value in say(told, "en", "u", NOW_US).lines if name == "Time left"]
    assert left.startswith(words)
    assert left == "none" or left.endswith("UTC")


@pytest.mark.parametrize(
    "text",
    [
        "<!here>",
        "a\u202eb",
        "a\u200bb",
        "a\nb",
        "\uff20all",
        "*x*",
        "a|b",
        "\x00",
        "\u2028",
        "\ud800",
    ],
)
def test_signs_that_could_mean_something_are_blotted(text: str) -> None:
    """Letters and digits of any script stay, so a rule can be named in Chinese."""
    assert "\u00b7" in inert(text)


def test_names_of_rules_stay_as_they_are() -> None:
    """What is ordinary is not touched."""
    assert inert("packs.finance.\u652f\u4ed8-1_a b") == "packs.finance.\u652f\u4ed8-1_a b"


@pytest.mark.parametrize("state", ["opened", "used", "unreviewed"])
@pytest.mark.parametrize("language", sorted(WORDS))
def test_break_glass_is_said_in_words(language: str, state: str) -> None:
    """What happened, to which opening, how often it was used, and the link to its page; no risk."""
    about = {"state": state, "opening": "o-1", "uses": 20}
    said = say(Notification("i", "c", Moment.BREAK_GLASS, ("r",), **about), language, "u", NOW_US)  # type: ignore[arg-type]
    words = WORDS[language]

    assert dict(said.lines) == {
        words["state"]: words[f"state.{state}"],
        words["rule"]: "r",
        words["opening"]: "o-1",
        words["uses"]: "20",
    }
    assert said.link == "u/break-glass/o-1"
