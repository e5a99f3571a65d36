"""Errors of REST as JSON: `{"error": {"code", "message", "hint"?}}`."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshproxy_cli.errors import ConflictError, MeshproxyError, NotFoundError, UnavailableError, UsageError

_STATUS: tuple[tuple[type[MeshproxyError], int, str], ...] = (
    (NotFoundError, 404, "not_found"),
    (ConflictError, 409, "conflict"),
    (UsageError, 400, "invalid_request"),
    (UnavailableError, 503, "unavailable"),
)


class Problem(Exception):  # noqa: N818 (an HTTP problem, not an error of the program)
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint


def problem_of(error: MeshproxyError) -> Problem:
    """Return the HTTP problem for one of our errors; what is no known kind is a 500 without details."""
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            return Problem(status, code, error.message, hint=error.hint)
    return Problem(500, "internal_error", error.message, hint=error.hint)


async def answer_problem(_: Request, problem: Exception) -> Response:
    """Turn an exception into its JSON answer."""
    if isinstance(problem, MeshproxyError):
        problem = problem_of(problem)
    if not isinstance(problem, Problem):
        problem = Problem(500, "internal_error", "The server failed; its log has the reason.")
    body: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.hint:
        body["hint"] = problem.hint
    headers = {"www-authenticate": 'Bearer realm="meshproxy"'} if problem.status == 401 else None  # noqa: PLR2004
    return JSONResponse({"error": body}, status_code=problem.status, headers=headers)
