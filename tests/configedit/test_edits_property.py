"""Thousands of generated files: configure keeps everything that is not ours, undo gives back every byte."""

import json
import os
import tomllib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from agents.samples import Sample, json_sample, toml_sample
from agents.workbench import Workbench
from meshproxy_cli.agents.claude import Claude
from meshproxy_cli.agents.codex import Codex
from meshproxy_cli.configedit.formats.json_scan import scan

pytestmark = pytest.mark.thorough

SCALE = float(os.environ.get("MESHPROXY_TEST_SCALE", "1"))
CASES = max(20, int(2_600 * SCALE))  # of each kind
CHUNKS = 5  # so that several workers share them


def toml_values(data: bytes) -> dict[str, Any]:
    return tomllib.loads(data.decode("utf-8-sig"))


def json_values(data: bytes) -> dict[str, Any]:
    text = data.decode("utf-8-sig")
    return scan(text).top.plain() if text.strip() else {}


def theirs(values: dict[str, Any], *ours: str) -> str:
    """Return all that is not ours in a config.toml, in a form that can be compared (NaN is unequal to itself)."""
    rest = {key: value for key, value in deepcopy(values).items() if key not in ours}
    providers = rest.get("model_providers", {})
    providers.pop("meshproxy", None)
    if not providers:
        rest.pop("model_providers", None)
    return repr(rest)


def without_ours(values: dict[str, Any]) -> dict[str, Any]:
    """Return all that is not ours in a settings.json."""
    rest = deepcopy(values)
    rest.pop("apiKeyHelper", None)
    env = rest.get("env", {})
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"):
        env.pop(name, None)
    headers = env.pop("ANTHROPIC_CUSTOM_HEADERS", "").splitlines()
    kept = [line for line in headers if not line.lower().startswith("meshagent-session:")]
    if kept:
        env["ANTHROPIC_CUSTOM_HEADERS"] = kept
    if not env:
        rest.pop("env", None)
    return rest


def lost_comments(sample: Sample, data: bytes) -> list[str]:
    text = data.decode("utf-8-sig")
    return [comment for comment in sample.comments if comment not in text]


def cases(chunk: int) -> range:
    return range(chunk, CASES, CHUNKS)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_config_toml(tmp_path: Path, chunk: int) -> None:
    bench = Workbench(tmp_path, fast=True)
    path = bench.home / ".codex" / "config.toml"
    path.parent.mkdir()
    for seed in cases(chunk):
        sample = toml_sample(seed)
        before = sample.text.encode()
        path.write_bytes(before)
        default = seed % 3 == 0
        model = "gpt-5" if seed % 2 else None
        bench.configure(Codex(), make_default=default, model=model)
        after = path.read_bytes()
        values = toml_values(after)
        if default:
            assert values["model_provider"] == "meshproxy", seed
        assert values["model_providers"]["meshproxy"]["http_headers"] == {"Meshagent-Session": "codex-laptop"}, seed
        ours = [name for name, set_ in (("model_provider", default), ("model", default and model)) if set_]
        assert theirs(values, *ours) == theirs(toml_values(before), *ours), seed
        assert not lost_comments(sample, after), seed
        assert not bench.configure(Codex(), make_default=default, model=model).changes, seed
        if seed % 4 == 0:
            edit_and_undo_toml(bench, path, sample, seed)
        else:
            bench.undo(Codex())
            assert path.read_bytes() == before, seed
            assert sorted(bench.files()) == [".codex/config.toml"], seed


def edit_and_undo_toml(bench: Workbench, path: Path, sample: Sample, seed: int) -> None:
    """Let the person go on editing: undo then takes out our keys and nothing else."""
    mark = "\ufeff" if sample.text.startswith("\ufeff") else ""
    text = path.read_bytes().decode().removeprefix("\ufeff")
    tail = "\n# theirs, later\n[theirs_later]\nkey = 1\n"
    path.write_bytes(f"{mark}# theirs, on top\n{text}{tail}".encode())
    bench.undo(Codex())
    result = path.read_bytes()
    expected = toml_values(sample.text.encode()) | {"theirs_later": {"key": 1}}
    assert repr(sorted(toml_values(result).items())) == repr(sorted(expected.items())), seed
    assert not lost_comments(sample, result), seed
    assert b"# theirs, on top" in result, seed
    assert b"# theirs, later" in result, seed
    for leftover in bench.home.rglob("*meshproxy-backup*"):
        leftover.unlink()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_settings_json(tmp_path: Path, chunk: int) -> None:
    bench = Workbench(tmp_path, fast=True)
    path = bench.home / ".claude" / "settings.json"
    path.parent.mkdir()
    for seed in cases(chunk):
        sample = json_sample(seed)
        before = sample.text.encode("utf-8", "surrogatepass")
        path.write_bytes(before)
        bench.configure(Claude())
        after = path.read_bytes()
        values = json_values(after)
        assert values["env"]["ANTHROPIC_AUTH_TOKEN"] == "", seed
        assert values["apiKeyHelper"].startswith("'/opt/mesh proxy/"), seed
        assert "Meshagent-Session: claude-laptop" in values["env"]["ANTHROPIC_CUSTOM_HEADERS"].splitlines(), seed
        assert without_ours(values) == without_ours(json_values(before)), seed
        assert not lost_comments(sample, after), seed
        if not sample.comments and not _has_trailing_commas(before):
            assert json.loads(after.decode("utf-8-sig")) == values, seed
        assert not bench.configure(Claude()).changes, seed
        if seed % 4 == 0:
            edit_and_undo_json(bench, path, sample, seed)
        else:
            bench.undo(Claude())
            assert path.read_bytes() == before, seed
            assert sorted(bench.files()) == [".claude/settings.json"], seed


def _has_trailing_commas(data: bytes) -> bool:
    try:
        json.loads(data.decode("utf-8-sig") or "{}")
    except ValueError:
        return True
    return False


def edit_and_undo_json(bench: Workbench, path: Path, sample: Sample, seed: int) -> None:
    """Let the person add a member of their own before undoing."""
    text = path.read_bytes().decode()
    brace = scan(text.removeprefix("\ufeff")).top.start + (1 if text.startswith("\ufeff") else 0)
    path.write_bytes((text[: brace + 1] + '"theirs_later": [1],' + text[brace + 1 :]).encode())
    bench.undo(Claude())
    result = path.read_bytes()
    expected = json_values(sample.text.encode()) | {"theirs_later": [1]}
    assert json_values(result) == expected, seed
    assert not lost_comments(sample, result), seed
    for leftover in bench.home.rglob("*meshproxy-backup*"):
        leftover.unlink()


@pytest.mark.parametrize("make", [toml_sample, json_sample])
def test_samples_are_varied(make: Callable[[int], Sample]) -> None:
    """Guard the generator: comments, byte order marks, both line ends, and no two files alike for long."""
    texts = [make(seed).text for seed in range(200)]
    assert len(set(texts)) > 150
    assert any(text.startswith("\ufeff") for text in texts)
    assert any("\r\n" in text for text in texts)
    assert sum(bool(make(seed).comments) for seed in range(200)) > 40
