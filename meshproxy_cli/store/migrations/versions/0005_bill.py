"""Web searches, region and estimated prices of events; ids of events that are counted once whenever they come."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("usage_events", _number("web_searches"))
    op.add_column("usage_events", sa.Column("region", sa.Text, nullable=False, server_default=""))
    op.add_column("usage_events", sa.Column("price_estimated", sa.Boolean, nullable=False, server_default=sa.false()))
    for rollup in ("usage_hours", "usage_days"):
        op.add_column(rollup, _number("price_estimated_requests"))
        op.add_column(rollup, _number("web_searches"))
    op.create_table("counted_once", sa.Column("event_id", sa.Text, primary_key=True))
    op.execute(
        "INSERT INTO counted_once (event_id) SELECT DISTINCT event_id FROM usage_events "
        "WHERE substr(event_id, 15, 1) = '5'"
    )


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
