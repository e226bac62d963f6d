"""A damaged repository is put right from what else there is; what was damaged is kept."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.vault_clone import VaultClone, git
from vaultloop.aio.failpoint import VARIABLE
from vaultloop.model.errors import Stalled
from vaultloop.vault.git import lock as locks
from vaultloop.vault.git import repair
from vaultloop.vault.git.repair import ASIDE, Damage
from vaultloop.vault.git.repository import Repository

LONG_AGO = 2 * 24 * 3600


@pytest.fixture
def human(tmp_path: Path) -> VaultClone:
    human = VaultClone.fresh(tmp_path / "folder")
    human.write("notes/a.md", "one")
    human.commit("First")
    human.write("b.md", "two")
    human.commit("Second")
    return human


def mended(human: VaultClone) -> Damage:
    """Everything that happens at the start, and the repository opens afterwards."""
    git_dir = human.path / ".git"
    damage = repair.prepare(git_dir, None)
    repository = Repository.in_folder(human.path)
    repair.heal(repository.handle, repository.branch, damage, folder=human.path, fetch=None)
    return damage


def loose(human: VaultClone, name: str) -> Path:
    """The file of a loose object."""
    found = human.git("rev-parse", name)
    return human.path / ".git" / "objects" / found[:2] / found[2:]


def empty(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(b"")


def aside(human: VaultClone) -> list[str]:
    place = human.path / ".git" / ASIDE
    return sorted(file.name[16:] for file in place.iterdir()) if place.exists() else []


def test_a_whole_repository_is_left_as_it_is(human: VaultClone) -> None:
    before = git(human.path, "for-each-ref")
    assert mended(human).sentences == []
    assert aside(human) == []
    assert git(human.path, "for-each-ref") == before


@pytest.mark.parametrize("content", [b"", b"\0" * 41, b"4c1d"], ids=["empty", "zeroed", "torn"])
def test_a_damaged_branch_is_where_its_log_says(human: VaultClone, content: bytes) -> None:
    head = human.head
    (human.path / ".git/refs/heads/main").write_bytes(content)
    assert "main was damaged" in mended(human).sentences[0]
    assert human.head == head
    assert aside(human) == ["refs-heads-main"]
    assert human.git("status", "--porcelain") == ""


def test_a_damaged_branch_without_a_log_is_where_the_remote_was_seen(human: VaultClone) -> None:
    head = human.head
    human.git("update-ref", "refs/remotes/origin/main", head)
    (human.path / ".git/logs/refs/heads/main").unlink()
    (human.path / ".git/refs/heads/main").write_bytes(b"")
    mended(human)
    assert human.head == head


def test_a_damaged_branch_that_nothing_tells_of_is_said_with_its_cure(human: VaultClone) -> None:
    (human.path / ".git/logs/refs/heads/main").unlink()
    (human.path / ".git/refs/heads/main").write_bytes(b"")
    with pytest.raises(Stalled, match="update-ref refs/heads/main COMMIT"):
        mended(human)


def test_a_damaged_head_names_the_only_branch_again(human: VaultClone) -> None:
    (human.path / ".git/HEAD").write_bytes(b"")
    mended(human)
    assert human.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert human.git("status", "--porcelain") == ""


def test_a_damaged_reference_of_our_own_is_gone_and_said(human: VaultClone) -> None:
    file = human.path / ".git/refs/vaultloop/folder/abc"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    assert "nothing tells what it was" in mended(human).sentences[0]
    assert not file.exists()


@pytest.mark.parametrize("name", ["HEAD:b.md", "HEAD:notes", "HEAD^{tree}"])
def test_an_empty_object_comes_again_from_the_folder(human: VaultClone, name: str) -> None:
    file = loose(human, name)
    empty(file)
    assert "is there again" in mended(human).sentences[-1]
    human.git("fsck", "--strict")
    assert human.git("status", "--porcelain") == ""
    assert len(aside(human)) == 1


def test_a_young_object_whose_bytes_are_others_comes_again(human: VaultClone) -> None:
    file = loose(human, "HEAD:notes/a.md")
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    mended(human)
    human.git("fsck", "--strict")


def test_a_text_that_is_nowhere_else_is_said_with_its_cure_and_kept(human: VaultClone) -> None:
    human.save("b.md", "newer")
    file = loose(human, "HEAD~1:b.md")
    empty(file)
    with pytest.raises(Stalled, match=r"Copy what is in \.git/objects of another clone"):
        mended(human)
    assert len(aside(human)) == 1


def test_an_object_that_no_commit_needs_stops_nothing(human: VaultClone) -> None:
    human.write("scrap.md", "scrap")
    human.git("add", "scrap.md")
    file = loose(human, ":scrap.md")
    human.git("rm", "-q", "-f", "scrap.md")
    empty(file)
    mended(human)
    human.git("fsck", "--strict")


@pytest.mark.parametrize("name", ["index", "HEAD", "config", "packed-refs", "refs/heads/main"])
def test_an_old_lock_of_a_dead_git_is_moved_aside_and_a_young_one_is_not(
    human: VaultClone, name: str
) -> None:
    lock = human.path / ".git" / f"{name}.lock"
    lock.touch()
    assert mended(human).sentences == []
    assert lock.exists()
    os.utime(lock, times=(time.time() - LONG_AGO,) * 2)
    assert "a git that is dead" in mended(human).sentences[0]
    assert not lock.exists()
    assert aside(human) == [f"{name}.lock".replace("/", "-")]


@pytest.mark.skipif(
    str(Path("/proc/self/ns/pid").readlink()) != "pid:[4026531836]",
    reason="not all processes can be seen in this container",
)
def test_a_lock_that_a_git_holds_while_it_waits_for_its_editor_is_never_taken(human: VaultClone) -> None:
    human.write("b.md", "typing")
    waits = f"{sys.executable} -c 'import sys; print(flush=True); sys.stdin.read()'"
    with subprocess.Popen(
        ["git", "commit", "-a"],
        cwd=human.path,
        env=os.environ | {"GIT_EDITOR": waits},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as editing:
        assert editing.stdout is not None
        editing.stdout.readline()
        lock = human.path / ".git" / "index.lock"
        os.utime(lock, times=(time.time() - LONG_AGO,) * 2)
        assert not locks.is_abandoned(lock, human.path / ".git")
        assert editing.stdin is not None
        editing.stdin.close()
        editing.wait()


ENGINE = """
import sys
from pathlib import Path
from vaultloop.vault.git import repair
from vaultloop.vault.git.index import Index
from vaultloop.vault.git.repository import Repository
folder = Path(sys.argv[1])
damage = repair.prepare(folder / ".git", None)
repository = Repository.in_folder(folder)
repair.heal(repository.handle, "main", damage, folder=folder, fetch=None)
index = Index(folder / ".git")
index.recover()
index.mend(repository.handle.revparse_single("HEAD^{tree}"))
"""
POINTS = ["damage-set-aside", "damage-set-aside:2", "branch-restored", "object-restored", "index-rebuilt"]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_step_of_the_repair_the_next_one_ends_it(human: VaultClone, point: str) -> None:
    head = human.head
    empty(loose(human, "HEAD:b.md"))
    for name in ("refs/heads/main", "index"):
        (human.path / ".git" / name).write_bytes(b"")
    command = [sys.executable, "-c", ENGINE, str(human.path)]
    killed = subprocess.run(command, env=os.environ | {VARIABLE: point}, check=False)
    assert killed.returncode == -signal.SIGKILL
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert human.head == head
    human.git("fsck", "--strict")
    assert human.git("status", "--porcelain") == ""
