"""The search index in a real PostgreSQL: refusals, lost connections, and what stays on its disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from sekisho_audit import index_postgres
from sekisho_audit.errors import Away
from sekisho_audit.index import Index
from sekisho_audit.index_file import Damaged, SqliteDatabase, Unclean, Unfit
from sekisho_audit.index_postgres import URL_VARIABLE, PostgresDatabase, database_of
from sekisho_audit.query import Query, parse
from sekisho_audit.search import Search
from sekisho_audit.tokens import Blind
from support.postgres import Postgres, postgres
from support.postgres_line import line_to
from support.searches import KEY, NAMES, ORIGIN, PEOPLE, World, knows_all, leaf_of, queries, worlds

pytestmark = pytest.mark.long

ADD = "INSERT INTO words VALUES (?, ?, ?)"
COUNT = "SELECT COUNT(*) FROM words"
SECRETS = ("the merger with Blue Heron", "身份证号码和合同")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture
def database(server: Postgres) -> Iterator[PostgresDatabase]:
    found = PostgresDatabase(server.url)
    found.remove()
    yield found
    found.remove()


def told_in(texts: tuple[str, ...]) -> World:
    """An exchange of each of two people says each text."""
    said = [(text, who) for who in PEOPLE[:2] for text in texts]
    leaves = tuple(
        leaf_of(
            n, "hold.review", exchange=f"exchange-of-{who}-{n}", principal=who, texts=("prompt",)
        )
        for n, (_, who) in enumerate(said)
    )
    return World(leaves, {(n, "prompt"): text for n, (text, _) in enumerate(said)})


WORLD = told_in(SECRETS)


def index_of(
    database: PostgresDatabase, knows: Callable[[str], bool] = knows_all, world: World = WORLD
) -> tuple[Index, Search, Callable[[], None]]:
    """An open index, its search, and how it is let go."""
    blind = Blind(KEY)
    rows = database.open(ORIGIN, blind.check)
    return Index(rows, blind, world.opener, knows), Search(rows, blind, NAMES.get), rows.close


def test_the_url_decides_where_it_stands(tmp_path: Path) -> None:
    """Without one it is the file."""
    path = tmp_path / "search.db"
    assert isinstance(database_of(path, {}), SqliteDatabase)
    url = "postgresql+asyncpg://a:b@h/d"
    assert isinstance(database_of(path, {URL_VARIABLE: url}), PostgresDatabase)


def test_only_one_keeps_it(database: PostgresDatabase) -> None:
    """A second auditd is refused while the first has its session, and removes nothing."""
    first = database.open("o", b"k")
    with pytest.raises(Away, match="another auditd"):
        database.open("o", b"k")
    assert first.is_there()
    first.close()
    database.open("o", b"k").close()


def test_of_another_ledger_key_or_removed(database: PostgresDatabase) -> None:
    """The index of another ledger is not ours to throw away; one of another key is."""
    database.open("o", b"k").close()
    with pytest.raises(Away, match="another ledger"):
        database.open("other", b"k")
    with pytest.raises(Unfit):
        database.open("o", b"other")
    rows = database.open("o", b"k")
    assert database.indexed() == 0
    database.remove()
    assert database.indexed() is None
    assert not rows.is_there()
    with pytest.raises(Damaged):
        rows.read(COUNT)
    rows.close()


@pytest.mark.parametrize(
    ("change", "why"), [(":", "cannot be used"), ("@127.0.0.1:1/", "cannot be used")]
)
def test_out_of_reach_says_so_without_the_password(server: Postgres, change: str, why: str) -> None:
    """A wrong password, and nobody at the port."""
    url = server.url.replace(server.password, "not-the-password")
    if change != ":":
        url = f"postgresql://sekisho:not-the-password{change}postgres"
    with pytest.raises(Away, match=why) as refused:
        PostgresDatabase(url).open("o", b"k")
    assert "not-the-password" not in str(refused.value)


@pytest.mark.parametrize("word", ["a\x00b", "\x01", "\x01\x01\x00\x02", "\x01\x02", "é", "'; --"])
def test_any_text_is_a_word(database: PostgresDatabase, word: str) -> None:
    """Models are named by whoever asks; a zero would stop the index for ever."""
    rows = database.open("o", b"k")
    with rows.transaction():
        rows.write(ADD, [(1, "model", word), (2, "model", "\x01\x01\x01")])
    found = rows.read("SELECT id, word FROM words WHERE field = ? AND word = ?", ("model", word))
    assert [tuple(row) for row in found] == [(1, word)]
    rows.close()


def test_a_failed_transaction_leaves_nothing(database: PostgresDatabase) -> None:
    """And the session goes on."""
    rows = database.open("o", b"k")
    with pytest.raises(Damaged), rows.transaction():
        rows.write(ADD, [(1, "f", "w"), (1, "f", "other")])
    assert rows.read(COUNT)[0][0] == 0
    with rows.transaction():
        rows.write(ADD, [(1, "f", "w")])
    assert rows.read(COUNT)[0][0] == 1
    rows.close()


def opened_again(database: PostgresDatabase) -> tuple[Index, Search, Callable[[], None]]:
    """As soon as the server has noticed that the one before is gone, as auditd tries again."""
    until = time.monotonic() + 30
    while True:
        try:
            return index_of(database)
        except Away:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize(("lost", "took_effect"), [("question", False), ("answer", True)])
def test_a_connection_lost_at_the_commit(
    server: Postgres, database: PostgresDatabase, lost: str, took_effect: bool
) -> None:
    """The index stands exactly before the step or exactly behind it, and reads on from there."""
    with line_to(server.port) as line:
        index, _, close = index_of(PostgresDatabase(server.url_at(line.port)))
        index.take(WORLD.numbered(0, 2))
        line.lose = lost
        with pytest.raises(Away):
            index.take(WORLD.numbered(2, 3))
        close()
    index, search, close = opened_again(database)
    assert index.indexed == (3 if took_effect else 2)
    index.take(WORLD.numbered())
    page = search.page(parse('"Blue Heron"'), "", 50)
    assert [one.events for one in page.found] == [(2,), (0,)]
    assert search.facets(parse("")).total == index.indexed == 4
    close()


def test_the_server_dies_in_the_middle_of_a_step(
    server: Postgres, database: PostgresDatabase
) -> None:
    """Killed between two of its statements: nothing of the step is there."""
    index, _, close = index_of(database)
    index.take(WORLD.numbered(0, 1))

    def dying() -> bytes:
        server.stop()
        return b""

    with pytest.raises(Away):
        index.take(WORLD.numbered(1, 3), dying)
    close()
    server.start()
    index, _, close = opened_again(database)
    assert index.indexed in {0, 1}  # fsync is off in tests, and commits do not wait
    index.take(WORLD.numbered())
    assert index.indexed == 4
    close()


@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(world=worlds(), query=queries())
def test_it_finds_what_sqlite_finds(
    server: Postgres, tmp_path_factory: pytest.TempPathFactory, world: World, query: Query
) -> None:
    """Pages and counts of any query over any leaves, before and after somebody was erased."""
    gone: set[str] = set()
    blind = Blind(KEY)
    kept = [
        PostgresDatabase(server.url),
        SqliteDatabase(tmp_path_factory.mktemp("index") / "search.db"),
    ]
    answers = []
    for database in kept:
        database.remove()
        gone.clear()
        rows = database.open(ORIGIN, blind.check)
        index = Index(rows, blind, world.opener, lambda who: who in PEOPLE and who not in gone)
        search = Search(rows, blind, NAMES.get)
        said: list[object] = []
        for _ in range(2):
            index.take(world.numbered())
            said += [search.page(query, "", 3), search.facets(query)]
            gone.add(PEOPLE[0])
            said.append(index.forget([PEOPLE[0]]))
        answers.append(said)
        rows.close()
    assert answers[0] == answers[1]


def test_what_was_said_stands_nowhere_and_what_was_erased_is_gone(
    server: Postgres, database: PostgresDatabase
) -> None:
    """No text is on the disk, not even in the log of writes. Who was erased is in no table, though
    somebody else still looks at the database as it was before.
    """
    gone: set[str] = set()
    index, search, close = index_of(database, lambda who: who not in gone)
    index.take(WORLD.numbered())
    erased, stays = PEOPLE[0].encode(), PEOPLE[1].encode()
    server_files = server.files(log=True)
    for text in SECRETS:
        for piece in (text, *text.split(), text[:3], text[-3:]):
            if len(piece.encode()) > 5:
                assert piece.encode() not in server_files
    watcher = PostgresDatabase(server.url)._session()
    watcher.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    watcher.fetch("SELECT 1")
    gone.add(PEOPLE[0])
    assert index.forget([PEOPLE[0]]) == 2
    assert search.facets(parse("")).total == 2
    close()
    watcher.close()
    server.checkpoint()
    kept = server.files(log=False)
    assert stays in kept
    assert erased not in kept
    assert b"exchange-of-" + erased not in kept


def test_a_reader_of_its_tables_keeps_what_was_erased(
    server: Postgres, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said as such: ask again."""
    monkeypatch.setitem(index_postgres._SETTINGS, "lock_timeout", "50")
    index, _, close = index_of(database)
    index.take(WORLD.numbered())
    reader = PostgresDatabase(server.url)._session()
    reader.run("BEGIN")
    reader.fetch("SELECT * FROM trails")
    with pytest.raises(Unclean):
        index.forget([PEOPLE[0]])
    reader.run("ROLLBACK")
    assert index.forget([PEOPLE[0]]) == 0
    reader.close()
    close()
