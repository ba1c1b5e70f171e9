"""What reports say is what the events say: every count, time, person and fact, in each language.

Pages are read back and compared with what this test works out from the events by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekisho_audit.events import TYPES
from sekisho_audit.exports.report import LANGUAGES, Case, Text, report, words_of
from sekisho_audit.exports.timeline import Timeline
from support.random_events import datas
from support.report_page import Page, read_page
from support.report_truth import Truth

Leaf = Mapping[str, Any]
ZONE = ZoneInfo("America/New_York")  # with a summer time
TIMES_US = st.integers(0, 4_102_444_800_000_000)  # 1970 to 2100


def case(**more: Any) -> Case:
    said: dict[str, Any] = {
        "ledger": "ledger.example/test",
        "query": "effect:deny",
        "purpose": "complaint <42>",
        "ticket": "T-1",
        "asked_by": "officer-1",
        "at_us": 1_764_291_600_000_001,
        "export_index": 12_345,
        "size": 12_344,
        "checkpoint_size": 12_346,
        "checkpoint_root": "ab" * 32,
        "erased": 1_003,
        "forgotten": 2_004,
        "zone": ZONE,
        "zone_name": "America/New_York",
        **more,
    }
    return Case(**said)


def page_of(language: str, said: Case, leaves: Sequence[Leaf]) -> Page:
    timeline = Timeline()
    for one in leaves:
        timeline.take(one)
    return read_page("".join(report(language, said, timeline)))


@st.composite
def ledgers(draw: st.DrawFn) -> list[Leaf]:
    """A few events of any types, of some exchanges and of none."""
    people = st.sampled_from([None, "p-1", "p-2"])
    kinds = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=6))
    return [
        {
            "n": number * 1_999,
            "ts": draw(TIMES_US),
            "type": kind,
            "exchange": draw(st.sampled_from([None, "x-1", "x-2"])),
            "principal": draw(people),
            "actor": draw(people),
            "data": draw(datas(TYPES[kind])),
            "pl": [{"name": "prompt", "len": draw(st.integers(0, 2**40))}],
        }
        for number, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=15)
@given(leaves=ledgers())
def test_a_report_says_what_events_say(language: str, leaves: list[Leaf]) -> None:
    Truth(language, ZONE).compare(page_of(language, case(), leaves), leaves)


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_for_one_event_are_of_facts_that_it_has(language: str) -> None:
    for kind, meant in words_of(language)["labels_of"].items():
        assert meant.keys() <= TYPES[kind].required.keys() | TYPES[kind].optional.keys(), kind


@pytest.mark.parametrize(
    ("kind", "name", "value", "label"),
    [
        ("hold.review", "person", "p-9", "in place of"),
        ("hold.filed", "person", "p-9", "person behind the request"),
        ("erasure.begun", "person", "p-9", "person"),
        ("backend.intent", "charged", {"tokens": 9}, "set aside"),
        ("backend.outcome", "charged", {"tokens": 9}, "charged"),
        ("grant.used", "decision", "id-9", "decision that it answers"),
        ("exchange.refused", "status", 403, "HTTP status"),
        ("legal_hold.released", "hold", "id-9", "legal hold"),
    ],
)
def test_a_fact_is_called_what_it_is(kind: str, name: str, value: Any, label: str) -> None:
    """Events have members of one name that mean different things."""
    leaf = {
        "n": 7,
        "ts": 0,
        "type": kind,
        "exchange": "x-1",
        "principal": "p-1",
        "actor": None,
        "data": {"status": "released", name: value},
        "pl": [],
    }
    [row] = page_of("en", case(), [leaf]).rows
    assert label in dict(row.details)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_head_is_that_of_the_case(language: str) -> None:
    words, page = words_of(language), page_of(language, case(), [])
    at = 1_764_291_600_000_001
    state = words["checkpoint_value"].format(size="12,346", root="ab" * 32)
    assert page.head == {
        words["ledger"]: "ledger.example/test",
        words["query"]: "effect:deny",
        words["purpose"]: "complaint <42>",
        words["ticket"]: "T-1",
        words["asked_by"]: "officer-1",
        words["asked_at"]: Truth(language, ZONE).at(at),
        words["export_event"]: "12,345",
        words["as_of"]: words["as_of_value"].format(size="12,344"),
        words["checkpoint"]: state,
        words["zone"]: "America/New_York",
    }
    assert page.totals[words["erased"]] == "1,003"
    assert page.totals[words["forgotten"]] == "2,004"


@pytest.mark.parametrize("language", LANGUAGES)
def test_disclosed_texts_stand_under_their_exchange_as_they_are(language: str) -> None:
    words = words_of(language)
    kept = {name: f"<b>{name} 身份证\n\t&amp;".encode() for name in ("prompt", "answer")}
    texts = [Text(7, "x-1", name, name, kept[name], whole=name == "prompt") for name in kept]
    leaf = {
        "n": 7,
        "ts": 0,
        "type": "exchange.refused",
        "exchange": "x-1",
        "principal": "p-1",
        "actor": None,
        "data": {},
        "pl": [],
    }
    page = page_of(language, case(texts=texts), [leaf])
    worth = {"prompt": words["text_whole"], "answer": words["text_part"]}
    assert page.texts == [
        (f"{words['text_of'].format(name=name)} · 7 ({worth[name]})", kept[name].decode())
        for name in kept
    ]
    assert page.totals[words["disclosed"]] == "1"
