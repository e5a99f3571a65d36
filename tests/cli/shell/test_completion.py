"""The Tab key, through the real shells: what each offers, and that no name can do harm there."""

import pytest

from fixtures.commands import Cli, Home
from fixtures.shells import SHELLS, offered
from fixtures.usage import usage_event
from meshproxy_cli.store import open_store
from meshproxy_cli.store.records import Room

EVIL = (
    "$(touch pwned)",
    "`touch pwned`",
    "\\$(touch pwned)",
    '";touch pwned;"',
    "';touch pwned;'",
    "a b",
    "*",
    "-rf",
    "|x",
)


@pytest.fixture
def known(meshproxy_home: Home, cli: Cli) -> Home:
    """Return a home whose server knows rooms, keys, sessions and models, some of them with names meant to harm."""
    cli("server", "add", "team", "https://mesh.example.com")
    cli("room", "create", "research")
    cli("api-key", "create", "laptop", "--activate", "--silent")
    cli("access", "create", "grafana")
    store = open_store(f"sqlite:///{meshproxy_home.state / 'data' / 'meshproxy.db'}")
    project = store.projects.ensure()
    for name in EVIL:
        store.rooms.put(Room(name=name, project_id=project.id, created_at=usage_event().started_at))
    store.events.add([usage_event(project_id=project.id, room="research", session=name) for name in ("codex-1", *EVIL)])
    store.close()
    return meshproxy_home


EVERYWHERE: dict[tuple[str, ...], set[str]] = {
    ("tok",): {"token"},
    ("token", "get", "--ro"): {"--room"},
    ("token", "get", "--room", ""): {"research"},
    ("usage", "--session", ""): {"codex-1"},
    ("configure", "cod"): {"codex"},
}
IN_DETAIL: dict[tuple[str, ...], set[str]] = {
    ("--no",): {"--no-color"},
    ("token", ""): {"generate", "get", "inspect", "import", "forget", "schema"},
    ("usage", ""): {"show", "tail", "export", "prune"},
    ("usage", "--sess"): {"--session"},
    ("usage", "tail", "--model", ""): {"gpt-4o"},
    ("usage", "--participant", ""): {"ada"},
    ("usage", "--by", "room,d"): {"room,day"},
    ("configure", "codex", "--server", "te"): {"team"},
    ("configure", "codex", "--credentials", ""): {"helper", "env", "inline"},
    ("api-key", "revoke", "lap"): {"laptop"},
    ("access", "revoke", "graf"): {"grafana"},
    ("secret", "forget", "api"): {"api-key/local"},
    ("limit", "set", "usd"): {"usd-per-day", "usd-per-month"},
}


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_and_values(known: Home, shell: str) -> None:
    lines = EVERYWHERE | (IN_DETAIL if shell == "bash" else {})
    found = offered(known, shell, *lines)
    for (line, expected), names in zip(lines.items(), found, strict=True):
        assert set(names) == expected, line
    assert not list(known.root.rglob("pwned")), "a room's name was run as a command"


@pytest.mark.parametrize("shell", SHELLS)
def test_where_a_file_is_meant_the_shell_offers_files(meshproxy_home: Home, shell: str) -> None:
    meshproxy_home.environ()
    (meshproxy_home.directory / "my-spec.yaml").touch()
    (found,) = offered(meshproxy_home, shell, ("token", "generate", "--spec", "my-"))
    # Bash looks for files once the function gave nothing.
    assert found == ([] if shell == "bash" else ["my-spec.yaml"])


def test_pressing_tab_makes_nothing(meshproxy_home: Home) -> None:
    assert offered(meshproxy_home, "bash", ("usage", "--session", ""), ("room", "show", "")) == [[], []]
    assert not meshproxy_home.state.exists()
