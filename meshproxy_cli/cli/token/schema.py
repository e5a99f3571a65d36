"""`meshproxy token schema`."""

import json

from meshproxy_cli.cli import output
from meshproxy_cli.tokens.schema import spec_schema


def schema() -> None:
    """Print the JSON Schema of the token spec, from which editors complete and check it.

    The first line of a spec names the schema: `# yaml-language-server: $schema=./token-spec.schema.json`

    **Examples**

    - `meshproxy token schema > token-spec.schema.json`
    """
    output.document(json.dumps(spec_schema(), indent=2))
