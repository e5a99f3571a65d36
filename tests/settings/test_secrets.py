"""One suite for both places of secrets; the keyring is a real Secret Service."""

import json
import os
import stat
from pathlib import Path

import pytest

from fixtures.secret_service import SecretService
from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.oskeyring import KeyringState, KeyringUnusableError
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secretfile import Place, SecretsFileError
from meshproxy_cli.settings.secrets import MAX_VALUE, SecretStore, open_secrets

NAME = "api-key/local"


class Machine:
    """A user with one kind of keyring; `store()` is a fresh process, as far as secrets go."""

    def __init__(self, home: Path, mode: str) -> None:
        self.paths = Paths.from_environment({"MESHPROXY_HOME": str(home)})
        self.mode = mode
        self.warnings: list[str] = []

    def store(self, mode: str | None = None, **more: str) -> SecretStore:
        environ = {"MESHPROXY_KEYRING": mode or self.mode} | more
        return open_secrets(self.paths, environ, warn=self.warnings.append)

    def content(self) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = json.loads(self.paths.secrets_file.read_text())["secrets"]
        return found


@pytest.fixture
def os_machine(tmp_path: Path, secret_service: SecretService) -> Machine:
    return Machine(tmp_path, "os")


@pytest.fixture(params=["file", "os"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    if request.param == "os":
        request.getfixturevalue("secret_service")
    return Machine(tmp_path, request.param)


def test_a_secret_comes_back_in_another_process(machine: Machine) -> None:
    assert machine.store().set(NAME, "s3cret") == machine.mode
    assert machine.store().get(NAME) == "s3cret"
    assert machine.warnings == []


def test_there_is_nothing_before_and_nothing_after(machine: Machine) -> None:
    assert machine.store().get(NAME) is None
    machine.store().set(NAME, "s3cret")
    assert machine.store().delete(NAME) is True
    assert machine.store().get(NAME) is None
    assert machine.store().names() == ()
    assert machine.store().delete(NAME) is False


def test_names_say_where_each_lies_and_no_value(machine: Machine) -> None:
    store = machine.store()
    store.set("provider/openai", "s3cret")
    store.set(NAME, "s3cret")
    assert [(entry.name, entry.place) for entry in store.names()] == [
        (NAME, machine.mode),
        ("provider/openai", machine.mode),
    ]
    assert "s3cret" not in repr(store.names())


def test_a_new_value_replaces_the_old_one(machine: Machine) -> None:
    machine.store().set(NAME, "old")
    machine.store().set(NAME, "new")
    assert machine.store().get(NAME) == "new"


def test_values_of_many_alphabets_survive(machine: Machine) -> None:
    machine.store().set(NAME, "ключ-🔑-\"'\\")
    assert machine.store().get(NAME) == "ключ-🔑-\"'\\"


def test_an_unchanged_secret_is_not_written_again(machine: Machine) -> None:
    machine.store().set(NAME, "s3cret")
    before = machine.paths.secrets_file.stat().st_mtime_ns, machine.paths.secrets_file.stat().st_ino
    machine.store().set(NAME, "s3cret")
    assert (machine.paths.secrets_file.stat().st_mtime_ns, machine.paths.secrets_file.stat().st_ino) == before


@pytest.mark.parametrize("value", ["", "two\nlines", "nul\0"])
def test_values_that_are_no_secret_are_refused(machine: Machine, value: str) -> None:
    with pytest.raises(UsageError) as refusal:
        machine.store().set(NAME, value)
    assert "lines" not in refusal.value.message
    assert machine.store().names() == ()


def test_the_keyring_keeps_no_value_in_the_file(os_machine: Machine) -> None:
    os_machine.store().set(NAME, "s3cret")
    assert "s3cret" not in os_machine.paths.secrets_file.read_text()


def test_secret_tool_finds_what_was_stored(os_machine: Machine, secret_service: SecretService) -> None:
    os_machine.store().set(NAME, "s3cret")
    [entry] = os_machine.store().names()
    assert entry.service == f"meshproxy: API key (local) [{os_machine.paths.home}]"
    assert secret_service.lookup(entry.service, NAME) == "s3cret"
    os_machine.store().delete(NAME)
    assert secret_service.lookup(entry.service, NAME) is None


@pytest.mark.usefixtures("secret_service")
def test_two_homes_share_no_secret(tmp_path: Path) -> None:
    one, other = Machine(tmp_path / "one", "os"), Machine(tmp_path / "other", "os")
    one.store().set(NAME, "of one")
    other.store().set(NAME, "of the other")
    assert (one.store().get(NAME), other.store().get(NAME)) == ("of one", "of the other")


def test_without_a_home_of_its_own_the_name_is_plain(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path, tmp_path)
    store = open_secrets(paths, {"MESHPROXY_KEYRING": "file"})
    for name in (NAME, "token/team/my-room", "master-key"):
        store.set(name, "s3cret")
    assert [entry.service for entry in store.names()] == [
        "meshproxy: API key (local)",
        "meshproxy: master key",
        "meshproxy: participant token (team/my-room)",
    ]


def test_auto_prefers_the_keyring(os_machine: Machine) -> None:
    assert os_machine.store("auto").set(NAME, "s3cret") is Place.OS
    assert os_machine.warnings == []


def test_auto_without_a_keyring_takes_the_file_and_says_so_on_each_write(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "auto")
    assert machine.store().set(NAME, "s3cret") is Place.FILE
    assert machine.store().get(NAME) == "s3cret"
    machine.store().set(NAME, "other")
    assert len(machine.warnings) == 2
    assert "no usable OS keyring" in machine.warnings[0]
    assert str(machine.paths.secrets_file) in machine.warnings[0]
    assert "s3cret" not in machine.warnings[0]


def test_os_without_a_keyring_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "os")
    with pytest.raises(KeyringUnusableError) as refusal:
        machine.store().set(NAME, "s3cret")
    assert refusal.value.state is KeyringState.ABSENT
    assert "MESHPROXY_KEYRING=file" in str(refusal.value.hint)
    assert machine.store().names() == ()


def test_the_file_is_private(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "file")
    machine.paths.secrets_dir.mkdir(parents=True, mode=0o755)
    machine.store().set(NAME, "s3cret")
    assert stat.S_IMODE(machine.paths.secrets_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(machine.paths.secrets_dir.stat().st_mode) == 0o700


def test_a_locked_keyring_is_told_and_nothing_is_lost(os_machine: Machine, secret_service: SecretService) -> None:
    os_machine.store().set(NAME, "s3cret")
    secret_service.lock()
    with pytest.raises(KeyringUnusableError, match="locked") as refusal:
        os_machine.store().get(NAME)
    assert refusal.value.state is KeyringState.LOCKED
    with pytest.raises(KeyringUnusableError):
        os_machine.store().delete(NAME)
    with pytest.raises(KeyringUnusableError):
        os_machine.store().set("provider/openai", "s3cret")
    assert [entry.name for entry in os_machine.store().names()] == [NAME]


def test_auto_takes_the_file_while_the_keyring_is_locked(os_machine: Machine, secret_service: SecretService) -> None:
    os_machine.store().set(NAME, "old")
    secret_service.lock()
    assert os_machine.store("auto").set(NAME, "new") is Place.FILE
    assert os_machine.store().get(NAME) == "new"
    assert "locked" in os_machine.warnings[0]


def test_a_hanging_keyring_ends_at_the_time_limit(os_machine: Machine, secret_service: SecretService) -> None:
    os_machine.store().set(NAME, "s3cret")
    secret_service.stop()
    store = os_machine.store(MESHPROXY_KEYRING_TIMEOUT="0.3")
    for _ in range(2):
        with pytest.raises(KeyringUnusableError, match=r"within 0\.3 s") as refusal:
            store.get(NAME)
        assert refusal.value.state is KeyringState.SILENT
    assert os_machine.store("auto", MESHPROXY_KEYRING_TIMEOUT="0.3").set("provider/openai", "k") is Place.FILE


def test_a_backend_that_forgets_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    machine = Machine(tmp_path, "auto")
    assert machine.store().set(NAME, "s3cret") is Place.FILE
    assert "does not give it back" in machine.warnings[0]
    with pytest.raises(KeyringUnusableError):
        machine.store("os").set("provider/openai", "s3cret")


def test_long_values_go_to_the_file(os_machine: Machine) -> None:
    assert os_machine.store("auto").set(NAME, "x" * (MAX_VALUE - 1)) is Place.OS
    assert os_machine.store("auto").set("token/local/r", "x" * MAX_VALUE) is Place.FILE
    assert "1,280" in os_machine.warnings[0]
    with pytest.raises(KeyringUnusableError, match="1,280"):
        os_machine.store("os").set("token/local/s", "x" * MAX_VALUE)


def test_move_there_and_back(os_machine: Machine, secret_service: SecretService) -> None:
    store = os_machine.store()
    store.set(NAME, "s3cret")
    [entry] = store.names()
    assert store.move(NAME, Place.FILE) is True
    assert secret_service.lookup(entry.service, NAME) is None
    assert os_machine.store("file").get(NAME) == "s3cret"
    assert store.move(NAME, Place.FILE) is False
    assert store.move(NAME, Place.OS) is True
    assert "s3cret" not in os_machine.paths.secrets_file.read_text()
    assert store.get(NAME) == "s3cret"


def test_a_move_to_a_dead_keyring_leaves_all_as_it_was(os_machine: Machine, secret_service: SecretService) -> None:
    os_machine.store("file").set(NAME, "s3cret")
    secret_service.lock()
    with pytest.raises(KeyringUnusableError):
        os_machine.store().move(NAME, Place.OS)
    assert os_machine.store("file").get(NAME) == "s3cret"


def test_an_old_value_in_the_keyring_goes_with_the_secret(os_machine: Machine, secret_service: SecretService) -> None:
    os_machine.store().set(NAME, "old")
    [entry] = os_machine.store().names()
    os_machine.store("file").set(NAME, "new")
    assert os_machine.content()[NAME] == {"place": "file", "value": "new", "stale": True}
    assert secret_service.lookup(entry.service, NAME) == "old"
    assert os_machine.store("auto").delete(NAME) is True
    assert secret_service.lookup(entry.service, NAME) is None


def test_file_mode_leaves_the_keyring_alone_and_says_so(os_machine: Machine) -> None:
    os_machine.store().set(NAME, "s3cret")
    with pytest.raises(KeyringUnusableError, match="MESHPROXY_KEYRING=file"):
        os_machine.store("file").get(NAME)


def test_status_names_what_is_there(os_machine: Machine, secret_service: SecretService) -> None:
    assert os_machine.store("file").keyring_status().state is KeyringState.ABSENT
    status = os_machine.store("auto").keyring_status()
    assert (status.state, status.backend) == (KeyringState.USABLE, "keyring.backends.SecretService.Keyring")
    secret_service.stop()
    hanging = os_machine.store("auto", MESHPROXY_KEYRING_TIMEOUT="0.3").keyring_status()
    assert hanging.state is KeyringState.SILENT


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"MESHPROXY_KEYRING": "disk"}, "it can be auto, os, file"),
        ({"MESHPROXY_KEYRING_TIMEOUT": "soon"}, "number of seconds"),
        ({"MESHPROXY_KEYRING_TIMEOUT": "-1"}, "number of seconds"),
        ({"MESHPROXY_KEYRING_TIMEOUT": "nan"}, "number of seconds"),
    ],
)
def test_wrong_variables_are_told(tmp_path: Path, environ: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_secrets(Paths.from_environment({"MESHPROXY_HOME": str(tmp_path)}), environ)


def test_the_keyring_of_this_test_run_is_no_persons(tmp_path: Path) -> None:
    assert "DBUS_SESSION_BUS_ADDRESS" not in os.environ


def test_the_file_of_0_1_0_beside_the_database_is_read_and_then_moved(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "file")
    machine.store().set(NAME, "s3cret")
    former, current = machine.paths.former_secrets_file, machine.paths.secrets_file
    assert former.parent == machine.paths.database.parent
    former.parent.mkdir(mode=0o700)
    current.rename(former)
    assert machine.store().get(NAME) == "s3cret"
    assert [entry.name for entry in machine.store().names()] == [NAME]
    assert not current.exists()
    machine.store().set("provider/other", "more")
    assert not former.exists()
    assert current.stat().st_mode & 0o777 == 0o600
    assert current.parent.stat().st_mode & 0o777 == 0o700
    assert machine.store().get(NAME) == "s3cret"


def test_a_damaged_file_beside_the_database_stays_where_it_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "file")
    former = machine.paths.former_secrets_file
    former.parent.mkdir(parents=True)
    former.write_text("{")
    former.chmod(0o600)
    with pytest.raises(SecretsFileError, match="damaged"):
        machine.store().set(NAME, "s3cret")
    assert former.read_text() == "{"
    assert not machine.paths.secrets_file.exists()


@pytest.mark.parametrize("home", [{"MESHPROXY_HOME": "/srv/meshproxy"}, {}])
def test_a_backup_of_the_data_directory_holds_no_secret(home: dict[str, str]) -> None:
    paths = Paths.from_environment(home)
    assert not paths.secrets_file.is_relative_to(paths.database.parent)
    assert not paths.database.is_relative_to(paths.secrets_file.parent)
