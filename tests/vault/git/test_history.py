from pathlib import Path

import pytest

from support.vault_clone import VaultClone
from vaultloop.model.errors import Stalled
from vaultloop.vault.git.history import History
from vaultloop.vault.notes.note_paths import notes_in


def two_revisions(folder: Path, inside: str = "") -> VaultClone:
    clone = VaultClone.fresh(folder)
    for number in (1, 2):
        clone.write(f"{inside}agent/rules/kind.md", f"{number}\n")
        clone.write(f"{inside}Note {number}.md", "text\n")
        clone.commit(f"Number {number}")
    return clone


def content(history: History, revision: str) -> bytes:
    files = history.files(revision)
    entry = files.entry("agent/rules/kind.md")
    assert entry is not None
    return files.read(entry)


def test_revisions_are_found_by_the_names_that_git_knows(tmp_path: Path) -> None:
    clone = two_revisions(tmp_path / "vault")
    clone.git("tag", "latest")
    history = History.around(clone.path)
    for name in ("HEAD", "latest", clone.head, clone.head[:10]):
        assert content(history, name) == b"2\n"
    assert content(history, "HEAD~1") == b"1\n"
    assert history.files("HEAD").revision == clone.head


def test_a_vault_may_be_a_folder_of_its_repository(tmp_path: Path) -> None:
    clone = two_revisions(tmp_path / "repository", "notes/vault/")
    history = History.around(clone.path / "notes/vault")
    assert history.vault == "notes/vault"
    assert content(history, "HEAD~1") == b"1\n"
    assert notes_in(history.files("HEAD")) == ("Note 1.md", "Note 2.md", "agent/rules/kind.md")


def test_before_the_vault_was_there_it_was_empty(tmp_path: Path) -> None:
    clone = VaultClone.fresh(tmp_path / "repository")
    clone.write("README.txt", "hello\n")
    clone.commit("First")
    clone.write("vault/agent/rules/kind.md", "1\n")
    clone.commit("Second")
    history = History.around(clone.path / "vault")
    assert list(history.files("HEAD~1").under("")) == []


@pytest.mark.parametrize("name", ["nothing", "HEAD~9", "", "HEAD:agent"])
def test_what_is_no_revision_is_said_with_the_way_on(tmp_path: Path, name: str) -> None:
    history = History.around(two_revisions(tmp_path / "vault").path)
    with pytest.raises(Stalled, match="Git knows no revision"):
        history.files(name)


def test_a_vault_outside_of_git_has_no_revisions(tmp_path: Path) -> None:
    with pytest.raises(Stalled, match="no git repository"):
        History.around(tmp_path)
    with pytest.raises(Stalled, match="no git repository"):
        History.of(tmp_path)
