"""Alembic's entry point: migrate on the connection and in the transaction that `engine.migrate` opened."""

from alembic import context

from meshproxy_cli.store.engine.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
