"""What can be wrong with the database of this machine's server."""

import pytest

from doctor.broken_installs import Patient
from meshproxy_cli.doctor.database import place_of


def test_database_is_damaged(patient: Patient) -> None:
    database = patient.home.state / "data" / "own.db"
    database.parent.mkdir(exist_ok=True)
    database.write_bytes(b"this is no database, but long enough to be one" * 100)
    patient.runtime(database_url=f"sqlite:///{database}")
    ill = patient.doctor("--offline")
    assert (ill.code, ill.first) == (1, "database")
    assert "file is not a database" in ill.check("database")["found"]
    assert patient.doctor("--offline", remedy=ill.check("database")["remedy"]).status("database") == "ok"
    assert (database.parent / "damaged" / "own.db").exists()


def test_database_can_not_be_opened(patient: Patient) -> None:
    database = patient.home.state / "data" / "own.db"
    database.parent.mkdir(exist_ok=True)
    database.mkdir()
    patient.runtime(database_url=f"sqlite:///{database}")
    ill = patient.doctor("--offline")
    assert (ill.code, ill.first) == (1, "database")


def test_database_of_others_is_not_looked_at(patient: Patient) -> None:
    patient.runtime(database_url="postgresql://somewhere/else")
    assert "database" not in {one["id"] for one in patient.doctor("--offline").content["checks"]}
    patient.environ["MESHAGENT_API_URL"] = "https://mesh.example.com"
    assert "database" not in {one["id"] for one in patient.doctor("--offline").content["checks"]}


def test_variable_names_another_database_than_the_servers(patient: Patient) -> None:
    other = patient.home.root / "other.db"
    patient.environ["MESHPROXY_DATABASE_URL"] = f"sqlite:///{other}"
    patient.is_fixed("database")
    assert not other.exists()


@pytest.mark.parametrize(
    ("one", "another", "same"),
    [
        ("sqlite:////a/b.db", "sqlite:////a/b.db", True),
        ("sqlite:////a/b.db", "sqlite:////a/c.db", False),
        ("postgresql://u:p@h/d", "postgresql+psycopg://u@h/d", True),
        ("postgresql://h/d", "sqlite:////d", False),
    ],
)
def test_what_tells_databases_apart(one: str, another: str, *, same: bool) -> None:
    assert (place_of(one) == place_of(another)) is same
