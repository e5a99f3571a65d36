"""The OpenAPI 3.1 description, made from the same `Endpoint`s that make the routes; served at `/openapi.json`.

`python -m meshproxy_cli.proxy.admin.openapi` prints it; `docs/openapi.json` is its output.
"""

import functools
import json
import re
import sys
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from meshproxy_cli.proxy.admin.rest import ENDPOINTS
from meshproxy_cli.proxy.admin.rest.endpoint import Endpoint

_PARAMETER = re.compile(r"\{(\w+)\}")
_REF = "#/components/schemas/{name}"
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_DESCRIPTION = """\
The REST API of a Room Proxy. Calls take an access token as bearer: an admin's for everything, a viewer's for reading.
The calls for API keys and usage are MeshAgent's; the others, `by`, `session`, `participant` and `totals` are additions.
Times are ISO 8601 in UTC; sums of money are US dollars."""


@functools.cache
def describe() -> dict[str, Any]:
    """Return the description as JSON values."""
    kinds = [kind for endpoint in ENDPOINTS for kind in (endpoint.answer, endpoint.body, endpoint.query) if kind]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    by_kind = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        operations = paths.setdefault(endpoint.path, {})
        operations[endpoint.method.lower()] = _operation(endpoint, by_kind, components)
    queries = {endpoint.query.__name__ for endpoint in ENDPOINTS if endpoint.query}
    return {
        "openapi": "3.1.0",
        "info": {"title": "meshproxy Room Proxy", "version": "1", "description": _DESCRIPTION},
        "security": [{"accessToken": []}],
        "paths": paths | _OPEN_PATHS,
        "components": {
            "securitySchemes": {"accessToken": {"type": "http", "scheme": "bearer"}},
            "responses": {"Problem": _PROBLEM},
            "schemas": {name: _plain(schema) for name, schema in components.items() if name not in queries},
        },
    }


def _operation(endpoint: Endpoint, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    role = "Needs an admin's token." if endpoint.admin else "A viewer's token suffices."
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", endpoint.summary.lower()),
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": f"{endpoint.description} {role}".strip(),
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint, components)],
        "responses": {**_answers(endpoint, schemas), "default": {"$ref": "#/components/responses/Problem"}},
    }
    if endpoint.body:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _plain(schemas[endpoint.body])}},
        }
    return operation


def _answers(endpoint: Endpoint, schemas: dict[Any, Any]) -> dict[str, Any]:
    if endpoint.answer is None:
        return {"204": {"description": "Done."}}
    content = {"application/json": {"schema": _plain(schemas[endpoint.answer])}}
    return {str(endpoint.status): {"description": "Success.", "content": content}}


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    names = _PARAMETER.findall(endpoint.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(endpoint: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    schema = components[endpoint.query.__name__]
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(_present(field))}
        for name, field in schema["properties"].items()
    ]


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without null: a parameter of a query is there or it is not."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if kinds else schema


def _plain(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a schema in which decimals are what they are on the wire: numbers."""
    if isinstance(value, dict):
        if value.get("format") == "decimal":
            return {"type": "number"}
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _open(summary: str, content: dict[str, Any], **more: str) -> dict[str, Any]:
    """Describe a call that needs no token; `more` says what other answers with the same content mean: _503="…"."""
    said = {"200": "Success.", **{status.strip("_"): text for status, text in more.items()}}
    responses = {status: {"description": text, "content": content} for status, text in said.items()}
    return {"get": {"tags": ["Server"], "summary": summary, "security": [], "responses": responses}}


_PROBLEM = {
    "description": "What went wrong, for a person.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    "error": {
                        "type": "object",
                        "required": ["code", "message"],
                        "properties": {name: {"type": "string"} for name in ("code", "message", "hint")},
                    }
                },
            }
        }
    },
}
_READY = {
    "type": "object",
    "required": ["status", "reasons", "version"],
    "properties": {
        "status": {"enum": ["ok", "degraded", "ending"]},
        "reasons": {"type": "array", "items": {"type": "string"}},
        "version": {"type": "string", "description": "The server's version of meshproxy."},
    },
}
_OPEN_PATHS = {
    "/healthz": _open("Say that the process answers", _TEXT),
    "/readyz": _open(
        "Say whether anything is degraded",
        {"application/json": {"schema": _READY}},
        _503="The server is ending: send requests elsewhere.",
    ),
    "/openapi.json": _open("Show this description", {"application/json": {"schema": {"type": "object"}}}),
    "/metrics": {
        "get": {
            "tags": ["Server"],
            "summary": "Show metrics in Prometheus' text format",
            "description": "A viewer's token suffices.",
            "responses": {"200": {"description": "Success.", "content": _TEXT}},
        }
    },
}


async def _serve(_: Request) -> Response:
    return JSONResponse(describe())


ROUTES = (Route("/openapi.json", _serve),)

if __name__ == "__main__":
    sys.stdout.write(json.dumps(describe(), indent=2, ensure_ascii=False) + "\n")
