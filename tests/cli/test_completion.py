"""The Tab key, through the real shells: each loads the script, and says what it would offer."""

import shlex
import subprocess

import pexpect
import pytest

from fixtures.commands import Cli, Home

# Each prints, one per line, what it offers for the words of its command line.
_BASH = """
eval "$(meshproxy completion bash)"
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_meshproxy_completion meshproxy
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
_ZSHRC = """
PS1='READY> '; unsetopt zle_bracketed_paste
autoload -Uz compinit && compinit -u -D
eval "$(meshproxy completion zsh)"
compadd() {
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\\ * ]]; then
        local -a found
        builtin compadd -A found "$@"
        print -rl -- $found >> $OFFERED
    fi
    builtin compadd "$@"
}
"""
_FISH = """
meshproxy completion fish | source
complete --do-complete {line}
"""


def offered(home: Home, shell: str, *words: str, environ: dict[str, str] | None = None) -> list[str]:
    """Return what the shell offers for the last of the words behind `meshproxy`."""
    if shell == "zsh":
        return in_zsh(home, *words, environ=environ)
    line = " ".join(["meshproxy", *words])
    quoted = " ".join(shlex.quote(word) for word in ["meshproxy", *words])
    text = _BASH.format(words=quoted) if shell == "bash" else _FISH.format(line=shlex.quote(line))
    arguments = ["bash", "--norc", "--noprofile", "-c"] if shell == "bash" else ["fish", "--no-config", "-c"]
    done = subprocess.run(
        [*arguments, text], env=home.environ(environ), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return [found.partition("\t")[0] for found in done.stdout.splitlines() if found]


def in_zsh(home: Home, *words: str, environ: dict[str, str] | None = None) -> list[str]:
    """Press Tab in an interactive zsh whose `compadd` writes down what it is given."""
    dots, told = home.directory / "zdot", home.directory / "offered"
    dots.mkdir(parents=True, exist_ok=True)
    (dots / ".zshrc").write_text(_ZSHRC)
    told.write_text("")
    zsh = {"ZDOTDIR": str(dots), "TERM": "xterm", "OFFERED": str(told)}
    child = pexpect.spawn("zsh", ["-i"], env=home.environ({**zsh, **(environ or {})}), timeout=30, dimensions=(40, 200))
    try:
        child.expect("READY>")
        child.send(" ".join(["meshproxy", *words]) + "\t")
        child.send("\x15print DO''NE\n")
        child.expect("DONE")
    finally:
        child.close(force=True)
    return [line for line in told.read_text().splitlines() if line]


@pytest.fixture
def known(meshproxy_home: Home, cli: Cli) -> Home:
    """Return a home whose server knows rooms, keys, sessions and models."""
    cli("server", "add", "team", "https://mesh.example.com")
    cli("room", "create", "research")
    cli("room", "create", "backend")
    cli("api-key", "create", "laptop", "--activate", "--silent")
    return meshproxy_home


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_options_and_values(known: Home, shell: str) -> None:
    assert "token" in offered(known, shell, "to")
    assert {"generate", "get", "inspect"} <= set(offered(known, shell, "token", ""))
    assert "--room" in offered(known, shell, "token", "get", "--ro")
    assert {"research", "backend"} <= set(offered(known, shell, "token", "get", "--room", ""))
    assert offered(known, shell, "configure", "codex", "--server", "te") == ["team"]
