"""Texts whose keys are gone leave the index as if it had been built without them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sekisho_audit.blocks import ids_of
from sekisho_audit.index import Index
from sekisho_audit.index_file import SqliteRows, Unclean
from sekisho_audit.tokens import Blind
from support.searches import EXCHANGES, ORIGIN, PEOPLE, leaf_of

BLIND = Blind(bytes(32))
TEXTS = {
    (0, "prompt"): "blue heron and 身份证 together",
    (1, "answer"): "a blue answer",
    (2, "reason"): "the reviewer saw a heron",
    (3, "prompt"): "blue, of somebody else",
}
LEAVES: list[dict[str, Any]] = [
    leaf_of(0, "x.one", texts=("prompt",)),
    leaf_of(1, "x.two", texts=("answer",)),
    leaf_of(2, "x.three", texts=("reason",)),
    leaf_of(3, "x.one", texts=("prompt",), principal=PEOPLE[1], exchange=EXCHANGES[1]),
]
for _leaf, _shelf in zip(LEAVES, ("2026-11", "2026-12", "2026-11/reason", "2026-11"), strict=True):
    _leaf["pl"][0]["kref"] = f"{_leaf['principal']}/{_shelf}"


def built(path: Path, dead: set[tuple[str, str]]) -> tuple[SqliteRows, Index]:
    """An index of all leaves, when some keys are destroyed already."""
    rows = SqliteRows(path, ORIGIN, BLIND.check)

    def text(leaf: Any, name: str) -> str | None:
        owner, _, shelf = leaf["pl"][0]["kref"].partition("/")
        return None if (owner, shelf) in dead else TEXTS[leaf["n"], name]

    index = Index(rows, BLIND, text, lambda _: True)
    index.take(enumerate(LEAVES))
    return rows, index


def content(rows: SqliteRows) -> dict[str, Any]:
    """What an index holds, without the numbers and nonces that are its own."""
    words = {number: (name, word) for number, name, word in rows.read("SELECT * FROM words")}
    shelves = {
        number: (owner, shelf) for number, owner, shelf in rows.read("SELECT * FROM shelves")
    }
    return {
        "marks": {
            (words[word], block): trails for word, block, trails in rows.read("SELECT * FROM marks")
        },
        "postings": set(rows.read("SELECT * FROM postings")),
        "events": [
            (n, trail, {words[word] for word in ids_of(packed)})
            for n, trail, packed in rows.read("SELECT n, trail, words FROM events ORDER BY n")
        ],
        "texts": [
            (trail, n, part, BLIND.opened(sealed), shelves[shelf])
            for trail, n, part, sealed, shelf in rows.read("SELECT * FROM texts ORDER BY n")
        ],
        "shelves": set(map(tuple, shelves.values())),
    }


DEAD: dict[str, set[tuple[str, str]]] = {
    "nothing": set(),
    "the first of a trail": {(PEOPLE[0], "2026-11")},
    "another month": {(PEOPLE[0], "2026-12")},
    "a reason": {(PEOPLE[0], "2026-11/reason")},
    "all of a month": {(PEOPLE[0], "2026-11"), (PEOPLE[1], "2026-11")},
    "all": {(PEOPLE[0], s) for s in ("2026-11", "2026-12", "2026-11/reason")}
    | {(PEOPLE[1], "2026-11")},
}


@pytest.mark.parametrize("story", DEAD)
def test_it_is_as_if_built_without_them(tmp_path: Path, story: str) -> None:
    """Labels that another text of the trail has too stay; a second call finds nothing."""
    dead = DEAD[story]
    rows, index = built(tmp_path / "a.db", set())
    fresh, _ = built(tmp_path / "b.db", dead)
    assert index.drop_texts(lambda owner, shelf: (owner, shelf) in dead) == len(dead)
    assert content(rows) == content(fresh)
    assert index.drop_texts(lambda owner, shelf: (owner, shelf) in dead) == 0
    # It goes on, with numbers that nothing else has.
    late = leaf_of(4, "x.four", texts=("prompt",))
    TEXTS[4, "prompt"] = "later words"
    index.take([(4, late)])
    numbers = rows.read("SELECT id FROM words") + rows.read("SELECT id FROM shelves")
    assert len(numbers) == len(set(numbers))
    for one in (rows, fresh):
        one.close()


def test_many_shelves_go_in_several_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each a transaction of its own: killed between two, the next call does the rest."""
    monkeypatch.setattr("sekisho_audit.index_texts._SHELVES_A_TIME", 1)
    dead = DEAD["all"]
    rows, index = built(tmp_path / "a.db", set())
    fresh, _ = built(tmp_path / "b.db", dead)
    transaction = rows.transaction
    left = [2]

    def cut_off() -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError("killed")
        return transaction()

    monkeypatch.setattr(rows, "transaction", cut_off)
    with pytest.raises(OSError, match="killed"):
        index.drop_texts(lambda owner, shelf: (owner, shelf) in dead)
    monkeypatch.undo()
    assert len(rows.read("SELECT 1 FROM texts")) == 2
    assert index.drop_texts(lambda owner, shelf: (owner, shelf) in dead) == 2
    assert content(rows) == content(fresh)
    for one in (rows, fresh):
        one.close()


def test_whose_rows_go_takes_their_shelves_along(tmp_path: Path) -> None:
    """The pseudonym of somebody who was erased stands in no row."""
    rows, index = built(tmp_path / "a.db", set())
    index.forget([PEOPLE[0]])
    assert content(rows)["shelves"] == {(PEOPLE[1], "2026-11")}
    rows.close()


def test_a_file_that_is_being_read_is_written_anew_later(tmp_path: Path) -> None:
    """The caller is told, and asking again does it though no row is left to take."""
    rows, index = built(tmp_path / "a.db", set())
    reader = SqliteRows(tmp_path / "a.db", ORIGIN, BLIND.check)
    is_dead: Callable[[str, str], bool] = lambda _owner, _shelf: True  # noqa: E731
    with reader.snapshot():
        reader.read("SELECT 1 FROM texts")
        with pytest.raises(Unclean):
            index.drop_texts(is_dead)
    reader.close()
    assert index.drop_texts(is_dead) == 0
    assert content(rows)["texts"] == []
    rows.close()
