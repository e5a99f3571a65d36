"""Shapes of real files: empty tables, TOML 1.1, texts that do not parse."""

from pathlib import Path

import pytest
import tomli

from agents.workbench import Workbench
from meshproxy_cli.agents.base import Agent
from meshproxy_cli.agents.claude import Claude
from meshproxy_cli.agents.codex import Codex
from meshproxy_cli.agents.registry import find_agent
from meshproxy_cli.configedit.formats.document import FormatError
from meshproxy_cli.configedit.formats.json_document import JsonDocument

FILES = {
    "codex": ".codex/config.toml",
    "claude": ".claude/settings.json",
    "opencode": ".config/opencode/opencode.json",
    "pi": ".pi/agent/models.json",
    "crush": ".config/crush/crush.json",
}
TOML_1_1 = 'esc = "\\e[1m \\x41"\nowner = {\n  name = "x", # theirs\n  list = [1, 2,],\n}\n'


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def write(bench: Workbench, agent: Agent, text: str) -> Path:
    path = bench.home / FILES[agent.name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("codex", "[model_providers]\n"),
        ("codex", "[model_providers]  # none yet\n[mcp_servers]\n"),
        ("codex", "model_providers = {}\n"),
        ("codex", "[model_providers.meshproxy]\n"),
        ("codex", "[model_providers.meshproxy.auth]\n"),
        ("codex", "[model_providers.meshproxy.http_headers]\n[model_providers]\n"),
        ("claude", '{"env": {}}\n'),
        ("claude", '{\n  // none yet\n  "env": {\n  },\n  "hooks": {}\n}\n'),
        ("opencode", '{"provider": {}}\n'),
        ("opencode", '{"provider": {"meshproxy": {}}}\n'),
        ("opencode", '{"provider": {"meshproxy": {"options": {"headers": {}}, "models": {}}}}\n'),
        ("pi", '{"providers": {}}\n'),
        ("crush", '{"providers": {}, "models": {}}\n'),
    ],
)
@pytest.mark.parametrize("edited", [False, True], ids=["as written", "edited since"])
def test_empty_tables_are_accepted_and_come_back(bench: Workbench, name: str, text: str, *, edited: bool) -> None:
    agent = find_agent(name)
    path = write(bench, agent, text)
    bench.configure(agent, model="m")
    assert not bench.plan(agent, model="m").changes
    comment = "# theirs, later\n" if name == "codex" else "// theirs, later\n"
    if edited:
        path.write_text(path.read_text() + comment)
    bench.undo(agent)
    if not edited:
        assert path.read_text() == text
    elif name == "codex":
        assert tomli.loads(path.read_text()) == tomli.loads(text)
    else:
        assert JsonDocument(path.read_bytes()).plain() == JsonDocument(text.encode()).plain()


@pytest.mark.parametrize(
    "text",
    [
        TOML_1_1,
        "model_providers = {\n  theirs = { # mine\n    name = 'x',\n    base_url = 'http://x',\n  },\n}\n",
        "[model_providers]\ntheirs = {\n  name = 'x', # mine\n}\n",
        'profiles.work = {\n  "a\\e" = 1,\n}\n"k\\e" = 2\n',
        "projects = {\r\n  x = 1, # one\r\n}\r\n",
        TOML_1_1 + 'profile = "work"\n[profiles]\nwork = {\n  model = "m",\n}\n',
    ],
)
@pytest.mark.parametrize("edited", [False, True], ids=["as written", "edited since"])
def test_toml_1_1_is_edited_and_undone(bench: Workbench, text: str, *, edited: bool) -> None:
    path = write(bench, Codex(), text)
    bench.configure(Codex(), make_default=True, model="m")
    values = tomli.loads(path.read_bytes().decode())
    assert values["model_providers"]["meshproxy"]["name"] == "Room my-room (meshproxy)"
    for part in ("# theirs", "# mine", "# one"):
        assert path.read_text().count(part) == text.count(part)
    if edited:
        path.write_bytes(path.read_bytes() + b"# theirs, later\n")
    bench.undo(Codex())
    if edited:
        assert tomli.loads(path.read_bytes().decode()) == tomli.loads(text)
    else:
        assert path.read_bytes() == text.encode()


@pytest.mark.parametrize(
    ("agent", "text", "place"),
    [
        (Codex(), "a = 1\nb = = 2\n", "invalid TOML at line 2, column 5"),
        (Codex(), 'a = "\\q"\n', "invalid TOML at line 1, column"),
        (Codex(), "a = 1\na = 2\n", "invalid TOML at line 2, column"),
        (Codex(), "a = [\n", "invalid TOML at line 2, column 1"),
        (Claude(), '{\n  "a": ,\n}', "invalid JSON at line 2, column 8"),
        (Claude(), "{}\n{}\n", "invalid JSON at line 2, column 1"),
    ],
)
def test_what_does_not_parse_is_reported_with_its_place_and_stays(
    bench: Workbench, agent: Agent, text: str, place: str
) -> None:
    path = write(bench, agent, text)
    before = bench.files()
    with pytest.raises(FormatError, match=place) as refusal:
        bench.configure(agent)
    assert str(path) in refusal.value.message
    assert bench.files() == before


def test_yaml_that_does_not_parse_is_reported_with_its_place(bench: Workbench) -> None:
    (bench.home / ".aider.conf.yml").write_text("a: 1\nb: [1\n")
    with pytest.raises(FormatError, match="invalid YAML at line 2, column 6"):
        bench.configure(find_agent("aider"), model="m")


@pytest.mark.parametrize(("agent", "text"), [(Codex(), "a = 1\n"), (Claude(), '{"a": 1}\n')])
def test_undo_of_a_file_that_was_broken_since_reports_its_place_and_leaves_it(
    bench: Workbench, agent: Agent, text: str
) -> None:
    path = write(bench, agent, text)
    bench.configure(agent)
    path.write_bytes(path.read_bytes() + b"= broken\n")
    before = bench.files()
    with pytest.raises(FormatError, match=r"line \d+, column 1"):
        bench.undo(agent)
    assert bench.files() == before
