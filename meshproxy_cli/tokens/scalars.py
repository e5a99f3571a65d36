"""Plain scalars after YAML 1.2's core schema, as MeshAgent reads its specs: `no` is a text, `null` is nothing."""

import math
import re
from typing import Final

from meshproxy_cli.tokens.jws import Json
from meshproxy_cli.tokens.tree import Items, Node, Scalar

_TRUE: Final = frozenset({"true", "yes", "on", "t", "y", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "f", "n", "0"})
_NULLS: Final = frozenset({"null", "Null", "NULL", "~"})
_CORE_FLAGS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}+|0o[0-7]{1,300}+|0x[0-9a-fA-F]{1,300}+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]++|[0-9]++(\.[0-9]*+)?+)([eE][-+]?[0-9]++)?+")
_ENDLESS = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_SHOWN = 40


def is_null(node: Node) -> bool:
    """Whether somebody wrote null."""
    return isinstance(node, Scalar) and node.plain and node.text in _NULLS


def is_blank(node: Node) -> bool:
    """Whether nothing at all was written, which may be a line that somebody meant to finish."""
    return isinstance(node, Scalar) and node.plain and not node.text


def as_flag(node: Node) -> bool | None:
    """Return a truth value, or None where the node is none. The words are those that MeshAgent takes, quoted or not."""
    word = node.text.lower() if isinstance(node, Scalar) else ""
    return True if word in _TRUE else False if word in _FALSE else None


def as_text(node: Node) -> str | None:
    """Return a text, or None where the node is a number, a truth value, nothing, or no scalar."""
    if not isinstance(node, Scalar):
        return None
    return node.text if not node.plain or isinstance(_resolve(node.text), str) else None


def as_json(node: Node) -> Json:
    """Return the node as a JSON value; raise `ValueError` for what JSON does not have (a repeated key, infinity)."""
    if isinstance(node, Scalar):
        value = _resolve(node.text) if node.plain else node.text
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{node.text} is no JSON value")
        return value
    if isinstance(node, Items):
        return [as_json(item) for item in node.items]
    found = {entry.key: as_json(entry.value) for entry in node.entries}
    if len(found) != len(node.entries):
        raise ValueError("a key is given twice")
    return found


def shown(node: Node) -> str:
    """Return a short description of what was written, for messages."""
    if isinstance(node, Items):
        return "a list"
    if not isinstance(node, Scalar):
        return "a mapping"
    if is_blank(node) or is_null(node):
        return "nothing"
    text = node.text if len(node.text) <= _MAX_SHOWN else f"{node.text[:_MAX_SHOWN]}…"
    is_text = isinstance(_resolve(node.text), str) or not node.plain
    return f'"{text}"' if is_text else text


def _resolve(text: str) -> Json:
    if text in _NULLS or not text:
        return None
    if text in _CORE_FLAGS:
        return _CORE_FLAGS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "", 1)) if _ENDLESS.fullmatch(text) else text
