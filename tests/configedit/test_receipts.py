"""Receipts come back as they were saved, and are private."""

from pathlib import Path

import pytest

from agents.workbench import Workbench
from meshproxy_cli.agents.claude import Claude
from meshproxy_cli.agents.codex import Codex
from meshproxy_cli.configedit.receipts import ReceiptError, load, load_all


def test_a_receipt_survives_the_disk(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    (bench.home / ".codex").mkdir()
    (bench.home / ".codex" / "config.toml").write_text('model = "mine"\n')
    plan = bench.plan(Codex(), make_default=True, model="m")
    bench.configure(Codex(), make_default=True, model="m")
    bench.configure(Claude())
    receipts = load_all(bench.receipts)
    assert [receipt.agent for receipt in receipts] == ["codex", "claude"]
    codex = receipts[0]
    assert [record.path for record in codex.files] == [edit.path for edit in plan.edits]
    assert codex.files[0].keys == plan.edits[0].keys
    assert codex.files[0].backups[0].read_text() == 'model = "mine"\n'
    assert codex.files[1].before is None
    for path in bench.receipts.glob("*.json"):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("order", ["claude codex", "codex claude"])
def test_the_newest_comes_last_within_a_second_too(tmp_path: Path, order: str) -> None:
    bench = Workbench(tmp_path)
    for agent in order.split():
        bench.configure({"claude": Claude(), "codex": Codex()}[agent])
    assert " ".join(receipt.agent for receipt in load_all(bench.receipts)) == order


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 99}', '{"version": 1, "agent": "x"}'])
def test_a_broken_receipt_is_an_error_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ReceiptError, match=r"x\.json"):
        load(path)


def test_no_directory_means_no_receipts(tmp_path: Path) -> None:
    assert load_all(tmp_path / "none") == ()
