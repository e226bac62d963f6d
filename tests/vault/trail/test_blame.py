"""Who wrote each line: compared with git's own answer, and with histories whose writers are known."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from support.chronicle import Chronicle
from support.commits import commit, unsynced
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.trail.blame import blame

NOTES = ("Inbox.md", "Plans/Garden.md", "Plans/Trip.md")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with unsynced():
        yield Repository.bare(tmp_path / "vault.git")


def random_history(repository: Repository, seed: int) -> Chronicle:
    random = Random(seed)
    made = Chronicle(repository, random)
    made.begin(NOTES, lines=6)
    for number in range(random.randint(4, 8)):
        if random.random() < 0.3:
            made.fork(f"one {number}", f"other {number}", edits=random.randint(1, 4))
        else:
            made.edit(f"writer {number}", edits=random.randint(1, 5))
    return made


def commits(repository: Repository, path: str) -> list[str | None]:
    assert repository.head
    return [line.commit for line in blame(repository, repository.head, path)]


def by_git(repository: Repository, path: str) -> list[str]:
    head = repository.head
    assert head
    command = ["git", "-C", str(repository.path), "blame", "-l", "-s", "--root", head, "--", path]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in shown.splitlines()]


@pytest.mark.parametrize("seed", range(25))
def test_every_line_is_of_exactly_the_writer_that_wrote_it(repository: Repository, seed: int) -> None:
    made = random_history(repository, seed)
    for path in NOTES:
        assert commits(repository, path) == [made.commit_of[writer] for writer in made.writers(path)]


@pytest.mark.parametrize("seed", range(100, 106))
def test_git_says_the_same(repository: Repository, seed: int) -> None:
    random_history(repository, seed)
    for path in NOTES:
        assert commits(repository, path) == by_git(repository, path)


def test_a_renamed_note_keeps_its_writers(repository: Repository) -> None:
    made = Chronicle(repository, Random(1))
    made.begin(NOTES, lines=8)
    made.edit("before", edits=3, on=("Inbox.md",))
    made.rename("mover", "Inbox.md", "Done/Old inbox.md")
    made.edit("after", edits=2, on=("Done/Old inbox.md",))
    found = blame(repository, repository.head or "", "Done/Old inbox.md")
    assert [line.commit for line in found] == [
        made.commit_of[writer] for writer in made.writers("Done/Old inbox.md")
    ]
    assert {line.path for line in found} == {"Inbox.md", "Done/Old inbox.md"}


def grown(repository: Repository, *texts: str, path: str = "Note.md") -> list[str]:
    """Commits upon one another, each with the whole text of the note."""
    made: list[str] = []
    for number, text in enumerate(texts):
        made.append(commit(repository, repository.head, {path: text}, message=f"Edit {number}\n"))
        repository.move(repository.head, made[-1])
    return made


def joined(repository: Repository, base: str, one: str, other: str, result: str) -> tuple[str, str, str, str]:
    """A note that two changed at the same time, and the join of both."""
    first = grown(repository, base)[0]
    mine = commit(repository, first, {"Note.md": one}, message="One\n")
    theirs = commit(repository, first, {"Note.md": other}, message="Other\n")
    tree = repository.tree_of(commit(repository, first, {"Note.md": result}, message="Only its tree\n"))
    author, at = repository.read_commit(mine).author, repository.read_commit(mine).at
    join = repository.commit(str(tree), [mine, theirs], "Join two lines of work\n", author=author, at=at)
    repository.move(first, join)
    return first, mine, theirs, join


def test_a_line_added_below_a_last_line_without_an_end_does_not_make_that_new(repository: Repository) -> None:
    first, second = grown(repository, "milk", "milk\nrent")
    assert commits(repository, "Note.md") == [first, second]


def test_other_line_ends_make_nobody_the_writer(repository: Repository) -> None:
    first, second = grown(repository, "milk\nrent\n", "milk\r\nrent\r\nroses\r\n")
    assert commits(repository, "Note.md") == [first, first, second]


def test_what_a_join_folded_is_of_the_side_that_lost(repository: Repository) -> None:
    loser = "milk\nrent\non Friday\n\nat noon\n"
    head = f"> [!conflict]- agent, 2026-11-22, {repository.write_blob(loser.encode())[:7]}"
    result = f"milk\nrent on Monday\n\n{head}\n> on Friday\n>\n> at noon\n"
    first, mine, theirs, _ = joined(repository, "milk\nrent\n", "milk\nrent on Monday\n", loser, result)
    assert commits(repository, "Note.md") == [first, mine, *[theirs] * 5]


def test_a_task_that_a_join_made_of_both_edits_is_of_one_of_them(repository: Repository) -> None:
    first, mine, theirs, _ = joined(
        repository,
        "- [ ] call Ada\nrent\n",
        "- [x] call Ada\nrent\n",
        "- [ ] call Ada about the roses\nrent\n",
        "- [x] call Ada about the roses\nrent\n",
    )
    task, rent = commits(repository, "Note.md")
    assert task in (mine, theirs)
    assert rent == first


def test_what_lies_in_the_folder_and_is_not_committed_has_no_commit(repository: Repository) -> None:
    (first,) = grown(repository, "milk\nrent\n")
    found = blame(repository, first, "Note.md", lying=b"milk\nroses\nrent\n")
    assert [(line.text, line.commit) for line in found] == [
        (b"milk", first), (b"roses", None), (b"rent", first),
    ]  # fmt: skip


def test_only_the_lines_that_matter_are_traced(repository: Repository) -> None:
    _, second = grown(repository, "milk\nrent\n", "milk\nroses\nrent\n")
    assert [line.commit for line in blame(repository, second, "Note.md", wanted=[2])] == [second]


def test_a_note_that_is_not_there_is_no_answer(repository: Repository) -> None:
    (first,) = grown(repository, "milk\n")
    with pytest.raises(KeyError):
        blame(repository, first, "Nothing.md")
