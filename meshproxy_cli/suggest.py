"""The known name that a misspelled one looks like: messages about wrong names all say it in the same words."""

from collections.abc import Iterable


def nearest_names(wrong: str, known: Iterable[str], *, most: int = 2) -> tuple[str, ...]:
    """Return the known names that `wrong` is most like, whatever its case, the nearest first."""
    import difflib  # noqa: PLC0415 (for messages only; agents wait for commands that import this)

    folded = {name.lower(): name for name in known}
    return tuple(folded[name] for name in difflib.get_close_matches(wrong.lower(), folded, n=most))


def nearest(wrong: str, known: Iterable[str]) -> str | None:
    """Return the one known name that `wrong` is most like; None where none is near."""
    return next(iter(nearest_names(wrong, known, most=1)), None)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return the end of a message about a wrong name: "; did you mean …?", or nothing."""
    near = nearest(wrong, known)
    return f"; did you mean {near}?" if near else ""
