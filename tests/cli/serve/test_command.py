"""What `serve` leaves behind for other commands. The server itself is tried end to end."""

import pytest

from meshproxy_cli.cli.serve.command import public_database


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("sqlite:////var/lib/mesh.db", "sqlite:////var/lib/mesh.db"),
        ("postgresql://ana:geheim@db.example.com/mesh", "postgresql:"),
        ("postgresql:///mesh?user=ana&password=geheim", "postgresql:"),
    ],
)
def test_no_password_of_a_database_is_written_down(url: str, kept: str) -> None:
    assert public_database(url) == kept
