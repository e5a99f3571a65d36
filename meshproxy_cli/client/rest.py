"""Calls of a Room Proxy's REST API, and its records in our types."""

from dataclasses import dataclass
from typing import Any, TypeVar

from meshproxy_cli.client.http import JsonApi, quote
from meshproxy_cli.errors import MeshproxyError, UnavailableError
from meshproxy_cli.store.wire import from_json

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RestApi:
    """Checks that answers have the form that this version knows; raises `UnavailableError` if not."""

    json_api: JsonApi

    @property
    def url(self) -> str:
        """The API's base URL without a trailing slash."""
        return self.json_api.url

    def path(self, project_id: str, *segments: str) -> str:
        """Return a path below a project."""
        return "/".join(("/accounts/projects", quote(project_id), *map(quote, segments)))

    def get(self, path: str, query: dict[str, str] | None = None) -> dict[str, Any]:
        """Read one JSON object."""
        return json_object(self.json_api.call("GET", path, query=query))

    def post(self, path: str, body: object) -> dict[str, Any]:
        """Create something and return the answer."""
        return json_object(self.json_api.call("POST", path, body=body))

    def put(self, path: str, body: object) -> None:
        """Create or replace something."""
        self.json_api.call("PUT", path, body=body)

    def delete(self, path: str, query: dict[str, str] | None = None) -> Any:  # noqa: ANN401 (any JSON value)
        """Delete something and return the answer."""
        return self.json_api.call("DELETE", path, query=query)

    def items(self, path: str, name: str, query: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """Read a list of JSON objects, the answer's field `name`."""
        items = self.get(path, query).get(name)
        if not isinstance(items, list):
            raise self.unknown_form(ValueError(f"there is no list of {name}"))
        return [json_object(item) for item in items]

    def records(self, kind: type[T], path: str, name: str, query: dict[str, str] | None = None) -> tuple[T, ...]:
        """Read a list of records, the answer's field `name`."""
        return tuple(self.parse(kind, item) for item in self.items(path, name, query))

    def parse(self, kind: type[T], item: Any) -> T:  # noqa: ANN401 (any JSON value)
        """Return a JSON value as a record."""
        try:
            return from_json(kind, item)
        except ValueError as problem:
            raise self.unknown_form(problem) from None

    def unknown_form(self, problem: ValueError) -> MeshproxyError:
        """Return the error for an answer that this version can't read."""
        return UnavailableError(
            f"{self.url} answered in a form that this version does not know: {problem}.",
            hint="`meshproxy --version` and the server's version may be too far apart",
        )


def json_object(answer: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON value)
    """Return the answer if it is a JSON object."""
    if not isinstance(answer, dict):
        raise UnavailableError(
            "The server's answer is not a JSON object.", hint="check that this is the URL of a Room Proxy"
        )
    return answer
