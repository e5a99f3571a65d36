"""Alembic's scripts; `store.migrate` runs them on an open connection."""
