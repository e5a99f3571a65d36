"""Completion installed: new shells have it, and taking it back leaves the start-up files as they were."""

import subprocess
from pathlib import Path

import pexpect
import pytest

from fixtures.commands import Cli
from fixtures.shells import SHELLS, offered

START = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
BEFORE = "# mine\nexport MINE=1"  # without a line's end


@pytest.mark.parametrize("shell", [*SHELLS, "powershell"])
def test_install_and_undo(cli: Cli, shell: str) -> None:
    start = cli.home.directory / START.get(shell, ".config/powershell/Microsoft.PowerShell_profile.ps1")
    cli.home.environ()
    start.parent.mkdir(parents=True, exist_ok=True)
    start.write_text(BEFORE)
    listed = files(cli.home.root)

    shown = cli("completion", shell, "--install", "--dry-run").stdout
    assert "+++ " in shown
    assert files(cli.home.root) == listed, "a dry run writes nothing"
    refused = cli("completion", shell, "--install", code=2).stderr
    assert "--yes" in refused
    assert files(cli.home.root) == listed

    told = cli("completion", shell, "--install", "--yes").stderr
    assert f"take it back: meshproxy completion {shell} --undo" in told
    assert "nothing to change" in cli("completion", shell, "--install", "--yes").stderr
    assert start.read_text().startswith(BEFORE)
    if shell in SHELLS:
        place = next(path for path in files(cli.home.root) - listed if "completions" in path)
        load = f"source {place}\n" if shell != "zsh" else start.read_text() + "\n"
        assert offered(cli.home, shell, ("tok",), load=load) == [["token"]]

    cli("completion", shell, "--undo", "--yes")
    assert start.read_text().rstrip("\n") == BEFORE
    ours = {path for path in files(cli.home.root) - listed if "zdot" not in path and not path.endswith("/offered")}
    assert ours == set()
    assert "nothing to change" in cli("completion", shell, "--undo").stderr


def files(root: Path) -> set[str]:
    return {str(path) for path in root.rglob("*") if path.is_file()}


def test_a_new_bash_completes(cli: Cli) -> None:
    cli("completion", "bash", "--install", "--yes")
    assert (cli.home.directory / ".bashrc").exists()
    child = pexpect.spawn("bash", ["-i"], env=cli.home.environ({"TERM": "dumb", "PS1": "$ "}), timeout=60)
    child.send("meshproxy comple\t --he\t\n")
    child.expect("Usage: meshproxy completion")
    child.close(force=True)


def test_our_part_alone_is_taken_back(cli: Cli) -> None:
    cli("completion", "zsh", "--install", "--yes")
    start = cli.home.directory / ".zshrc"
    start.write_text(start.read_text() + "alias mine=later\n")
    cli("completion", "zsh", "--undo", "--yes")
    assert start.read_text().strip() == "alias mine=later"
    cli("completion", "zsh", "--install", "--yes")
    start.unlink()
    cli("completion", "zsh", "--undo", "--yes")
    assert not start.exists()


def test_a_start_up_file_that_can_not_be_edited(cli: Cli) -> None:
    cli.home.environ()
    start = cli.home.directory / ".bashrc"
    start.write_text("# >>> meshproxy completion >>>\nhalf\n")
    assert "has no end" in cli("completion", "bash", "--install", "--yes", code=5).stderr
    assert start.read_text() == "# >>> meshproxy completion >>>\nhalf\n"
    assert not (cli.home.state / "data" / "completions").exists()


def test_which_shell(cli: Cli) -> None:
    assert "#compdef" in cli("completion", environ={"SHELL": "/usr/bin/zsh"}).stdout
    refused = cli("completion", environ={"SHELL": "/bin/tcsh"}, code=2).stderr
    assert "bash, zsh, fish, powershell" in refused
    cli("completion", "bash", "--install", "--undo", code=2)


def test_powershell_keeps_tab_as_it_is_elsewhere(cli: Cli) -> None:
    script = cli("completion", "powershell").stdout
    assert "Register-ArgumentCompleter -Native -CommandName meshproxy" in script
    assert '$Env:_MESHPROXY_COMPLETE = "complete_powershell"' in script
    assert "Set-PSReadLineKeyHandler" not in script
    environ = {
        "_MESHPROXY_COMPLETE": "complete_powershell",
        "_TYPER_COMPLETE_ARGS": "meshproxy tok",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": "tok",
    }
    assert cli(environ=environ).stdout.startswith("token:::Participant tokens")


def test_bash_reads_the_script(cli: Cli) -> None:
    for shell in SHELLS:
        script = cli("completion", shell).stdout
        check = [shell, "-n"] if shell != "fish" else [shell, "--no-execute"]
        subprocess.run(check, input=script, text=True, check=True)
