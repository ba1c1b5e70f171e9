"""Revisions of policy: who wrote them, what replays said, which one is in force."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def _of(name: str) -> sa.ForeignKey:
    return sa.ForeignKey(f"policy_revisions.{name}")


def upgrade() -> None:
    """Add tables. Never edited once released: a change is a new revision."""
    op.create_table(
        "policy_revisions",
        sa.Column("revision", sa.String, primary_key=True),
        sa.Column("contents", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("drafted_us", sa.Integer, nullable=False),
    )
    op.create_table(
        "policy_authors",
        sa.Column("revision", sa.String, _of("revision"), primary_key=True),
        sa.Column("principal", sa.String, primary_key=True),
        sa.Column("person", sa.String, primary_key=True),
    )
    op.create_table(
        "policy_reports",
        sa.Column("revision", sa.String, _of("revision"), primary_key=True),
        sa.Column("against", sa.String, primary_key=True),
        sa.Column("contents", sa.String, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("report", sa.String, nullable=False),
        sa.Column("made_us", sa.Integer, nullable=False),
    )
    op.create_table(
        "policy_activations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("revision", sa.String, _of("revision"), nullable=False),
        sa.Column("previous", sa.String),
        sa.Column("activator", sa.String, nullable=False),
        sa.Column("rollback", sa.Boolean, nullable=False),
        sa.Column("at_us", sa.Integer, nullable=False),
    )
    op.create_table(
        "policy_state",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("serial", sa.Integer, nullable=False),
        sa.Column("active", sa.String, _of("revision")),
        sa.Column("shadow", sa.String, _of("revision")),
    )
    op.execute("INSERT INTO policy_state (id, serial) VALUES (1, 0)")
