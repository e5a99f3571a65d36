import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from meshproxy_cli.configedit import atomic
from meshproxy_cli.configedit.atomic import LockedError, WriteError, locked, write_atomic

pytestmark = pytest.mark.thorough

WRITERS = Path(__file__).with_name("writers.py")


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "file"
    write_atomic(path, b"content")
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_new_file_gets_the_mode_asked_for(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"", mode=0o644)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_an_existing_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_atomic(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away: run as root to test it")
def test_an_existing_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 12345, 54321)
    write_atomic(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


def test_a_symlink_stays_and_its_target_changes(tmp_path: Path) -> None:
    target, link = tmp_path / "dotfiles" / "settings", tmp_path / "settings"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link.symlink_to(Path("dotfiles") / "settings")
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == ["settings"]


def test_a_dangling_symlink_gets_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "later" / "target")
    write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "later" / "target").read_bytes() == b"new"


def test_what_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(WriteError, match="unchanged"):
        write_atomic(tmp_path / "file" / "below", b"new")
    (tmp_path / "directory").mkdir()
    with pytest.raises(WriteError):
        write_atomic(tmp_path / "directory", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_the_lock_keeps_others_out_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with locked(path):
        with pytest.raises(LockedError, match="another process"), locked(path, timeout_s=0.05):
            pytest.fail("two hold the lock")
        with locked(tmp_path / "other", timeout_s=0.05):
            pass
    with locked(path, timeout_s=0.05):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_symlink_is_that_of_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with locked(tmp_path / "link"), pytest.raises(LockedError), locked(tmp_path / "file", timeout_s=0.05):
        pytest.fail("two hold the lock")


def test_the_lock_goes_from_one_to_the_next(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(20):
            with locked(tmp_path / "file"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_lock_file_that_its_last_holder_removed_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / ".file.lock"
    tries = []

    def try_after_the_other_is_done(descriptor: int) -> bool:
        if not tries:
            lock.unlink()
        tries.append(descriptor)
        return try_lock(descriptor)

    try_lock = atomic._try_lock
    monkeypatch.setattr(atomic, "_try_lock", try_after_the_other_is_done)
    with locked(tmp_path / "file"):
        assert lock.exists()
        with pytest.raises(LockedError), locked(tmp_path / "file", timeout_s=0.05):
            pytest.fail("two hold the lock")


def test_an_error_inside_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "file"):
        raise ZeroDivisionError
    with locked(tmp_path / "file", timeout_s=0.05):
        pass


def test_what_a_killed_writer_left_goes_with_the_next_lock(tmp_path: Path) -> None:
    (tmp_path / ".file.abc.tmp").write_bytes(b"half a secret")
    (tmp_path / ".other.abc.tmp").write_bytes(b"somebody else's")
    with locked(tmp_path / "file"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".other.abc.tmp"]


def _run(home: Path, *arguments: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, WRITERS, home, *arguments], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, int] = json.loads(done.stdout)
    return result


def test_killed_at_random_moments_a_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    """Settings and secrets, 300 writes; what was confirmed before the kill is there."""
    seed = int.from_bytes(os.urandom(4))
    seen = _run(tmp_path / "home", "kill", "300", str(seed))
    assert seen["writes"] >= 300
    # The kills did come while something was written: temporary files were left behind.
    assert seen["leftovers"] > 0, f"seed {seed}"


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """200 writes each: of one setting that both count up, and of 200 secrets of their own."""
    assert _run(tmp_path / "home", "together", "2", "200") == {"failed": 0, "settings": 400, "secrets": 400}
