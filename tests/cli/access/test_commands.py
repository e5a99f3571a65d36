import re

from fixtures.commands import Cli


def test_an_access_token_is_shown_once(cli: Cli) -> None:
    text = cli("access", "create", "ann", "--role", "admin").stdout.strip()
    assert re.fullmatch(r"mpa_[\w-]{43}", text)
    cli.guard(text)
    made = cli("access", "create", "grafana", "--json").json()
    assert (made["name"], made["role"], made["revoked_at"]) == ("grafana", "viewer", None)
    cli.guard(made["value"])
    listed = cli("access", "list", "--json").json()["tokens"]
    assert [(token["name"], token["role"]) for token in listed] == [("ann", "admin"), ("grafana", "viewer")]
    assert "never" in cli("access", "list").stdout
    for path in cli.home.state.rglob("*"):
        if path.is_file():
            assert text.encode() not in path.read_bytes(), path

    assert "--yes" in cli("access", "revoke", "ann", code=2).stderr
    cli("access", "revoke", "ann", "--yes")
    cli("access", "revoke", "ann", "--yes", code=6)
    cli("access", "revoke", made["id"].upper(), "--yes")
    assert all(token["revoked_at"] for token in cli("access", "list", "--json").json()["tokens"])


def test_a_name_that_two_have_needs_an_id(cli: Cli) -> None:
    for _ in range(2):
        cli("access", "create", "ci")
    ids = [token["id"] for token in cli("access", "list", "--json").json()["tokens"]]
    refused = cli("access", "revoke", "ci", "--yes", code=2)
    assert all(token_id in refused.stderr for token_id in ids)
    cli("access", "create", " ", code=2)


def test_the_audit_log_shows_who_changed_what(cli: Cli) -> None:
    cli("access", "create", "ann")
    cli("limit", "set", "usd-per-day", "5")
    entries = cli("audit", "--json").json()["entries"]
    assert [entry["action"] for entry in entries] == ["limit.put", "project.create", "access_token.create"]
    assert {entry["origin"] for entry in entries} == {"local"}
    assert "limit.put" in cli("audit", "--limit", "1").stdout
    assert len(cli("audit", "--limit", "1", "--json").json()["entries"]) == 1
