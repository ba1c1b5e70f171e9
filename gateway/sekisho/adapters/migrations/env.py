"""Alembic's entry: runs on the connection that `registry_schema.migrate` has opened."""

from alembic import context

from sekisho.adapters.registry_schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
