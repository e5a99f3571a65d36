"""The arithmetic of docs/scaling.md: its formulas, with its own numbers, must give its results."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "scaling.md").read_text(encoding="utf-8")
DEVELOPERS = (1_000, 100_000, 1_000_000)
ROUNDING = 0.1


def rows(heading: str) -> dict[str, list[float]]:
    """Return the numbers of the table below a heading, by name."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = {}
    for name, cells in re.findall(r"^\| `(\w+)` \|(.*)$", section, re.MULTILINE):
        numbers = re.findall(r"(?<=\s)[\d.,]+(?= \|)", cells)
        found[name] = [float(number.replace(",", "")) for number in numbers]
    return found


INPUTS = {name: values[0] for heading in ("Measured", "Assumed") for name, values in rows(heading).items()}
RESULTS = rows("Formulas")


def reckon(developers: int) -> dict[str, float]:
    """Run the page's formulas."""
    [formulas] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, float] = {**INPUTS, "developers": developers}
    exec(formulas, {}, names)
    return names


@pytest.mark.parametrize(("column", "developers"), list(enumerate(DEVELOPERS)))
def test_results_are_what_the_formulas_give(column: int, developers: int) -> None:
    reckoned = reckon(developers)
    assert RESULTS
    wrong = {
        name: f"| `{name}` | says {values[column]:,}, is {reckoned[name]:,.3g}"
        for name, values in RESULTS.items()
        if values[column] != pytest.approx(reckoned[name], rel=ROUNDING)
    }
    assert wrong == {}


def test_every_formula_has_its_results() -> None:
    assert set(RESULTS) == set(reckon(1)) - set(INPUTS) - {"developers", "cpu_ms"}
    assert {len(values) for values in RESULTS.values()} == {len(DEVELOPERS)}
