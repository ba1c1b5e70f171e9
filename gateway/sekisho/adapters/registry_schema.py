"""Tables of the registry, and how its SQLite file is opened.

Principals, their roles, groups and keys, delegations, identities elsewhere, revisions of policy.
`registry_revision` has one row whose number grows with each change: workers compare it to know that
their copy is stale.
"""

from __future__ import annotations

import os
import sqlite3
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from sekisho.errors import SekishoError

BUSY_TIMEOUT_MS = 3000  # another command's change takes milliseconds; a stuck one must not hang us
FILE_MODE = 0o600

metadata = MetaData()

principals = Table(
    "principals",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, CheckConstraint("kind IN ('person', 'service')"), nullable=False),
    Column("owner", String, ForeignKey("principals.id")),
    Column("disabled", Boolean, nullable=False),
    Column("created_us", Integer, nullable=False),
    Column("training_until_us", Integer),
    Column("left_us", Integer),  # gone for good; the id is never given to anyone else
    Column("sessions_from_us", Integer),  # who signed in before is not signed in any more
    CheckConstraint("(kind = 'service') = (owner IS NOT NULL)", name="service_has_owner"),
)

principal_roles = Table(
    "principal_roles",
    metadata,
    Column("principal", String, ForeignKey("principals.id"), primary_key=True),
    Column("role", String, primary_key=True),
    Column("source", String, primary_key=True),  # who decides: local, issuer:ID or scim
)

principal_groups = Table(
    "principal_groups",
    metadata,
    Column("principal", String, ForeignKey("principals.id"), primary_key=True),
    Column("group_name", String, primary_key=True),
    Column("source", String, primary_key=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("principal", String, ForeignKey("principals.id"), nullable=False, index=True),
    Column("hash", LargeBinary, nullable=False),
    Column("label", String, nullable=False),
    Column("created_us", Integer, nullable=False),
    Column("expires_us", Integer),
    Column("revoked_us", Integer),
    Column("scopes", String),  # words with a space between; NULL: the default ones
    Column("models", String),  # patterns with a space between; NULL: any
    Column("replaced_by", String),  # the key that took over when this one was rotated
)

# Identities elsewhere. `claims` is a digest of what the issuer last said, `as_of_us` when. A link
# that has ended stays: the identity must not come back as a stranger, nor an older word of its
# issuer.
principal_links = Table(
    "principal_links",
    metadata,
    Column("issuer", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("principal", String, ForeignKey("principals.id"), nullable=False, index=True),
    Column("claims", String, nullable=False),
    Column("as_of_us", Integer, nullable=False),
    Column("ended_us", Integer),
)

# `principal` lends `role` to `delegate` for a time.
delegations = Table(
    "delegations",
    metadata,
    Column("id", String, primary_key=True),
    Column("principal", String, ForeignKey("principals.id"), nullable=False, index=True),
    Column("delegate", String, ForeignKey("principals.id"), nullable=False),
    Column("role", String, nullable=False),
    Column("from_us", Integer, nullable=False),
    Column("until_us", Integer, nullable=False),
    Column("ended_us", Integer),
)

# What a directory provisioned, as it said it; principals and groups above are made from it.
scim_resources = Table(
    "scim_resources",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),  # in lower case
    Column("principal", String, ForeignKey("principals.id")),
    Column("document", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_us", Integer, nullable=False),
    Column("changed_us", Integer, nullable=False),
    UniqueConstraint("kind", "name", name="scim_name_once"),
)

# Bundles that were put in. `contents` is the digest of all files, which is where they are kept.
policy_revisions = Table(
    "policy_revisions",
    metadata,
    Column("revision", String, primary_key=True),
    Column("contents", String, nullable=False),
    Column("source", String, nullable=False),
    Column("drafted_us", Integer, nullable=False),
)

# Everyone who put it in, and the person behind them then. Rows are only ever added: who was an
# author stays one.
policy_authors = Table(
    "policy_authors",
    metadata,
    Column("revision", String, ForeignKey("policy_revisions.revision"), primary_key=True),
    Column("principal", String, primary_key=True),
    Column("person", String, primary_key=True),
)

# What recorded decisions would have been under `revision` instead of `against`; the latest.
policy_reports = Table(
    "policy_reports",
    metadata,
    Column("revision", String, ForeignKey("policy_revisions.revision"), primary_key=True),
    Column("against", String, primary_key=True),
    Column("contents", String, nullable=False),
    Column("event", String, nullable=False),
    Column("report", String, nullable=False),
    Column("made_us", Integer, nullable=False),
)

policy_activations = Table(
    "policy_activations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("revision", String, ForeignKey("policy_revisions.revision"), nullable=False),
    Column("previous", String),
    Column("activator", String, nullable=False),
    Column("rollback", Boolean, nullable=False),
    Column("at_us", Integer, nullable=False),
)

# One row: what workers run. `serial` grows with each change of it.
policy_state = Table(
    "policy_state",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("serial", Integer, nullable=False),
    Column("active", String, ForeignKey("policy_revisions.revision")),
    Column("shadow", String, ForeignKey("policy_revisions.revision")),
)

registry_revision = Table(
    "registry_revision",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("revision", Integer, nullable=False),
)


class RegistryUnusable(SekishoError):
    """The registry cannot be opened or changed; the message says what to do."""

    code = "registry_unusable"


def open_engine(path: Path, *, writing: bool) -> Engine:
    """An engine on an existing file. Each use is a connection of its own, so that a file that was
    replaced is noticed instead of an old one being read for ever.
    """
    engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)
    # sqlite3's own transactions leave schema changes outside and take the write lock late, which
    # ends in "database is locked" after half of the work: begin explicitly instead.
    start = "BEGIN IMMEDIATE" if writing else "BEGIN"

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(start)

    return engine


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def create_file(path: Path) -> None:
    """Make the file if it is absent, never readable by others, also not for a moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)
    finally:
        os.close(descriptor)


def prepare(path: Path) -> None:
    """Make or migrate the registry if need be. Safe when several processes do it at once."""
    try:
        create_file(path)
        engine = open_engine(path, writing=True)
        migrate(engine)
        engine.dispose()
    except (OSError, SQLAlchemyError) as error:
        raise RegistryUnusable(f"The registry {path} cannot be opened: {why(error)}") from error


def why(error: OSError | SQLAlchemyError) -> str:
    """The cause without the statement's parameters, which hold hashes and ids."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, IntegrityError):
        return "another command changed the same thing; run it again"
    return str(getattr(error, "orig", None) or type(error).__name__)


def migrate(engine: Engine) -> None:
    """Bring the tables to this version. Raises RegistryUnusable for those of a newer one."""
    with as_file(files("sekisho.adapters") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        script = ScriptDirectory.from_config(config)
        newest = script.get_current_head()
        known = {step.revision for step in script.walk_revisions()}
        with engine.begin() as connection:
            has = None
            if inspect(connection).has_table("alembic_version"):
                has = connection.scalar(text("SELECT version_num FROM alembic_version"))
            if has == newest:
                return
            if has is not None and has not in known:
                raise RegistryUnusable(
                    "The registry was written by a newer version of Sekisho. Install that version "
                    "again, or restore a backup from before the change."
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
