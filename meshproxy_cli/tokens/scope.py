"""The `api` scope as a table: its sections, their fields, types and defaults, in the order of the token's payload.

As of meshagent-api 0.55.1. A section that is present is granted; each holds only what differs from the default.
What checks a spec, the JSON Schema and the words of `token inspect` are all made from this table.
"""

import enum
from dataclasses import dataclass, field
from typing import Final

from meshproxy_cli.tokens.jws import Json


class Kind(enum.Enum):
    """The type of a field's value."""

    FLAG = "true or false"
    TEXT = "a text"
    TEXTS = "a list of texts"
    MODELS = "a list of provider/model names"
    FILE_PATH = "a path without a leading slash"
    FILE_PATHS = "a list of paths without a leading slash"
    FILE_ACTIONS = "a list of list, read, write, delete, presign"
    SECTION = "a mapping"
    SECTIONS = "a list of mappings"


@dataclass(frozen=True, slots=True)
class Field:
    """A field; `section` describes the value, or each of the list, where `kind` says mapping."""

    name: str
    kind: Kind
    help: str
    default: Json = None
    required: bool = False
    section: "Section | None" = None
    most: int | None = None  # items of a list

    @property
    def nullable(self) -> bool:
        """Whether `null` may stand for the default."""
        return self.default is None and not self.required


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping with known fields."""

    name: str
    help: str
    fields: tuple[Field, ...] = ()
    older_names: tuple[str, ...] = field(default=())


FILE_ACTIONS: Final = ("list", "read", "write", "delete", "presign")


def _flag(name: str, text: str, *, default: bool = True) -> Field:
    return Field(name, Kind.FLAG, text, default=default)


def _texts(name: str, text: str) -> Field:
    return Field(name, Kind.TEXTS, text)


def _name(name: str, text: str) -> Field:
    return Field(name, Kind.TEXT, text, required=True)


def _each(name: str, text: str, *fields: Field) -> Field:
    return Field(name, Kind.SECTIONS, text, section=Section(name, text, fields))


_NAMESPACE = _texts("namespace", "the namespace it lies in; any where left out")
_ACCESS = (
    _flag("write", "change rows", default=False),
    _flag("read", "read rows"),
    _flag("alter", "change the table itself", default=False),
)
_PATHS = _each(
    "paths",
    "only these paths; a `*` at the end stands for all below",
    _name("path", "the path"),
    _flag("read_only", "reading only", default=False),
)
_MEMORY_ACTIONS = ("create", "drop", "inspect", "query", "upsert", "ingest", "recall", "optimize")
_PERMISSIONS = Section("permissions", "what may be done with it", tuple(_flag(name, name) for name in _MEMORY_ACTIONS))
_FILE_RULE = Section(
    "paths",
    "a rule",
    (
        Field("path", Kind.FILE_PATH, "the file or folder", required=True),
        Field("recursive", Kind.FLAG, "all below it too", required=True),
        Field("actions", Kind.FILE_ACTIONS, "what may be done", required=True),
        Field("excluded_paths", Kind.FILE_PATHS, "what the rule leaves out", default=[], most=1000),
    ),
)
_FILES = Section(
    "files",
    "rules for files, instead of `paths`",
    (Field("paths", Kind.SECTIONS, "the rules", default=[], section=_FILE_RULE, most=1000),),
)
_REGISTRY = Section(
    "registry",
    "the room's image registry",
    (
        _texts("list", "only these repositories may be listed"),
        _texts("pull", "only these repositories may be pulled"),
        _texts("run", "only these repositories may be run"),
        _texts("write", "only these repositories may be written"),
    ),
)
_SQLITE_DATABASE = (
    _name("name", "the database"),
    _NAMESPACE,
    _flag("create_table", "make tables"),
    _flag("drop", "drop the database", default=False),
    _flag("inspect", "read its schema"),
    _flag("list_tables", "list its tables"),
    _flag("execute", "run statements"),
    _each(
        "tables",
        "only these tables",
        _name("database", "the database"),
        _name("table", "the table"),
        _NAMESPACE,
        *_ACCESS,
    ),
)

SECTIONS: Final = (
    Section("livekit", "audio and video", (_texts("breakout_rooms", "only these breakout rooms"),)),
    Section(
        "queues",
        "message queues",
        (
            _texts("send", "send to these queues only"),
            _texts("receive", "receive from these queues only"),
            _flag("list", "list the queues"),
        ),
    ),
    Section(
        "messaging",
        "messages to participants",
        (
            _flag("broadcast", "send to everybody"),
            _flag("list", "list the participants"),
            _flag("send", "send to one participant"),
        ),
    ),
    Section(
        "dataset",
        "tables of the room",
        (
            _each("tables", "only these tables", _name("name", "the table"), _NAMESPACE, *_ACCESS),
            _flag("list_tables", "list the tables"),
        ),
        older_names=("database", "datasets"),
    ),
    Section(
        "sqlite",
        "SQLite databases of the room",
        (
            _each("databases", "only these databases", *_SQLITE_DATABASE),
            _flag("create_database", "make databases"),
            _flag("list_databases", "list the databases"),
        ),
    ),
    Section(
        "memory",
        "memories of the room",
        (
            _flag("list", "list the memories"),
            _each(
                "memories",
                "only these memories",
                _name("name", "the memory"),
                _NAMESPACE,
                Field("permissions", Kind.SECTION, _PERMISSIONS.help, default={}, section=_PERMISSIONS),
            ),
        ),
    ),
    Section("sync", "shared documents", (_PATHS,)),
    Section("storage", "files of the room", (_PATHS, Field("files", Kind.SECTION, _FILES.help, section=_FILES))),
    Section(
        "containers",
        "containers in the room",
        (
            _flag("logs", "read their logs"),
            _texts("pull", "pull these images only"),
            _texts("run", "run these images only"),
            Field("registry", Kind.SECTION, _REGISTRY.help, section=_REGISTRY),
            _flag("use_containers", "use running containers"),
        ),
    ),
    Section("developer", "the developer's view", (_flag("logs", "read the room's logs"),)),
    Section(
        "agents",
        "agents and toolkits",
        (
            _flag("register_agent", "register an agent"),
            _flag("register_public_toolkit", "register a toolkit for everybody"),
            _flag("register_private_toolkit", "register a toolkit for itself"),
            _flag("call", "call agents"),
            _flag("use_agents", "use agents"),
            _flag("use_tools", "use tools"),
            _texts("allowed_toolkits", "only these toolkits"),
        ),
    ),
    Section(
        "llm",
        "models, through the Room Proxy",
        (Field("models", Kind.MODELS, "only these models, as provider/model; a `*` at the end is a wildcard"),),
    ),
    Section("admin", "administration of the room", (_flag("config", "change the room's configuration"),)),
    Section("secrets", "secrets of the room"),
    Section("tunnels", "tunnels to ports of the room", (_texts("ports", "only these ports"),)),
    Section("services", "services of the room", (_flag("list", "list the services"),)),
)
