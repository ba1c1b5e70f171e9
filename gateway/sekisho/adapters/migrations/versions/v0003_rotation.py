"""Which key took over from a key, so that a key is rotated once."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add a column. Never edited once released: a change is a new revision."""
    op.add_column("api_keys", sa.Column("replaced_by", sa.String))
