"""`vaultloop merge-driver` under the real git: the server's bytes, or a conflict that says what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.installation import environment
from support.notes import cron
from support.two_writers import AGENT
from support.vault_clone import VaultClone
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import AuthorClass, Signer, author_class
from vaultloop.vault.merge.driver import ENGINE_KEY
from vaultloop.vault.merge.tree import Merger

DRIVER = f"{sys.executable} -W error -m vaultloop merge-driver %O %A %B %P"
TEXT = "# Plan\n\nFirst.\n\nSecond.\n\nThird.\n"
ATTRIBUTES = "*.md merge=vaultloop\n"


class Clone(VaultClone):
    """A clone in which git has the driver."""

    @classmethod
    def with_driver(cls, path: Path, driver: str = DRIVER) -> "Clone":
        clone = cls.fresh(path)
        assert isinstance(clone, Clone)
        clone.git("config", "merge.vaultloop.driver", driver)
        clone.write(".gitattributes", ATTRIBUTES)
        return clone

    def does(self, *words: str) -> tuple[int, str]:
        """The exit code of a git command, and what it says."""
        isolated = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "LC_ALL": "C"}
        identity = {"GIT_COMMITTER_NAME": "Hana Human", "GIT_COMMITTER_EMAIL": "hana@example.org"}
        done = subprocess.run(
            ["git", *words],
            cwd=self.path,
            env=environment(**isolated, **identity),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout + done.stderr

    def branch(self, name: str, base: str, path: str, text: str) -> str:
        """A branch from `base` with one commit, which sets one file."""
        self.git("switch", "-q", "-c", name, base)
        return self.save(path, text)

    @property
    def stages(self) -> str:
        """What the index holds of unfinished paths."""
        return self.git("ls-files", "--unmerged")

    def same_as_server(self, one: str, other: str) -> bool:
        """Whether HEAD's tree is what the engine makes of these two commits."""
        repository = Repository.around(self.path)
        merger = Merger(repository, lambda commit: AuthorClass.HUMAN)
        return repository.tree_of(self.head) == merger.joined(one, other).tree


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    clone = Clone.with_driver(tmp_path / "vault")
    clone.save("a.md", TEXT)
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "Attributes")
    return clone


def _both_change(clone: Clone, one: str = "Second, here", other: str = "Second, there") -> tuple[str, str]:
    """Two branches with one line changed on each; `here` is checked out."""
    start = clone.head
    there = clone.branch("there", start, "a.md", TEXT.replace("Second", other))
    here = clone.branch("here", start, "a.md", TEXT.replace("Second", one))
    return here, there


def test_a_merge_keeps_both_texts_without_a_marker(clone: Clone) -> None:
    here, there = _both_change(clone)
    assert clone.does("merge", "--no-edit", "there")[0] == 0
    text = clone.read("a.md")
    assert "Second, here." in text
    assert "Second, there." in text
    assert "<<<<<<<" not in text
    assert clone.same_as_server(here, there)


def test_what_the_engine_signed_is_an_agents_where_its_key_is_known(clone: Clone, tmp_path: Path) -> None:
    start = clone.head
    (tmp_path / "state").mkdir()
    signer = Signer.make(tmp_path / "state")
    repository = Repository.around(clone.path)
    clone.branch("there", start, "a.md", TEXT.replace("Second", "Second, there"))
    tree = repository.tree_of(clone.head)
    assert tree is not None
    at = repository.read_commit(clone.head).at
    agent = repository.commit(tree, [start], "Answer\n", author=AGENT, signer=signer, at=at)
    here = clone.branch("here", start, "a.md", TEXT.replace("Second", "Second, here"))
    clone.git("config", ENGINE_KEY, signer.public_key)
    assert clone.does("merge", "--no-edit", agent)[0] == 0
    assert "> [!conflict]- agent, " in clone.read("a.md")
    merger = Merger(repository, lambda commit: author_class(repository, commit, signer))
    assert repository.tree_of(clone.head) == merger.joined(here, agent).tree
    clone.git("config", "--unset", ENGINE_KEY)
    clone.git("switch", "-q", "--detach", here)
    assert clone.does("merge", "--no-edit", agent)[0] == 0
    assert "> [!conflict]- agent, " not in clone.read("a.md")


def test_a_pull_joins_as_a_merge_does(clone: Clone, tmp_path: Path) -> None:
    clone.git("switch", "-q", "main")
    other = Clone(VaultClone.of(clone.path, tmp_path / "other").path)
    other.git("config", "merge.vaultloop.driver", DRIVER)
    there = clone.save("a.md", TEXT + "- Appended there\n")
    here = other.save("a.md", TEXT + "- Appended here\n")
    assert other.does("pull", "--no-rebase", "--no-edit")[0] == 0
    assert other.same_as_server(here, there)
    appended = other.read("a.md").removeprefix(TEXT).split("\n")
    assert {"- Appended there", "- Appended here"} <= set(appended)


def test_the_bases_of_a_criss_cross_are_joined_by_the_driver_too(clone: Clone) -> None:
    _both_change(clone)
    clone.git("branch", "cross", "there")
    assert clone.does("merge", "--no-edit", "there")[0] == 0
    mine = clone.save("a.md", clone.read("a.md") + "\nMine.\n")
    clone.git("switch", "-q", "cross")
    assert clone.does("merge", "--no-edit", "here~2")[0] == 0
    other = clone.save("a.md", clone.read("a.md").replace("First.", "First, other."))
    assert len(clone.git("merge-base", "--all", mine, other).split()) == 2
    assert clone.does("merge", "--no-edit", "here")[0] == 0
    assert clone.same_as_server(other, mine)
    text = clone.read("a.md")
    assert text.count("Second, there.") == text.count("Second, here.") == 1
    assert "First, other." in text
    assert "Mine." in text


@pytest.mark.parametrize(
    "words", [("cherry-pick", "there"), ("rebase", "-q", "there"), ("rebase", "-q", "--apply", "there")]
)
def test_what_git_brings_in_otherwise_is_joined_as_well(clone: Clone, words: tuple[str, ...]) -> None:
    _both_change(clone)
    code, said = clone.does(*words)
    assert code == 0, said
    text = clone.read("a.md")
    assert "Second, here." in text
    assert "Second, there." in text
    assert "[!conflict]- Hana Human, " in text


def test_what_was_stashed_is_joined_as_well(clone: Clone) -> None:
    clone.write("a.md", TEXT.replace("Second", "Second, stashed"))
    clone.git("stash", "-q")
    clone.save("a.md", TEXT.replace("Second", "Second, saved"))
    assert clone.does("stash", "pop")[0] == 0
    text = clone.read("a.md")
    assert "Second, stashed." in text
    assert "Second, saved." in text


def test_an_edit_is_joined_under_the_name_that_the_other_side_gave_the_note(clone: Clone) -> None:
    start = clone.head
    there = clone.branch("there", start, "a.md", TEXT.replace("First", "First, there"))
    clone.git("switch", "-q", "-c", "here", start)
    clone.git("mv", "a.md", "Meeting.md")
    here = clone.save("Meeting.md", TEXT + "\nFourth, here.\n")
    assert clone.does("merge", "--no-edit", "there")[0] == 0
    assert clone.same_as_server(here, there)
    assert "First, there." in clone.read("Meeting.md")


@pytest.mark.parametrize("folder", ["", "home/vault/"])
def test_a_declaration_that_both_changed_stays_as_it_was_and_a_person_is_asked(
    clone: Clone, folder: str
) -> None:
    path = f"{folder}agent/crons/digest.md"
    start = clone.save(path, cron())
    there = clone.branch("there", start, path, cron(schedule="0 9 * * *"))
    clone.branch("here", start, path, cron(schedule="0 10 * * *"))
    code, said = clone.does("merge", "--no-edit", "there")
    assert code == 1
    assert f"{path} is a declaration that both sides changed, so it is left as it was" in said
    assert clone.read(path) == cron()
    assert clone.git("rev-parse", f"{there}:{path}") in clone.stages


def test_what_no_text_can_hold_is_left_to_the_person_with_their_own_version_in_place(clone: Clone) -> None:
    clone.save(".gitattributes", "*.md merge=vaultloop filter=git-crypt\n")
    _both_change(clone)
    code, said = clone.does("merge", "--no-edit", "there")
    assert code == 1
    assert "a.md cannot be joined line by line. Your version is left in place." in said
    assert clone.read("a.md") == TEXT.replace("Second", "Second, here")
    assert len(clone.stages.splitlines()) == 3


@pytest.mark.parametrize(
    "driver",
    [
        "/nowhere/vaultloop merge-driver %O %A %B %P",
        "GIT_DIR=/nowhere " + DRIVER,
        DRIVER.replace("%O", "/nowhere"),
        DRIVER.replace(" %P", ""),
        "kill -9 $$",
    ],
    ids=["not-installed", "no-repository", "no-file", "wrong-usage", "killed"],
)
def test_a_driver_that_fails_leaves_both_versions(tmp_path: Path, driver: str) -> None:
    clone = Clone.with_driver(tmp_path / "vault", driver)
    clone.save("a.md", TEXT)
    clone.commit()
    here, there = _both_change(clone)
    code, _ = clone.does("merge", "--no-edit", "there")
    assert code != 0
    assert clone.head == here
    assert clone.read("a.md") == TEXT.replace("Second", "Second, here")
    # Where the driver was killed, later versions of git call the whole merge off instead.
    if code == 1 or "kill" not in driver:
        blobs = {line.split()[1] for line in clone.stages.splitlines()}
        assert clone.git("rev-parse", f"{there}:a.md") in blobs
        assert clone.does("commit", "-m", "Merge")[0] != 0


def test_it_loads_nothing_that_git_would_have_to_wait_for() -> None:
    heavy = ["click", "rich", "pydantic", "asyncio", "aiohttp", "croniter", "markdown_it", "frontmatter"]
    modules = "vaultloop.__main__, vaultloop.vault.merge.called, vaultloop.vault.merge.driver, sys"
    program = f"import {modules}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_says_what_the_exit_codes_mean() -> None:
    words = [sys.executable, "-m", "vaultloop", "merge-driver", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert "1 if a person must decide" in done.stdout
