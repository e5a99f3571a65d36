"""The shape of the house: who may use whom is import-linter's job, what a module must have is checked here."""

import ast
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "meshproxy_cli"
# Parts of something larger that no test calls by themselves, and the tests that run them as a whole.
TESTED_AS_A_WHOLE = {
    "agents/*": "tests/configedit/test_edits_property.py",
    "configedit/*": "tests/configedit/test_edits_property.py",
    "cli/api_key/*": "tests/cli/api_key/test_api_key.py",
    "cli/token/*": "tests/cli/token/test_generate.py",
    "cli/usage/*": "tests/cli/usage/test_usage.py",
    "cli/*": "tests/cli/test_app.py",
    "client/*": "tests/client/test_remote.py",
    "doctor/*": "tests/cli/test_app.py",
    "proxy/limiting/*": "tests/proxy/limiting/test_limiter.py",
    "proxy/providers/echo*": "tests/e2e/test_quickstart.py",
    "proxy/usage/*": "tests/proxy/usage/test_meter.py",
    "proxy/web/dashboard/*": "tests/proxy/web/test_dashboard.py",
    "proxy/web/*": "tests/proxy/web/test_rest.py",
    "proxy/*": "tests/e2e/test_main_job_sdks.py",
    "settings/secretservice.py": "tests/settings/test_oskeyring.py",
    "store/*": "tests/store/parts/test_events.py",
    "tokens/*": "tests/tokens/test_spec.py",
}


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


def used_by_tests() -> set[str]:
    """Return every dotted name that a test imports."""
    names = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    return names


def test_every_module_is_tested() -> None:
    used = used_by_tests()
    bare = [
        str(module)
        for module in modules()
        if not has_test(module)
        and ".".join(("meshproxy_cli", *module.with_suffix("").parts)) not in used
        and not any(fnmatch(str(module), part) for part in TESTED_AS_A_WHOLE)
    ]
    assert bare == []


def test_what_is_tested_as_a_whole_is_there() -> None:
    known = [str(module) for module in modules()]
    assert [part for part in TESTED_AS_A_WHOLE if not any(fnmatch(name, part) for name in known)] == []
    assert [path for path in TESTED_AS_A_WHOLE.values() if not (ROOT / path).exists()] == []
