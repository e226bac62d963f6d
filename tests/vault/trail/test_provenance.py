"""The past of one path."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commits import commit, unsynced
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.trail.provenance import Provenance

LONG = "".join(f"line {number}\n" for number in range(20))


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with unsynced():
        yield Repository.bare(tmp_path / "vault.git")


def touching(repository: Repository, head: str, *paths: str) -> list[str]:
    return [found.subject for found in Provenance(repository).touching(head, paths)]


def test_a_path_is_followed_under_the_name_that_it_had_then(repository: Repository) -> None:
    first = commit(repository, None, {"Plan.md": LONG, "Home.md": "home\n"}, message="made")
    other = commit(repository, first, {"Home.md": "house\n"}, message="other")
    moved = commit(repository, other, {"Plan.md": None, "Old/Plan.md": LONG + "more\n"}, message="moved")
    head = commit(repository, moved, {"Old/Plan.md": LONG}, message="edited")
    assert touching(repository, head, "Old/Plan.md") == ["edited", "moved", "made"]
    assert touching(repository, head, "Home.md") == ["other", "made"]
    assert touching(repository, head, "Plan.md") == ["moved", "made"]
    assert touching(repository, head, "Old") == ["edited", "moved"]
    assert touching(repository, head, "Home.md", "Old/Plan.md") == ["edited", "moved", "other", "made"]
    assert touching(repository, head, "Nothing.md") == []


def test_what_was_made_anew_after_a_deletion_has_all_of_its_past(repository: Repository) -> None:
    first = commit(repository, None, {"Plan.md": LONG, "Home.md": "home\n"}, message="made")
    gone = commit(repository, first, {"Plan.md": None}, message="gone")
    head = commit(repository, gone, {"Plan.md": "another one\n"}, message="again")
    assert touching(repository, head, "Plan.md") == ["again", "gone", "made"]


def test_of_several_files_that_moved_at_once_each_finds_its_own(repository: Repository) -> None:
    texts = {f"{name}.md": LONG.replace("line", name) for name in ("one", "two", "three")}
    first = commit(repository, None, {**texts, "empty.md": ""}, message="made")
    moved = {f"New/{path}": text for path, text in texts.items()}
    head = commit(repository, first, {**moved, **dict.fromkeys(texts), "new.md": "x\n"}, message="moved")
    provenance = Provenance(repository)
    for path in texts:
        assert provenance.source(head, f"New/{path}", first) == path
        assert provenance.renamed_to(first, path, head) == f"New/{path}"
    assert provenance.source(head, "new.md", first) is None


def test_a_join_that_took_one_side_as_it_was_did_not_touch_the_path(repository: Repository) -> None:
    first = commit(repository, None, {"Plan.md": "a\n", "Home.md": "home\n"}, message="made")
    mine = commit(repository, first, {"Plan.md": "b\n"}, message="mine")
    theirs = commit(repository, first, {"Home.md": "house\n"}, message="theirs")
    tree = repository.tree_of(commit(repository, mine, {"Home.md": "house\n"}))
    made = repository.read_commit(mine)
    join = repository.commit(str(tree), [mine, theirs], "join", author=made.author, at=made.at)
    assert touching(repository, join, "Plan.md") == ["mine", "made"]
    assert touching(repository, join, "Home.md") == ["theirs", "made"]
