"""`meshproxy room`, `limit`, `access`, `audit` and `database`, as a person runs them, on the server of this machine."""

from fixtures.commands import Cli


def test_a_room_from_its_making_to_its_end(cli: Cli) -> None:
    cli("room", "create", "lab", "--provider", "openai=azure", "--model", "openai/gpt-*", "--alias", "default=gpt-5.4")
    assert cli("room", "create", "lab", code=5).stderr.count("room set lab") == 1
    shown = cli("room", "show", "lab", "--json").json()
    assert shown["providers"] == {"openai": "azure"}
    assert (shown["models"], shown["aliases"], shown["limits"]) == (["openai/gpt-*"], {"default": "gpt-5.4"}, [])

    cli("room", "set", "lab", "--provider", "anthropic=bedrock", "--alias", "default=", "--alias", "big=claude-opus")
    cli("limit", "set", "usd-per-day", "12.50", "--room", "lab")
    text = cli("room", "show", "lab").stdout
    for line in ("openai: azure", "anthropic: bedrock", "models: openai/gpt-*", "big = claude-opus", "$12.50 a day"):
        assert line in text
    assert "default" not in text
    cli("room", "set", "lab", "--all-models", "--provider", "openai=")
    changed = cli("room", "list", "--json").json()["rooms"]
    assert [(room["name"], room["models"], room["providers"]) for room in changed] == [
        ("lab", [], {"anthropic": "bedrock"})
    ]

    assert "--yes" in cli("room", "remove", "lab", code=2).stderr
    cli("room", "remove", "lab", "--yes")
    assert cli("room", "list").stdout == ""
    cli("room", "show", "lab", code=6)
    cli("room", "set", "lab", "--all-models", code=6)
    cli("room", "remove", "lab", "--yes", code=6)


def test_a_provider_that_is_not_there_is_told(cli: Cli) -> None:
    file = cli.home.state / "config" / "server.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[providers.azure]\nprotocol = "openai"\nkeys = ["env:X"]\n')
    told = cli("room", "create", "lab", "--provider", "openai=azur").stderr
    assert "openai calls in this room fail: server.toml has no provider named 'azur'" in " ".join(told.split())
    assert "no provider" not in cli("room", "set", "lab", "--provider", "openai=azure").stderr
    file.write_text("[providers\n")
    cli("room", "set", "lab", "--provider", "openai=gone")


NONSENSE = [
    ("create", "a/b"),
    ("create", ".."),
    ("create", ""),
    ("create", "a", "--provider", "google=x"),
    ("create", "a", "--provider", "openai"),
    ("create", "a", "--model", "gpt-5.4"),
    ("create", "a", "--alias", "=x"),
    ("set", "a"),
    ("set", "a", "--model", "openai/x", "--all-models"),
]


def test_what_makes_no_sense_changes_nothing(cli: Cli) -> None:
    for arguments in NONSENSE:
        cli("room", *arguments, code=2)
    assert cli("room", "list", "--json").json()["rooms"] == []


def test_tools_that_a_room_allows_are_added_and_removed(cli: Cli) -> None:
    cli("room", "create", "painters", "--model", "openai/gpt-5.4", "--tool", "image_generation")
    cli("room", "set", "painters", "--tool", "fallbacks", "--tool", "image_generation")
    assert cli("room", "show", "painters", "--json").json()["tools"] == ["fallbacks", "image_generation"]
    assert "tools: fallbacks, image_generation" in cli("room", "show", "painters").stdout
    cli("room", "set", "painters", "--tool", "image_generation=")
    assert cli("room", "show", "painters", "--json").json()["tools"] == ["fallbacks"]
    assert cli("room", "set", "painters", "--tool", "=", code=2).stderr
