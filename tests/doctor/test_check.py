"""Results as data."""

from pathlib import Path

from meshproxy_cli.doctor.check import CheckResult, Status, bad, quoted


def test_result_as_json() -> None:
    found = CheckResult("tcp", "port", bad("closed", "meshproxy serve", safe=False), 12).as_json()
    assert found == {
        "id": "tcp",
        "title": "port",
        "status": Status.FAILED,
        "found": "closed",
        "remedy": "meshproxy serve",
        "advice": None,
        "safe": False,
        "consequence_of": None,
        "duration_ms": 12,
    }


def test_words_are_quoted_for_the_shell() -> None:
    assert quoted(Path("/a b/c")) == "'/a b/c'"
