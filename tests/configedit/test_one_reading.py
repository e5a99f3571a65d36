"""Each file that `configure` looks at is read once and parsed once, however many steps look at it."""

from collections import Counter
from pathlib import Path

import pytest

from agents.workbench import Workbench
from meshproxy_cli.agents.base import Agent
from meshproxy_cli.agents.claude import Claude
from meshproxy_cli.agents.codex import Codex
from meshproxy_cli.agents.registry import find_agent
from meshproxy_cli.configedit import files
from meshproxy_cli.configedit.formats import json_document, toml_document

CONFIG = 'profile = "work"\n[model_providers]\n# theirs\n[profiles.work]\nmodel = "m"\n'
SETTINGS = '{"env": {"A": "1", "ANTHROPIC_CUSTOM_HEADERS": "x: y"}}\n'


class Counts:
    """How often each file was read, and each text parsed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads: Counter[Path] = Counter()
        self.parses: Counter[str] = Counter()
        read = files.read

        def counted_read(path: Path) -> bytes | None:
            self.reads[path] += 1
            return read(path)

        monkeypatch.setattr(files, "read", counted_read)
        self._count(monkeypatch, toml_document, "parse")
        self._count(monkeypatch, json_document, "scan")

    def _count(self, monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> None:
        original = getattr(module, name)

        def counted(text: str) -> object:
            self.parses[text] += 1
            return original(text)

        monkeypatch.setattr(module, name, counted)


@pytest.mark.parametrize(
    ("agent", "name", "text"),
    [
        (Codex(), ".codex/config.toml", CONFIG),
        (Claude(), ".claude/settings.json", SETTINGS),
        (find_agent("opencode"), ".config/opencode/opencode.json", '{"provider": {}}\n'),
    ],
)
def test_planning_reads_and_parses_a_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agent: Agent, name: str, text: str
) -> None:
    bench = Workbench(tmp_path)
    path = bench.home / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    counts = Counts(monkeypatch)
    plan = bench.plan(agent, model="m")
    assert plan.changes
    assert counts.reads[path] == 1
    assert counts.parses[text] == 1
    assert max(counts.reads.values()) == 1


@pytest.mark.parametrize("edited", ["", "# theirs, later\n"])
def test_a_second_run_parses_the_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str) -> None:
    bench = Workbench(tmp_path)
    path = bench.home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text(CONFIG)
    bench.configure(Codex())
    text = path.read_text() + edited
    path.write_text(text)
    counts = Counts(monkeypatch)
    bench.plan(Codex(), model="other", make_default=True)
    assert counts.reads[path] == 1
    assert counts.parses[text] == 1


def test_checks_after_the_edit_see_what_was_written_without_reading_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Workbench(tmp_path)
    path = bench.home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"env": {"CLAUDE_CODE_USE_BEDROCK": "1"}}\n')
    target = bench.target("claude")
    counts = Counts(monkeypatch)
    plan = bench.plan_of(Claude(), target)
    bench.apply(plan)
    findings = Claude().check(target)
    assert any("CLAUDE_CODE_USE_BEDROCK" in finding.problem for finding in findings)
    assert counts.reads[path] == 2, "once to plan, once under the lock to see that it is still as shown"
