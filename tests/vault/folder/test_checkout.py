"""Killed at any step between files, branch and index, the folder ends whole and nobody's text is lost."""

import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.commits import NOON, commit, text_at
from support.run import asynchronous
from support.vault_clone import VaultClone
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.errors import Retry
from vaultloop.vault.folder.checkout import INTENT_NAME
from vaultloop.vault.git.lock import GRACE, lock_of
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.ignore import TEMPORARY
from vaultloop.vault.sync.sync import BARE_NAME, Sync

# Brings the commit in argv[3] onto the branch, or looks and commits what was edited.
ENGINE = """
import asyncio, sys
from pathlib import Path
from datetime import datetime, timedelta, UTC
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.errors import Retry
from vaultloop.vault.sync.sync import Sync
async def main(state, folder, commit):
    clock = VirtualClock(datetime.now(UTC) + timedelta(days=1))
    async with Sync(Path(state), clock, folder=Path(folder)) as sync:
        if commit == "look":
            await sync.look(None)
        else:
            await sync.integrate(commit)
asyncio.run(main(*sys.argv[1:]))
"""


class Scene:
    """A folder that an engine has met, and an answer to be written into it."""

    def __init__(self, place: Path, *, own_git: bool) -> None:
        self.state, self.path = place / "state", place / "folder"
        self.own_git = own_git
        self.path.mkdir()
        self.human = VaultClone.fresh(self.path) if own_git else VaultClone(self.path)
        for name in ("changed.md", "deleted.md", "untouched.md"):
            self.human.write(name, "before")
        if own_git:
            self.human.commit("Start")
        self.run("look")
        repository = self.repository()
        files = {"changed.md": "after", "deleted.md": None, "new/made.md": "after"}
        self.before = repository.head
        self.answer = commit(repository, self.before, files)

    def copied(self, place: Path) -> "Scene":
        """The same at another place."""
        shutil.copytree(self.path.parent, place, dirs_exist_ok=True, symlinks=True)
        scene = copy.copy(self)
        scene.state, scene.path = place / "state", place / "folder"
        scene.human = VaultClone(scene.path)
        return scene

    def repository(self) -> Repository:
        if self.own_git:
            return Repository.in_folder(self.path)
        return Repository.bare(self.state / BARE_NAME)

    def run(self, commit: str, killed_at: str = "") -> int:
        environment = os.environ | {"VAULTLOOP_FAILPOINT": killed_at}
        command = [sys.executable, "-c", ENGINE, str(self.state), str(self.path), commit]
        return subprocess.run(command, env=environment, check=False).returncode

    def text(self, revision: str | None, path: str) -> str | None:
        assert revision is not None
        return text_at(self.repository(), revision, path)

    def on_disk(self) -> dict[str, str]:
        files = (file for file in self.path.rglob("*") if file.is_file() and ".git" not in file.parts)
        return {str(file.relative_to(self.path)): file.read_text() for file in files}


AFTER = {"changed.md": "after", "new/made.md": "after", "untouched.md": "before"}


@pytest.fixture(scope="module", params=[True, False], ids=["own-git", "plain"])
def met(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("met"), own_git=request.param)


@pytest.fixture
def scene(met: Scene, tmp_path: Path) -> Scene:
    scene = met.copied(tmp_path)
    if not scene.own_git:
        # A folder without git meets its vault anew at another place.
        scene.run("look")
    return scene


@pytest.fixture(scope="module")
def met_own_git(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("met-own-git"), own_git=True)


@pytest.fixture
def own_git(met_own_git: Scene, tmp_path: Path) -> Scene:
    return met_own_git.copied(tmp_path)


STEPS = ("file-replaced", "files-written", "branch-moved")
STEPS_WITH_AN_INDEX = (
    *("index-locked", "intent-written", "file-deleted", "file-prepared", "file-replaced:2", "entry-staged"),
    *("entry-staged:3", "index-prepared", "index-written", "intent-removed"),
)


def _killed_while_an_answer_is_written(scene: Scene, point: str) -> None:
    assert scene.run(scene.answer, killed_at=point) == -signal.SIGKILL
    assert scene.run(scene.answer) == 0
    assert scene.on_disk() == AFTER
    assert scene.repository().head == scene.answer
    if scene.own_git:
        assert scene.human.git("status", "--porcelain") == ""
        scene.human.save("untouched.md", "by hand")
        assert scene.human.git("show", "HEAD:changed.md") == "after"


@pytest.mark.parametrize("point", STEPS)
def test_an_answer_is_whole_after_a_kill_and_is_not_taken_for_a_humans_edit(scene: Scene, point: str) -> None:
    _killed_while_an_answer_is_written(scene, point)


@pytest.mark.parametrize("point", STEPS_WITH_AN_INDEX)
def test_an_answer_and_its_entries_are_whole_after_a_kill_at_any_step(own_git: Scene, point: str) -> None:
    _killed_while_an_answer_is_written(own_git, point)


@pytest.mark.parametrize("point", ["file-replaced:2", "file-replaced:30"])
def test_a_kill_amid_many_files_leaves_none_of_them_half_way(own_git: Scene, point: str) -> None:
    many: dict[str, str | None] = {f"many/{number}.md": f"{number}\n" for number in range(40)}
    answer = commit(own_git.repository(), own_git.before, many)
    assert own_git.run(answer, killed_at=point) == -signal.SIGKILL
    assert own_git.run("look") == 0
    assert {path: own_git.on_disk().get(path) for path in many} == many
    assert own_git.repository().head == answer
    assert own_git.human.git("status", "--porcelain") == ""


@pytest.mark.parametrize("point", ["recovery-begun", "recovery-swept", "file-replaced", "recovery-done"])
def test_a_kill_while_a_kill_is_put_right_is_put_right(own_git: Scene, point: str) -> None:
    assert own_git.run(own_git.answer, killed_at="intent-written") == -signal.SIGKILL
    assert own_git.run("look", killed_at=point) == -signal.SIGKILL
    assert own_git.run("look") == 0
    assert own_git.on_disk() == AFTER
    assert own_git.repository().head == own_git.answer
    assert own_git.human.git("status", "--porcelain") == ""


@pytest.mark.parametrize("begin", ["", "af", "a\0\0\0"], ids=["empty", "half", "zeroes"])
def test_a_file_that_a_power_cut_left_torn_is_written_anew(own_git: Scene, begin: str) -> None:
    assert own_git.run(own_git.answer, killed_at="files-written") == -signal.SIGKILL
    own_git.human.write("changed.md", begin)
    assert own_git.run("look") == 0
    assert own_git.on_disk() == AFTER
    assert own_git.repository().head == own_git.answer


def test_a_kill_while_what_was_written_is_taken_back_loses_no_edit(own_git: Scene) -> None:
    assert own_git.run(own_git.answer, killed_at="files-written") == -signal.SIGKILL
    own_git.human.write("new/made.md", "human's")
    assert own_git.run("look", killed_at="file-taken-back") == -signal.SIGKILL
    assert own_git.run("look") == 0
    assert own_git.on_disk() == {
        "changed.md": "before",
        "deleted.md": "before",
        "untouched.md": "before",
        "new/made.md": "human's",
    }
    assert own_git.text(own_git.repository().head, "new/made.md") == "human's"
    assert own_git.text(own_git.repository().head, "deleted.md") == "before"


@pytest.mark.parametrize("point", ["intent-written", "branch-moved", "entry-staged", "index-prepared"])
def test_a_kill_while_an_edit_is_taken_that_was_staged_before_leaves_no_old_entry(
    own_git: Scene, point: str
) -> None:
    own_git.human.write("changed.md", "staged")
    own_git.human.git("add", "changed.md")
    own_git.human.write("changed.md", "saved last")
    assert own_git.run("look", killed_at=point) == -signal.SIGKILL
    assert own_git.run("look") == 0
    assert own_git.text(own_git.repository().head, "changed.md") == "saved last"
    assert own_git.human.git("status", "--porcelain") == ""


@pytest.mark.parametrize("point", ["commit-written", "branch-moved"])
def test_an_edit_is_whole_after_a_kill_at_any_step(scene: Scene, point: str) -> None:
    scene.human.write("changed.md", "human's")
    assert scene.run("look", killed_at=point) == -signal.SIGKILL
    assert scene.run("look") == 0
    assert scene.text(scene.repository().head, "changed.md") == "human's"
    assert scene.on_disk()["changed.md"] == "human's"
    if scene.own_git:
        assert scene.human.git("status", "--porcelain") == ""


def test_a_humans_edit_after_a_kill_survives_and_what_was_written_beside_it_is_not_taken_for_theirs(
    scene: Scene,
) -> None:
    assert scene.run(scene.answer, killed_at="files-written") == -signal.SIGKILL
    scene.human.write("changed.md", "human's")
    assert scene.run("look") == 0
    head = scene.repository().head
    assert scene.on_disk()["changed.md"] == "human's"
    assert scene.text(head, "changed.md") == "human's"
    assert scene.text(head, "new/made.md") is None
    assert scene.text(head, "deleted.md") == "before"


@pytest.mark.parametrize("content", ["", "{commit}\n"], ids=["empty", "written"])
def test_the_lock_of_the_branch_that_a_kill_left_holds_nothing_up_for_ever(
    scene: Scene, content: str
) -> None:
    assert scene.run(scene.answer, killed_at="files-written") == -signal.SIGKILL
    lock = lock_of(scene.repository().path, "refs/heads/main")
    lock.write_text(content.format(commit=scene.answer))
    if scene.own_git:
        # As young as it is, it may be the human's; what was written before it is not theirs to commit.
        assert scene.run("look") == 0
        assert scene.repository().head == scene.before
        intent = scene.state / INTENT_NAME
        for file, seconds in ((lock, GRACE + 1), (intent, GRACE + 2)):
            os.utime(file, times=(time.time() - seconds,) * 2)
    assert scene.run("look") == 0
    assert not lock.exists()
    assert scene.repository().head == scene.answer
    assert scene.on_disk() == AFTER


def test_half_a_file_that_a_kill_left_is_removed(scene: Scene) -> None:
    assert scene.run(scene.answer, killed_at="files-written") == -signal.SIGKILL
    half = scene.path / "new" / f"{TEMPORARY}1234.tmp"
    half.write_text("aft")
    assert scene.run("look") == 0
    assert scene.on_disk() == AFTER


def test_an_engine_that_starts_while_git_is_at_work_puts_right_later_what_a_kill_left(tmp_path: Path) -> None:
    scene = Scene(tmp_path, own_git=True)
    assert scene.run(scene.answer, killed_at="branch-moved") == -signal.SIGKILL
    lock = scene.path / ".git" / "index.lock"
    lock.write_text("a human's git add")
    assert scene.run("look") == 0
    assert lock.exists()
    lock.unlink()
    assert scene.run("look") == 0
    assert scene.human.git("status", "--porcelain") == ""


def test_locks_of_the_engines_own_references_are_removed_at_its_start(scene: Scene) -> None:
    lock = lock_of(scene.repository().path, "refs/vaultloop/remote/abc/main")
    lock.parent.mkdir(parents=True)
    lock.touch()
    other = lock_of(scene.repository().path, "HEAD")
    other.touch()
    assert scene.run("look") == 0
    assert not lock.exists()
    # In the folder's own git it may be the human's.
    assert other.exists() == scene.own_git


@asynchronous
async def test_a_disk_that_refuses_one_file_leaves_all_of_them_as_they_were(tmp_path: Path) -> None:
    scene = Scene(tmp_path, own_git=False)
    # Git holds names that no disk does; not even root makes such a file.
    files: dict[str, str | None] = {"changed.md": "after", "deleted.md": None, "x" * 300 + ".md": "after"}
    before = scene.on_disk()
    answer = commit(scene.repository(), scene.before, files)
    async with Sync(scene.state, VirtualClock(NOON), folder=scene.path) as sync:
        await sync.look(None)
        with pytest.raises(Retry, match="cannot be written"):
            await sync.integrate(answer)
    assert scene.on_disk() == before
    assert scene.repository().head == scene.before
