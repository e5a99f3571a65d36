"""The store's records: projects, API keys, rooms, limits, access tokens, audit entries, usage queries and reports."""

import enum
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The tenant that rooms, keys and usage belong to; `id` is a UUID's text."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRecord:
    """An API key without its secret, as lists show it."""

    id: str
    project_id: str
    name: str
    description: str
    created_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """The part of an API key that verifies tokens. Only the proxy holds it in memory."""

    id: str
    project_id: str
    secret: str = field(repr=False)
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room that was created or configured; others exist once a token names them, unless `rooms.strict` is set.

    `providers` maps a protocol ("openai", "anthropic") to the name of a configured provider; `models` are
    `provider/model` patterns (empty: all); `aliases` map a model name that clients may use to the real one. `tools` are
    types of tools, and options of requests, that are allowed although models are limited and they may run another one.
    """

    name: str
    project_id: str
    created_at: datetime
    providers: dict[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    tools: tuple[str, ...] = ()


class LimitScope(enum.StrEnum):
    """Whose traffic a limit counts."""

    PROJECT = "project"
    ROOM = "room"
    SESSION = "session"
    PARTICIPANT = "participant"


class LimitKind(enum.StrEnum):
    """What a limit counts."""

    REQUESTS_PER_MINUTE = "requests_per_minute"
    TOKENS_PER_MINUTE = "tokens_per_minute"
    CONCURRENT_STREAMS = "concurrent_streams"
    USD_PER_DAY = "usd_per_day"
    USD_PER_MONTH = "usd_per_month"


#: Limits of money, in US dollars; all others are whole numbers.
BUDGETS = frozenset({LimitKind.USD_PER_DAY, LimitKind.USD_PER_MONTH})
LARGEST_LIMIT = Decimal(1_000_000_000)
_DIGITS_OF_A_DOLLAR = 12


def wrong_amount(kind: LimitKind, amount: Decimal) -> str:
    """Return why the amount is invalid for a limit of that kind, "" if it is valid."""
    if not amount.is_finite() or not 0 <= amount <= LARGEST_LIMIT:
        return f"a limit must be a number from 0 to {LARGEST_LIMIT:,}"
    if kind not in BUDGETS and amount != amount.to_integral_value():
        return f"a limit of {kind.value.replace('_', ' ')} must be a whole number"
    if -int(amount.normalize().as_tuple().exponent) > _DIGITS_OF_A_DOLLAR:
        return f"a limit must have at most {_DIGITS_OF_A_DOLLAR} decimal places"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """`subject` is the room's, session's or participant's name, "" for the project and "*" for each one on its own."""

    project_id: str
    scope: LimitScope
    subject: str
    kind: LimitKind
    amount: Decimal
    hard: bool = True


class Role(enum.StrEnum):
    """What the holder of an access token of the REST API and the dashboard may do."""

    ADMIN = "admin"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A credential of the REST API and the dashboard; only its hash is stored."""

    id: str
    name: str
    role: Role
    created_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A change by an admin: who, when, what, from where. It never contains a secret."""

    at: datetime
    actor: str
    action: str
    target: str
    origin: str
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who makes a change, and from where, as the audit log names it: an access token's name and an address."""

    name: str
    origin: str


class GroupBy(enum.StrEnum):
    """What usage can be grouped by; `--by` takes several."""

    ROOM = "room"
    SESSION = "session"
    PARTICIPANT = "participant"
    MODEL = "model"
    PROVIDER = "provider"
    AGENT = "agent"
    KEY = "key"
    DAY = "day"
    HOUR = "hour"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """Which usage to sum up, and by what; times are UTC, `until` is exclusive; None means "any"."""

    project_id: str | None = None
    room: str | None = None
    session: str | None = None
    participant: str | None = None
    model: str | None = None
    provider: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    by: tuple[GroupBy, ...] = (GroupBy.ROOM, GroupBy.SESSION, GroupBy.MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Sums over events, columns as in `store.events`; `cost_usd` is None if no event of the group has a price."""

    requests: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: Decimal | None = None
    estimated_requests: int = 0
    unpriced_requests: int = 0  # requests with tokens whose model has no known price
    failed_requests: int = 0
    price_estimated_requests: int = 0  # whose cost is at the rate of an earlier model of the same family
    web_searches: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """One group: `keys` has an entry for each of the query's `by`, in that order."""

    keys: dict[str, str]
    totals: UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """The answer to a `UsageQuery`."""

    by: tuple[GroupBy, ...]
    rows: tuple[UsageRow, ...]
    totals: UsageTotals
