import json
from pathlib import Path

import pytest

from meshproxy_cli.settings.secretfile import (
    Document,
    Place,
    Record,
    SecretsFileError,
    read_document,
    write_document,
)

DOCUMENT = Document({"a": Record(Place.OS), "b": Record(Place.FILE, "s3cret", stale=True)}, "some.Backend")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_document(tmp_path / "file", DOCUMENT)
    assert read_document(tmp_path / "file") == DOCUMENT


def test_no_file_holds_nothing(tmp_path: Path) -> None:
    assert read_document(tmp_path / "no") == Document()


def test_put_and_drop_leave_the_rest() -> None:
    changed = DOCUMENT.put("c", Record(Place.OS)).drop("a")
    assert list(changed.records) == ["b", "c"]
    assert changed.backend == "some.Backend"
    assert list(DOCUMENT.records) == ["a", "b"]


def test_values_are_not_shown() -> None:
    assert "s3cret" not in repr(DOCUMENT)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_a_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    write_document(path, DOCUMENT)
    path.chmod(mode)
    with pytest.raises(SecretsFileError, match=f"{mode:04o}") as refusal:
        read_document(path)
    assert f"chmod 600 {path}" in str(refusal.value.hint)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "s3cret",
        "[]",
        "{}",
        json.dumps({"version": 2, "secrets": {}}),
        json.dumps({"version": 1, "secrets": {"a": {"place": "cloud"}}}),
        json.dumps({"version": 1, "secrets": {"a": {"place": "file"}}}),
        json.dumps({"version": 1, "secrets": {"a": "s3cret"}}),
        json.dumps({"version": 1, "secrets": [], "backend": 5}),
    ],
)
def test_a_damaged_file_is_told_and_not_quoted(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SecretsFileError, match="damaged") as refusal:
        read_document(path)
    assert "s3cret" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert path.read_text() == content


def test_a_directory_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(SecretsFileError, match="can't be read"):
        read_document(tmp_path / "file")
