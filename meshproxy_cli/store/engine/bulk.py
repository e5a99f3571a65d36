"""Bulk inserts, as each engine takes them fastest; rows are tuples in the order of the columns.

SQLAlchemy's processing of each value costs more than anything else in a batch, and so does compiling a statement each
time. SQLite's driver gets the rows as they are. PostgreSQL gets new rows by COPY, and rows that may exist already as
one JSON parameter.
"""

from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.engine import Connection

from meshproxy_cli.store.engine import rollups
from meshproxy_cli.store.engine.schema import MEASURES

Row = tuple[Any, ...]
Rows = Sequence[Row]
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NULL = "\\N"


def insert(connection: Connection, table: sa.Table, rows: Rows) -> None:
    """Insert rows. Raise SQLAlchemy's `IntegrityError` if one exists already."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_insert_sql(table), list(rows))
        return
    driver: Any = connection.dialect.loaded_dbapi
    cursor: Any = connection.connection.cursor()
    try:
        with cursor.copy(_copy_sql(table)) as copy:
            copy.write(_copy_text(table, rows))
    except driver.IntegrityError as problem:
        raise sa.exc.IntegrityError(_copy_sql(table), None, problem) from problem
    finally:
        cursor.close()


def insert_new(connection: Connection, table: sa.Table, rows: Rows) -> Rows:
    """Insert the rows whose key, the first column, does not exist yet; return those."""
    key = next(iter(table.c))
    ids = [row[0] for row in rows]
    if connection.dialect.name == "sqlite":
        # The transaction holds the only write lock, so no other writer can add these keys in between.
        known = set(connection.execute(sa.select(key).where(key.in_(ids))).scalars())
        fresh = [row for row in rows if row[0] not in known]
        if fresh:
            insert(connection, table, fresh)
        return fresh
    new = set(connection.exec_driver_sql(_insert_new_sql(table), {"rows": _json(table, rows)}).scalars())
    return [row for row in rows if row[0] in new]


def add_up(connection: Connection, table: sa.Table, rows: Rows) -> None:
    """Add rows of a roll-up to the existing ones."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_add_up_sql(table, "sqlite"), list(rows))
    else:
        connection.exec_driver_sql(_add_up_sql(table, "postgresql"), {"rows": _json(table, rows)})


def _names(table: sa.Table) -> list[str]:
    return [column.name for column in table.columns]


@cache
def _insert_sql(table: sa.Table) -> str:
    return _text(sqlite.insert(table), sqlite.dialect())


@cache
def _copy_sql(table: sa.Table) -> str:
    return f"COPY {table.name} ({', '.join(_names(table))}) FROM STDIN"


@cache
def _insert_new_sql(table: sa.Table) -> str:
    return _text(_from_json(table).on_conflict_do_nothing().returning(next(iter(table.c))), psycopg.dialect())  # type: ignore[no-untyped-call]


@cache
def _add_up_sql(table: sa.Table, engine: str) -> str:
    into = sqlite.insert(table) if engine == "sqlite" else _from_json(table)
    changed = {name: rollups.added(table.c[name], into.excluded[name]) for name in MEASURES}
    upsert = into.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changed)
    return _text(upsert, sqlite.dialect() if engine == "sqlite" else psycopg.dialect())  # type: ignore[no-untyped-call]


def _from_json(table: sa.Table) -> Any:  # noqa: ANN401 (PostgreSQL's Insert, which is not typed in full)
    names = _names(table)
    records = sa.text(f"json_populate_recordset(NULL::{table.name}, CAST(:rows AS json))")
    return postgresql.insert(table).from_select(names, sa.select(*map(sa.column, names)).select_from(records))


def _text(statement: Any, dialect: Any) -> str:  # noqa: ANN401 (either dialect's)
    return str(statement.compile(dialect=dialect))


def _json(table: sa.Table, rows: Rows) -> str:
    names = _names(table)
    records = [dict(zip(names, map(_plain, row), strict=True)) for row in rows]
    return msgspec.json.encode(records).decode()


def _plain(value: object) -> object:
    return rf"\x{value.hex()}" if isinstance(value, bytes) else value


def _copy_text(table: sa.Table, rows: Rows) -> str:
    """Return rows in COPY's text format; escape them one by one only if anything needs escaping."""
    columns = len(rows[0])
    one, nullable = "\t".join(["%s"] * columns), _nullable(table)
    nulls = 0
    whole = []
    for row in rows:
        if None in nullable(row):
            nulls += row.count(None)
            whole.append(one % tuple(_NULL if value is None else value for value in row))
        else:
            whole.append(one % row)
    text = "\n".join(whole)
    wholesome = (
        text.count("\t") == len(rows) * (columns - 1)
        and text.count("\n") == len(rows) - 1
        and text.count("\\") == nulls
        and "\r" not in text
    )
    return text if wholesome else "\n".join("\t".join(map(_escaped, row)) for row in rows)


@cache
def _nullable(table: sa.Table) -> Callable[[Row], Row]:
    return itemgetter(*(place for place, column in enumerate(table.columns) if column.nullable))


def _escaped(value: object) -> str:
    if value is None:
        return _NULL
    return value.translate(_ESCAPES) if isinstance(value, str) else str(value)
