"""Trees are edited in steps that follow the change; nothing else in them moves."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pygit2.enums import FileMode

from support.commits import AGENT, NOON, commit, text_at
from vaultloop.vault.files import Entry
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.trees import Leaf

Files = dict[str, str]

# No name is a folder in one vault and a file in another; that case has a test of its own.
PATHS = ("a.md", "b/c.md", "b/d.md", "e/f/g.md", "e/f/h.md", "e/i.md")
some_files = st.dictionaries(st.sampled_from(PATHS), st.sampled_from("123"))

_shared = Repository.bare(Path(tempfile.mkdtemp()) / "vault.git")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.bare(tmp_path / "vault.git")


def _commit(repository: Repository, parent: str | None, files: Files) -> str:
    """A commit that holds exactly `files`."""
    now = dict.fromkeys(_files(repository, parent)) if parent else {}
    return commit(repository, parent, now | files)


def _files(repository: Repository, revision: str) -> Files:
    files = repository.files(revision)
    return {entry.path: files.read(entry).decode() for entry in files.under("")}


@settings(max_examples=60, deadline=None)
@given(old=some_files, new=some_files)
def test_the_changes_between_two_trees_are_exactly_what_differs(old: Files, new: Files) -> None:
    first = _commit(_shared, None, old)
    second = _commit(_shared, first, new)
    assert set(_shared.changed(first, second)) == {path for path in PATHS if old.get(path) != new.get(path)}


def test_a_file_may_take_the_place_of_a_folder_only_when_the_folder_is_emptied(
    repository: Repository,
) -> None:
    start = commit(repository, None, {"b/c.md": "x", "b/d.md": "x"})
    with pytest.raises(ValueError, match="is a folder"):
        commit(repository, start, {"b": "file", "b/c.md": None})
    done = commit(repository, start, {"b": "file", "b/c.md": None, "b/d.md": None})
    assert _files(repository, done) == {"b": "file"}


def test_a_folder_vanishes_with_its_last_file(repository: Repository) -> None:
    start = commit(repository, None, {"deep/er/note.md": "x", "a.md": "x"})
    done = commit(repository, start, {"deep/er/note.md": None})
    assert repository.files(done).tree_id("deep") is None


@pytest.mark.parametrize("path", ["../up.md", ".git/config", "a/../b.md", "a//b.md", "/root.md"])
def test_a_path_that_leads_elsewhere_cannot_be_committed(repository: Repository, path: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        commit(repository, None, {path: "x"})


def test_links_submodules_and_executable_bits_survive_edits_beside_them(repository: Repository) -> None:
    blob = repository.write_blob(b"x")
    start = repository.commit(
        repository.edit_leaves(
            None,
            {
                "d/tool.sh": Leaf(blob, FileMode.BLOB_EXECUTABLE),
                "d/link": Leaf(blob, FileMode.LINK),
                "d/module": Leaf("1" * 40, FileMode.COMMIT),
                "d/note.md": Leaf(blob, FileMode.BLOB),
            },
        ),
        [],
        "Start",
        author=AGENT,
        at=NOON,
    )
    done = commit(repository, commit(repository, start, {"d/a.md": "a"}), {"d/b.md": "b"})
    modes = {path: leaf.mode for path, leaf in repository.trees.leaves(repository.tree_of(done))}
    assert modes["d/tool.sh"] == FileMode.BLOB_EXECUTABLE
    assert modes["d/link"] == FileMode.LINK
    assert modes["d/module"] == FileMode.COMMIT
    assert [entry.path for entry in repository.files(done).under("d")] == [
        "d/a.md",
        "d/b.md",
        "d/note.md",
        "d/tool.sh",
    ]


def test_one_change_among_many_folders_reads_only_the_trees_on_its_way(repository: Repository) -> None:
    start = commit(repository, None, {f"n{number}/m/note.md": "x" for number in range(100)})
    before = repository.effort.trees
    done = commit(repository, start, {"n7/m/note.md": "y"})
    assert repository.effort.trees - before <= 3
    before = repository.effort.trees
    assert set(repository.changed(start, done)) == {"n7/m/note.md"}
    assert repository.effort.trees - before <= 6
    before = repository.effort.trees
    assert repository.files(start).tree_id("n8") == repository.files(done).tree_id("n8")
    assert repository.changed(start, done, "n8") == {}
    assert repository.effort.trees - before <= 4


def test_entries_are_read_from_one_exact_commit(repository: Repository) -> None:
    start = commit(repository, None, {"agent/a.md": "one", "b.md": "x"})
    done = commit(repository, start, {"agent/a.md": "two"})
    assert text_at(repository, start, "agent/a.md") == "one"
    assert text_at(repository, done, "agent/a.md") == "two"
    files = repository.files(done)
    assert files.entry("agent") is None
    assert files.entry("agent/missing.md") is None
    assert files.entry("b.md/below") is None
    entry = files.entry("b.md")
    assert entry == Entry("b.md", repository.write_blob(b"x"))
