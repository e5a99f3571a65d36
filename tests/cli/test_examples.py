"""Every command's help has examples, a real shell reads them, and they can be run as they stand there."""

import re
import subprocess
from pathlib import Path

import pytest

from fixtures.command_tree import LEAVES, Leaf
from fixtures.in_process import InProcess
from fixtures.read_only_commands import READING
from meshproxy_cli.cli import output

ROOT = Path(__file__).resolve().parents[2]
_EXAMPLE = re.compile(r"^\s*- `(.+)`$", re.MULTILINE)
# One write for a call: two calls of a pipeline run at the same time.
_STUB = """#!/bin/bash
[ $# = 0 ] || printf -v words '%s\\037' "$@"
printf '%s\\036' "$words" >> "$RECORD"
"""
_NOT_FOUND = "command_not_found_handle() { :; }\n"
FILES = ("key.txt", "token.txt", "token-spec.yaml", "new.toml")
# What goes on until somebody stops it, wants a terminal or other files, asks, or changes something after all.
NOT_HERE = {"tail", "--watch", "--key-file", "--config", "--agent", "--fix", "--install", "--undo"}


def examples(leaf: Leaf) -> list[str]:
    return _EXAMPLE.findall(leaf.command.help or "")


def called(lines: list[str], directory: Path) -> list[list[str]]:
    """Run the lines in a real shell, and return the words of each call of `meshproxy`."""
    stub, record = directory / "bin" / "meshproxy", directory / "record"
    stub.parent.mkdir()
    stub.write_text(_STUB)
    stub.chmod(0o755)
    record.touch()
    for name in FILES:
        (directory / name).write_text("x\n")
    environ = {"PATH": str(stub.parent), "RECORD": str(record), "EDITOR": "true"}
    script = _NOT_FOUND + "\n".join(lines)
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert b"syntax error" not in done.stderr
    return [call.split("\x1f")[:-1] for call in record.read_text().split("\x1e")[:-1]]


def named(words: list[str]) -> tuple[Leaf, list[str]]:
    """Return the command that the words call, and those behind its name."""
    for leaf in LEAVES:
        if tuple(words[: len(leaf.words)]) == leaf.words:
            return leaf, words[len(leaf.words) :]
    if words[:1] == ["usage"]:
        return named(["usage", "show", *words[1:]])
    pytest.fail(f"meshproxy {' '.join(words)}: there is no such command")


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.path)
def test_examples_can_be_parsed(leaf: Leaf, tmp_path: Path) -> None:
    lines = examples(leaf)
    assert lines, "there is no example in its help"
    calls = called(lines, tmp_path)
    assert len(calls) >= len(lines), "a shell did not get to run one of them"
    meant = [named(words) for words in calls]
    assert leaf in [command for command, _ in meant]
    for command, words in meant:
        command.command.make_context(command.path, list(words))  # raises where a word can't be understood
    output.reset()


def test_examples_that_only_read_work(furnished: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for leaf in LEAVES if " ".join(leaf.words) in READING for line in examples(leaf)]
    calls = called(lines, tmp_path)
    (tmp_path / "token-spec.yaml").write_bytes((ROOT / "examples" / "token-spec.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    token = furnished("token", "get", "--room", "my-room").stdout
    run = 0
    for words in calls:
        leaf, _ = named(words)
        reading = READING.get(" ".join(leaf.words))
        changes = reading is None or (leaf.words == ("configure",) and "--list" not in words)
        if changes or NOT_HERE & set(words):
            continue
        found = furnished(*words, stdin=token, code=None)
        assert found.code in {0, reading.code if reading else 0}, f"{words}: {found.stderr}"
        run += 1
    assert run > len(READING)
