from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sekisho.adapters.registry_schema import (
    RegistryUnusable,
    create_file,
    metadata,
    migrate,
    open_engine,
)


def fresh(folder: Path) -> Path:
    path = folder / "new" / "registry.sqlite"
    create_file(path)
    migrate(open_engine(path, writing=True))
    return path


def test_migrations_give_the_tables_the_code_uses(tmp_path: Path) -> None:
    """The packaged revisions and the declared tables are the same schema."""
    with open_engine(fresh(tmp_path), writing=False).begin() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []


def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    """The database and what SQLite puts beside it are 0600, also if the file was wider before."""
    path = tmp_path / "registry.sqlite"
    path.touch(mode=0o644)
    create_file(path)
    engine = open_engine(path, writing=True)
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE registry_revision SET revision = 5")
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """A planted link must not make us open up someone else's file."""
    target = tmp_path / "target"
    target.touch()
    (tmp_path / "registry.sqlite").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        create_file(tmp_path / "registry.sqlite")


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    """Every command opens the registry; only the first one builds it."""
    path = fresh(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE registry_revision SET revision = 7")
    migrate(open_engine(path, writing=True))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT revision FROM registry_revision").fetchone() == (7,)


def test_a_registry_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """An old program must not write into tables it does not understand."""
    path = fresh(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(RegistryUnusable, match="newer version"):
        migrate(open_engine(path, writing=True))


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Tables are created in one transaction: a crash half way starts from nothing again."""
    path = tmp_path / "registry.sqlite"
    create_file(path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE api_keys (id TEXT)")
    with pytest.raises(Exception, match="already exists"):
        migrate(open_engine(path, writing=True))
    with sqlite3.connect(path) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert names == {"api_keys"}


def test_a_missing_file_is_not_made_by_a_reader(tmp_path: Path) -> None:
    """A deleted registry is an error, never an empty one in which nobody is revoked."""
    path = tmp_path / "registry.sqlite"
    with pytest.raises(Exception, match="unable to open"):
        open_engine(path, writing=False).connect()
    assert not path.exists()
