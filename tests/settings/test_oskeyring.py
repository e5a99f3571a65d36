"""How the keyring is reached: whose choice counts, what is imported, and that nothing waits for it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.secret_service import SecretService
from meshproxy_cli.settings.oskeyring import KeyringState, KeyringUnusableError, OsKeyring
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secretfile import Place
from meshproxy_cli.settings.secrets import open_secrets

BACKEND = "keyring.backends.SecretService.Keyring"
GET = """
import json, os, sys
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secrets import open_secrets
value = open_secrets(Paths.from_environment(os.environ), os.environ).get("api-key/local")
print(json.dumps([value, "keyring" in sys.modules]))
"""
PUT = """
import os
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secrets import open_secrets
open_secrets(Paths.from_environment(os.environ), os.environ).set("api-key/local", "s3cret")
"""

# 500 calls that each waited would take longer than `run` does.
ASK_OFTEN = """
import os
from meshproxy_cli.settings.oskeyring import KeyringUnusableError
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secrets import open_secrets
secrets, refused = open_secrets(Paths.from_environment(os.environ), os.environ), 0
for _ in range(500):
    try:
        secrets.get("api-key/local")
    except KeyringUnusableError as problem:
        refused += "within 0.2 s" in problem.message
print(refused, "within 0.2 s")
"""


def run(program: str, home: Path, **environ: str) -> str:
    """Run a program in a fresh interpreter of a user whose home is `home`."""
    own = {"HOME": str(home), "MESHPROXY_HOME": str(home / "meshproxy")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **own, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def keyring(remembered: str | None = None, time_limit_s: float = 10) -> OsKeyring:
    return OsKeyring(time_limit_s=time_limit_s, remembered=lambda: remembered)


@pytest.mark.usefixtures("secret_service")
def test_reading_does_not_wait_for_keyring_to_start(tmp_path: Path) -> None:
    run(PUT, tmp_path)
    assert json.loads(run(GET, tmp_path)) == ["s3cret", False]


def test_the_file_never_needs_keyring(tmp_path: Path) -> None:
    run(PUT, tmp_path, MESHPROXY_KEYRING="file")
    assert json.loads(run(GET, tmp_path, MESHPROXY_KEYRING="file")) == ["s3cret", False]


@pytest.mark.usefixtures("secret_service")
def test_a_backend_chosen_by_variable_comes_first(tmp_path: Path) -> None:
    run(PUT, tmp_path)
    chosen = run(GET, tmp_path, PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring")
    assert json.loads(chosen) == [None, True]


@pytest.mark.usefixtures("secret_service")
def test_a_backend_chosen_by_file_comes_first(tmp_path: Path) -> None:
    run(PUT, tmp_path)
    configuration = tmp_path / ".config" / "python_keyring" / "keyringrc.cfg"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("[backend]\ndefault-keyring=keyring.backends.null.Keyring\n")
    assert json.loads(run(GET, tmp_path)) == [None, True]


@pytest.mark.usefixtures("secret_service")
def test_a_scheme_chosen_for_keyring_counts(tmp_path: Path) -> None:
    run(PUT, tmp_path, KEYRING_PROPERTY_SCHEME="KeePassXC")
    assert json.loads(run(GET, tmp_path, KEYRING_PROPERTY_SCHEME="KeePassXC")) == ["s3cret", True]


@pytest.mark.usefixtures("secret_service")
def test_a_remembered_backend_that_is_gone_is_looked_for_again() -> None:
    one = keyring("no.such.Backend")
    one.set("meshproxy: test", "account", "s3cret")
    assert one.backend_name == BACKEND
    assert keyring("keyring.backends.no.Such").get("meshproxy: test", "account") == "s3cret"


@pytest.mark.usefixtures("secret_service")
def test_deleting_says_whether_there_was_something() -> None:
    one = keyring()
    one.set("meshproxy: test", "account", "s3cret")
    assert one.delete("meshproxy: test", "account") is True
    assert one.delete("meshproxy: test", "account") is False


def test_a_backend_that_does_not_suit_the_machine_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", BACKEND)
    with pytest.raises(KeyringUnusableError) as refusal:
        keyring().get("meshproxy: test", "account")
    assert refusal.value.state is KeyringState.ABSENT


def test_a_backend_that_breaks_is_told_without_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_backend.py").write_text(
        "from keyring.backend import KeyringBackend\n"
        "class Keyring(KeyringBackend):\n"
        "    priority = 1\n"
        "    def get_password(self, service, username): raise ValueError('s3cret')\n"
        "    def set_password(self, service, username, password): raise ValueError(password)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "broken_backend.Keyring")
    with pytest.raises(KeyringUnusableError, match=r"failed \(ValueError\)") as refusal:
        keyring().set("meshproxy: test", "account", "s3cret")
    assert refusal.value.state is KeyringState.BROKEN
    assert "s3cret" not in str(refusal.value) + str(refusal.value.hint)
    assert refusal.value.__suppress_context__


def test_a_hanging_keyring_is_asked_once_and_does_not_stop_the_process_from_ending(
    tmp_path: Path, secret_service: SecretService
) -> None:
    run(PUT, tmp_path)
    secret_service.stop()
    assert run(ASK_OFTEN, tmp_path, MESHPROXY_KEYRING_TIMEOUT="0.2") == "500 within 0.2 s\n"


def test_a_crash_while_the_keyring_writes_leaves_the_secret_listed(tmp_path: Path) -> None:
    """Else `logout` would not know of it."""
    (tmp_path / "dying_backend.py").write_text(
        "import os, signal\n"
        "from keyring.backend import KeyringBackend\n"
        "class Keyring(KeyringBackend):\n"
        "    priority = 1\n"
        "    def get_password(self, service, username): return None\n"
        "    def set_password(self, service, username, password): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    own = {"MESHPROXY_HOME": str(tmp_path), "MESHPROXY_KEYRING": "os", "PYTHONPATH": str(tmp_path)}
    environ = {**os.environ, **own, "PYTHON_KEYRING_BACKEND": "dying_backend.Keyring"}
    done = subprocess.run([sys.executable, "-c", PUT], env=environ, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    secrets = open_secrets(Paths.from_environment(own), own)
    assert [(entry.name, entry.place) for entry in secrets.names()] == [("api-key/local", Place.OS)]
