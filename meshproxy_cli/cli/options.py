"""Options and arguments that several commands share, each with what the Tab key offers for it."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from meshproxy_cli.cli.completion import names


def room(text: str, *, panel: str | None = None, offer: Callable[..., Any] = names.rooms) -> Any:  # noqa: ANN401 (as typer.Option itself)
    """Return `--room`."""
    return typer.Option("--room", "-r", metavar="ROOM", help=text, rich_help_panel=panel, autocompletion=offer)


def server(text: str = "Name or URL of the server.", *, panel: str | None = None) -> Any:  # noqa: ANN401 (as above)
    """Return `--server`."""
    return typer.Option(
        "--server", "-s", metavar="SERVER", help=text, rich_help_panel=panel, autocompletion=names.servers
    )


def session(text: str, *, panel: str | None = None) -> Any:  # noqa: ANN401 (as above)
    """Return `--session`."""
    return typer.Option("--session", metavar="SESSION", help=text, rich_help_panel=panel, autocompletion=names.sessions)


def participant(text: str, *, panel: str | None = None) -> Any:  # noqa: ANN401 (as above)
    """Return `--participant`."""
    return typer.Option(
        "--participant", metavar="NAME", help=text, rich_help_panel=panel, autocompletion=names.participants
    )


def model(text: str, *, panel: str | None = None) -> Any:  # noqa: ANN401 (as above)
    """Return `--model`."""
    return typer.Option("--model", metavar="MODEL", help=text, rich_help_panel=panel, autocompletion=names.models)


def file(*flags: str, text: str, panel: str | None = None) -> Any:  # noqa: ANN401 (as above)
    """Return an option that names a file."""
    return typer.Option(*flags, metavar="FILE", help=text, rich_help_panel=panel, autocompletion=names.files)


Server = Annotated[str | None, server()]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Database = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="MESHPROXY_DATABASE_URL",
        metavar="URL",
        show_envvar=False,
        help="sqlite:///PATH or postgresql://…; default: MESHPROXY_DATABASE_URL",
    ),
]
