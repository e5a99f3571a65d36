"""The operating system's keyring, with a time limit and errors that say what is wrong.

`keyring` looks through every installed package for backends, which takes longer than all the rest of a command. So the
name of the backend that took a secret is remembered (`SecretStore` does) and loaded without looking; a choice that the
user made for `keyring` (PYTHON_KEYRING_BACKEND, keyringrc.cfg) always comes first.
"""

import contextlib
import importlib
import queue
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from meshproxy_cli.errors import UnavailableError
from meshproxy_cli.settings import secretservice

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

T = TypeVar("T")

_WAY_OUT = "MESHPROXY_KEYRING=file keeps secrets in a file instead"
# keyring's backends raise RuntimeError where they don't suit the machine, InitError where there is no default keyring.
_ABSENT = {"NoKeyringError", "RuntimeError", "InitError", "SecretServiceNotAvailableException"}
_LOCKED = {"KeyringLocked", "LockedItemError", "PromptDismissedException"}


class KeyringState(StrEnum):
    """How the OS keyring answered."""

    USABLE = "usable"
    ABSENT = "absent"  # no backend on this machine, or no daemon behind it
    LOCKED = "locked"
    SILENT = "silent"  # no answer within the time limit
    FORGETFUL = "forgetful"  # it took a value and does not give it back
    BROKEN = "broken"


class KeyringUnusableError(UnavailableError):
    """The OS keyring can't be used now; `state` says why."""

    def __init__(self, state: KeyringState, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.state = state


class OsKeyring:
    """Items of the OS keyring, by service and account name. Every method raises `KeyringUnusableError`.

    A call that outlives the time limit goes on in a daemon thread, which neither blocks the command nor its exit, and
    the keyring is not asked again by this process.
    """

    def __init__(self, *, time_limit_s: float, remembered: Callable[[], str | None]) -> None:
        self._time_limit_s = time_limit_s
        self._remembered = remembered
        self._backend: KeyringBackend | None = None
        self._silent = False

    @property
    def backend_name(self) -> str | None:
        """The backend in use as `module.Class`, or None before the first call."""
        if self._backend is None:
            return None
        return f"{type(self._backend).__module__}.{type(self._backend).__qualname__}"

    def get(self, service: str, account: str) -> str | None:
        """Return the value kept there, or None."""
        return self._limited(lambda: self._read(service, account))

    def set(self, service: str, account: str, value: str) -> None:
        """Keep a value and read it back: some backends take everything and keep nothing."""
        kept = self._call(lambda backend: _write(backend, service, account, value))
        if kept != value:
            raise KeyringUnusableError(
                KeyringState.FORGETFUL,
                f"the keyring backend {self.backend_name} took a secret and does not give it back",
                hint=f"choose another backend (`keyring --list-backends`), or {_WAY_OUT}",
            )

    def delete(self, service: str, account: str) -> bool:
        """Remove an item; return whether there was one."""
        return self._call(lambda backend: _delete(backend, service, account))

    def _read(self, service: str, account: str) -> str | None:
        if self._backend is None and secretservice.usable(self._remembered()):
            with contextlib.suppress(secretservice.NotThisWayError):
                return secretservice.read_item(service, account)
        return self._loaded().get_password(service, account)

    def _call(self, work: "Callable[[KeyringBackend], T]") -> T:
        return self._limited(lambda: work(self._loaded()))

    def _loaded(self) -> "KeyringBackend":
        if self._backend is None:
            self._backend = _load(self._remembered())
        return self._backend

    def _limited(self, work: Callable[[], T]) -> T:
        if self._silent:
            raise self._silence()
        answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()
        threading.Thread(target=_answer, args=(work, answers), daemon=True, name="keyring").start()
        try:
            value, problem = answers.get(timeout=self._time_limit_s)
        except queue.Empty:
            self._silent = True
            raise self._silence() from None
        if problem is not None:
            raise _explain(problem) from None  # a backend's traceback may hold the item
        return value  # type: ignore[return-value]  # without a problem it is the value that `work` returned

    def _silence(self) -> KeyringUnusableError:
        return KeyringUnusableError(
            KeyringState.SILENT,
            f"the OS keyring did not answer within {self._time_limit_s:g} s; it may be locked and waiting for you",
            hint=f"unlock it and try again (MESHPROXY_KEYRING_TIMEOUT=30 waits longer), or {_WAY_OUT}",
        )


def _answer(work: Callable[[], T], answers: "queue.SimpleQueue[tuple[T | None, Exception | None]]") -> None:
    try:
        answers.put((work(), None))
    except Exception as problem:  # noqa: BLE001 (backends raise what they like; it is handed to the caller)
        answers.put((None, problem))


def _write(backend: "KeyringBackend", service: str, account: str, value: str) -> str | None:
    backend.set_password(service, account, value)
    return backend.get_password(service, account)


def _delete(backend: "KeyringBackend", service: str, account: str) -> bool:
    from keyring.errors import PasswordDeleteError  # noqa: PLC0415 (imported where the keyring is used)

    try:
        backend.delete_password(service, account)
    except PasswordDeleteError:
        return False
    return True


def _load(remembered: str | None) -> "KeyringBackend":
    from keyring import core  # noqa: PLC0415 (60 ms, only where the keyring is used)

    chosen = core.load_env() or core.load_config()
    if chosen is not None:
        return chosen
    if remembered is not None:
        module, _, name = remembered.rpartition(".")
        try:
            made: KeyringBackend = getattr(importlib.import_module(module), name)()
        except (ImportError, AttributeError):
            pass  # that backend was uninstalled since: look again
        else:
            return made
    # Backends below `recommended` keep secrets in plain files, which our own file does better.
    core.init_backend(limit=core.recommended)
    return _unchained(core.get_keyring())


def _unchained(backend: "KeyringBackend") -> "KeyringBackend":
    """Where several backends are usable, keyring puts them in a chain and writes to the first."""
    chain = getattr(backend, "backends", None)
    return chain[0] if chain else backend


def _explain(problem: Exception) -> KeyringUnusableError:
    # By name, as the exceptions' own packages may not be imported.
    kind = type(problem).__name__
    if kind in _ABSENT:
        return KeyringUnusableError(
            KeyringState.ABSENT,
            "this machine has no usable OS keyring",
            hint=f"install and start one (on Linux: gnome-keyring or KWallet), or {_WAY_OUT}",
        )
    if kind in _LOCKED:
        return KeyringUnusableError(
            KeyringState.LOCKED,
            "the OS keyring is locked",
            hint=f"unlock it in your keyring program and try again, or {_WAY_OUT}",
        )
    # The exception's own text is left out: a backend may put the item into it.
    return KeyringUnusableError(
        KeyringState.BROKEN,
        f"the OS keyring failed ({kind})",
        hint=f"`keyring --list-backends` shows what `keyring` found; {_WAY_OUT}",
    )
