"""The lock that a killed push left is recognised; nobody else's is ever touched."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.commits import commit
from support.git_server import bare_repository
from support.vault_clone import git
from vaultloop.model.errors import Retry
from vaultloop.vault.git.lock import GRACE, Word, break_leftover, lock_of
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.transport.remote import FETCH_NAME, PUSH_NAME, RefusedError, Remote

# Pushes as often as it takes, each time in a child that kills itself as soon as it sees the lock.
KILLED_WHILE_PUSHING = """
import os, signal, sys, threading
from pathlib import Path
from vaultloop.vault.transport.remote import Remote
from vaultloop.vault.git.repository import Repository

git_dir, url, state, lock, over, *commits = sys.argv[1:]

def watch():
    while not os.access(lock, os.F_OK):
        pass
    os.kill(os.getpid(), signal.SIGKILL)

for commit in commits:
    child = os.fork()
    if not child:
        threading.Thread(target=watch, daemon=True).start()
        Remote(Path(git_dir), url, state=Path(state)).push(commit, "refs/heads/main", over=over)
        os._exit(0)
    os.waitpid(child, 0)
    if os.path.exists(lock):
        print(commit)
        break
    over = commit
"""


class Scene:
    """An engine's repository and a remote at a local path."""

    def __init__(self, place: Path) -> None:
        self.state = place / "state"
        self.origin = bare_repository(place / "vault.git")
        self.local = Repository.bare(self.state / "vault.git")
        self.lock = lock_of(self.origin, "refs/heads/main")
        self.first = commit(self.local, None, {"note.md": "one"})
        self.remote.push(self.first, "refs/heads/main", over=None)
        self.second = commit(self.local, self.first, {"note.md": "two"})

    @property
    def remote(self) -> Remote:
        return Remote(self.local.path, str(self.origin), state=self.state)

    @property
    def head(self) -> str:
        return git(self.origin, "rev-parse", "main")

    def leave(self, content: str, *, lock_age: float, word_age: float | None) -> None:
        """Put a lock there and, unless its age is None, word of a push of the second commit."""
        self.lock.write_text(content)
        age(self.lock, lock_age)
        if word_age is not None:
            word = self.state / PUSH_NAME
            word.write_text(json.dumps({str(self.lock): f"{self.second}\n"}))
            age(word, word_age)


def age(file: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(file, (then, then))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_push_goes_on_after_one_that_was_killed_while_it_held_the_lock(scene: Scene) -> None:
    tries = [scene.second]
    for number in range(50):
        tries.append(commit(scene.local, tries[-1], {"note.md": str(number)}))
    places = (scene.local.path, scene.origin, scene.state, scene.lock)
    arguments = [*map(str, places), scene.first, *tries]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_PUSHING, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert killed in tries
    assert scene.lock.exists()
    before = scene.head
    with pytest.raises(Retry, match=f"removed once it is {GRACE:.0f} seconds old") as refusal:
        scene.remote.push(killed, "refs/heads/main", over=before)
    assert 0 < refusal.value.after <= GRACE

    age(scene.lock, GRACE + 1)
    age(scene.state / PUSH_NAME, GRACE + 2)
    scene.remote.push(killed, "refs/heads/main", over=before)
    assert scene.head == killed
    assert not (scene.state / PUSH_NAME).exists()


@pytest.mark.parametrize("whole", [False, True], ids=["empty", "written"])
def test_our_leftover_lock_is_removed_once_nobody_alive_can_hold_it(scene: Scene, whole: bool) -> None:
    scene.leave(f"{scene.second}\n" if whole else "", lock_age=GRACE + 1, word_age=GRACE + 2)
    scene.remote.push(scene.second, "refs/heads/main", over=scene.first)
    assert scene.head == scene.second
    assert not scene.lock.exists()


def test_another_remotes_leftover_lock_is_removed_too(scene: Scene, tmp_path: Path) -> None:
    scene.leave("", lock_age=GRACE + 1, word_age=GRACE + 2)
    other = bare_repository(tmp_path / "other.git")
    Remote(scene.local.path, f"file://{other}", state=scene.state).push(
        scene.second, "refs/heads/main", over=None
    )
    assert not scene.lock.exists()


def test_a_lock_without_word_of_a_push_stays(scene: Scene) -> None:
    scene.leave("", lock_age=1000, word_age=None)
    _refused(scene)


def test_a_lock_that_is_older_than_our_push_stays(scene: Scene) -> None:
    scene.leave("", lock_age=1000, word_age=900)
    _refused(scene)


def test_a_lock_for_another_commit_stays(scene: Scene) -> None:
    scene.leave(f"{scene.first}\n", lock_age=900, word_age=1000)
    _refused(scene)


def test_a_young_lock_that_looks_like_ours_stays(scene: Scene) -> None:
    scene.leave(f"{scene.second}\n", lock_age=0, word_age=10)
    _refused(scene)


def _refused(scene: Scene) -> None:
    before = scene.lock.read_bytes()
    with pytest.raises((Retry, RefusedError), match="lock"):
        scene.remote.push(scene.second, "refs/heads/main", over=scene.first)
    assert scene.lock.read_bytes() == before
    assert scene.head == scene.first


def test_no_word_is_left_of_a_push_that_ended(scene: Scene) -> None:
    scene.remote.push(scene.second, "refs/heads/main", over=scene.first)
    assert not (scene.state / PUSH_NAME).exists()


@pytest.mark.parametrize("name", ["refs/vaultloop/back", "FETCH_HEAD", "shallow"])
def test_a_fetch_goes_on_after_one_that_was_killed_while_it_held_a_lock(scene: Scene, name: str) -> None:
    word = scene.state / FETCH_NAME
    lock = lock_of(scene.local.path, name)
    with Word(word).left({lock: None}):
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
        left = word.read_text()
    word.write_text(left)
    age(lock, GRACE + 1)
    age(word, GRACE + 2)
    scene.remote.fetch("refs/heads/main", "refs/vaultloop/back")
    assert scene.local.kept("back") == scene.first
    assert not word.exists()


def test_what_is_no_lock_any_more_is_nobodys(tmp_path: Path) -> None:
    break_leftover(tmp_path / "main.lock", None, since=0)
