"""What every check looks at: this machine's settings, secrets and server, each found out once."""

import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from meshproxy_cli.agents.base import TOKEN_VARIABLE, Credentials, Target
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.client.base import ServerClient
from meshproxy_cli.configedit.receipts import Receipt, load_readable
from meshproxy_cli.errors import CredentialError, MeshproxyError, UnavailableError
from meshproxy_cli.redact import secret_values
from meshproxy_cli.settings.credentials import Credential, active_api_key, find_room_token
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secretfile import SecretsFileError, read_current
from meshproxy_cli.settings.secrets import SecretStore, open_secrets
from meshproxy_cli.settings.servers import Server, Settings, load_settings
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import TokenError, check_times, decode_unverified, mint
from meshproxy_cli.tokens.tokenspec import TokenSpec

T = TypeVar("T")
SESSION = "meshproxy-doctor"
_LIFETIME_S = 600


class Desk(Protocol):
    """What the command line hands in, since this layer stands below it."""

    def connect(self, server: Server) -> ServerClient:
        """Return a client with this user's rights there. Raises `MeshproxyError`."""

    def is_admin(self, client: ServerClient) -> bool:
        """Return whether this user may change things there."""

    def target(self, receipt: Receipt) -> Target:
        """Return what an agent is connected to, as `configure` would see it now."""

    def tokens_of(self, client: ServerClient, room: str, session: str, request_id: str) -> int | None:
        """Return the tokens that the usage event of a request counts, or None where there is no such event."""

    def spent(
        self, client: ServerClient, room: str, sessions: tuple[str, ...], participant: str | None
    ) -> tuple[tuple[str, str], ...]:
        """Return for every hard limit that lets nothing through any more a line, and the command that raises it.

        `sessions` are those of the configured agents; no `participant` stands for the one of `token get`.
        """


class CreatedRoom(Protocol):
    """What a check asks of a room that was created on the server."""

    @property
    def name(self) -> str: ...

    @property
    def models(self) -> tuple[str, ...]: ...

    @property
    def aliases(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class DoctorContext:
    """This user on this machine. Methods raise what `MeshproxyError` fits; each answer is made once and kept."""

    paths: Paths
    environ: Mapping[str, str]
    desk: Desk
    server_asked: str | None = None
    room_asked: str | None = None
    limit_s: float = 2.0  # how long the server may take for one answer
    machine: Machine = field(default_factory=lambda: Machine.current(os.environ))
    offline: bool = False  # nothing may be asked over the network
    _kept: dict[str, "Future[Any]"] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` returned, or raise what it raised, the first time that it was asked for by that name.

        Only those who ask for the same thing wait for it.
        """
        with self._lock:
            kept = self._kept.get(name)
            if kept is None:
                mine = self._kept[name] = Future()
        if kept is None:
            _settle(mine, make)
            kept = mine
        return kept.result()  # type: ignore[no-any-return]  # it is what `make` of that name returned

    @property
    def settings(self) -> Settings:
        """The settings file and the environment together."""
        return self.once("settings", lambda: load_settings(self.paths, self.environ))

    @property
    def server(self) -> Server:
        """The server in question."""
        return self.once("server", lambda: self.settings.server(self.server_asked))

    @property
    def secrets(self) -> SecretStore:
        """This user's secrets."""
        return self.once("secrets", lambda: open_secrets(self.paths, self.environ))

    @property
    def known_secrets(self) -> tuple[str, ...]:
        """The texts that no output may show: of variables, and of the secrets file."""
        return self.once(
            "known", lambda: tuple(value.strip() for value in (*secret_values(self.environ), *self._in_file()))
        )

    def _in_file(self) -> tuple[str, ...]:
        try:
            return tuple(record.value or "" for record in read_current(self.paths).records.values())
        except SecretsFileError:
            return ()

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """What was configured for agents: of this user's settings the latest, and every project and `.env` file."""
        return self.once("receipts", lambda: _latest(load_readable(self.paths.receipts_dir)[0]))

    @property
    def here(self) -> tuple[Receipt, ...]:
        """What was configured for agents with the server in question."""
        return tuple(one for one in self.receipts if one.server in {self.server.name, self.server.url})

    @property
    def room(self) -> str | None:
        """The room in question: the one asked for, else the configured one."""
        configured = next((one.room for one in reversed(self.here)), None)
        return self.room_asked or self.environ.get("MESHAGENT_ROOM") or configured or self.server.room

    @property
    def api_key_text(self) -> Credential:
        """The text of the key that signs tokens."""
        return self.once("key", lambda: active_api_key(self.server.name, self.secrets, self.environ))

    @property
    def api_key(self) -> ApiKey:
        """The key that signs tokens."""
        return ApiKey.parse(self.api_key_text.value)

    @property
    def imported_token(self) -> str | None:
        """The participant token that somebody gave to this user for the room, as long as it is valid."""
        room = self.room
        if room is None or self.environ.get("MESHAGENT_API_KEY", "").strip():
            return None
        kept = self.once("imported", lambda: find_room_token(self.server.name, room, self.secrets))
        return kept.value if kept is not None and _holds(kept.value) else None

    @property
    def variable_token(self) -> str | None:
        """The participant token in MESHAGENT_ROOM_TOKEN, good or bad, where all agents here go by that one."""
        by_variable = {one.credentials == Credentials.ENV for one in self.here} == {True}
        return self.environ.get(TOKEN_VARIABLE, "").strip() or None if by_variable else None

    @property
    def given_token(self) -> str | None:
        """The participant token that is used as it is, so that no API key is needed."""
        return self.variable_token or self.imported_token

    @property
    def token(self) -> str:
        """A token for the room, as agents get one. Raises `CredentialError`."""
        room = self.room
        if room is None:
            raise CredentialError("there is no room to get a token for")
        if (given := self.given_token) is not None:
            return given
        spec = TokenSpec.for_room("doctor", room)
        return self.once("token", lambda: mint(spec, self.api_key, now=int(time.time()), expires_in=_LIFETIME_S))

    @property
    def rooms(self) -> tuple[CreatedRoom, ...]:
        """The rooms that were created on the server; none where they can't be asked for."""
        return () if self.offline else self.once("rooms", self._rooms)

    def _rooms(self) -> tuple[CreatedRoom, ...]:
        try:
            with self.client() as client:
                return client.rooms.list(client.project_id)
        except MeshproxyError:
            return ()

    @property
    def session(self) -> str:
        """The session that doctor's own requests name: a token may be good for one session only."""
        return decode_unverified(self.token).session or SESSION

    def given_identity(self) -> str | None:
        """Return the participant that a given token names. Raises `TokenError`."""
        return None if self.given_token is None else decode_unverified(self.given_token).identity

    @contextmanager
    def client(self) -> Iterator[ServerClient]:
        """Yield a client of the server in question, with this user's rights there."""
        client = self.desk.connect(self.server)
        try:
            yield client
        finally:
            client.close()

    @property
    def may_make_keys(self) -> bool:
        """Whether this user may make API keys there; where that can't be asked, whether there is an access token."""
        return self.once("may", self._may_make_keys)

    def _may_make_keys(self) -> bool:
        try:
            with self.client() as client:
                return self.offline or self.desk.is_admin(client)
        except UnavailableError:
            return True
        except MeshproxyError:
            return False

    def base_url(self, protocol: str) -> str:
        """Return the room's base URL for clients of a protocol: OpenAI's ends in /v1, Anthropic's does not."""
        path = "openai/v1" if protocol == "openai" else "anthropic"
        return f"{self.server.url}/rooms/{quote(self.room or '', safe='')}/{path}"

    def for_server(self) -> str:
        """Return the option that names the server where it is not the current one, with a blank before it."""
        if self.server.name == self.settings.current:
            return ""
        known = self.server.name in self.settings.servers
        return f" --server {shlex.quote(self.server.name if known else self.server.url)}"


def _holds(token: str) -> bool:
    try:
        check_times(decode_unverified(token), now=int(time.time()))
    except TokenError:
        return False
    return True


def _latest(receipts: tuple[Receipt, ...]) -> tuple[Receipt, ...]:
    return tuple({(one.agent, one.profile, _place(one)): one for one in receipts}.values())


def _place(receipt: Receipt) -> str:
    return "" if receipt.scope == "user" else receipt.place


def _settle(answer: "Future[T]", make: Callable[[], T]) -> None:
    try:
        answer.set_result(make())
    except BaseException as problem:  # noqa: BLE001 (raised for everybody who asks: nobody may wait for ever)
        answer.set_exception(problem)
