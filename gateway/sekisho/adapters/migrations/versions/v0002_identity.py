"""Identity: where roles and groups come from, links to identities elsewhere, delegations, SCIM."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add tables and columns. Never edited once released: a change is a new revision."""
    op.add_column("principals", sa.Column("training_until_us", sa.Integer))
    op.add_column("principals", sa.Column("left_us", sa.Integer))
    op.add_column("principals", sa.Column("sessions_from_us", sa.Integer))
    op.add_column("api_keys", sa.Column("scopes", sa.String))
    op.add_column("api_keys", sa.Column("models", sa.String))
    for table, column in (("principal_roles", "role"), ("principal_groups", "group_name")):
        op.rename_table(table, f"{table}_0001")
        op.create_table(
            table,
            sa.Column("principal", sa.String, sa.ForeignKey("principals.id"), primary_key=True),
            sa.Column(column, sa.String, primary_key=True),
            sa.Column("source", sa.String, primary_key=True),
        )
        op.execute(f"INSERT INTO {table} SELECT principal, {column}, 'local' FROM {table}_0001")  # noqa: S608
        op.drop_table(f"{table}_0001")
    op.create_table(
        "principal_links",
        sa.Column("issuer", sa.String, primary_key=True),
        sa.Column("subject", sa.String, primary_key=True),
        sa.Column(
            "principal", sa.String, sa.ForeignKey("principals.id"), nullable=False, index=True
        ),
        sa.Column("claims", sa.String, nullable=False),
        sa.Column("as_of_us", sa.Integer, nullable=False),
        sa.Column("ended_us", sa.Integer),
    )
    op.create_table(
        "delegations",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column(
            "principal", sa.String, sa.ForeignKey("principals.id"), nullable=False, index=True
        ),
        sa.Column("delegate", sa.String, sa.ForeignKey("principals.id"), nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("from_us", sa.Integer, nullable=False),
        sa.Column("until_us", sa.Integer, nullable=False),
        sa.Column("ended_us", sa.Integer),
    )
    op.create_table(
        "scim_resources",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("principal", sa.String, sa.ForeignKey("principals.id")),
        sa.Column("document", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_us", sa.Integer, nullable=False),
        sa.Column("changed_us", sa.Integer, nullable=False),
        sa.UniqueConstraint("kind", "name", name="scim_name_once"),
    )
