"""Many rows in one statement, the way that each engine takes them quickest; all values must be plain ones.

SQLAlchemy's care for each value costs more than anything else in a batch. SQLite's driver gets the rows as they are;
PostgreSQL gets them all as one JSON parameter.
"""

import json
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, CursorResult

from meshproxy_cli.store.database import Database

Rows = Sequence[Mapping[str, Any]]


def bulk_insert(database: Database, table: sa.Table) -> Any:  # noqa: ANN401 (both dialects have the same on_conflict)
    """Return an INSERT for `execute_rows`, which can be told what to do on a conflict and what to return."""
    if not database.is_postgresql:
        return sqlite.insert(table)
    names = [column.name for column in table.columns]
    records = sa.text(f"json_populate_recordset(NULL::{table.name}, CAST(:rows AS json))")
    return postgresql.insert(table).from_select(names, sa.select(*map(sa.column, names)).select_from(records))


def execute_rows(database: Database, connection: Connection, statement: Any, rows: Rows) -> CursorResult[Any]:  # noqa: ANN401
    """Execute what `bulk_insert` began."""
    if database.is_postgresql:
        return connection.execute(statement, {"rows": json.dumps(rows, default=_bytea)})
    compiled = statement.compile(dialect=database.engine.dialect, column_keys=list(rows[0]))
    return connection.exec_driver_sql(str(compiled), list(map(itemgetter(*compiled.positiontup), rows)))


def _bytea(value: bytes) -> str:
    return rf"\x{value.hex()}"
