"""The thread behind everybody's own history: it follows, answers, heals, and is in nobody's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit import following
from sekisho_audit import history as module
from sekisho_audit.errors import LedgerError
from sekisho_audit.following import Question
from sekisho_audit.history import Archive, History, Page
from sekisho_audit.ledger import Ledger
from support.ledgers import REVIEWER, STAFF, open_ledger, received, run_held_exchange

LIMIT_S = 20.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path)
    opened.open_session("s-1", 1)
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "index" / "history.db"


@pytest.fixture
def history(path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    monkeypatch.setattr(following, "_RETRY_S", 0.05)
    monkeypatch.setattr(following, "DISK_FREE_MIN_BYTES", 0)
    running = History(path, ledger)
    running.start()
    yield running
    running.stop()
    running.join(LIMIT_S)
    assert not running.is_alive()


def ask(history: History, question: Callable[[Archive], Any]) -> Any:
    """The answer, or the error as a value."""
    done, found = threading.Event(), []

    def told(answer: Any) -> None:
        found.append(answer)
        done.set()

    history.submit(Question(question, told, told))
    assert done.wait(LIMIT_S)
    return found[0]


def until(history: History, question: Callable[[Archive], Any]) -> Any:
    """Ask until there is an answer that is something."""
    for _ in range(400):
        found = ask(history, question)
        if found and not isinstance(found, LedgerError):
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"no answer, last: {found!r}")


def complete(history: History, principal: str = STAFF) -> list[dict[str, Any]]:
    """Everything of a principal, once the index has read all there is."""

    def question(archive: Archive) -> Any:
        return archive.indexed == archive.size and archive.page(principal, None, 100)

    page: Page = until(history, question)
    return page.data


def test_history_follows_and_names_people(history: History, ledger: Ledger) -> None:
    """Ids for pseudonyms, the origin in receipts; only one's own."""
    run_held_exchange(ledger, "s-1")
    [found] = complete(history)
    assert found["principal"] == STAFF
    assert found["hold"]["reviews"][0]["by"] == REVIEWER
    assert found["sends"][0]["receipt"]["origin"] == ledger.origin
    assert complete(history, REVIEWER) == []
    assert complete(history, "nobody") == []
    assert ledger.pseudonym_of("nobody") is None
    assert ask(history, lambda archive: archive.one(REVIEWER, found["id"])) is None
    assert ask(history, lambda archive: archive.one(STAFF, found["id"])) == found


def test_own_last_word_is_in_the_next_answer(history: History, ledger: Ledger) -> None:
    """On a quiet ledger an answer has everything that was durable when it was asked for."""
    complete(history)
    for count in range(1, 20):
        ledger.append_batch([received(uuid7())])
        page = ask(history, lambda archive: archive.page(STAFF, None, 100))
        assert len(page.data) == count


def test_paging_never_skips_or_repeats(history: History, ledger: Ledger) -> None:
    """While new exchanges come and old ones go on, a walk sees each old one once."""
    made = [uuid7() for _ in range(25)]
    for exchange in made:
        ledger.append_batch([received(exchange)])
    complete(history)
    seen: list[str] = []
    before: int | None = None
    while True:
        page = ask(history, lambda archive, place=before: archive.page(STAFF, place, 4))
        seen += [document["id"] for document in page.data]
        ledger.append_batch([received(uuid7()), received(made[0])])
        if not page.after:
            break
        before = int(page.after)
    assert seen == made[::-1]


def test_page_is_bounded(history: History, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked for, a page has its most."""
    monkeypatch.setattr(module, "PAGE_MAX", 3)
    for _ in range(5):
        ledger.append_batch([received(uuid7())])
    complete(history)
    page = ask(history, lambda archive: archive.page(STAFF, None, 10**9))
    assert (len(page.data), page.after != "") == (3, True)


def test_erased_principal_is_forgotten(history: History, ledger: Ledger) -> None:
    """Keys first, then the rows; also what comes later of them is left out."""
    run_held_exchange(ledger, "s-1")
    ledger.append_batch([received(uuid7(), principal=REVIEWER)])
    complete(history)
    gone = ledger.pseudonym_of(REVIEWER) or ""
    ledger._keyring.erase(REVIEWER)
    assert ask(history, lambda archive: archive.forget(gone)) == 1
    [found] = complete(history)
    assert found["hold"]["reviews"][0]["by"] == "erased"
