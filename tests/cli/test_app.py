"""The command tree: every entry leads to a command, and errors become messages and exit codes."""

import pytest

from meshproxy_cli.cli import app
from meshproxy_cli.cli.lazy import load
from meshproxy_cli.cli.tree import Command, Group


def entries(group: Group, prefix: str = "") -> list[tuple[str, Command]]:
    """Return every command below `group` with its full name."""
    found: list[tuple[str, Command]] = []
    for name, entry in group.commands.items():
        if isinstance(entry, Group):
            found += entries(entry, f"{prefix}{name} ")
        else:
            found.append((f"{prefix}{name}", entry))
    return found


@pytest.mark.parametrize(
    ("name", "entry"), entries(app.TREE), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_loads_and_teaches_by_example(name: str, entry: Command) -> None:
    command = load(name.rpartition(" ")[2], entry)
    # What a group runs where no command is named is called without its name.
    called = f"meshproxy {name}".removesuffix(" show") if name == "usage show" else f"meshproxy {name}"
    assert called in (command.help or ""), "the help of a command shows how it is called"


def test_a_misspelt_command_names_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["tokn"]) == 2
    assert "`meshproxy token`" in capsys.readouterr().err


def test_an_unknown_option_says_where_to_read_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["token", "get", "--rom", "r"]) == 2
    error = capsys.readouterr().err
    assert "--room" in error
    assert "meshproxy token get --help" in error


def test_version_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("meshproxy ")
