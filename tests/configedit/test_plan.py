"""An edit is a plan first: what is refused, what is kept, what running it twice does."""

from pathlib import Path

import pytest

from agents.workbench import Workbench
from meshproxy_cli.agents.claude import Claude
from meshproxy_cli.agents.codex import Codex
from meshproxy_cli.configedit import apply as applying
from meshproxy_cli.configedit import show
from meshproxy_cli.configedit.files import FileRefusedError
from meshproxy_cli.configedit.formats.document import FormatError
from meshproxy_cli.configedit.plan import OwnedByOtherError
from meshproxy_cli.errors import MeshproxyError

CODEX, CLAUDE = Codex(), Claude()


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def write(bench: Workbench, name: str, text: str) -> Path:
    path = bench.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def refused(bench: Workbench, agent: Codex | Claude, kind: type[MeshproxyError], match: str) -> None:
    before = bench.files()
    with pytest.raises(kind, match=match):
        bench.configure(agent)
    assert bench.files() == before
    assert list(bench.receipts.iterdir()) == []


def test_planning_writes_nothing(bench: Workbench) -> None:
    write(bench, ".codex/config.toml", "a = 1\n")
    before = bench.files()
    plan = bench.plan(CODEX)
    assert plan.changes
    assert "+[model_providers.meshproxy]" in show.diff(plan.edits)
    assert bench.files() == before
    assert list(bench.receipts.iterdir()) == []


def test_a_file_that_changed_after_the_preview_is_refused(bench: Workbench) -> None:
    path = write(bench, ".codex/config.toml", "a = 1\n")
    plan = bench.plan(CODEX)
    path.write_text("a = 2\n")
    with pytest.raises(FileRefusedError, match="changed after the preview"):
        applying.apply(plan, bench.context)
    assert bench.files() == {".codex/config.toml": b"a = 2\n"}
    assert list(bench.receipts.iterdir()) == []


def test_a_file_that_came_after_the_preview_is_refused(bench: Workbench) -> None:
    plan = bench.plan(CLAUDE)
    write(bench, ".claude/settings.json", "{}")
    with pytest.raises(FileRefusedError):
        applying.apply(plan, bench.context)
    assert bench.files() == {".claude/settings.json": b"{}"}


@pytest.mark.parametrize(
    ("name", "text", "kind", "match"),
    [
        (".codex/config.toml", "a = \n", FormatError, "invalid TOML at line 1, column 5"),
        (".codex/config.toml", '[model_providers.meshproxy]\nname = "x"\n', OwnedByOtherError, "did not write"),
        (".codex/config.toml", 'model_providers.meshproxy.name = "x"\n', OwnedByOtherError, "did not write"),
        (".codex/config.toml", "[[model_providers]]\nx = 1\n", FormatError, "could not be set"),
        (".codex/config.toml", "model_providers = 1\n", FormatError, "can't be edited"),
        (".codex/meshproxy.config.toml", 'model_provider = "x"\n', OwnedByOtherError, "model_provider"),
    ],
)
def test_codex_files_that_are_refused(
    bench: Workbench, name: str, text: str, kind: type[MeshproxyError], match: str
) -> None:
    write(bench, name, text)
    refused(bench, CODEX, kind, match)


@pytest.mark.parametrize("text", ["{", "[]", '{"env": 1}', '{"env": null}', "\udcff"])
def test_settings_that_are_refused(bench: Workbench, text: str) -> None:
    path = write(bench, ".claude/settings.json", "")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(bench, CLAUDE, FormatError, "can't be edited")


def test_a_read_only_file_is_refused(bench: Workbench) -> None:
    write(bench, ".claude/settings.json", "{}").chmod(0o444)
    refused(bench, CLAUDE, FileRefusedError, "read-only")


def test_a_directory_in_the_way_is_refused(bench: Workbench) -> None:
    (bench.home / ".claude" / "settings.json").mkdir(parents=True)
    refused(bench, CLAUDE, FileRefusedError, "not a regular file")


def test_a_dangling_link_is_refused(bench: Workbench) -> None:
    (bench.home / ".claude").mkdir()
    (bench.home / ".claude" / "settings.json").symlink_to(bench.home / "gone" / "settings.json")
    with pytest.raises(FileRefusedError, match="link to a directory"):
        bench.configure(CLAUDE)


def test_a_symlink_stays_one(bench: Workbench) -> None:
    target = write(bench, "dotfiles/settings.json", '{"a": 1}')
    target.chmod(0o640)
    link = bench.home / ".claude" / "settings.json"
    link.parent.mkdir()
    link.symlink_to(target)
    bench.configure(CLAUDE)
    assert link.is_symlink()
    assert b"apiKeyHelper" in target.read_bytes()
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in target.parent.iterdir()) == ["settings.json"]  # the backup lies by the link
    bench.undo(CLAUDE)
    assert link.is_symlink()
    assert target.read_bytes() == b'{"a": 1}'


def test_backup_is_made_once_and_for_the_owner(bench: Workbench) -> None:
    path = write(bench, ".claude/settings.json", '{"a": 1}')
    bench.configure(CLAUDE)
    bench.configure(CLAUDE, model="claude-x")
    bench.configure(CLAUDE, room="other")
    backups = list(path.parent.glob("*meshproxy-backup*"))
    assert [backup.read_bytes() for backup in backups] == [b'{"a": 1}']
    assert backups[0].stat().st_mode & 0o777 == 0o600
    bench.undo(CLAUDE)
    assert bench.files() == {".claude/settings.json": b'{"a": 1}'}


def test_a_key_that_is_no_longer_wished_gets_its_earlier_value(bench: Workbench) -> None:
    path = write(bench, ".codex/config.toml", 'model = "mine" # why\n')
    bench.configure(CODEX, make_default=True, model="gpt-5")
    assert path.read_text().startswith('model = "gpt-5" # why\nmodel_provider = "meshproxy"\n')
    bench.configure(CODEX)
    assert path.read_text().startswith('model = "mine" # why\n\n[model_providers.meshproxy]')


def test_a_file_that_is_no_longer_wished_is_given_back(bench: Workbench) -> None:
    write(bench, ".codex/config.toml", "a = 1\n")
    bench.configure(CODEX)
    bench.configure(CODEX, profile="other")
    assert {name for name in bench.files() if name.endswith(".config.toml")} == {
        ".codex/meshproxy.config.toml",
        ".codex/other.config.toml",
    }
    bench.undo(CODEX, "other")
    bench.undo(CODEX)
    assert bench.files() == {".codex/config.toml": b"a = 1\n"}


def test_profiles_are_undone_in_any_order(bench: Workbench) -> None:
    write(bench, ".codex/config.toml", "a = 1\n")
    bench.configure(CODEX)
    bench.configure(CODEX, profile="other")
    bench.undo(CODEX)
    assert b"meshproxy]" not in bench.files()[".codex/config.toml"]
    bench.undo(CODEX, "other")
    assert bench.files()[".codex/config.toml"] == b"a = 1\n"


def test_ours_without_a_receipt_is_taken_as_ours(bench: Workbench) -> None:
    bench.configure(CODEX)
    for receipt in bench.receipts.iterdir():
        receipt.unlink()
    assert not bench.plan(CODEX).changes


def test_a_later_edit_is_kept_when_configured_again(bench: Workbench) -> None:
    path = write(bench, ".codex/config.toml", "a = 1\n")
    bench.configure(CODEX)
    path.write_text("# later\n" + path.read_text() + "\n[theirs]\nb = 2\n")
    bench.configure(CODEX, room="second")
    assert "# later" in path.read_text()
    bench.undo(CODEX)
    assert path.read_text() == "# later\na = 1\n\n[theirs]\nb = 2\n"


def test_a_key_of_ours_that_was_edited_is_written_anew_and_undone(bench: Workbench) -> None:
    path = write(bench, ".codex/config.toml", "a = 1\n")
    bench.configure(CODEX)
    path.write_text(path.read_text().replace("my-room/openai", "elsewhere/openai"))
    bench.configure(CODEX)
    assert "elsewhere" not in path.read_text()
    bench.undo(CODEX)
    assert path.read_text() == "a = 1\n"


def test_missing_directories_come_and_go(bench: Workbench) -> None:
    bench.configure(CLAUDE)
    assert (bench.home / ".claude" / "settings.json").stat().st_mode & 0o777 == 0o600
    bench.undo(CLAUDE)
    assert list(bench.home.iterdir()) == []
