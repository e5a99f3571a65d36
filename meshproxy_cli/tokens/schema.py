"""The JSON Schema of the token spec, made from the same table as the check."""

from typing import Final

from meshproxy_cli.tokens.check import KIND, VERSION
from meshproxy_cli.tokens.claims import ROLES
from meshproxy_cli.tokens.jws import Json
from meshproxy_cli.tokens.scope import FILE_ACTIONS, SECTIONS, Field, Kind, Section

_DIALECT: Final = "http://json-schema.org/draft-07/schema#"  # what editors' YAML servers know best
_MODEL_PATTERN: Final = r"^([^*/]+/[^*]+|[^*]*\*)$"


def spec_schema() -> dict[str, Json]:
    """Return the schema. What it accepts, `parse_spec` accepts too, repeated and empty values aside."""
    api = {name: _granted(section) for section in SECTIONS for name in (section.name, *section.older_names)}
    return {
        "$schema": _DIALECT,
        "title": "Token spec",
        "description": "What a participant token is made from: `meshproxy token generate --spec FILE`.",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "kind", "identity", "api"],
        "properties": {
            "version": {"const": VERSION},
            "kind": {"const": KIND},
            "identity": {"type": "string", "pattern": r"\S", "description": "The participant's name."},
            "room": {"type": ["string", "null"], "pattern": r"\S", "description": "The room; left out: any room."},
            "role": {"enum": [*ROLES, None], "description": "What the participant is; left out: user."},
            "api": {
                "type": "object",
                "description": "What is granted: a section that is present, `{}` for all of it.",
                "additionalProperties": False,
                "required": ["llm"],
                "properties": api,
            },
        },
    }


def _granted(section: Section) -> dict[str, Json]:
    schema = _object(section)
    return schema if section.name == "llm" else schema | {"type": ["object", "null"]}


def _object(section: Section) -> dict[str, Json]:
    schema: dict[str, Json] = {
        "type": "object",
        "description": f"{section.help[0].upper()}{section.help[1:]}.",
        "additionalProperties": False,
        "properties": {field.name: _field(field) for field in section.fields},
    }
    required = [field.name for field in section.fields if field.required]
    return schema | {"required": required} if required else schema


def _field(field: Field) -> dict[str, Json]:
    schema: dict[str, Json] = {"description": f"{field.help[0].upper()}{field.help[1:]}."} | _value(field)
    if field.nullable:
        schema["type"] = [schema["type"], "null"]
    elif not field.required:
        schema["default"] = field.default
    if field.most is not None:
        schema["maxItems"] = field.most
    return schema


def _value(field: Field) -> dict[str, Json]:
    if field.section is not None:
        inner = _object(field.section)
        return inner if field.kind is Kind.SECTION else {"type": "array", "items": inner}
    if field.kind is Kind.FLAG:
        return {"type": "boolean"}
    if field.kind in (Kind.TEXT, Kind.FILE_PATH):
        return {"type": "string"}
    return {"type": "array", "items": _item(field.kind)}


def _item(kind: Kind) -> dict[str, Json]:
    if kind is Kind.FILE_ACTIONS:
        return {"enum": list(FILE_ACTIONS)}
    if kind is Kind.MODELS:
        return {"type": "string", "pattern": _MODEL_PATTERN, "examples": ["openai/*", "anthropic/claude-*"]}
    return {"type": "string"}
