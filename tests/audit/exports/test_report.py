"""Reports: complete in each language, and nothing in them acts."""

from __future__ import annotations

import json
import re
from datetime import UTC
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings

from sekisho_audit.events import TYPES
from sekisho_audit.exports.report import LANGUAGES, Case, Text, report, words_of
from sekisho_audit.exports.timeline import Timeline
from support.random_events import datas

HOSTILE = '"><script src=//evil>alert(1)</script><img src=x onerror=x>\u202e&#x27; {size} %s'
TAGS = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "h3",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "div",
        "span",
        "code",
        "bdi",
        "small",
        "pre",
        "footer",
    ]
)


def keys_of(words: Any) -> Any:
    if isinstance(words, dict):
        return {name: keys_of(value) for name, value in words.items()}
    return len(words) if isinstance(words, list) else str


def case(**more: Any) -> Case:
    said: dict[str, Any] = {
        "ledger": HOSTILE,
        "query": HOSTILE,
        "purpose": HOSTILE,
        "ticket": HOSTILE,
        "asked_by": HOSTILE,
        "at_us": 1_764_291_600_000_001,
        "export_index": 9,
        "size": 8,
        "checkpoint_size": 10,
        "checkpoint_root": "ab",
        "erased": 0,
        "forgotten": 0,
        "zone": ZoneInfo("Asia/Tokyo"),
        "zone_name": HOSTILE,
        **more,
    }
    return Case(**said)


def leaf(kind: str, data: dict[str, Any], ts: int = 1_764_291_600_000_001) -> dict[str, Any]:
    return {
        "n": 3,
        "ts": ts,
        "type": kind,
        "exchange": "x-1",
        "principal": "p-1",
        "actor": HOSTILE,
        "data": data,
        "pl": [{"name": "prompt", "len": 5}],
    }


class Page(HTMLParser):
    """Every tag with its attributes, and what a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(language: str, said: Case, *leaves: dict[str, Any]) -> Page:
    timeline = Timeline()
    for one in leaves:
        timeline.take(one)
    return Page("".join(report(language, said, timeline)))


def test_every_language_has_the_same_words() -> None:
    wanted = keys_of(words_of("en"))
    for language in LANGUAGES:
        assert keys_of(words_of(language)) == wanted, language


def test_the_places_for_values_are_the_same() -> None:
    def places(words: Any) -> list[str]:
        return sorted(re.findall(r"\{\w+\}", json.dumps(words)))

    assert places(words_of("en")) == places(words_of("zh")) == places(words_of("ja"))


def test_every_type_of_event_has_a_title() -> None:
    for language in LANGUAGES:
        titles = words_of(language)["types"]
        assert titles.keys() == TYPES.keys(), "add to exports/words/, or take away"


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_in_a_page_acts_or_is_fetched(language: str) -> None:
    text = Text(3, "x-1", HOSTILE, "f", HOSTILE.encode() + b"\xff", whole=True)
    said = {"model": HOSTILE, "usage": {HOSTILE: [HOSTILE]}, "x": [HOSTILE], "code": HOSTILE}
    page = page_of(language, case(texts=[text]), leaf("exchange.refused", said))
    assert {tag for tag, _ in page.tags} <= TAGS
    names = {name for _, attributes in page.tags for name in attributes}
    assert names <= {"lang", "charset", "http-equiv", "content", "name", "class", "dir", "scope"}
    assert page.text.count("<script src=//evil>") >= 8
    assert "\u202e" not in page.text
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv")]
    assert str(policy).startswith("default-src 'none'; style-src 'sha256-")


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(said=datas(TYPES["policy.decision"]))
def test_any_decision_can_be_shown(said: dict[str, Any]) -> None:
    page = page_of("en", case(), leaf("policy.decision", said))
    assert {tag for tag, _ in page.tags} <= TAGS


def test_every_type_of_event_can_be_shown() -> None:
    for kind in TYPES:
        page = page_of("ja", case(), leaf(kind, {"effect": "x", "state": "x", "status": "x"}))
        assert kind in page.text


def test_times_are_told_twice() -> None:
    page = page_of("en", case(), leaf("hold.delivered", {"expires_us": 0}))
    assert "2025-11-28 01:00:00.000Z" in page.text
    assert "2025-11-28 10:00:00 +0900" in page.text
    assert "1970-01-01 00:00:00.000Z · 1970-01-01 09:00:00 +0900" in page.text


@pytest.mark.parametrize("moment", [2**53 - 1, -(2**53) + 1, 253_402_300_799_999_999])
def test_a_time_of_no_calendar_is_told_as_it_is(moment: int) -> None:
    page_of("en", case(zone=UTC), leaf("hold.delivered", {"expires_us": moment}, ts=moment))
    page_of("en", case(), leaf("hold.delivered", {"expires_us": moment}, ts=moment))


def test_a_long_text_is_cut_and_the_page_says_where_the_rest_is() -> None:
    text = Text(3, "x-1", "prompt", "disclosed/3.prompt", b"x" * 30_000, whole=False)
    page = page_of("en", case(texts=[text]), leaf("exchange.refused", {}))
    assert "disclosed/3.prompt" in page.text
    assert page.text.count("x" * 20_000) == 1
    assert "redacted copy" in page.text


@pytest.mark.parametrize(
    ("language", "seat"),
    [("en", "p-2 for p-3"), ("zh", "p-2（代 p-3）"), ("ja", "p-2（p-3 の代理）")],
)
def test_a_delegate_is_named_with_whom_they_stood_in_for(language: str, seat: str) -> None:
    """Who answered for whom stands where the person stands, and only where it is another."""
    for person, told in (("p-3", True), ("p-2", False), (None, False)):
        said = {"decision": "approve", **({"person": person} if person else {})}
        page = page_of(language, case(), {**leaf("hold.review", said), "actor": "p-2"})
        text = re.sub("[\u2066-\u2069]", "", page.text)
        assert (seat in text) is told


def test_reviewers_are_told_in_the_order_in_which_they_are_asked() -> None:
    """With the number of their step, where it is not the first."""
    asked = [
        {"reviewers": "compliance", "approve": 1, "deny": 1, "step": 2, "relief": ["board"]},
        {"reviewers": "lead", "approve": 2, "deny": 3},
    ]
    page = page_of("en", case(), leaf("hold.filed", {"hold": "h", "thresholds": asked}))
    text = re.sub("[\u2066-\u2069]", "", page.text)
    first = "lead × 2 (denials that end it: 3)"
    assert f"{first} · 2. compliance × 1 (denials that end it: 1; relief: board)" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_how_many_denials_end_a_hold_is_told(language: str) -> None:
    """In words of each language: an approval alone does not say what was asked."""
    asked = [{"reviewers": "lead", "approve": 2, "deny": 3}]
    page = page_of(language, case(), leaf("hold.filed", {"hold": "h", "thresholds": asked}))
    text = re.sub("[\u2066-\u2069]", "", page.text)
    label = words_of(language)["labels"]["deny"]
    assert f"lead × 2 ({label}: 3)" in text
