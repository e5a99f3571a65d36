"""What can be wrong with the machine: settings file, directories, the choice of the server."""

from doctor.ward import Patient

MEND = '#!/bin/sh\nsed -i "${1#+}d" "$2"\n'


def with_editor(patient: Patient) -> None:
    """Give the patient an editor that deletes the line that it is called with."""
    editor = patient.home.root / "editor"
    editor.write_text(MEND, encoding="utf-8")
    editor.chmod(0o755)
    patient.environ["EDITOR"] = str(editor)


def test_all_is_well(patient: Patient) -> None:
    well = patient.doctor("--live")
    assert (well.code, well.broken) == (0, {})
    assert "tokens counted" in well.check("live-openai")["found"]
    assert "tokens counted" in well.check("live-anthropic")["found"]


def test_settings_are_no_toml(patient: Patient) -> None:
    with_editor(patient)
    with patient.settings_file.open("a") as file:
        file.write("this is no TOML\n")
    assert ":3:" in patient.is_cured("settings").check("settings")["found"]


def test_current_server_is_unknown(patient: Patient) -> None:
    text = patient.settings_file.read_text()
    patient.settings_file.write_text(f'current = "gone"\n{text}')
    patient.is_cured("settings")


def test_misspelt_setting_is_a_warning(patient: Patient) -> None:
    with patient.settings_file.open("a") as file:
        file.write('sesion = "x"\n')
    found = patient.doctor("--offline")
    assert (found.code, found.status("settings")) == (0, "warning")
    assert "did you mean session" in found.check("settings")["found"]


def test_file_where_a_directory_should_be(patient: Patient) -> None:
    config = patient.settings_file.parent
    patient.settings_file.unlink()
    config.rmdir()
    config.write_text("not a directory")
    patient.is_cured("directories", "--no-live", "--room", patient.room)


def test_no_file_can_grow(patient: Patient) -> None:
    patient.prelude = "ulimit -S -f 100"
    patient.is_cured("directories")


def test_server_variable_is_no_url(patient: Patient) -> None:
    patient.environ["MESHAGENT_API_URL"] = "ftp://nowhere"
    patient.is_cured("server")


def test_server_variable_names_another_server(patient: Patient) -> None:
    patient.environ["MESHAGENT_API_URL"] = "http://127.0.0.1:9"
    patient.is_cured("tcp")
