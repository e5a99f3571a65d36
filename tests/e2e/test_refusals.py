"""Every refusal of ours, as people at the real Codex and the real Claude Code meet it.

They read our message, which says what to do, after a number of requests that is small: where trying again can't help,
no agent tries for long. How the limits refuse is in `test_limits.py`.
"""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2e.provider import RecordingProvider
from fixtures.agent_sessions import Asked, Person, Question
from fixtures.agents import Agents
from fixtures.commands import Home
from fixtures.proxies import RoomProxy, running_proxy
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import parse_spec

pytestmark = pytest.mark.e2e

AT_ONCE = 3  # agents that run side by side
AHEAD = 6  # how many of the next tests' agents may have begun; not all, since another process may have those tests
SPEC = "version: v1\nkind: ParticipantToken\nidentity: {identity}\nroom: {room}\napi: {api}\n"
LLM = "{llm: {}}"
OTHER_MODELS = '{llm: {models: ["openai/gpt-9", "anthropic/claude-9"]}}'
CONFIG = """
[rooms]
strict = true
[limits]
idle_timeout_s = 2
max_body_mib = 0.2
[providers.openai]
base_url = "{provider}/v1"
keys = ["env:OPENAI_API_KEY"]
default = true
[providers.anthropic]
base_url = "{provider}"
keys = ["env:ANTHROPIC_API_KEY"]
default = true
[providers.echo-openai]
protocol = "openai"
base_url = "echo:"
"""
ELSEWHERE = """
[providers.{name}-{protocol}]
protocol = "{protocol}"
base_url = "http://127.0.0.1:{port}"
"""
PROTOCOLS = ("openai", "anthropic")


@dataclass(frozen=True)
class Keys:
    """What a participant's tokens are signed with."""

    good: ApiKey
    revoked: ApiKey
    identity: str = "tester"

    @property
    def unknown(self) -> ApiKey:
        return ApiKey.generate(self.good.project_id)

    @property
    def of_another_project(self) -> ApiKey:
        return ApiKey(self.good.id, self.unknown.id, self.good.secret)

    def sign(
        self,
        room: str = "open",
        api: str = LLM,
        *,
        key: ApiKey | None = None,
        begins: int = -60,
        session: str | None = None,
    ) -> str:
        """Sign a token that holds for an hour, from `begins` seconds in the future."""
        spec = parse_spec(SPEC.format(identity=self.identity, room=room, api=api), require_llm=False)
        begin = int(time.time()) + begins
        return mint(spec, key or self.good, now=begin, not_before=begin, expires_in=3600, session=session)


def expired(keys: Keys) -> str:
    return keys.sign(begins=-7200)


@dataclass(frozen=True)
class Case:
    """A refusal: how it comes about, what is said, and with how many model requests an agent may hear it."""

    says: str
    token: Callable[[Keys], str]
    room: str = "open"
    base: str = ""
    session: bool = True
    long: bool = False
    tries: int = 1


CASES = {
    "expired": Case("the token has expired. Get a new one: meshproxy token get", expired, tries=12),
    "revoked-key": Case(
        "the API key that signed this token was revoked. Make a new key: meshproxy api-key create NAME --activate",
        lambda keys: keys.sign(key=keys.revoked),
        tries=12,
    ),
    "unknown-key": Case("`meshproxy doctor` finds out", lambda keys: keys.sign(key=keys.unknown)),
    "other-project": Case(
        "the token is for another project than its API key. It may be for another server",
        lambda keys: keys.sign(key=keys.of_another_project),
    ),
    "forged": Case("Make a new token: meshproxy token get", lambda keys: f"{keys.sign()[:-8]}AAAAAAAA"),
    "not-yet-valid": Case(
        "the token is not valid yet. Check this machine's clock.",
        lambda keys: keys.sign(begins=3600),
    ),
    "malformed": Case("A participant token is what `meshproxy token get --room ROOM` prints.", lambda _: "no-token"),
    "wrong-room": Case("Get a token for it: meshproxy token get --room open", lambda keys: keys.sign("other")),
    "no-llm-grant": Case("Add `llm: {}` to its spec's api section", lambda keys: keys.sign(api="{}")),
    "model-of-the-token": Case("Allowed: openai/gpt-9, anthropic/claude-9. Choose one of these, or get a token",
                               lambda keys: keys.sign(api=OTHER_MODELS)),
    "model-of-the-room": Case("Allowed: openai/gpt-9, anthropic/claude-9. Choose one of these, or ask",
                              lambda keys: keys.sign("narrow"), "narrow"),
    "no-session": Case("`meshproxy configure` sets it for agents", lambda keys: keys.sign(), session=False),
    "other-session": Case(
        "this token is for the session 'elsewhere' only", lambda keys: keys.sign(session="elsewhere")
    ),
    "unknown-room": Case(
        "Ask its admin to create it: meshproxy room create nowhere", lambda keys: keys.sign("nowhere"), "nowhere"
    ),
    "wrong-url": Case("is not offered here; base URLs are /rooms/ROOM/", lambda keys: keys.sign(), base="/v2"),
    "provider-away": Case(
        "it can't be reached: [Errno 111] Connection refused). Try again in a moment; if it stays so, tell the proxy's",
        lambda keys: keys.sign("away"),
        "away",
    ),
    "provider-silent": Case(
        "gave no answer within 2 seconds. Try again in a moment", lambda keys: keys.sign("silent"), "silent"
    ),
    "too-large": Case("Take images or files out of the conversation, compact it", lambda keys: keys.sign(),
                      long=True),
}  # fmt: skip
SOME = ("expired", "revoked-key", "wrong-room", "no-session", "model-of-the-room", "provider-away")
RUNS = [
    *((agent, name) for name in CASES for agent in ("codex", "claude")),
    *((agent, name) for name in SOME for agent in ("codex-old", "codex-websocket")),
    ("codex-websocket", "too-large"),
    *((agent, name) for name in ("expired", "wrong-room") for agent in ("codex-env", "claude-env")),
]  # fmt: skip
#: A token that is refused, and one that is not: the agent has to fetch the second one itself.
RENEWED: dict[str, Callable[[Keys], tuple[str, str]]] = {
    "expired": lambda keys: (expired(keys), keys.sign()),
    "revoked-key": lambda keys: (keys.sign(key=keys.revoked), keys.sign()),
}
RENEWALS = [(agent, name) for agent in ("codex", "codex-old", "codex-websocket", "claude") for name in RENEWED]


class Scene:
    """A server, people with agents, and all that they ask, a few at a time."""

    def __init__(
        self, proxy: RoomProxy, agents: Agents, keys: Keys, pool: ThreadPoolExecutor, order: list[tuple[str, str]]
    ) -> None:
        self.proxy = proxy
        self.keys = keys
        self._order = order
        self._agents = agents
        self._pool = pool
        self._people: dict[str, Future[Person]] = {}
        self._asked: dict[tuple[str, str], Future[Asked]] = {}

    def asked(self, agent: str, name: str) -> Asked:
        """Let somebody ask, and the next ones; return how it went for this one."""
        place = self._order.index((agent, name))
        for each in self._order[place : place + AHEAD]:
            self._begin(*each)
        return self._asked[agent, name].result()

    def _begin(self, agent: str, name: str) -> None:
        if agent not in self._people:
            self._people[agent] = self._pool.submit(Person, self.proxy, self._agents, agent)
        if (agent, name) not in self._asked:
            self._asked[agent, name] = self._pool.submit(self._ask, agent, name)

    def prompt(self, agent: str, name: str) -> str:
        return f"ping of {agent} about {name}"

    def _ask(self, agent: str, name: str) -> Asked:
        prompt = self.prompt(agent, name)
        keys = replace(self.keys, identity=f"{agent}-{name}")
        renewal = RENEWED.get(name.removesuffix("-renewed")) if name.endswith("-renewed") else None
        if renewal is not None:
            question = Question(tokens=renewal(keys), prompt=prompt)
        elif name == "echo":
            question = Question(tokens=(keys.sign("echo"),), prompt=prompt, room="echo")
        else:
            case = CASES[name]
            question = Question(
                tokens=(case.token(keys),),
                prompt=prompt,
                room=case.room,
                base=case.base,
                session=case.session,
                long=case.long,
            )
        return self._people[agent].result().ask(f"{agent}-{name}", question)


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory,
    provider: RecordingProvider,
    agents: Agents,
    request: pytest.FixtureRequest,
) -> Iterator[Scene]:
    """Return the scene of the selected tests."""
    home = Home(tmp_path_factory.mktemp("refusals"))
    with ExitStack() as stack:
        config = write_config(tmp_path_factory.mktemp("config"), provider, stack)
        proxy = stack.enter_context(running_proxy(home, provider, "--config", str(config)))
        keys = Keys(proxy.key, make_rooms_and_keys(proxy))
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        order = [
            (item.callspec.params["agent"], item.callspec.params["name"])
            for item in request.session.items
            if item.path == Path(__file__) and isinstance(item, pytest.Function)
        ]
        yield Scene(proxy, agents, keys, pool, order)


def write_config(directory: Path, provider: RecordingProvider, stack: ExitStack) -> Path:
    """Configure three providers for each protocol: the recording one, one that is away, one that says nothing."""
    away = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
    away_port, silent_port = away.getsockname()[1], silent.getsockname()[1]
    away.close()
    text = CONFIG.format(provider=provider.origin)
    for protocol in PROTOCOLS:
        text += ELSEWHERE.format(name="away", protocol=protocol, port=away_port)
        text += ELSEWHERE.format(name="silent", protocol=protocol, port=silent_port)
    path = directory / "server.toml"
    path.write_text(text, encoding="utf-8")
    return path


def make_rooms_and_keys(proxy: RoomProxy) -> ApiKey:
    """Make the rooms; return a key that is revoked."""
    for room in ("open", "other"):
        proxy.cli("room", "create", room)
    proxy.cli("room", "create", "narrow", "--model", "openai/gpt-9", "--model", "anthropic/claude-9")
    proxy.cli("room", "create", "echo", "--provider", "openai=echo-openai")
    for name in ("away", "silent"):
        chosen = [part for protocol in PROTOCOLS for part in ("--provider", f"{protocol}={name}-{protocol}")]
        proxy.cli("room", "create", name, *chosen)
    revoked = ApiKey.parse(proxy.cli("api-key", "create", "revoked").stdout.strip())
    proxy.cli("api-key", "revoke", revoked.id, "--yes")
    return revoked


@pytest.mark.parametrize(("agent", "name"), RUNS, ids=["-".join(run) for run in RUNS])
def test_a_person_reads_what_is_wrong_and_what_to_do(scene: Scene, agent: str, name: str) -> None:
    case, asked = CASES[name], scene.asked(agent, name)

    assert case.says in asked.shown
    assert "Room Proxy: " in asked.shown
    assert asked.result.code != 0
    over_http_too = agent == "codex-websocket"
    assert 1 <= len(asked.tries) <= case.tries + over_http_too, asked.tries
    sent_on = [sent for sent in scene.proxy.provider.requests if scene.prompt(agent, name) in sent.text()]
    assert sent_on == [], "a request that is refused went to the provider"


@pytest.mark.parametrize(
    ("agent", "name"),
    [(agent, f"{name}-renewed") for agent, name in RENEWALS],
    ids=["-".join(renewal) for renewal in RENEWALS],
)
def test_an_agent_fetches_a_new_token_and_goes_on(scene: Scene, agent: str, name: str) -> None:
    asked = scene.asked(agent, name)

    assert asked.result.code == 0, asked.shown
    assert f"The provider heard: {scene.prompt(agent, name)}" in asked.result.stdout
    assert 2 <= asked.helper_calls <= 4
    assert len({request.token for request in asked.requests if request.token}) == 2


@pytest.mark.parametrize(("agent", "name"), [("codex-websocket", "echo")])
def test_codex_asks_the_echo_provider_over_http(scene: Scene, agent: str, name: str) -> None:
    asked = scene.asked(agent, name)

    assert asked.result.code == 0, asked.shown
    assert f"You said: {scene.prompt(agent, name)}" in asked.result.stdout
    assert [request.websocket for request in asked.tries] == [True, False]
