from fixtures.commands import Cli


def test_limits_are_set_listed_and_removed(cli: Cli) -> None:
    cli("limit", "set", "usd-per-month", "1,500")
    cli("limit", "set", "requests-per-minute", "60", "--room", "lab")
    cli("limit", "set", "requests_per_minute", "90", "--room", "lab")
    cli("limit", "set", "concurrent-streams", "4", "--session", "*", "--warn")
    rows = [line.split("  ") for line in cli("limit", "list").stdout.splitlines()]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["On", "Limit"],
        ["the project", "$1,500.00 a month"],
        ["room lab", "90 requests a minute"],
        ["each session", "4 requests at the same time (warns only)"],
    ]
    assert cli("limit", "list", "--json").json()["limits"][0] == {
        "scope": "project",
        "subject": "",
        "kind": "usd_per_month",
        "amount": "1500",
        "hard": True,
    }
    cli("limit", "remove", "requests-per-minute", "--room", "lab")
    cli("limit", "remove", "requests-per-minute", "--room", "lab", code=6)
    assert len(cli("limit", "list", "--json").json()["limits"]) == 2


NONSENSE = [
    ("set", "usd-per-week", "5"),
    ("set", "usd-per-day", "-1"),
    ("set", "usd-per-day", "NaN"),
    ("set", "usd-per-day", "lots"),
    ("set", "usd-per-day", "1e30"),
    ("set", "usd-per-day", "0.0000000000001"),
    ("set", "tokens-per-minute", "1.5"),
    ("set", "usd-per-day", "1", "--room", "a", "--participant", "b"),
    ("set", "usd-per-day", "1", "--room", ""),
    ("remove", "usd-per-week"),
]


def test_what_makes_no_sense_changes_nothing(cli: Cli) -> None:
    for arguments in NONSENSE:
        cli("limit", *arguments, code=2)
    assert cli("limit", "list", "--json").json()["limits"] == []
