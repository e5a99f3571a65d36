"""What is wrong with a token spec: every problem, each with its place."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from meshproxy_cli import suggest
from meshproxy_cli.errors import UsageError
from meshproxy_cli.tokens.tree import Place

_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, as a person reads it: `token-spec.yaml:7:3: role must be …`."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class SpecError(UsageError):
    """A token spec that can't be signed; nothing was."""

    def __init__(self, problems: tuple[Problem, ...], *, hint: str | None = None) -> None:
        lines = [str(problem) for problem in problems[:_MOST_SHOWN]]
        if len(problems) > _MOST_SHOWN:
            lines.append(f"… and {len(problems) - _MOST_SHOWN} more")
        if len(problems) > 1:
            lines.insert(0, f"the token spec has {len(problems)} problems")
        super().__init__(lines[0], details=lines[1:], hint=hint)
        self.problems = problems


@dataclass(slots=True)
class Findings:
    """Collects problems, so that all are told at once."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, place: Place, message: str) -> None:
        self.problems.append(Problem(place, message))

    def raise_any(self) -> None:
        """Raise `SpecError` if there is a problem, in the order of their places."""
        if self.problems:
            ordered = sorted(self.problems, key=lambda each: (each.place.line or 0, each.place.column or 0))
            raise SpecError(tuple(ordered))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the known one that it looks like, or all."""
    names = list(known)
    near = suggest.nearest(name, names)
    if near:
        return f'did you mean "{near}"?'
    return f"known here: {', '.join(names)}" if names else "nothing may stand here"
