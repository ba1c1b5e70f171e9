"""The index of a real ledger: built from its segments, with texts opened by real keys."""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.index_file import Database, SqliteDatabase, Unfit
from sekisho_audit.index_postgres import PostgresDatabase
from sekisho_audit.ledger import Ledger
from sekisho_audit.query import parse
from sekisho_audit.scan import PAYLOADS, BrokenSegment
from sekisho_audit.search_file import SearchFile
from sekisho_audit.tokens import matches, units_of
from support.ledgers import (
    STAFF,
    HeldExchange,
    decision,
    intent,
    open_ledger,
    outcome,
    received,
    run_held_exchange,
)
from support.postgres import Postgres, postgres

KEY = bytes(range(32))
PROMPTS = (
    "Please check the merger contract of Blue Heron",
    "请检查身份证号码和合同",
    "契約書の見積もりをお願いします",
    "개인정보 보호 계약서를 확인해 주세요",
    "独角兽计划 is what we call the contract",
    "身份 and 证 apart",
)
ANSWERS = ("The contract is fine.", "合同没有问题", "見積もりです", "확인했습니다", "no", "证身份")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path, segment_bytes=2_048)
    opened.open_session("s-1", 1)
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "index" / "search.db"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        yield SqliteDatabase(path)
    else:
        found = PostgresDatabase(request.getfixturevalue("server").url)
        yield found
        found.remove()


def fill(ledger: Ledger) -> dict[str, tuple[str, str]]:
    """Exchanges in four languages; returns what was said in each."""
    said = {}
    for prompt, answer in zip(PROMPTS, ANSWERS, strict=True):
        exchange = uuid7()
        body = json.dumps({"messages": [{"role": "user", "content": prompt}]}).encode()
        reply = json.dumps({"choices": [{"message": {"content": answer}}]}).encode()
        sent = intent(exchange, "s-1", body)
        ledger.append_batch([received(exchange, body), decision(exchange), sent])
        ledger.append_batch([outcome(sent, body=reply)])
        said[exchange] = f"user\n{prompt}", answer
    return said


def caught_up(kept: Path | Database, ledger: Ledger, step: int = 5) -> SearchFile:
    database = SqliteDatabase(kept) if isinstance(kept, Path) else kept
    file = SearchFile(database, ledger, KEY)
    while file.advance(ledger.size, step):
        pass
    return file


def found(file: SearchFile, query: str) -> set[str | None]:
    return {one.exchange for one in file.search.page(parse(query), "", 200).found}


def test_words_of_one_character_and_more_are_found_as_a_scan_finds_them(
    ledger: Ledger, database: Database
) -> None:
    """English, Chinese, Japanese and Korean: each piece of up to four units of every text, and
    pieces that are nowhere.
    """
    said = fill(ledger)
    file = caught_up(database, ledger)
    phrases = {"身份证", "证身", "합계", "merge", "Heron contract", "契约"}
    for text in itertools.chain(*said.values()):
        units = [unit.text for unit in units_of(text)]
        for length in (1, 2, 3, 4):
            for start in range(len(units) - length + 1):
                piece = units[start : start + length]
                gap = " " if piece[0].isascii() else ""
                phrases.add(gap.join(piece))
    assert len(phrases) > 150
    for phrase in phrases:
        by_scan = {
            exchange
            for exchange, texts in said.items()
            if any(matches(text, phrase) for text in texts)
        }
        assert found(file, f'"{phrase}"') == by_scan, phrase
    file.close()


def test_a_new_process_for_each_step_builds_the_same_index(
    ledger: Ledger, path: Path, database: Database
) -> None:
    """Where it stands among events and payloads is with the rows."""
    said = fill(ledger)
    run_held_exchange(ledger, "s-1")
    while True:
        file = SearchFile(database, ledger, KEY)
        more = file.advance(ledger.size, 3)
        file.close()
        if not more:
            break
    slow = SearchFile(database, ledger, KEY)
    whole = caught_up(path.with_name("whole.db"), ledger, 10_000)
    assert slow.indexed == whole.indexed == ledger.size
    for query in ("", '"合同"', "type:hold.review", "effect:hold", "-status:released"):
        asked = parse(query)
        assert slow.search.page(asked, "", 200) == whole.search.page(asked, "", 200)
        assert slow.search.facets(asked) == whole.search.facets(asked)
    [contract] = [exchange for exchange, (_, answer) in said.items() if "没有问题" in answer]
    assert found(slow, '"合同没有问题"') == {contract}
    slow.close()
    whole.close()


def test_an_index_of_another_ledger_or_key_is_refused(
    ledger: Ledger, path: Path, tmp_path: Path
) -> None:
    """Whoever opens it then builds it anew; nothing of another ledger is ever told."""
    fill(ledger)
    caught_up(path, ledger).close()
    with pytest.raises(Unfit):
        SearchFile(SqliteDatabase(path), ledger, bytes(32))
    other = open_ledger(tmp_path / "other")
    other.open_session("s-1", 1)
    fill(other)
    with pytest.raises(Unfit, match="stand"):
        SearchFile(SqliteDatabase(path), other, KEY)
    other.close()


@pytest.mark.parametrize("place", [b"", b"x" * 80])
def test_an_index_that_lost_its_place_is_refused(ledger: Ledger, path: Path, place: bytes) -> None:
    """It would read the wrong leaves as the next ones."""
    fill(ledger)
    caught_up(path, ledger).close()
    db = sqlite3.connect(path)
    db.execute("UPDATE progress SET place = ?", (place,))
    db.commit()
    db.close()
    with pytest.raises(Unfit):
        SearchFile(SqliteDatabase(path), ledger, KEY)


def test_an_erased_person_is_counted_and_not_found(
    ledger: Ledger, path: Path, database: Database
) -> None:
    """Whether the index was there before, or is built after: no text, no name, no row."""
    said = fill(ledger)
    file = caught_up(database, ledger)
    before = len(file.search.page(parse(""), "", 200).found)
    pseudonym = ledger.pseudonym_of(STAFF)
    assert pseudonym is not None
    ledger._keyring.erase(STAFF)
    gone = file.forget({pseudonym})
    rebuilt = caught_up(path.with_name("rebuilt.db"), ledger)
    for index in (file, rebuilt):
        page = index.search.page(parse(""), "", 200)
        assert not {one.exchange for one in page.found} & set(said)
        assert page.forgotten == gone == 4 * len(said)
        assert len(page.found) == before - len(said)
        assert not found(index, '"合同"')
        index.close()


def test_a_missing_payload_is_the_ledgers_trouble(tmp_path: Path, path: Path) -> None:
    """Said as such; the index must not go on as if there had been no text."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    fill(ledger)
    ledger.close()
    *_, last = sorted((ledger.directory / "payloads").iterdir())
    os.truncate(last, len(PAYLOADS.header(int(last.stem))))
    file = SearchFile(SqliteDatabase(path), ledger, KEY)
    with pytest.raises(BrokenSegment, match="is not there"):
        file.advance(ledger.size, 1_000)
    file.close()


def test_reasons_of_reviewers_are_found(ledger: Ledger, path: Path) -> None:
    """They are sealed for the person whose exchange it is, and searched like its texts."""
    held = HeldExchange()
    ledger.append_batch(held.filing())
    review = held.review()
    ledger.append_batch([review, held.settled([review])])
    file = caught_up(path, ledger)
    assert found(file, '"reason: canary"') == {held.exchange}
    file.close()
