"""The branch moves only from where it is known to be; what must be kept is kept under references of ours."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from support.commits import AGENT, NOON, commit
from support.vault_clone import VaultClone, git
from vaultloop.model.errors import Retry, Stalled
from vaultloop.vault.git.repository import HeadMovedError, Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.bare(tmp_path / "vault.git")


def test_a_branch_without_commits_has_no_head(repository: Repository) -> None:
    assert (repository.head, repository.branch) == (None, "main")


def test_writing_a_commit_moves_nothing(repository: Repository) -> None:
    commit(repository, None, {"note.md": "x"})
    assert repository.head is None


def test_the_branch_does_not_move_from_where_it_is_not(repository: Repository) -> None:
    first = commit(repository, None, {"note.md": "1"})
    second = commit(repository, first, {"note.md": "2"})
    repository.move(None, first)
    with pytest.raises(HeadMovedError):
        repository.move(None, second)
    with pytest.raises(HeadMovedError):
        repository.move(second, first)
    repository.move(first, second)
    assert repository.head == second


def test_a_move_that_git_locked_out_is_to_be_tried_again(repository: Repository) -> None:
    first = commit(repository, None, {"note.md": "1"})
    repository.move(None, first)
    (repository.path / "refs" / "heads" / "main.lock").touch()
    with pytest.raises(Retry, match="could not be moved"):
        repository.move(first, commit(repository, first, {"note.md": "2"}))
    assert repository.head == first


def test_what_is_kept_is_found_again_after_reopening(repository: Repository) -> None:
    first = commit(repository, None, {"note.md": "1"})
    repository.keep("parked/x", first)
    again = Repository.bare(repository.path)
    assert again.kept("parked/x") == first
    assert again.kept("parked/y") is None
    assert again.keeps("parked/")
    assert not again.keeps("rescue/")


def test_the_log_gives_subject_trailers_author_and_parents(repository: Repository) -> None:
    first = commit(repository, None, {"note.md": "1"})
    message = "Answer hana\n\nWhat was asked.\n\nSession: 7\nCost-USD: 0.0100\n"
    second = commit(repository, first, {"note.md": "2"}, message=message)
    newest, oldest = repository.log(second, 10)
    assert (newest.id, newest.parents, newest.subject) == (second, (first,), "Answer hana")
    assert newest.trailers == {"Session": "7", "Cost-USD": "0.0100"}
    assert (newest.author, newest.at) == (AGENT, NOON)
    assert (oldest.id, oldest.parents) == (first, ())
    assert [entry.id for entry in repository.log(second, 1)] == [second]


def test_a_commit_keeps_the_time_zone_that_it_was_made_in(repository: Repository) -> None:
    tokyo = datetime(2026, 11, 22, 21, 0, tzinfo=timezone(timedelta(hours=9)))
    made = repository.commit(repository.edit(None, {}), [], "x", author=AGENT, at=tokyo)
    assert git(repository.path, "show", "-s", "--format=%aI", made) == "2026-11-22T21:00:00+09:00"


def test_a_commit_that_is_not_here_is_nobodys_ancestor(repository: Repository) -> None:
    first = commit(repository, None, {"note.md": "1"})
    assert not repository.is_ancestor("1" * 40, first)
    assert not repository.is_ancestor(first, "1" * 40)


def test_what_real_git_makes_of_it_is_whole(repository: Repository) -> None:
    first = commit(repository, None, {"note.md": "1", "deep/er.md": "x"})
    repository.move(None, first)
    git(repository.path, "fsck", "--strict", "--full")


def test_a_folder_on_another_branch_than_the_one_that_is_set_is_refused_with_a_cure(tmp_path: Path) -> None:
    VaultClone.fresh(tmp_path / "folder", branch="draft")
    with pytest.raises(Stalled, match="git switch main"):
        Repository.in_folder(tmp_path / "folder", "main")
    assert Repository.in_folder(tmp_path / "folder").branch == "draft"


def test_a_folder_whose_git_is_broken_is_refused_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(Stalled, match="fsck"):
        Repository.in_folder(tmp_path)


def test_what_git_locked_out_from_being_kept_is_to_be_tried_again(repository: Repository) -> None:
    first = commit(repository, None, {"note.md": "1"})
    (repository.path / "refs" / "vaultloop" / "parked").mkdir(parents=True)
    (repository.path / "refs" / "vaultloop" / "parked" / "x.lock").touch()
    with pytest.raises(Retry, match="could not write"):
        repository.keep("parked/x", first)
    repository.unlock(alone=False)
    repository.keep("parked/x", first)


def test_a_difference_shows_the_text_of_notes_whatever_they_hold(repository: Repository) -> None:
    first = commit(repository, None, {"note.md": "a\0b\n", "x.png": "a\0b\n"})
    second = commit(repository, first, {"note.md": "a\0b\nnew\n", "x.png": "a\0c\n"})
    patch = repository.patch(first, second)
    assert "\n+new\n" in patch
    assert patch.count("Binary files") == 1
