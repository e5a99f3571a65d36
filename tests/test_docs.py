"""What README and docs say must be so: links lead somewhere, and the commands and options that they name exist."""

import re
import shlex
from itertools import takewhile
from pathlib import Path

import pytest

from meshproxy_cli.cli.app import TREE
from meshproxy_cli.cli.lazy import load
from meshproxy_cli.cli.tree import Command, Group

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("**/*.md")),
]
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
_BLOCK = re.compile(r"^```(?:sh|bash|console|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(meshproxy [^`\n]+)`")
_CALL = re.compile(r"(?:^|[\s(;|&])meshproxy [a-z][^\n#|;)&<>]*")


def commands_of(page: Path) -> list[str]:
    """Return every call of `meshproxy` in a page's code blocks and inline code."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = "\n".join(_BLOCK.findall(text))
    calls = [match.group().strip(" (;|&\n\t") for match in _CALL.finditer(blocks)]
    return [*calls, *_INLINE.findall(text)]


def resolve(words: list[str]) -> tuple[Command, list[str]]:
    """Return the command that `words` call, and the words that are left."""
    entry: Command | Group = TREE
    rest = list(words)
    while isinstance(entry, Group):
        if rest and rest[0] in entry.commands:
            entry = entry.commands[rest.pop(0)]
        elif entry.default is not None:
            entry = entry.commands[entry.default]
        else:
            pytest.fail(f"meshproxy {' '.join(words)}: there is no such command")
    return entry, rest


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    for call in commands_of(page):
        words = shlex.split(call.replace("…", "x"))[1:]
        if words[0].startswith("-") or words[0].isupper():
            continue
        command, rest = resolve(words)
        loaded = load(command.target.rpartition(":")[2], command)
        known = {option for parameter in loaded.params for option in (*parameter.opts, *parameter.secondary_opts)}
        own = takewhile(lambda word: word not in {"--", "|"}, rest)
        given = {word.partition("=")[0] for word in own if word.startswith("-") and word != "-"}
        assert given <= known | {"--help"}, f"{call}: unknown {given - known}"
