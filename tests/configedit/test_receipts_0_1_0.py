"""What 0.1.0 configured can be read, changed and undone: `tests/data/configured-0.1.0.json` was made with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from agents.workbench import Workbench
from meshproxy_cli.agents.base import Agent
from meshproxy_cli.agents.claude import Claude
from meshproxy_cli.agents.codex import Codex
from meshproxy_cli.configedit.receipts import receipt_name
from meshproxy_cli.configedit.state import State, state_of

MADE: dict[str, Any] = json.loads(Path(__file__).parents[1].joinpath("data/configured-0.1.0.json").read_text("utf-8"))


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    bench = Workbench(tmp_path)
    for name, text in MADE["files"].items():
        path = bench.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for receipt in MADE["receipts"].values():
        text = json.dumps(receipt).replace("ROOT", str(tmp_path))
        place = Path(json.loads(text)["place"])
        (bench.receipts / receipt_name(receipt["agent"], receipt["profile"], place)).write_text(text)
    return bench


def is_restored(bench: Workbench, name: str) -> bool:
    text = (bench.home / name).read_text()
    return text == MADE["before"][name]


@pytest.mark.parametrize(("agent", "name"), [(Codex(), ".codex/config.toml"), (Claude(), ".claude/settings.json")])
def test_undo_restores_every_byte(bench: Workbench, agent: Agent, name: str) -> None:
    receipt = bench.receipt(agent.name)
    assert receipt is not None
    assert all(state_of(record) is State.SAME for record in receipt.files)
    bench.undo(agent)
    assert is_restored(bench, name)


@pytest.mark.parametrize(("agent", "name"), [(Codex(), ".codex/config.toml"), (Claude(), ".claude/settings.json")])
def test_another_room_and_then_undo_restores_every_byte(bench: Workbench, agent: Agent, name: str) -> None:
    assert bench.configure(agent, room="other", make_default=agent.name == "codex").changes
    assert "/rooms/other/" in (bench.home / name).read_text()
    bench.undo(agent)
    assert is_restored(bench, name)


def test_nothing_is_left_to_do_for_the_same_request(bench: Workbench) -> None:
    assert not bench.plan(Codex(), make_default=True, model="m").changes
    assert not bench.plan(Claude()).changes


def test_the_person_edits_since_then_and_undo_keeps_that(bench: Workbench) -> None:
    path = bench.home / ".claude" / "settings.json"
    path.write_text(path.read_text().replace('"a: b', '"c: d\\na: b'))
    bench.undo(Claude())
    assert json.loads(path.read_text()) == {
        "env": {"ANTHROPIC_CUSTOM_HEADERS": "c: d\na: b"},
        "apiKeyHelper": "theirs",
    }
