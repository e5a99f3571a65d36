"""The tables, for both engines. Migrations in `store/migrations` build them; a test compares the two.

Times are whole microseconds since 1970 (UTC) and money is whole picodollars (1e-12 USD), both as 64-bit integers:
the same on either engine, exact in sums, and quick to compare.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    false,
)

metadata = MetaData()

# One row: `revision` grows with every change of control data; events from before `pruned_before` are deleted.
control = Table(
    "control",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("pruned_before", BigInteger, nullable=False),
    Column("master_key_id", Text),  # of the master key that encrypts signing secrets
)

projects = Table(
    "projects",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("master_key_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)

rooms = Table(
    "rooms",
    metadata,
    Column("project_id", Text, ForeignKey("projects.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("providers", JSON, nullable=False),
    Column("models", JSON, nullable=False),
    Column("aliases", JSON, nullable=False),
    Column("tools", JSON),
)

limits = Table(
    "limits",
    metadata,
    Column("project_id", Text, ForeignKey("projects.id"), primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("amount", Text, nullable=False),  # a decimal number's text: exact on both engines
    Column("hard", Boolean, nullable=False),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)

# Dashboard sessions that were logged out; a row may go once the session would have expired anyway.
ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

# What a server announced to its host, and when it first did.
notices = Table(
    "notices",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("details", JSON, nullable=False),
)

# On PostgreSQL partitioned by month of `started_at`, which is why that column is part of the key there.
usage_events = Table(
    "usage_events",
    metadata,
    Column("event_id", Text(collation="C").with_variant(Text(), "sqlite"), primary_key=True),
    Column("started_at", BigInteger, primary_key=True, autoincrement=False),
    Column("request_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("participant", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),  # the one that answered, else the one asked for
    Column("endpoint", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("status", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("model_requested", Text, nullable=False),
    Column("model_served", Text, nullable=False),
    Column("service_tier", Text, nullable=False),
    Column("provider_request_id", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("cache_write_5m_tokens", BigInteger, nullable=False),
    Column("cache_write_1h_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("input_audio_tokens", BigInteger, nullable=False),
    Column("output_audio_tokens", BigInteger, nullable=False),
    Column("input_image_tokens", BigInteger, nullable=False),
    Column("output_image_tokens", BigInteger, nullable=False),
    Column("cached_audio_tokens", BigInteger, nullable=False),
    Column("cached_image_tokens", BigInteger, nullable=False),
    Column("audio_seconds", Float(53), nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("metered", Boolean, nullable=False),
    Column("cost", BigInteger),  # picodollars; NULL where there is no price
    Column("price_snapshot", Text, nullable=False),
    Column("ttfb_ms", Float(53)),
    Column("duration_ms", Float(53), nullable=False),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
    Column("web_searches", BigInteger, nullable=False, server_default="0"),
    Column("region", Text, nullable=False, server_default=""),
    Column("price_estimated", Boolean, nullable=False, server_default=false()),
    Index("usage_events_time", "started_at", "event_id"),
    Index("usage_events_session", "session", "event_id"),
    postgresql_partition_by="RANGE (started_at)",
)

#: What a roll-up's row is about; `series` is a hash of these, so that the key stays short however long the names are.
DIMENSIONS = ("project_id", "room", "session", "participant", "model", "provider", "agent", "key_id")
#: What a roll-up adds up.
MEASURES = (
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
    "priced_requests",
    "estimated_requests",
    "unpriced_requests",
    "failed_requests",
    "price_estimated_requests",
    "web_searches",
)
#: Measures that newer versions added: an older process, which writes beside a newer one, leaves them out.
_ADDED_MEASURES = frozenset({"price_estimated_requests", "web_searches"})


def _rollup(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("bucket", BigInteger, primary_key=True, autoincrement=False),  # the hour's or day's start
        Column("series", LargeBinary, primary_key=True),
        *(Column(dimension, Text, nullable=False) for dimension in DIMENSIONS),
        *(
            Column(measure, BigInteger, nullable=False, server_default="0" if measure in _ADDED_MEASURES else None)
            for measure in MEASURES
        ),
        sqlite_with_rowid=False,
    )


usage_hours = _rollup("usage_hours")
usage_days = _rollup("usage_days")

# Ids of events that may come again at another time, such as the results of a batch, fetched twice: each counts once.
counted_once = Table(
    "counted_once",
    metadata,
    Column("event_id", Text, primary_key=True),
)

# Which room a provider's answer belongs to: `id` and `owner` are hashes (see `proxy/owners.py`).
answer_owners = Table(
    "answer_owners",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
)

# What a limit has left in a window: `spent` for good, `reserved` by the leases of workers.
limit_counters = Table(
    "limit_counters",
    metadata,
    Column("counter", Text, primary_key=True),
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    Column("spent", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

limit_leases = Table(
    "limit_leases",
    metadata,
    Column("holder", Text, primary_key=True),
    Column("counter", Text, primary_key=True),
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    Column("amount", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)
