"""The first registry: principals, roles, groups, keys, and the number that grows with changes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables. Never edited once released: a change is a new revision."""
    op.create_table(
        "principals",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column(
            "kind", sa.String, sa.CheckConstraint("kind IN ('person', 'service')"), nullable=False
        ),
        sa.Column("owner", sa.String, sa.ForeignKey("principals.id")),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_us", sa.Integer, nullable=False),
        sa.CheckConstraint("(kind = 'service') = (owner IS NOT NULL)", name="service_has_owner"),
    )
    for table, column in (("principal_roles", "role"), ("principal_groups", "group_name")):
        op.create_table(
            table,
            sa.Column("principal", sa.String, sa.ForeignKey("principals.id"), primary_key=True),
            sa.Column(column, sa.String, primary_key=True),
        )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column(
            "principal", sa.String, sa.ForeignKey("principals.id"), nullable=False, index=True
        ),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("created_us", sa.Integer, nullable=False),
        sa.Column("expires_us", sa.Integer),
        sa.Column("revoked_us", sa.Integer),
    )
    op.create_table(
        "registry_revision",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
    )
    op.execute("INSERT INTO registry_revision (id, revision) VALUES (1, 0)")
