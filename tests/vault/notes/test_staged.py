"""What is staged: the index on top of HEAD, read through `Files`, and nothing read that nobody asked for."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support.large_vault import large_vault, ordinary
from support.notes import OWNER, cron, scope
from support.vault_clone import VaultClone, git
from vaultloop.components import KINDS
from vaultloop.model.errors import Stalled
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.notes.inspection import Inspection, inspected_change
from vaultloop.vault.notes.staged import staged

NOTES = 10_000
DIGEST = "agent/crons/digest.md"
DECLARED = {
    "agent/scopes/owner.md": OWNER,
    "agent/scopes/family.md": scope(),
    **{f"agent/crons/job-{number:02}.md": cron(schedule=f"{number} 1 * * *") for number in range(50)},
}


@pytest.fixture
def vault(tmp_path: Path) -> VaultClone:
    made = VaultClone.fresh(tmp_path / "vault")
    made.write("agent/scopes/owner.md", OWNER)
    made.write(DIGEST, cron())
    made.write("Note.md", "Text\n")
    made.commit()
    return made


def paths(vault: VaultClone, folder: str = "") -> list[str]:
    return [entry.path for entry in staged(vault.path, Effort()).after.under(folder)]


def text(vault: VaultClone, path: str) -> str | None:
    files = staged(vault.path, Effort()).after
    entry = files.entry(path)
    return None if entry is None else files.read(entry).decode()


def test_what_is_staged_is_head_with_the_differences(vault: VaultClone) -> None:
    vault.write("Note.md", "New\n")
    vault.write("agent/rules/new.md", "New\n")
    vault.git("add", "-A")
    vault.git("rm", "-q", "--cached", DIGEST)
    found = staged(vault.path, Effort())
    assert found.changed == {"Note.md", "agent/rules/new.md", DIGEST}
    assert paths(vault, "agent") == ["agent/rules/new.md", "agent/scopes/owner.md"]
    assert paths(vault) == ["Note.md", "agent/rules/new.md", "agent/scopes/owner.md"]
    assert text(vault, "Note.md") == "New\n"
    assert text(vault, DIGEST) is None


def test_the_working_tree_is_not_looked_at(vault: VaultClone) -> None:
    vault.write("Note.md", "Staged\n")
    vault.git("add", "-A")
    vault.write("Note.md", "Later\n")
    vault.write("Other.md", "Later\n")
    assert text(vault, "Note.md") == "Staged\n"
    assert "Other.md" not in paths(vault)


def test_a_trees_id_is_gits_own(vault: VaultClone) -> None:
    vault.write("agent/crons/new.md", cron())
    vault.write("agent/crons.md", "Between\n")
    vault.git("add", "-A")
    files = staged(vault.path, Effort()).after
    tree = vault.git("write-tree")
    assert files.tree_id("agent") == vault.git("rev-parse", f"{tree}:agent")
    assert files.tree_id("absent") is None


def test_a_repository_without_a_commit_has_everything_staged_as_new(tmp_path: Path) -> None:
    fresh = VaultClone.fresh(tmp_path / "vault")
    fresh.write("agent/scopes/owner.md", OWNER)
    fresh.git("add", "-A")
    found = staged(fresh.path, Effort())
    assert found.before is None
    assert found.changed == {"agent/scopes/owner.md"}
    assert text(fresh, "agent/scopes/owner.md") == OWNER


def test_links_and_names_that_are_no_text_are_not_in_it(vault: VaultClone) -> None:
    (vault.path / "link.md").symlink_to("Note.md")
    vault.git("add", "-A")
    blob = vault.git("hash-object", "Note.md")
    odd = b"100644 %s 0\tnote-\xff.md\0" % blob.encode()
    subprocess.run(["git", "-C", vault.path, "update-index", "-z", "--index-info"], input=odd, check=True)
    assert paths(vault) == ["Note.md", DIGEST, "agent/scopes/owner.md"]


def test_another_index_that_git_names_is_the_one_that_counts(
    vault: VaultClone, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(vault.path / ".git" / "index", vault.path / ".git" / "other-index")
    vault.write("Note.md", "Staged\n")
    vault.git("add", "-A")
    monkeypatch.setenv("GIT_INDEX_FILE", str(vault.path / ".git" / "other-index"))
    assert staged(vault.path, Effort()).changed == frozenset()


def test_a_vault_further_down_is_seen_from_its_own_top(vault: VaultClone) -> None:
    vault.write("home/agent/scopes/owner.md", OWNER)
    vault.write("home/Note.md", "Text\n")
    vault.git("add", "-A")
    found = staged(vault.path / "home", Effort())
    assert found.vault == "home"
    assert found.changed == {"Note.md", "agent/scopes/owner.md"}
    assert staged(vault.path / "home" / "agent" / "scopes", Effort()).vault == "home"
    assert staged(vault.path, Effort()).vault == ""


@pytest.mark.parametrize("version", ["3", "4"])
def test_what_is_only_announced_is_not_staged(vault: VaultClone, version: str) -> None:
    vault.write("agent/crons/draft.md", "")
    vault.write("agent/empty.md", "")
    vault.git("add", "-N", "agent/crons/draft.md")
    vault.git("add", "agent/empty.md")
    vault.git("update-index", "--index-version", version)
    assert staged(vault.path, Effort()).changed == {"agent/empty.md"}


def test_the_vault_is_the_folder_that_declares_something_after_the_commit(vault: VaultClone) -> None:
    vault.git("mv", "agent", "old")
    vault.write("agent/main.py", "")
    vault.git("add", "-A")
    (vault.path / "notes").mkdir()
    vault.git("mv", "old", "notes/agent")
    assert staged(vault.path, Effort()).vault == "notes"
    assert staged(vault.path / "absent", Effort(), named=True).vault == "absent"


def test_a_repository_of_sha_256_is_named(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--object-format=sha256", tmp_path], check=True)
    with pytest.raises(Stalled, match="SHA-256"):
        staged(tmp_path, Effort())


def test_where_no_repository_is_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Stalled, match="there is no git repository"):
        staged(tmp_path, Effort())


def test_an_index_that_cannot_be_read_is_named_with_a_cure(vault: VaultClone) -> None:
    vault.git("update-index", "--split-index")
    vault.write("Note.md", "Staged\n")
    vault.git("add", "-A")
    with pytest.raises(Stalled, match="--no-split-index"):
        staged(vault.path, Effort())


# What it costs, in a vault of 10,000 notes.


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large_vault(tmp_path_factory.mktemp("large") / "vault.git", NOTES, DECLARED)


@pytest.fixture
def large(bare: Path, tmp_path: Path) -> VaultClone:
    """A repository without a file on the disk, and without the content of a single ordinary note."""
    tmp_path.joinpath("vault").mkdir()
    made = VaultClone(tmp_path / "vault")
    made.git("init", "-q", "--initial-branch=main")
    objects = git(bare, "rev-list", "--objects", "main").splitlines()
    kept = "\n".join(line.split()[0] for line in objects if not line.endswith(".md") or " agent/" in line)
    pack = made.path / ".git" / "objects" / "pack" / "pack"
    subprocess.run(["git", "-C", bare, "pack-objects", "-q", pack], input=kept.encode(), check=True)
    made.git("update-ref", "refs/heads/main", git(bare, "rev-parse", "main"))
    made.git("read-tree", "HEAD")
    return made


def stage(vault: VaultClone, path: str, content: str) -> None:
    vault.write(path, content)
    vault.git("add", "--", path)


def inspection(vault: VaultClone) -> tuple[Inspection, Effort]:
    effort = Effort()
    found = staged(vault.path, effort)
    return inspected_change(found.before, found.after, found.changed, lambda: KINDS), effort


def test_of_a_staged_declaration_the_declarations_are_read_and_no_other_note(large: VaultClone) -> None:
    stage(large, DIGEST, cron())
    found, effort = inspection(large)
    assert found.problems == ()
    assert effort.blobs == len(DECLARED) + 1


def test_of_a_staged_ordinary_note_that_note_alone_is_read(large: VaultClone) -> None:
    stage(large, ordinary(4321), "# Changed\n")
    found, effort = inspection(large)
    assert found.problems == ()
    assert effort.blobs == 1


def test_a_deleted_scope_is_told_with_both_states_of_the_declarations_read_once(large: VaultClone) -> None:
    stage(large, "agent/crons/job-07.md", cron(scope="family"))
    large.git("-c", "user.name=H", "-c", "user.email=h@example.org", "commit", "-q", "-m", "One")
    large.git("rm", "-q", "--cached", "agent/scopes/family.md")
    found, effort = inspection(large)
    assert [(problem.file, problem.code) for problem in found.problems] == [
        ("agent/crons/job-07.md", "missing-reference")
    ]
    assert effort.blobs == 2 * len(DECLARED) - 1


# What git left of a conflict about a declaration.


def both_change(vault: VaultClone) -> None:
    """Two branches, each with its own change of one declaration; the first is checked out."""
    vault.git("switch", "-q", "-c", "there")
    vault.write(DIGEST, cron(schedule="0 9 * * *"))
    vault.write("Note.md", "There\n")
    vault.commit()
    vault.git("switch", "-q", "main")
    vault.write(DIGEST, cron(schedule="0 10 * * *"))
    vault.write("Note.md", "Here\n")
    vault.commit()


def stopped(vault: VaultClone, *words: str) -> None:
    """As git stops at the conflict, with the notes as they were before both."""
    base = vault.git("merge-base", "main", "there")
    with pytest.raises(AssertionError, match="CONFLICT"):
        vault.git(*words)
    vault.git("checkout", base, "--", DIGEST, "Note.md")


@pytest.mark.parametrize("words", [("merge", "there"), ("cherry-pick", "there"), ("rebase", "there")])
def test_a_declaration_as_it_was_before_both_sides_of_a_conflict_is_undecided(
    vault: VaultClone, words: tuple[str, ...]
) -> None:
    both_change(vault)
    stopped(vault, *words)
    assert staged(vault.path, Effort()).undecided == {DIGEST}


@pytest.mark.parametrize("decided", [cron(schedule="0 9 * * *"), cron(schedule="0 11 * * *"), cron() + "\n"])
def test_what_somebody_wrote_to_end_a_conflict_is_decided(vault: VaultClone, decided: str) -> None:
    both_change(vault)
    stopped(vault, "merge", "there")
    stage(vault, DIGEST, decided)
    assert staged(vault.path, Effort()).undecided == frozenset()


def test_a_declaration_that_goes_back_where_nothing_is_merged_is_decided(vault: VaultClone) -> None:
    both_change(vault)
    stage(vault, DIGEST, cron())
    assert staged(vault.path, Effort()).undecided == frozenset()
