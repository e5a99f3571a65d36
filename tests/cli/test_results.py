"""Results on standard output and all else on standard error: for every command, in every way of asking."""

import json
import re
from collections.abc import Iterator

import pexpect
import pytest

from fixtures.command_tree import LEAVES
from fixtures.commands import MESHPROXY, Cli
from fixtures.in_process import InProcess
from fixtures.read_only_commands import CHANGING, READING, Reading

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_COLOR = re.compile(r"\x1b\[(?:\d+;)*[349]\d(?:;\d+)*m")


def test_every_command_is_looked_at() -> None:
    found = {" ".join(leaf.words) for leaf in LEAVES}
    assert found == READING.keys() | CHANGING, "a new command belongs into one of the two lists above"


@pytest.mark.parametrize("name", READING)
def test_takes_json(name: str) -> None:
    leaf = next(leaf for leaf in LEAVES if " ".join(leaf.words) == name)
    assert ("--json" in leaf.flags) == READING[name].json


def test_results_and_messages_keep_apart(furnished: InProcess) -> None:
    for name, reading, words in calls(furnished):
        told = furnished(*words, code=reading.code)
        if name != "provider test":  # it has nothing but errors here
            assert told.stdout, name
        assert "\x1b" not in told.stdout + told.stderr, f"{name}: colors without a terminal"
        quiet = furnished(*words, "--quiet", code=reading.code)
        if reading.code == 0:
            assert quiet.stderr == "", name
        assert quiet.stdout.count("\n") == told.stdout.count("\n"), name
        assert furnished(*words, "--verbose", code=reading.code).stdout.count("\n") == told.stdout.count("\n"), name


def test_json(furnished: InProcess) -> None:
    for name, reading, words in calls(furnished):
        if not reading.json:
            continue
        told = furnished(*words, "--json", code=reading.code)
        assert "\x1b" not in told.stdout, name
        found = json.loads(told.stdout)
        if name != "usage tail":  # single events, as `usage export` writes them
            assert found["schema_version"] == 1, name
        loud = furnished("--verbose", *words, "--json", code=reading.code)
        assert json.loads(loud.stdout).keys() == found.keys(), name


def test_where_nothing_is_there_json_is_json_all_the_same(run: InProcess) -> None:
    for name in ("audit", "access list", "api-key list", "configure --list", "limit list", "provider list", "room list",
                 "secret list", "usage show"):  # fmt: skip
        told = run(*name.split(), "--json")
        assert told.json()["schema_version"] == 1
        assert told.stderr == ""
        assert run(*name.split()).stdout == "", f"{name}: what is not there is told on standard error"


def calls(furnished: InProcess) -> Iterator[tuple[str, Reading, list[str]]]:
    token = furnished("token", "get", "--room", "research").stdout.strip()
    for name, reading in READING.items():
        yield name, reading, [*name.split(), *(token if word == "TOKEN" else word for word in reading.arguments)]


@pytest.mark.parametrize(
    ("arguments", "environ", "colored"),
    [
        (("room", "list"), {}, True),
        (("room", "list", "--no-color"), {}, False),
        (("--no-color", "room", "list"), {}, False),
        (("room", "list"), {"NO_COLOR": "1"}, False),
        (("room", "list", "--help"), {}, True),
        (("room", "list", "--no-color", "--help"), {}, False),
        (("room", "list"), {"TERM": "dumb"}, False),
        (("room", "shw"), {}, True),
        (("room", "show", "x", "--no-color"), {}, False),
    ],
)
def test_colors_on_a_terminal(cli: Cli, arguments: tuple[str, ...], environ: dict[str, str], *, colored: bool) -> None:
    cli("room", "create", "research")
    plain = {"NO_COLOR": "", "TERM": "xterm-256color"} | environ
    child = pexpect.spawn(str(MESHPROXY), list(arguments), env=cli.home.environ(plain), encoding="utf-8", timeout=30)
    shown = child.read()
    child.close()
    assert "r" in shown
    # Typer's help keeps bold type without colors.
    assert bool((_COLOR if "--help" in arguments else _STYLE).search(shown)) == colored, shown


def test_progress_is_for_a_terminal(cli: Cli) -> None:
    plain = cli.home.environ({"TERM": "xterm-256color"})
    child = pexpect.spawn(str(MESHPROXY), ["database", "migrate"], env=plain, encoding="utf-8", timeout=30)
    shown = child.read()
    child.close()
    assert "bringing the database" in shown
    assert "bringing the database" not in cli("database", "migrate").stderr
    child = pexpect.spawn(str(MESHPROXY), ["database", "migrate", "--quiet"], env=plain, encoding="utf-8", timeout=30)
    assert child.read() == ""
    child.close()
