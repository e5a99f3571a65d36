"""Reads token specs: from YAML, from the options of a command line, or both."""

from collections.abc import Sequence

from meshproxy_cli.tokens.problems import SpecError
from meshproxy_cli.tokens.tokenspec import MAX_SPEC, Override, TokenSpec
from meshproxy_cli.tokens.tree import Node, Place, from_json

__all__ = ["MAX_SPEC", "Override", "SpecError", "TokenSpec", "parse_spec", "spec_from_options"]


def parse_spec(
    text: str,
    source: str = "token-spec.yaml",
    *,
    allow_unknown: bool = False,
    require_llm: bool = True,
    overrides: Sequence[Override] = (),
) -> TokenSpec:
    """Read a spec from YAML; raise `SpecError` with every problem at once, each with its place in the text.

    `source` is what the places are called; `allow_unknown` signs sections and fields that are not known here as they
    are; `require_llm` refuses a spec without `api.llm`.
    """
    from meshproxy_cli.tokens.specfile import read_document  # noqa: PLC0415 (YAML only where there is a file)

    return _check(read_document(text, source), overrides, allow_unknown=allow_unknown, require_llm=require_llm)


def spec_from_options(
    overrides: Sequence[Override], *, allow_unknown: bool = False, require_llm: bool = True
) -> TokenSpec:
    """Make a spec of the command line alone: it begins with `llm: {}`; raises `SpecError`."""
    start = from_json({"version": "v1", "kind": "ParticipantToken", "api": {"llm": {}}}, Place("command line"))
    return _check(start, overrides, allow_unknown=allow_unknown, require_llm=require_llm)


def _check(document: Node, overrides: Sequence[Override], *, allow_unknown: bool, require_llm: bool) -> TokenSpec:
    from meshproxy_cli.tokens.check import check_spec, overlaid  # noqa: PLC0415 (`token get` checks no document)

    return check_spec(overlaid(document, overrides), allow_unknown=allow_unknown, require_llm=require_llm)
