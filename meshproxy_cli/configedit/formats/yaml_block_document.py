"""A YAML file in which our block continues the list or the mapping that is there."""

from typing import Any

import yaml

from meshproxy_cli.configedit.formats.block_document import BlockDocument
from meshproxy_cli.configedit.formats.document import FormatError, ParseError


class YamlBlockDocument(BlockDocument):
    """See `BlockDocument`. What is rendered is checked: the file's own part with ours behind it, and nothing else."""

    def render(self) -> bytes:
        data = super().render()
        parts = self.plain()
        expected = _load(parts.pop("", ""))
        for block in parts.values():
            expected = _joined(expected, _load(block))
        if _load(data.decode("utf-8-sig")) != expected:
            raise FormatError("our lines do not fit behind the ones in it")
        return data


def _load(text: str) -> Any:  # noqa: ANN401 (any YAML value)
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ParseError("YAML", problem.problem or "it does not parse", line, column) from None
    except (yaml.YAMLError, RecursionError) as problem:
        raise FormatError(f"invalid YAML: {type(problem).__name__}") from None


def _joined(theirs: Any, ours: Any) -> Any:  # noqa: ANN401 (any YAML value)
    if theirs is None:
        return ours
    if isinstance(theirs, list) and isinstance(ours, list):
        return [*theirs, *ours]
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if both := theirs.keys() & ours.keys():
            raise FormatError(f"it sets {', '.join(sorted(both))} itself")
        return theirs | ours
    raise FormatError("its top level is of another kind than our lines")
