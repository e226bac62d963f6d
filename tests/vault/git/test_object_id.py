"""Ids of content, as git itself computes them."""

from pathlib import Path

from support.folders import write
from support.vault_clone import VaultClone
from vaultloop.vault.git.object_id import blob_id, tree_id
from vaultloop.vault.plain_folder import FolderFiles


def test_ids_are_those_of_git(tmp_path: Path) -> None:
    clone = VaultClone.fresh(tmp_path / "vault")
    write(clone.path, {"a.md": "a", "a/b.md": "b", "a-b/c.md": "c", "a/é/d.md": "d", "run.sh": "#!/bin/sh\n"})
    (clone.path / "run.sh").chmod(0o755)
    clone.commit()
    files = FolderFiles(clone.path)
    assert tree_id(files.under(""), "") == clone.git("rev-parse", "HEAD^{tree}")
    assert tree_id(files.under("a"), "a") == clone.git("rev-parse", "HEAD:a")
    assert blob_id(b"a") == clone.git("rev-parse", "HEAD:a.md")


def test_a_folder_without_files_has_none() -> None:
    assert tree_id((), "a") is None
