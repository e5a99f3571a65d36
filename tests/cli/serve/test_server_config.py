"""What `serve` and `reload` read: the file, where its references lead, prices and certificate."""

from pathlib import Path

import pytest

from meshproxy_cli.cli.serve.server_config import ServerFiles
from meshproxy_cli.errors import MeshproxyError, NotFoundError, UsageError
from meshproxy_cli.proxy.config.server import Listening

GOOD = '[providers.openai]\nkeys = ["env:TEAM_KEY"]\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MESHPROXY_HOME", str(tmp_path))
    monkeypatch.setenv("MESHPROXY_KEYRING", "file")
    path = tmp_path / "config" / "server.toml"
    path.parent.mkdir()
    path.write_text(GOOD)
    return path


def test_the_users_own_file_is_read_with_its_secrets(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_KEY", "sk-of-the-team")
    loaded = ServerFiles(None).read()
    assert ServerFiles(None).path == file
    assert (loaded.config_text, loaded.secrets) == (GOOD, {"env:TEAM_KEY": "sk-of-the-team"})
    assert "sk-of-the-team" not in repr(loaded)
    file.unlink()
    assert ServerFiles(None).read().config_text == ""


def test_a_file_that_was_named_must_be_there(file: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        ServerFiles(file.with_name("other.toml")).read()


@pytest.mark.parametrize(
    "text", ["\xff", '[usage]\nprices = "no-such-file.toml"', GOOD], ids=["no text", "no prices", "no key"]
)
def test_what_can_not_be_used_is_refused(file: Path, text: str) -> None:
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(MeshproxyError):
        ServerFiles(None).read()


def test_a_certificate_is_read_too(file: Path) -> None:
    file.write_text("")
    with pytest.raises(UsageError, match="TLS certificate"):
        ServerFiles(file, {"tls_cert": str(file), "tls_key": str(file)}).read()
    file.write_text(f'[server]\ntls_cert = "{file}"\n')
    with pytest.raises(UsageError, match="TLS certificate"):
        ServerFiles(file).read()


def test_options_come_before_the_file(file: Path) -> None:
    file.write_text("[server]\nport = 9000\nworkers = 3\n")
    files = ServerFiles(file, {"port": 0})
    assert files.listening(files.read().config) == Listening(port=0, workers=3)


def test_the_form_can_be_checked_without_secrets(file: Path) -> None:
    ServerFiles(None).check_form()
    file.write_text(GOOD.replace("env:TEAM_KEY", "sk-written-out"))
    with pytest.raises(UsageError, match="written out") as caught:
        ServerFiles(None).check_form()
    assert "sk-written-out" not in caught.value.message


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o620, 0o602])
def test_a_file_that_others_can_write_is_refused(file: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_KEY", "sk-of-the-team")
    file.chmod(mode)
    with pytest.raises(UsageError, match="too open") as caught:
        ServerFiles(None).read()
    assert f"chmod go-w {file}" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="too open"):
        ServerFiles(file).check_form()
    monkeypatch.setenv("MESHPROXY_ALLOW_WRITABLE_CONFIG", "1")
    assert ServerFiles(None).read().config_text == GOOD
