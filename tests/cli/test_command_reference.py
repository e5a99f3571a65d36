"""The command reference says what the commands are."""

from pathlib import Path

import pytest

from meshproxy_cli.cli.reference import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"


def test_the_command_reference_is_up_to_date(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # nothing on the page depends on who makes it
    made = reference()
    again = "make it again: python -m meshproxy_cli.cli.reference > docs/commands.md"
    assert PAGE.read_text(encoding="utf-8") == made, again


def test_every_command_has_a_section_with_usage_and_an_example() -> None:
    sections = reference().split("\n## ")[1:]
    assert [section.partition("\n")[0] for section in sections if "Usage: meshproxy" not in section] == []
    assert [section.partition("\n")[0] for section in sections if section.count("meshproxy") < 3] == []
