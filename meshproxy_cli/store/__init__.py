"""The database of a Room Proxy: projects, API keys, rooms, limits, usage, audit; SQLite and PostgreSQL behind one interface."""
