"""Undo after others went on: only keys still as we wrote them, and a word about the rest."""

import json
from pathlib import Path

import pytest

from agents.workbench import Workbench
from meshproxy_cli.agents.claude import Claude
from meshproxy_cli.agents.codex import Codex
from meshproxy_cli.configedit.formats.document import FormatError
from meshproxy_cli.configedit.state import State, state_of

BEFORE = """\
{
  // mine
  "apiKeyHelper": "/my/helper",
  "env": {
    "ANTHROPIC_CUSTOM_HEADERS": "X-A: 1",
    "ANTHROPIC_API_KEY": "sk-mine"
  }
}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.fixture
def settings(bench: Workbench) -> Path:
    path = bench.home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text(BEFORE)
    bench.configure(Claude())
    return path


def test_values_from_before_come_back_among_later_edits(bench: Workbench, settings: Path) -> None:
    settings.write_text(settings.read_text().replace("// mine", "// mine\n  // later"))
    plan = bench.undo(Claude())
    assert [item.left for item in plan.files] == [()]
    assert not plan.files[0].exact
    assert settings.read_text() == BEFORE.replace("// mine", "// mine\n  // later")
    assert list(settings.parent.glob("*meshproxy-backup*"))


def test_a_key_that_was_changed_since_is_left_and_named(bench: Workbench, settings: Path) -> None:
    settings.write_text(settings.read_text().replace("my-room/anthropic", "elsewhere"))
    plan = bench.undo(Claude())
    assert [slot.path for slot in plan.files[0].left] == [("env", "ANTHROPIC_BASE_URL")]
    assert '"ANTHROPIC_BASE_URL": "http://127.0.0.1:8765/rooms/elsewhere"' in settings.read_text()
    assert '"apiKeyHelper": "/my/helper"' in settings.read_text()


def test_headers_added_since_stay(bench: Workbench, settings: Path) -> None:
    settings.write_text(settings.read_text().replace("Session: claude-laptop", "Session: claude-laptop\\nX-B: 2"))
    bench.undo(Claude())
    assert '"ANTHROPIC_CUSTOM_HEADERS": "X-A: 1\\nX-B: 2"' in settings.read_text()


def test_a_file_that_is_gone_stays_gone(bench: Workbench, settings: Path) -> None:
    settings.unlink()
    bench.undo(Claude())
    assert not settings.exists()
    assert bench.receipt("claude") is None


def test_a_file_that_does_not_parse_any_more_is_refused(bench: Workbench, settings: Path) -> None:
    settings.write_text("{")
    with pytest.raises(FormatError, match="can't be edited") as problem:
        bench.undo(Claude())
    assert "meshproxy-backup" in str(problem.value.hint)
    assert settings.read_text() == "{"


def test_without_the_backup_keys_are_given_back_one_by_one(bench: Workbench, settings: Path) -> None:
    for backup in settings.parent.glob("*meshproxy-backup*"):
        backup.unlink()
    bench.undo(Claude())
    assert settings.read_text() == BEFORE


def test_a_file_of_ours_with_later_additions_keeps_them(bench: Workbench) -> None:
    bench.configure(Codex())
    path = bench.home / ".codex" / "meshproxy.config.toml"
    path.write_text(path.read_text() + 'model = "theirs"\n')
    bench.undo(Codex())
    assert bench.files() == {".codex/meshproxy.config.toml": b'model = "theirs"\n'}


def test_a_comment_behind_our_key_stays(bench: Workbench) -> None:
    bench.configure(Codex())
    path = bench.home / ".codex" / "config.toml"
    path.write_text(path.read_text().replace('wire_api = "responses"', 'wire_api = "responses" # note'))
    bench.undo(Codex())
    assert path.read_text().strip() == "# note"


@pytest.mark.parametrize(
    ("old", "new", "state"),
    [
        ("", "", State.SAME),
        ("// mine", "// ours", State.KEPT),
        ("my-room/anthropic", "else", State.CHANGED),
        ("{", "{{", State.UNREADABLE),
    ],
)
def test_state(bench: Workbench, settings: Path, old: str, new: str, state: State) -> None:
    settings.write_text(settings.read_text().replace(old, new, 1))
    receipt = bench.receipt("claude")
    assert receipt is not None
    assert state_of(receipt.files[0]) == state
    settings.write_text(json.dumps({}))
    assert state_of(receipt.files[0]) == State.GONE
    settings.unlink()
    assert state_of(receipt.files[0]) == State.GONE
