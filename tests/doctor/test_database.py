"""What can be wrong with the database of this machine's server."""

from doctor.ward import Patient


def test_database_is_damaged(patient: Patient) -> None:
    database = patient.home.state / "data" / "own.db"
    database.write_bytes(b"this is no database, but long enough to be one" * 100)
    patient.runtime(database_url=f"sqlite:///{database}")
    ill = patient.doctor("--offline")
    assert (ill.code, ill.first) == (1, "database")
    assert "file is not a database" in ill.check("database")["found"]
    assert patient.doctor("--offline", remedy=ill.check("database")["remedy"]).status("database") == "ok"
    assert (database.parent / "damaged" / "own.db").exists()


def test_database_can_not_be_opened(patient: Patient) -> None:
    database = patient.home.state / "data" / "own.db"
    database.mkdir()
    patient.runtime(database_url=f"sqlite:///{database}")
    ill = patient.doctor("--offline")
    assert (ill.code, ill.first) == (1, "database")


def test_database_of_others_is_not_looked_at(patient: Patient) -> None:
    patient.runtime(database_url="postgresql://somewhere/else")
    assert "database" not in {one["id"] for one in patient.doctor("--offline").content["checks"]}
    patient.environ["MESHAGENT_API_URL"] = "https://mesh.example.com"
    assert "database" not in {one["id"] for one in patient.doctor("--offline").content["checks"]}
