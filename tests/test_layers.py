"""The shape of the house: who may use whom is import-linter's job, what a module must have is checked here."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "meshproxy_cli"
LONGEST_MODULE = 350
# Modules without a test file of their own, and where they are tested.
TESTED_ELSEWHERE: dict[str, str] = {}


def modules() -> list[Path]:
    """Return every module of the package that holds code, relative to it."""
    found = [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py"))]
    return [
        path for path in found if path.name not in {"__init__.py", "__main__.py"} and "migrations" not in path.parts
    ]


def has_test(module: Path) -> bool:
    """Whether a test file mirrors the module: `a/b/c.py` has `a/b/test_c.py`, `a/test_b_c.py` or `a/test_c.py`."""
    folder, name = ROOT / "tests" / module.parent, module.stem
    flat = ROOT / "tests" / module.parts[0] / f"test_{module.parent.name}_{name}.py"
    near = ROOT / "tests" / module.parts[0] / f"test_{name}.py"
    return any(path.exists() for path in (folder / f"test_{name}.py", flat, near))


def test_every_module_has_a_test_file() -> None:
    bare = [str(module) for module in modules() if str(module) not in TESTED_ELSEWHERE and not has_test(module)]
    assert bare == []


def test_exceptions_are_still_exceptions() -> None:
    known = {str(module) for module in modules()}
    assert [name for name in TESTED_ELSEWHERE if name not in known or has_test(Path(name))] == []
    assert [path for path in TESTED_ELSEWHERE.values() if not (ROOT / path).exists()] == []


def test_modules_stay_short() -> None:
    lengths = {path: len((PACKAGE / path).read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {str(path): lines for path, lines in lengths.items() if lines > LONGEST_MODULE} == {}
