"""Where meshproxy keeps its own files on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """The directories of this user: what a person edits, what must not be lost, what can be made again.

    `home` is the directory of `MESHPROXY_HOME`, or None where the platform's own directories are used.
    """

    config_dir: Path
    data_dir: Path
    state_dir: Path
    home: Path | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Paths":
        """Return the platform's directories, or those below `MESHPROXY_HOME`. Nothing is created."""
        if chosen := environ.get("MESHPROXY_HOME"):
            home = Path(chosen).expanduser().absolute()
            return cls(home / "config", home / "data", home / "state", home)
        from platformdirs import PlatformDirs  # noqa: PLC0415 (20 ms that MESHPROXY_HOME saves)

        dirs = PlatformDirs("meshproxy", appauthor=False)
        return cls(dirs.user_config_path, dirs.user_data_path, dirs.user_state_path)

    @property
    def settings_file(self) -> Path:
        """The command line's settings (TOML)."""
        return self.config_dir / "settings.toml"

    @property
    def server_file(self) -> Path:
        """The configuration of this machine's Room Proxy (TOML)."""
        return self.config_dir / "server.toml"

    @property
    def secrets_file(self) -> Path:
        """Names and places of secrets, and the values of those that no OS keyring took (mode 0600).

        Not in the data directory: a copy or backup of the database must not hold the master key that opens it.
        """
        return self.secrets_dir / "secrets.json"

    @property
    def secrets_dir(self) -> Path:
        """The directory of the secrets file alone, which nobody else can enter."""
        return (self.home or self.config_dir) / "secrets"

    @property
    def former_secrets_file(self) -> Path:
        """Where 0.1.0 kept the secrets file: beside the database. Read until it is moved."""
        return self.data_dir / "secrets.json"

    @property
    def current_secrets_file(self) -> Path:
        """The secrets file to read: the former one if only that exists."""
        is_moved = self.secrets_file.exists() or not self.former_secrets_file.exists()
        return self.secrets_file if is_moved else self.former_secrets_file

    @property
    def receipts_dir(self) -> Path:
        """What was changed in other programs' files, so that it can be undone."""
        return self.data_dir / "receipts"

    @property
    def database(self) -> Path:
        """The Room Proxy's SQLite database."""
        return self.data_dir / "meshproxy.db"

    @property
    def spool_dir(self) -> Path:
        """Usage events on their way to the database."""
        return self.data_dir / "spool"

    @property
    def runtime_file(self) -> Path:
        """The running (or last) `meshproxy serve` of this user."""
        return self.state_dir / "serve.json"
