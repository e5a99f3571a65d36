"""What `meshproxy setup` is going to do, as steps with previews; a step that changes nothing is left out."""

import os
import shlex
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from meshproxy_cli.agents.base import Credentials, Target
from meshproxy_cli.agents.configuring import plan_for
from meshproxy_cli.agents.helper import helper_command
from meshproxy_cli.agents.registry import find_agent
from meshproxy_cli.cli import context, output
from meshproxy_cli.cli.agent.targets import Choice, make_target
from meshproxy_cli.cli.api_key.keep import KeyRing
from meshproxy_cli.cli.serve.service import Unit
from meshproxy_cli.cli.setup.answers import Answers, configured
from meshproxy_cli.configedit import show
from meshproxy_cli.errors import MeshproxyError, UsageError
from meshproxy_cli.settings import edit
from meshproxy_cli.settings.providers import (
    KEY_VARIABLES,
    URL_VARIABLES,
    add_provider,
    make_provider,
    read_providers,
)
from meshproxy_cli.settings.schema import ServerTable
from meshproxy_cli.tokens.apikey import PREFIX, ApiKey
from meshproxy_cli.tokens.participant import check_times, decode_unverified
from meshproxy_cli.tokens.reading import refusals

_ACCESS_TOKEN = "mpa_"  # noqa: S105 (what access tokens start with)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: what a person reads, what will change, and the doing."""

    title: str
    run: Callable[[], None]
    preview: str = ""


def plan(answers: Answers, unit: Unit | None) -> list[Step]:
    """Return the steps that are left to do."""
    steps = [*_server_steps(answers)]
    if unit is not None and unit.changes:
        steps += _provider_steps()
        steps.append(Step(unit.title, unit.install, unit.preview))
    steps += _key_steps(answers)
    settings = context.settings()
    known = settings.servers.get(answers.server.name)
    if known is None or known.room is None:
        key = f"servers.{answers.server.name}.room"
        steps.append(Step(f"make {answers.room} the room where none is given", lambda: _set(key, answers.room)))
    for name in answers.agents:
        steps += _agent_steps(name, answers)
    return steps


def next_commands(answers: Answers) -> tuple[str, ...]:
    """Return what to type next, for each agent; one that can't run a command for its token gets that from `launch`."""
    return tuple(
        find_agent(name).desired_config(_target(name, answers)).try_it or name
        if find_agent(name).runs_commands
        else _launch(name, answers)
        for name in answers.agents
    )


def _launch(name: str, answers: Answers) -> str:
    words = ["meshproxy", "launch", name, "--room", answers.room, "--model", answers.models.get(name, "")]
    return shlex.join(words)


def _server_steps(answers: Answers) -> list[Step]:
    server, paths = answers.server, context.paths()
    steps = []
    if answers.new_server:
        table = ServerTable(
            url=server.url, insecure_http=os.environ.get("MESHPROXY_INSECURE_HTTP", "") not in {"", "0"}
        )
        steps.append(Step(f"add the server {server.name} ({server.url})", lambda: _add(server.name, table)))
    if context.settings().current != server.name:
        steps.append(Step(f"make {server.name} the current server", lambda: _say(edit.use_server(paths, server.name))))
    return steps


def _provider_steps() -> list[Step]:
    """Keep the provider keys of this shell: a service does not see its variables."""
    try:
        known = {one.protocol for one in read_providers(context.paths(), {})}
    except UsageError as problem:
        output.warn(problem.message)
        return []
    return [
        Step(f"keep this shell's {variable} for the service, as a secret", partial(_keep_provider, protocol))
        for protocol, variable in KEY_VARIABLES.items()
        if protocol not in known and os.environ.get(variable, "").strip()
    ]


def _keep_provider(protocol: str) -> None:
    key = os.environ[KEY_VARIABLES[protocol]].strip()
    entry = make_provider(protocol, name=None, base_url=os.environ.get(URL_VARIABLES[protocol]), key=None)
    keep = partial(context.secrets().set, f"provider/{entry.name}", key)
    add_provider(context.paths(), entry, keep_key=lambda: _say(bool(keep())))
    output.success(f"kept the key of the provider {entry.name} ({entry.base_urls[0]})")


def _key_steps(answers: Answers) -> list[Step]:
    server, text = answers.server, answers.key_text
    if text is None:
        if answers.has_key:
            return []
        title = f"create an API key named {_machine()} and keep it in the keyring"
        return [Step(title, partial(_create_key, server.name, _machine()))]
    if text.startswith(PREFIX):
        key = ApiKey.parse(text)
        if KeyRing(context.secrets(), server.name).active() == key:
            return []
        return [Step(f"keep the API key {key.id}", lambda: KeyRing(context.secrets(), server.name).use(key))]
    if text.startswith(_ACCESS_TOKEN):
        return _sign_in_steps(answers, text)
    return _token_steps(answers, text)


def _sign_in_steps(answers: Answers, text: str) -> list[Step]:
    kept = context.secrets().get(f"access-token/{answers.server.name}") == text
    if KeyRing(context.secrets(), answers.server.name).active() is None:
        title = f"keep your access token, and create an API key named {_machine()} with it"
        return [Step(title, partial(_sign_in, answers))]
    return [] if kept else [Step("keep your access token", partial(_keep_access_token, answers))]


def _keep_access_token(answers: Answers) -> None:
    context.secrets().set(f"access-token/{answers.server.name}", answers.key_text or "")


def _sign_in(answers: Answers) -> None:
    """Keep the access token once the server took it: the key is made with it."""
    name, secrets = f"access-token/{answers.server.name}", context.secrets()
    before = secrets.get(name)
    _keep_access_token(answers)
    try:
        _create_key(answers.server.name, _machine())
    except MeshproxyError:
        _say(secrets.delete(name) if before is None else bool(secrets.set(name, before)))
        raise


def _token_steps(answers: Answers, text: str) -> list[Step]:
    if text.count(".") != 2:  # noqa: PLR2004 (between the three parts of a JWT)
        raise UsageError(
            "what was given is no API key, no access token and no participant token",
            hint=f"they begin with {PREFIX}, {_ACCESS_TOKEN} and eyJ; copy it again, as a whole",
        )
    token = decode_unverified(text)
    check_times(token, now=int(time.time()))
    if reasons := refusals(token, room=answers.room):
        raise UsageError(f"the token can't be used: {'; '.join(reasons)}", hint="ask for one that fits")
    name = f"token/{answers.server.name}/{answers.room}"
    if context.secrets().get(name) == text:
        return []
    title = f"keep the token of {token.identity} for the room {answers.room}"
    return [Step(title, lambda: _say(bool(context.secrets().set(name, text))))]


def _agent_steps(name: str, answers: Answers) -> list[Step]:
    agent = find_agent(name)
    made = plan_for(agent, _target(name, answers), context.paths().receipts_dir)
    if not made.changes:
        return []
    notes = "".join(f"{warning}\n" for warning in made.warnings)
    preview = show.diff(made.edits) + notes
    return [Step(f"configure {agent.title} for the room {answers.room}", lambda: _configure(name, answers), preview)]


def _target(name: str, answers: Answers) -> Target:
    """Return the agent's target, also for a server that is added only when the plan is carried out."""
    if not answers.new_server or answers.server.name in context.settings().servers:
        return make_target(name, _choice(name, answers, answers.server.name))
    target = make_target(name, _choice(name, answers, answers.server.url))
    helper = helper_command(answers.room, os.environ, server=answers.server.name)
    return replace(target, server=answers.server.name, helper=helper)


def _choice(name: str, answers: Answers, server: str) -> Choice:
    """Return the agent's options: those that it was configured with stay."""
    choice = Choice(room=answers.room, server=server, model=answers.models.get(name))
    before = configured(name)
    if before is None:
        return choice
    return replace(
        choice,
        session=before.session,
        credentials=Credentials(before.credentials),
        make_default=before.make_default,
        standalone=before.standalone,
    )


def _add(name: str, table: ServerTable) -> None:
    edit.add_server(context.paths(), name, table)
    output.success(f"added the server {name}")


def _set(key: str, value: str) -> None:
    edit.set_value(context.paths(), key, value)


def _machine() -> str:
    return socket.gethostname().partition(".")[0] or "laptop"


def _create_key(server: str, name: str) -> None:
    from meshproxy_cli.cli.api_key.create import create  # noqa: PLC0415 (only where a key is made)

    create(name=name, activate=True, silent=True, server=server)


def _configure(name: str, answers: Answers) -> None:
    from meshproxy_cli.cli.agent.configure import configure  # noqa: PLC0415 (only where something is written)

    choice = _choice(name, answers, answers.server.name)
    configure(
        name,
        room=choice.room,
        server=choice.server,
        session=choice.session,
        model=choice.model,
        credentials=choice.credentials,
        default=choice.make_default,
        standalone=choice.standalone,
        yes=True,
    )


def _say(_changed: bool) -> None:
    """Turn an edit into a step: its title said already what it does."""
