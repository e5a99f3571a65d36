"""What a token means, for a person: its grants in words, its spec, and whether the Room Proxy would take it."""

from collections.abc import Mapping
from typing import Final

from meshproxy_cli.tokens.claims import ParticipantToken
from meshproxy_cli.tokens.jws import Json
from meshproxy_cli.tokens.models import model_allowed
from meshproxy_cli.tokens.scope import SECTIONS, Field, Kind, Section

PROVIDERS: Final = ("openai", "anthropic")
_NAMING_FIELDS: Final = ("name", "path", "table")


def as_spec(token: ParticipantToken) -> dict[str, Json]:
    """Return the spec that the token was made from, as YAML or JSON would hold it, defaults left out."""
    spec: dict[str, Json] = {"version": "v1", "kind": "ParticipantToken", "identity": token.identity}
    if token.room is not None:
        spec["room"] = token.room
    if token.role != "user":
        spec["role"] = token.role
    return spec | {"api": dict(token.scope)}


def refusals(token: ParticipantToken, *, room: str | None = None, model: str | None = None) -> tuple[str, ...]:
    """Return why the Room Proxy would refuse the token for a room and a model, its signature and times aside."""
    found = []
    if not token.llm:
        found.append("it does not grant the use of models (its spec has no `llm: {}` below api)")
    if unknown := token.unknown_llm_members:
        found.append(f"its llm grant has members that are not known: {', '.join(map(repr, unknown))} (models is)")
    if room is not None and token.room is not None and token.room != room:
        found.append(f"it is for the room {token.room}, not for {room}")
    if model is not None and token.llm and not _may_use(token, model):
        found.append(f"it does not allow the model {model}")
    return tuple(found)


def grants_in_words(scope: Mapping[str, Json]) -> list[str]:
    """Return one line for each section that is granted, in the order of the token."""
    known = {section.name: section for section in SECTIONS}
    return [
        _section_in_words(known[name], value) if name in known else f"{name}: not known to this version of meshproxy"
        for name, value in scope.items()
    ]


def _may_use(token: ParticipantToken, model: str) -> bool:
    provider, _, name = model.partition("/")
    if provider in PROVIDERS:
        return model_allowed(token.models, provider, name)
    return any(model_allowed(token.models, each, model) for each in PROVIDERS)


def _section_in_words(section: Section, value: Json) -> str:
    words = [_field_in_words(field, value[field.name]) for field in section.fields if field.name in value]
    return f"{section.name}: {section.help}" + (f" ({'; '.join(words)})" if words else "")


def _field_in_words(field: Field, value: Json) -> str:
    name = field.name.replace("_", " ")
    if field.kind is Kind.FLAG:
        return name if value else f"no {name}"
    if isinstance(value, list):
        return f"{name} only {', '.join(map(_item_in_words, value))}" if value else f"{name} none"
    return f"{name} as in its spec"


def _item_in_words(item: Json) -> str:
    if not isinstance(item, dict):
        return str(item)
    name = next((str(item[field]) for field in _NAMING_FIELDS if field in item), "?")
    extra = [key.replace("_", " ") for key, value in item.items() if value is True]
    return f"{name} ({', '.join(extra)})" if extra else name
