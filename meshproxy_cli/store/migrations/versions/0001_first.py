"""The first schema: projects, keys, rooms, limits, access, audit, usage with roll-ups, limit counters."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(*names: str, key: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False, primary_key=key) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _flags(*names: str) -> list[sa.Column[bool]]:
    return [sa.Column(name, sa.Boolean, nullable=False) for name in names]


def upgrade() -> None:
    _control_data()
    _access()
    _usage_events()
    _rollup("usage_hours")
    _rollup("usage_days")
    _limit_counters()


def _control_data() -> None:
    control = op.create_table(
        "control",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        *_numbers("revision", "pruned_before"),
        sa.Column("master_key_id", sa.Text),
    )
    op.bulk_insert(control, [{"id": 1, "revision": 0, "pruned_before": 0}])
    op.create_table(
        "projects",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        *_numbers("created_at"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("project_id", sa.Text, sa.ForeignKey("projects.id"), nullable=False, index=True),
        *_text("name", "description"),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        *_text("master_key_id"),
        *_numbers("created_at"),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
    )
    op.create_table(
        "rooms",
        sa.Column("project_id", sa.Text, sa.ForeignKey("projects.id"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        *_numbers("created_at"),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("providers", "models", "aliases")),
    )
    op.create_table(
        "limits",
        sa.Column("project_id", sa.Text, sa.ForeignKey("projects.id"), primary_key=True),
        *_text("scope", "subject", "kind", key=True),
        *_text("amount"),
        *_flags("hard"),
    )


def _access() -> None:
    op.create_table(
        "access_tokens",
        sa.Column("id", sa.Text, primary_key=True),
        *_text("name", "role"),
        sa.Column("token_hash", sa.LargeBinary, nullable=False, unique=True),
        *_numbers("created_at"),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        *_numbers("at"),
        *_text("actor", "action", "target", "origin"),
        sa.Column("details", sa.JSON, nullable=False),
    )


def _usage_events() -> None:
    op.create_table(
        "usage_events",
        # Byte order on both engines: event ids sort by time.
        sa.Column("event_id", sa.Text(collation="C").with_variant(sa.Text(), "sqlite"), primary_key=True),
        sa.Column("started_at", sa.BigInteger, primary_key=True, autoincrement=False),
        *_text("request_id", "project_id", "room", "session", "participant", "key_id", "agent", "provider"),
        *_text("model", "endpoint", "method"),
        *_flags("streamed"),
        sa.Column("status", sa.Integer, nullable=False),
        *_text("outcome", "model_requested", "model_served", "service_tier", "provider_request_id"),
        *_numbers("input_tokens", "cached_input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
        *_numbers("output_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens"),
        *_numbers("input_image_tokens", "output_image_tokens", "cached_audio_tokens", "cached_image_tokens"),
        sa.Column("audio_seconds", sa.Float(53), nullable=False),
        *_flags("estimated", "metered"),
        sa.Column("cost", sa.BigInteger),
        *_text("price_snapshot"),
        sa.Column("ttfb_ms", sa.Float(53)),
        sa.Column("duration_ms", sa.Float(53), nullable=False),
        *_numbers("request_bytes", "response_bytes"),
        *_text("error"),
        postgresql_partition_by="RANGE (started_at)",
    )
    op.create_index("usage_events_time", "usage_events", ["started_at", "event_id"])
    op.create_index("usage_events_session", "usage_events", ["session", "event_id"])


def _rollup(name: str) -> None:
    op.create_table(
        name,
        sa.Column("bucket", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("series", sa.LargeBinary, primary_key=True),
        *_text("project_id", "room", "session", "participant", "model", "provider", "agent", "key_id"),
        *_numbers("requests", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens"),
        *_numbers("reasoning_tokens", "cost", "priced_requests", "estimated_requests", "unpriced_requests"),
        *_numbers("failed_requests"),
        sqlite_with_rowid=False,
    )


def _limit_counters() -> None:
    op.create_table(
        "limit_counters",
        sa.Column("counter", sa.Text, primary_key=True),
        sa.Column("window_start", sa.BigInteger, primary_key=True, autoincrement=False),
        *_numbers("spent", "reserved"),
        sa.Column("expires_at", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "limit_leases",
        *_text("holder", "counter", key=True),
        sa.Column("window_start", sa.BigInteger, primary_key=True, autoincrement=False),
        *_numbers("amount"),
        sa.Column("expires_at", sa.BigInteger, nullable=False, index=True),
    )
