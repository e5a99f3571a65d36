"""A damaged secrets file: what stands in it whole is kept, the file itself too."""

from pathlib import Path

import pytest

from meshproxy_cli.settings.secretfile import Document, Place, Record, SecretsFileError, read_document, write_document
from meshproxy_cli.settings.secretrepair import repair, salvage

RECORDS = {
    "api-key/local": Record(Place.FILE, 'va"l\\ue-1'),
    "master-key": Record(Place.FILE, "value-2"),
    "token/team/a room": Record(Place.OS, None, stale=True),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secrets.json"
    write_document(path, Document(RECORDS, "keyring.backends.SecretService.Keyring"))
    return path


@pytest.mark.parametrize(
    ("before", "after"),
    [('"version": 1,', ""), ("{", "{{{"), ('"secrets"', "secrets"), (": 1", ": 7")],
)
def test_everything_is_kept_where_all_stands_whole(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    file.write_text(text.replace(before, after, 1))
    done = repair(file)
    assert done is not None
    assert done.names == tuple(sorted(RECORDS))
    assert read_document(file) == Document(RECORDS, "keyring.backends.SecretService.Keyring")
    assert done.copy.read_text() == text.replace(before, after, 1)
    assert [path.stat().st_mode & 0o777 for path in (file, done.copy)] == [0o600, 0o600]


def test_at_every_length_the_whole_ones_are_kept(file: Path) -> None:
    text = file.read_text()
    kept = [len(salvage(text[:length]).records) for length in range(len(text) + 1)]
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (0, len(RECORDS))
    for length in range(len(text) + 1):
        found = salvage(text[:length]).records
        assert found == {name: RECORDS[name] for name in found}


def test_nothing_is_wrong(file: Path) -> None:
    before = file.read_bytes()
    assert repair(file) is None
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir() if path.name.startswith("secrets.json.")] == []


def test_second_repair_keeps_both_copies(file: Path) -> None:
    copies = []
    for _ in range(2):
        file.write_text("{" + file.read_text())
        done = repair(file)
        assert done is not None
        copies.append(done.copy)
    assert len(set(copies)) == 2
    assert all(copy.exists() for copy in copies)


def test_file_that_others_can_read_is_refused(file: Path) -> None:
    file.write_text("{")
    file.chmod(0o644)
    with pytest.raises(SecretsFileError, match="others can read it"):
        repair(file)
    assert file.read_text() == "{"
