"""The thread behind searches: names for pseudonyms, refusals with what to do, forgetting."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit import following
from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.following import Question
from sekisho_audit.index_postgres import PostgresDatabase
from sekisho_audit.ledger import Ledger
from sekisho_audit.search_desk import ERASED, SearchDesk, Searched
from support.ledgers import REVIEWER, STAFF, open_ledger, run_exchange, run_held_exchange
from support.postgres import postgres

LIMIT_S = 20.0
KEY = bytes(range(32))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path)
    opened.open_session("s-1", 1)
    run_exchange(opened, "s-1")
    run_held_exchange(opened, "s-1")
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "index" / "search.db"


@pytest.fixture
def desk(path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[SearchDesk]:
    monkeypatch.setattr(following, "_RETRY_S", 0.05)
    monkeypatch.setattr(following, "DISK_FREE_MIN_BYTES", 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    running = SearchDesk(path, ledger, KEY)
    running.start()
    yield running
    running.stop()
    running.join(LIMIT_S)
    assert not running.is_alive()


def ask(desk: SearchDesk, question: Callable[[Searched], Any]) -> Any:
    """The answer; a refusal is raised."""
    done = threading.Event()
    kept: list[Any] = []

    def answered(found: Any) -> None:
        kept.append(found)
        done.set()

    def failed(error: LedgerError) -> None:
        kept.append(error)
        done.set()

    desk.submit(Question(question, answered, failed))
    assert done.wait(LIMIT_S)
    if isinstance(kept[0], LedgerError):
        raise kept[0]
    return kept[0]


def complete(desk: SearchDesk, question: Callable[[Searched], Any]) -> Any:
    """The answer when everything was read."""
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        found = None
        with contextlib.suppress(Refused):  # while it is being built
            found = ask(desk, question)
        if found is not None and found["indexed"] == found["size"]:
            return found
        time.sleep(0.01)
    raise AssertionError("the index does not catch up")


def test_people_are_named(desk: SearchDesk) -> None:
    """In what was found, in what it has, and in counts; never by a pseudonym."""
    page = complete(desk, lambda s: s.page(f"actor:{REVIEWER}", "", 10))
    [found] = page["data"]
    assert found["principal"] == STAFF
    assert REVIEWER in found["fields"]["actor"]
    assert found["fields"]["effect"] == ["hold"]
    counts = ask(desk, lambda s: s.facets(""))
    assert [STAFF, 2] in counts["fields"]["principal"]["counts"]
    assert "p-" not in str(page) + str(counts)


def test_counts_and_pages_agree(desk: SearchDesk) -> None:
    """What is counted is what is listed, page by page."""
    total = complete(desk, lambda s: s.facets(""))["total"]
    seen, after = [], ""
    while True:
        page = ask(desk, lambda s, at=after: s.page("", at, 2))
        seen += [tuple(found["events"]) for found in page["data"]]
        after = page["after"]
        if not after:
            break
    assert len(seen) == len(set(seen)) == total


@pytest.mark.parametrize(
    ("query", "after", "limit", "code"),
    [
        ("nosuchfield:x", "", 10, "bad_query"),
        ("effect:maybe", "", 10, "bad_query"),
        ('"unclosed', "", 10, "bad_query"),
        ("", "nonsense", 10, "bad_cursor"),
        ("", "999999.1", 10, "bad_cursor"),
        ("", "", 0, "bad_request"),
        ("", "", 201, "bad_request"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_harms_nobody(
    desk: SearchDesk, query: str, after: str, limit: int, code: str
) -> None:
    """The index stays; the next question is answered."""
    complete(desk, lambda s: s.facets(""))
    with pytest.raises(Refused) as refused:
        ask(desk, lambda s: s.page(query, after, limit))
    assert refused.value.code == code
    assert ask(desk, lambda s: s.facets(""))["total"] > 0


def test_whoever_was_erased_has_no_name_and_is_counted(desk: SearchDesk, ledger: Ledger) -> None:
    """As a reviewer of others they are nobody; their own trails are gone and counted."""
    complete(desk, lambda s: s.facets(""))
    for person in (STAFF, REVIEWER):
        pseudonym = ledger.pseudonym_of(person)
        ledger._keyring.erase(person)
        assert pseudonym is not None
        ask(desk, lambda s, gone=pseudonym: s.forget({gone}))
    counts = ask(desk, lambda s: s.facets(""))
    assert counts["forgotten"] > 0
    assert not counts["fields"]["principal"]["counts"]
    assert ask(desk, lambda s: s.page(f"principal:{ERASED}", "", 10))["data"] == []


def test_a_removed_file_is_built_again(desk: SearchDesk, path: Path) -> None:
    """The one command that builds it anew removes the file."""
    before = complete(desk, lambda s: s.facets(""))
    for name in ("search.db", "search.db-wal", "search.db-shm"):
        path.with_name(name).unlink(missing_ok=True)
    assert complete(desk, lambda s: s.facets("")) == before
    assert path.exists()


def test_another_key_builds_it_anew(
    path: Path, ledger: Ledger, desk: SearchDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels under a lost key would never be found again."""
    complete(desk, lambda s: s.facets(""))
    desk.stop()
    desk.join(LIMIT_S)
    other = SearchDesk(path, ledger, bytes(32))
    other.start()
    page = complete(other, lambda s: s.page('"Blue Heron"', "", 10))
    assert len(page["data"]) == 2
    other.stop()
    other.join(LIMIT_S)


def test_while_postgresql_is_away_the_ledger_goes_on(
    path: Path, ledger: Ledger, desk: SearchDesk
) -> None:
    """Questions are refused in words; back again, the desk reads on where it stood. A second desk
    on the same database is refused and takes nothing away.
    """
    with postgres() as server:
        database = PostgresDatabase(server.url)
        kept = SearchDesk(path.with_name("unused.db"), ledger, KEY, database)
        kept.start()
        before = complete(kept, lambda s: s.facets(""))
        assert before == complete(desk, lambda s: s.facets(""))
        second = SearchDesk(path.with_name("second.db"), ledger, KEY, database)
        second.start()
        with pytest.raises(Refused, match="not in reach"):
            ask(second, lambda s: s.facets(""))
        second.stop()
        second.join(LIMIT_S)
        server.stop()
        size = ledger.size
        run_exchange(ledger, "s-1")
        with pytest.raises(Refused, match="not in reach") as refused:
            ask(kept, lambda s: s.facets(""))
        assert refused.value.code == "busy"
        server.start()
        assert complete(kept, lambda s: s.facets(""))["indexed"] == ledger.size > size
        kept.stop()
        kept.join(LIMIT_S)
        assert not path.with_name("unused.db").exists()
