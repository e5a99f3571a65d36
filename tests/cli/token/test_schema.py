"""`meshproxy token schema`."""

from fixtures.in_process import InProcess
from meshproxy_cli.tokens.schema import spec_schema


def test_it_prints_the_schema(run: InProcess) -> None:
    assert run("token", "schema").json() == spec_schema()
