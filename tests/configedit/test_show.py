"""Diffs show every change and no credential."""

from pathlib import Path

import pytest

from meshproxy_cli.configedit.plan import FileEdit
from meshproxy_cli.configedit.show import diff
from meshproxy_cli.redact import redact_settings


def edit(before: bytes | None, after: bytes | None) -> FileEdit:
    return FileEdit(Path("/f"), "json", before, after, before)


def test_new_and_removed_files() -> None:
    assert diff([edit(None, b"a\n")]) == "--- /dev/null\n+++ /f\n@@ -0,0 +1 @@\n+a\n"
    assert diff([edit(b"a\n", None)]) == "--- /f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
    assert diff([edit(b"a", b"a")]) == ""


def test_a_missing_newline_is_told() -> None:
    assert diff([edit(b"a", b"b\n")]).endswith("-a\n\\ No newline at end of file\n+b\n")


def test_a_changed_secret_still_is_a_change() -> None:
    shown = diff([edit(b'"API_KEY": "aaaaaaaaaa"\n', b'"API_KEY": "bbbbbbbbbb"\n')])
    assert shown.count("(secret)") == 2
    assert "aaaa" not in shown


@pytest.mark.parametrize(
    "line",
    [
        '"ANTHROPIC_API_KEY": "s3cr3t-s3cr3t"',
        "api_key = 's3cr3t-s3cr3t'",
        "export MY_TOKEN=s3cr3t-s3cr3t",
        'Authorization: "Bearer s3cr3t-s3cr3t"',
        "password: s3cr3t-s3cr3t",
        "x = sk-s3cr3t-s3cr3t",
        "y eyJs3cr3t-s3cr3t.a.b",
    ],
)
def test_credentials_are_not_shown(line: str) -> None:
    assert "s3cr3t" not in redact_settings(line)


@pytest.mark.parametrize(
    "line", ['"apiKeyHelper": "/usr/bin/meshproxy token get --room r"', 'model = "gpt-5"', 'env_key = "$NAME"']
)
def test_all_else_is_shown(line: str) -> None:
    assert redact_settings(line) == line
