"""Reads one table of `server.toml` at a time, and collects what is wrong with it: every problem is told at once."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Section:
    """The table `name`. Each method reads a key, or returns the default and notes why the value can't be used."""

    def __init__(self, document: Mapping[str, Any], name: str, problems: list[str]) -> None:
        table = document.get(name, {})
        self._is_table = isinstance(table, dict)
        self._table: Mapping[str, Any] = table if isinstance(table, dict) else {}
        self._name = name
        self._problems = problems
        self._known: list[str] = []

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self._get(key, default)
        return value if isinstance(value, bool) else self._wrong(key, "true or false", default)

    def number(self, key: str, default: float) -> float:
        """Return a number above 0."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            return self._wrong(key, "a number above 0", default)
        return float(value)

    def seconds(self, key: str) -> float | None:
        """Return a number of seconds, 0 or more, or None."""
        value = self._get(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            return self._wrong(key, "a number of seconds, 0 or more", None)
        return float(value)

    def whole(self, key: str, what: str, *, least: int = 1, most: int | None = None) -> int | None:
        """Return a whole number, or None where there is none; `what` says of what."""
        value = self._get(key, None)
        if value is None:
            return None
        if type(value) is not int or value < least or (most is not None and value > most):
            range_ = f"{least} or more" if most is None else f"{least} to {most}"
            return self._wrong(key, f"a whole number{what}, {range_}", None)
        return value

    def text(self, key: str) -> str:
        """Return a text; "" where there is none."""
        value = self._get(key, "")
        return value if isinstance(value, str) else self._wrong(key, "a text", "")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; an empty one where there is none."""
        value = self._get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            return self._wrong(key, "a list of texts", ())
        return tuple(value)

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """Return one of `choices`, the first where there is none."""
        value = self._get(key, choices[0])
        if value not in choices:
            return self._wrong(key, " or ".join(f'"{choice}"' for choice in choices), choices[0])
        return str(value)

    def close(self) -> None:
        """Note the keys that nothing has asked for: a misspelled one must not be taken for a setting."""
        known = ", ".join(f"{self._name}.{key}" for key in self._known)
        if not self._is_table:
            self._problems.append(f"[{self._name}] must be a table; it can have {known}")
        self._problems.extend(
            f"{self._name}.{key} is not known; there are {known}" for key in self._table if key not in self._known
        )

    def _get(self, key: str, default: object) -> Any:  # noqa: ANN401 (from TOML)
        self._known.append(key)
        return self._table.get(key, default)

    def _wrong(self, key: str, what: str, default: T) -> T:
        self._problems.append(f"{self._name}.{key} must be {what}")
        return default
