"""The command tree, and the boundary at which errors become messages and exit codes.

A command is added by writing a module with a function and naming it here; its module is imported when it runs.
"""

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from meshproxy_cli import __version__
from meshproxy_cli.cli import output
from meshproxy_cli.cli.completion.answer import answer, is_asked
from meshproxy_cli.cli.lazy import LazyGroup, build
from meshproxy_cli.cli.tree import Command, Group
from meshproxy_cli.errors import ExitCode, MeshproxyError

_START = "Start here"
_AGENTS = "Agents"
_CREDENTIALS = "Keys, tokens, secrets"
_MACHINE = "This machine"
_PEOPLE = "Rooms and people"
_HOST = "Hosting a Room Proxy"

_INTRODUCTION = """Coding agents through a Room Proxy: no provider keys on developer machines, and usage that adds up.

Begin with `meshproxy setup` and work with your agent as ever; `meshproxy usage` shows what it took, and
`meshproxy doctor` finds out why something does not work.
"""

TREE = Group(
    help=_INTRODUCTION,
    commands={
        "setup": Command("setup.command:setup", "Go from nothing to a working agent, step by step.", _START),
        "usage": Group(
            help="Tokens and cost by room, session, participant and model.",
            panel=_START,
            default="show",
            commands={
                "show": Command("usage.show:show", "Show a table of usage (also without `show`)."),
                "tail": Command("usage.events:tail", "Print events as they come."),
                "export": Command("usage.events:export", "Write single events as JSON lines or CSV."),
                "prune": Command("usage.events:prune", "Drop old single events; totals stay."),
            },
        ),
        "doctor": Command("doctor.command:doctor", "Find out why an agent does not work, and mend it.", _START),
        "configure": Command("agent.configure:configure", "Make an agent use a room (or undo that).", _AGENTS),
        "launch": Command(
            "agent.launch:launch", "Run an agent once through a room, writing nothing.", _AGENTS, passes_arguments=True
        ),
        "env": Command("agent.env:env", "Print variables for any OpenAI- or Anthropic-compatible program.", _AGENTS),
        "token": Group(
            help="Participant tokens: each lets somebody into a room.",
            panel=_CREDENTIALS,
            commands={
                "generate": Command("token.generate:generate", "Sign a participant token from a token spec."),
                "get": Command("token.get:get", "Print a short-lived token for a room (agents call this)."),
                "inspect": Command("token.inspect:inspect", "Say what a token allows, and whether it is valid."),
                "import": Command("token.store:import_", "Keep a token that somebody gave you."),
                "forget": Command("token.store:forget", "Remove an imported token."),
                "schema": Command("token.schema:schema", "Print the JSON Schema of the token spec."),
            },
        ),
        "api-key": Group(
            help="API keys: they sign participant tokens.",
            panel=_CREDENTIALS,
            commands={
                "create": Command("api_key.create:create", "Create a key on the server; it is shown once."),
                "list": Command("api_key.manage:list_", "List the project's keys."),
                "activate": Command("api_key.manage:activate", "Choose the key that signs tokens here."),
                "revoke": Command("api_key.manage:revoke", "Revoke a key: its tokens stop working."),
                "import": Command("api_key.manage:import_", "Keep a key that was made elsewhere."),
                "env": Command("api_key.manage:env", "Print an export line with the active key."),
            },
        ),
        "secret": Group(
            help="What meshproxy keeps in the OS keyring, or in a file.",
            panel=_CREDENTIALS,
            commands={
                "list": Command("secret.commands:list_", "List names and places of secrets, never values."),
                "move": Command("secret.commands:move", "Move all secrets to the OS keyring or to the file."),
                "repair": Command("secret.repair:repair", "Save what can be read of a damaged secrets file."),
                "forget": Command("secret.commands:forget", "Remove one secret."),
            },
        ),
        "logout": Command("secret.logout:logout", "Remove every secret of meshproxy from this machine.", _CREDENTIALS),
        "server": Group(
            help="Which Room Proxy the commands use.",
            panel=_MACHINE,
            commands={
                "add": Command("server.commands:add", "Add a server by name and URL."),
                "use": Command("server.commands:use", "Choose the current server."),
                "list": Command("server.commands:list_", "List the known servers."),
                "remove": Command("server.commands:remove", "Forget a server."),
            },
        ),
        "config": Group(
            help="The settings of your commands.",
            panel=_MACHINE,
            commands={
                "show": Command("config.commands:show", "Show the settings and where each comes from."),
                "path": Command("config.commands:path", "Print where the settings file lies."),
                "set": Command("config.commands:set_", "Change one setting."),
            },
        ),
        "completion": Command(
            "shell.completion:completion", "Complete commands, rooms and more with the Tab key.", _MACHINE
        ),
        "room": Group(
            help="Rooms with settings of their own: providers, models, aliases.",
            panel=_PEOPLE,
            commands={
                "create": Command("room.commands:create", "Create a room."),
                "list": Command("room.commands:list_", "List the rooms that were created."),
                "show": Command("room.commands:show", "Show a room's settings and limits."),
                "set": Command("room.commands:set_", "Change a room's settings."),
                "remove": Command("room.commands:remove", "Remove a room's settings."),
            },
        ),
        "limit": Group(
            help="How much a project, room, session or participant may use.",
            panel=_PEOPLE,
            commands={
                "set": Command("limit.commands:set_", "Set a limit: requests, tokens, streams or dollars."),
                "list": Command("limit.commands:list_", "List the limits."),
                "remove": Command("limit.commands:remove", "Remove a limit."),
            },
        ),
        "access": Group(
            help="Access tokens of the REST API and the dashboard.",
            panel=_PEOPLE,
            commands={
                "create": Command("access.commands:create", "Create an access token; it is shown once."),
                "list": Command("access.commands:list_", "List access tokens and their last use."),
                "revoke": Command("access.commands:revoke", "Revoke an access token."),
            },
        ),
        "audit": Command("audit:audit", "Show who changed what.", _PEOPLE),
        "serve": Command("serve.command:serve", "Run the Room Proxy.", _HOST),
        "reload": Command("serve.reload:reload", "Have the running server go by a changed server.toml.", _HOST),
        "provider": Group(
            help="The providers of this machine's Room Proxy.",
            panel=_HOST,
            commands={
                "add": Command("provider.commands:add", "Add a provider; its key goes to the keyring."),
                "list": Command("provider.commands:list_", "List the providers, never their keys."),
                "test": Command("provider.commands:try_", "Ask a provider for its models with the team's key."),
                "remove": Command("provider.commands:remove", "Remove a provider and its key."),
            },
        ),
        "database": Group(
            help="Upkeep of the server's database.",
            panel=_HOST,
            commands={
                "migrate": Command("database.commands:migrate", "Bring the database to this version's schema."),
                "rotate-master-key": Command(
                    "database.commands:rotate_master_key", "Encrypt signing secrets with a new master key."
                ),
            },
        ),
    },
)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Every error becomes a message here and nowhere else."""
    output.reset()
    root = build("meshproxy", TREE, callback=_root)
    return answer(root) if is_asked() else _run(root, arguments)


def _run(root: LazyGroup, arguments: Sequence[str]) -> int:
    if "--no-color" in arguments and not {"-h", "--help"}.isdisjoint(arguments):
        os.environ["NO_COLOR"] = "1"  # Typer draws its help without asking us
    if _wants_json(arguments):
        output.expect_json()
    try:
        return _invoke(root, arguments)
    except MeshproxyError as problem:
        output.error(problem)
        return problem.exit_code
    except typer.TyperException as problem:
        from meshproxy_cli.cli.mistakes import mistake  # noqa: PLC0415 (for the message only)

        output.error(mistake(problem))
        return ExitCode.USAGE
    except (typer.Abort, KeyboardInterrupt, EOFError):
        output.note("stopped")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        output.abandon_stdout()
        return ExitCode.OK
    except Exception as problem:  # noqa: BLE001 (the boundary: whatever gets here is a defect of ours, or the system's)
        return _unforeseen(problem)


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command was asked for JSON alone; what `launch` is given for an agent is none of ours."""
    ours = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    return "--json" in ours and "--csv" not in ours and "launch" not in ours[: ours.index("--json")]


def _unforeseen(problem: Exception) -> int:
    from meshproxy_cli.cli.mistakes import of_the_system  # noqa: PLC0415 (for the message only)

    known = of_the_system(problem)
    if known is None:
        output.defect(problem)
        return ExitCode.FAILURE
    output.error(known)
    output.abandon_stdout()
    return known.exit_code


def _invoke(root: LazyGroup, arguments: Sequence[str]) -> int:
    """Parse and run. `root.main` would do it too, and take Ctrl-C and a broken pipe for itself."""
    try:
        with root.make_context("meshproxy", list(arguments)) as context:
            result = root.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return result if isinstance(result, int) else ExitCode.OK


def _version(value: bool) -> None:
    if value:
        output.text(f"meshproxy {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options of `meshproxy` itself."""
