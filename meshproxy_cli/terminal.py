"""Makes text from outside harmless on a terminal. Every writer to a terminal or a log passes it through here."""

import unicodedata


def printable(text: str, *, keep: str = "") -> str:
    r"""Return a text with whatever could steer a terminal written out: `\x1b`, `\u202e`, `\n`.

    Control characters, line breaks, bidirectional overrides, invisible characters and lone surrogates are escaped,
    save those in `keep`. What is escaped can still be read and searched for.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep or _is_blank(one) else _escaped(one) for one in text)


def escape_json(text: str) -> str:
    """Return JSON text in which nothing steers a terminal; it stays the same JSON."""
    if text.isprintable():
        return text
    return "".join(one if one == "\n" or one.isprintable() or _is_blank(one) else _json_escaped(one) for one in text)


def _is_blank(character: str) -> bool:
    return unicodedata.category(character) == "Zs"  # of other scripts: no-break and ideographic spaces


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
