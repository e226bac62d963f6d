import os
import subprocess
from pathlib import Path

from support.folders import write
from vaultloop.vault.files import Entry
from vaultloop.vault.plain_folder import FolderFiles, blob_id

NOTES = {"agent/a.md": "a", "agent/x/b.md": "b", "agent/x.md": "c", "Note.md": "d", "agent/x-y/z.md": "e"}


def git(folder: Path, *args: str) -> str:
    return subprocess.run(
        ["git", *args], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_ids_of_files_and_folders_are_those_that_git_gives(tmp_path: Path) -> None:
    write(tmp_path, NOTES)
    (tmp_path / "agent" / "a.md").chmod(0o755)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    root = git(tmp_path, "write-tree")
    files = FolderFiles(tmp_path)
    assert files.tree_id("") == root
    assert files.tree_id("agent") == git(tmp_path, "rev-parse", f"{root}:agent")
    assert files.entry("Note.md") == Entry("Note.md", git(tmp_path, "hash-object", "Note.md"))


def test_files_are_listed_in_the_order_of_their_paths(tmp_path: Path) -> None:
    files = FolderFiles(write(tmp_path, NOTES))
    assert [entry.path for entry in files.under("agent")] == [
        "agent/a.md",
        "agent/x-y/z.md",
        "agent/x.md",
        "agent/x/b.md",
    ]
    assert next(entry.path for entry in files.under("")) == "Note.md"


def test_links_special_files_and_git_itself_are_not_in_it(tmp_path: Path) -> None:
    write(tmp_path, {"agent/a.md": "a", ".git/config": "x", "elsewhere/b.md": "b"})
    (tmp_path / "agent" / "link.md").symlink_to(tmp_path / "elsewhere" / "b.md")
    (tmp_path / "agent" / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "agent" / "pipe.md")
    files = FolderFiles(tmp_path)
    assert [entry.path for entry in files.under("")] == ["agent/a.md", "elsewhere/b.md"]
    assert files.entry("agent/link.md") is None
    assert files.entry("agent/folder/b.md") is None
    assert files.entry("agent/pipe.md") is None


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    files = FolderFiles(write(tmp_path, {"Agent/a.md": "a"}))
    assert files.tree_id("agent") is None
    assert list(files.under("agent")) == []
    assert files.entry("agent/a.md") is None


def test_one_look_reads_a_file_once(tmp_path: Path) -> None:
    files = FolderFiles(write(tmp_path, {"a.md": "old"}))
    entry = files.entry("a.md")
    assert entry is not None
    write(tmp_path, {"a.md": "new"})
    assert files.read(entry) == b"old"
    assert entry.blob == blob_id(b"old")
