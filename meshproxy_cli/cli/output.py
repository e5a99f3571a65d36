"""The one place that writes to the terminal: results to standard output, all else to standard error.

Names, messages of servers, claims and files are other people's words: every function here makes them harmless
(`terminal.printable`), and a line stays one line. Messages are written without secrets; results hold those that were
asked for. Tables and messages go through Rich, which is imported when something is drawn.
"""

import codecs
import errno
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from meshproxy_cli.errors import ExitCode, MeshproxyError, UsageError
from meshproxy_cli.terminal import escape_json, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


_PLAIN = "meshproxy-plain"
_PLAIN_LETTERS = {"✓": "ok", "✗": "x", "→": "->", "…": "...", "—": "-"}
_GAP = 2  # between columns
_FOLDED = 8  # the least width of a column that folds
#: Of what `--json` prints, by every command: see docs/command-line.md.
SCHEMA_VERSION = 1


@dataclass(slots=True)
class _Flags:
    color: bool = True
    quiet: bool = False
    verbose: bool = False
    json: bool = False


_flags = _Flags()


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column; numbers stand right, and the one column that may `fold` gives way on a narrow terminal."""

    title: str
    align: Literal["left", "right"] = "left"
    fold: bool = False


def _no_color(value: bool) -> None:
    _flags.color = _flags.color and not value


def _quiet(value: bool) -> None:
    _flags.quiet = _flags.quiet or value


def _verbose(value: bool) -> None:
    _flags.verbose = _flags.verbose or value


def set_up(
    no_color: Annotated[
        bool, typer.Option("--no-color", help="No colors (also: NO_COLOR).", callback=_no_color)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Results and errors only.", callback=_quiet)] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say where each value comes from.", callback=_verbose)
    ] = False,
) -> None:
    """Describe the options that every command takes; their callbacks do the work."""


def reset() -> None:
    """Forget the flags of an earlier run in the same process (tests run many), and look at what is written to."""
    _flags.color, _flags.quiet, _flags.verbose, _flags.json = True, False, False, False
    if sys.stderr is None:  # closed by the caller
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (as long as the process)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not _is_utf8(stream.encoding):
            stream.reconfigure(errors=_PLAIN)


def _is_utf8(encoding: str | None) -> bool:
    return encoding is not None and codecs.lookup(encoding).name == "utf-8"


def _plainly(problem: UnicodeError) -> tuple[str, int]:
    """Put plain letters in the place of what an old terminal or a pipe on Windows can't take."""
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    wrong = problem.object[problem.start : problem.end]
    return "".join(_PLAIN_LETTERS.get(letter, "?") for letter in wrong), problem.end


codecs.register_error(_PLAIN, _plainly)


def text(line: str) -> None:
    """Write a line of a result to standard output."""
    _write(printable(line) + "\n")


def document(content: str) -> None:
    """Write a result of several lines for a person, such as a diff, to standard output."""
    _write(printable(content, keep="\n\t") + "\n")


def verbatim(content: str) -> None:
    """Write what another program reads (CSV, lines for `eval`) to standard output: as it is, save on a terminal."""
    _write((printable(content, keep="\n\t") if is_terminal() else content) + "\n")


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def data(value: Mapping[str, Any]) -> None:
    """Write a result as one JSON object to standard output; keys are only ever added while `schema_version` stays."""
    _write_json(json_text({"schema_version": SCHEMA_VERSION, **value}, indent=2))


def json_line(value: Mapping[str, Any]) -> None:
    """Write a JSON object in one line to standard output."""
    _write_json(json_text(value))


def json_text(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 (any JSON value)
    """Return JSON in which nothing steers a terminal, and which is JSON to every parser: there, NaN is null."""
    try:
        made = json.dumps(value, indent=indent, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        made = json.dumps(_finite(value), indent=indent, ensure_ascii=False, default=str)
    return escape_json(made)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _write_json(made: str) -> None:
    """Write JSON in UTF-8, or in ASCII where standard output has another encoding: UTF-16 would not be JSON."""
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper) and not _is_utf8(stream.encoding):
        stream.flush()
        stream.buffer.write(json.dumps(json.loads(made), indent=2 if "\n" in made else None).encode() + b"\n")
        stream.buffer.flush()
        return
    _write(made + "\n")


def _write(content: str) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    sys.stdout.write(content)
    sys.stdout.flush()


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, footer: Sequence[str] | None = None) -> None:
    """Draw a table on standard output; piped, it is as wide as its content. Nothing is cut: ids are there to be copied.

    Where even the columns that fold have become narrow, lines are longer than the terminal, which then breaks them.
    """
    console = _console(stderr=False)
    console.width = max(console.width, _least_width(columns, rows, footer) if console.is_terminal else 1000)
    console.print(_grid(columns, rows, footer))


@contextmanager
def live() -> Iterator[Callable[[str, Sequence[Column], Sequence[Sequence[str]], Sequence[str]], None]]:
    """Give a function that redraws a line of text and a table (columns, rows, footer) in place on the terminal."""
    from rich.console import Group  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(console=_console(stderr=False), auto_refresh=False, vertical_overflow="crop") as display:
        yield lambda line, columns, rows, footer: display.update(
            Group(Text(printable(line), style="bold"), Text(), _grid(columns, rows, footer)), refresh=True
        )


def width() -> int | None:
    """Return the columns of the terminal that standard output is, or None where it is none."""
    return _console(stderr=False).width if is_terminal() else None


def _least_width(columns: Sequence[Column], rows: Sequence[Sequence[str]], footer: Sequence[str] | None) -> int:
    from rich.cells import cell_len  # noqa: PLC0415

    lines = [[column.title for column in columns], *rows, *([footer] if footer else [])]
    widths = [max(cell_len(printable(cell)) for cell in cells) for cells in zip(*lines, strict=True)]
    narrow = [min(width, _FOLDED) if column.fold else width for column, width in zip(columns, widths, strict=True)]
    return sum(narrow) + _GAP * (len(narrow) - 1)


def _grid(columns: Sequence[Column], rows: Sequence[Sequence[str]], footer: Sequence[str] | None) -> "Table":
    from rich.table import Table  # noqa: PLC0415

    grid = Table(box=None, pad_edge=False, show_footer=footer is not None, header_style="bold", footer_style="bold")
    for index, column in enumerate(columns):
        grid.add_column(
            column.title,
            printable(footer[index]) if footer else "",
            justify=column.align,
            no_wrap=not column.fold,
            overflow="fold" if column.fold else "ellipsis",
        )
    for row in rows:
        grid.add_row(*map(printable, row))
    return grid


def note(message: str) -> None:
    """Tell a person something on standard error; `--quiet` leaves it out."""
    if not _flags.quiet:
        _message(message, "")


def preview(content: str) -> None:
    """Show a person several lines, such as a diff or a list of commands, on standard error."""
    if not _flags.quiet:
        _message(content, "", keep="\n\t")


def success(message: str) -> None:
    """Tell a person that something was done."""
    if not _flags.quiet:
        _message(message, "green", mark="✓ ")


def warn(message: str) -> None:
    """Warn a person; shown even with `--quiet`."""
    _message(message, "yellow", mark="warning: ")


def detail(message: str) -> None:
    """Tell what only `--verbose` shows."""
    if _flags.verbose:
        _message(message, "dim")


def error(problem: MeshproxyError) -> None:
    """Write an error and what to do about it; with `--json` as an object on standard output as well."""
    first, *others = problem.lines
    _message(first, "red", mark="error: ")
    for line in others:
        _message(line, "")
    if problem.hint:
        _message(problem.hint, "", mark="  hint: ")
    _error_as_json(problem.message, problem.hint, problem.exit_code)


def expect_json() -> None:
    """Write errors as JSON too, from now on: the reader of standard output takes nothing else."""
    _flags.json = True


def _error_as_json(message: str, hint: str | None, code: int) -> None:
    if not _flags.json:
        return
    found = {"message": _without_secrets(message), "hint": hint and _without_secrets(hint), "exit_code": int(code)}
    with suppress(OSError):  # the error itself may be that nothing can be written there
        json_line({"schema_version": SCHEMA_VERSION, "error": found})


def defect(problem: Exception) -> None:
    """Write about an error that nobody foresaw: its kind and place, since its text could hold anything."""
    import traceback  # noqa: PLC0415

    frames = traceback.extract_tb(problem.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
    what = f"meshproxy has a defect: {type(problem).__name__} at {place}"
    _message(what, "red", mark="error: ")
    _error_as_json(what, None, ExitCode.FAILURE)
    if _flags.verbose:
        sys.stderr.write("".join(traceback.format_list(frames)))
    else:
        _message("give --verbose for the way there, and please report it", "", mark="  hint: ")


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something is going on, and give a function that changes the words."""
    if _flags.quiet or not sys.stderr.isatty():
        yield lambda _what: None
        return
    from rich.status import Status  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Status(Text(printable(what)), console=_console(stderr=True)) as status:
        yield lambda now: status.update(Text(printable(now)))


def abandon_stdout() -> None:
    """Stop writing to a pipe whose reader is gone, so that the interpreter's last flush does not fail."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def interactive() -> bool:
    """Whether a person can answer questions here."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, flag: str) -> bool:
    """Ask yes or no on a terminal; without one raise `UsageError` that names the flag to give."""
    if not interactive():
        raise UsageError(
            f"{question} There is no terminal to ask on.", hint=f"give {flag} to go on without being asked"
        )
    return ask_yes_no(question)


def ask_yes_no(question: str, *, default: bool = False) -> bool:
    """Ask yes or no on a terminal."""
    return typer.confirm(printable(question), default=default, err=True)


def ask(question: str, *, default: str) -> str:
    """Ask for a text on a terminal."""
    shown = printable(question)
    return str(typer.prompt(shown, default=default, show_default=default.isprintable(), err=True)).strip()


def agree(question: str, *, yes: bool) -> None:
    """Ask before something is changed, unless `--yes` was given; an answer of no raises `typer.Abort`."""
    if not yes and not confirm(question, flag="--yes"):
        raise typer.Abort


def ask_secret(prompt: str, *, hint: str) -> str:
    """Ask for a secret without echo; without a terminal raise `UsageError` with `hint`."""
    if not interactive():
        raise UsageError(f"{prompt} is needed, and there is no terminal to ask on.", hint=hint)
    return str(typer.prompt(printable(prompt), hide_input=True, err=True)).strip()


def read_secret_stdin() -> str:
    """Read a secret from standard input; surrounding white space is no part of it."""
    return sys.stdin.read().strip()


def _message(message: str, style: str, *, mark: str = "", keep: str = "") -> None:
    message = printable(_without_secrets(message), keep=keep)
    if not sys.stderr.isatty() or not _colored():
        sys.stderr.write(f"{mark}{message}\n")
        return
    from rich.text import Text  # noqa: PLC0415

    line = Text(mark, style=style)
    line.append(message, style=style if style == "dim" else "")
    _console(stderr=True).print(line, soft_wrap=True)


def _without_secrets(message: str) -> str:
    from meshproxy_cli.redact import redact  # noqa: PLC0415 (its patterns take a while to compile)

    return redact(message)


def _colored() -> bool:
    return _flags.color and not os.environ.get("NO_COLOR")


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console  # noqa: PLC0415

    colors: Literal["auto"] | None = "auto" if _colored() else None  # None: no bold type either
    return Console(stderr=stderr, color_system=colors, markup=False, highlight=False, emoji=False)
