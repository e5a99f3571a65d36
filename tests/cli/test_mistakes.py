"""Misspelled commands, options and values, everywhere in the tree: the right one is named."""

import subprocess

import pytest

from fixtures.command_tree import GROUPS, LEAVES, Leaf
from fixtures.commands import Cli
from fixtures.in_process import InProcess
from meshproxy_cli.cli.tree import Group
from meshproxy_cli.errors import ExitCode


def misspelled(word: str, known: set[str]) -> str:
    """Return the word with two letters swapped, or with one too many."""
    swapped = word[:-2] + word[-1] + word[-2]
    return swapped if swapped not in known else f"{word}x"


@pytest.mark.parametrize(("words", "group"), GROUPS, ids=lambda part: " ".join(part) if isinstance(part, tuple) else "")
def test_misspelt_commands(run: InProcess, words: tuple[str, ...], group: Group) -> None:
    for name in group.commands:
        found = run(*words, misspelled(name, set(group.commands)), code=ExitCode.USAGE)
        assert f"`{' '.join(['meshproxy', *words, name])}`" in found.stderr.partition("did you mean ")[2]
        assert found.stdout == ""


# What `launch` does not know goes to the agent.
PARSED = [leaf for leaf in LEAVES if not leaf.entry.passes_arguments]


@pytest.mark.parametrize("leaf", PARSED, ids=lambda leaf: leaf.path)
def test_misspelt_options(run: InProcess, leaf: Leaf) -> None:
    for flag in leaf.flags:
        if flag.startswith("--"):
            found = run(*leaf.words, misspelled(flag, leaf.flags), code=ExitCode.USAGE)
            assert flag in found.stderr.partition("did you mean ")[2], found.stderr
            assert found.stdout == ""


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.path)
def test_misspelt_choices(run: InProcess, leaf: Leaf) -> None:
    for option in leaf.options:
        choices = getattr(option.type, "choices", ())
        values = [str(getattr(choice, "value", choice)) for choice in choices]
        for value in values:
            found = run(*leaf.words, option.opts[0], f"{value}q", code=ExitCode.USAGE)
            assert f"did you mean {value}?" in found.stderr


MISSPELT_NAMES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("configure", "codx"), "codex"),
    (("launch", "claud"), "claude"),
    (("setup", "--agent", "codx", "--yes"), "codex"),
    (("server", "use", "locl"), "local"),
    (("server", "remove", "taem"), "team"),
    (("config", "set", "current", "taem"), "team"),
    (("config", "set", "rom", "x"), "room"),
    (("token", "get", "--room", "r", "--server", "locla"), "local"),
    (("token", "generate", "--room", "r", "--identity", "i", "--role", "usr"), "user"),
    (("token", "forget", "--room", "reserch"), "research"),
    (("room", "show", "reserch"), "research"),
    (("room", "set", "reserch", "--all-models"), "research"),
    (("room", "remove", "reserch"), "research"),
    (("room", "create", "x", "--provider", "opnai=a"), "openai"),
    (("api-key", "revoke", "lptop"), "laptop"),
    (("api-key", "activate", "lptop"), "laptop"),
    (("access", "revoke", "grafna"), "grafana"),
    (("limit", "set", "usd-per-mnth", "4"), "usd-per-month"),
    (("provider", "add", "opnai"), "openai"),
    (("provider", "test", "vlm"), "vllm"),
    (("provider", "remove", "vlm"), "vllm"),
    (("secret", "forget", "api-key/locl"), "api-key/local"),
    (("usage", "--by", "rom"), "room"),
)


def test_misspelt_names(furnished: InProcess) -> None:
    for arguments, near in MISSPELT_NAMES:
        found = furnished(*arguments, code=None)
        assert found.code in {ExitCode.USAGE, ExitCode.NOT_FOUND}, arguments
        assert f"did you mean {near}?" in found.stderr, arguments
        assert found.stdout == ""


def test_a_word_from_elsewhere_in_the_tree(run: InProcess) -> None:
    assert "did you mean `meshproxy token generate`?" in run("generate", code=ExitCode.USAGE).stderr
    assert "did you mean" not in run("qqqqq", code=ExitCode.USAGE).stderr


def test_what_is_missing_or_of_the_wrong_kind(run: InProcess) -> None:
    found = run("secret", "move", code=ExitCode.USAGE)
    assert found.stderr.splitlines()[0] == "error: missing option '--to'. Choose from: os, file"
    found = run("audit", "--limit", "many", code=ExitCode.USAGE)
    assert "'many' is not a whole number" in found.stderr
    assert "`meshproxy audit --help` shows what can be given" in found.stderr


def test_directory_of_the_shell_was_removed(cli: Cli) -> None:
    done = subprocess.run(
        ["bash", "-c", "mkdir gone; cd gone; rmdir ../gone; meshproxy doctor --offline"],
        env=cli.home.environ(),
        cwd=cli.home.directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: the directory that this shell is in was removed" in done.stderr
