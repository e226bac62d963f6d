"""A first vault: all for those who begin, `agent/` for those who have notes, nothing overwritten."""

import re
import shutil
from pathlib import Path

import pytest

from support.git_server import bare_repository
from support.vault_clone import VaultClone, git
from vaultloop.model.errors import VaultloopError
from vaultloop.vault import scaffold

OWNER = "agent/scopes/owner.md"
TEMPLATE = {
    path.relative_to(scaffold.template()).as_posix(): path.read_text()
    for path in scaffold.template().rglob("*")
    if path.is_file()
}
DIGEST = "agent/crons/digest.md"
AGENT = {path: text for path, text in TEMPLATE.items() if path.startswith("agent/")}
# What an existing vault gets of it: nothing that starts to write by itself.
SCHEDULES = {DIGEST, "agent/crons/timetable.md", "agent/reminders/look-back.md"}
AGENT |= {path: re.sub(r"(?m)^(kind: .*)$", r"\1\npaused: true", AGENT[path], count=1) for path in SCHEDULES}


def files(vault: Path) -> dict[str, str]:
    """Everything in a vault but its git, with its text."""
    found = (path for path in vault.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(vault).as_posix(): path.read_text() for path in found}


def scaffolded(vault: Path, branch: str | None = None) -> tuple[scaffold.Scaffold, str | None]:
    """What `vaultloop init` does to a folder: what was copied, and the commit."""
    name = scaffold.branch_of(vault, branch)
    done = scaffold.write_template(vault)
    return done, scaffold.commit_template(vault, done, name)


def in_last_commit(vault: Path) -> set[str]:
    return set(git(vault, "show", "--format=", "--name-only", "HEAD").splitlines())


@pytest.fixture
def existing(tmp_path: Path) -> VaultClone:
    """A vault that somebody has kept for years."""
    human = VaultClone.fresh(tmp_path / "vault", "master")
    human.write("Inbox.md", "mine\n")
    human.write("People/Ada.md", "# Ada\n")
    human.commit("Years of notes")
    return human


def test_an_empty_folder_becomes_the_whole_template_in_one_commit(tmp_path: Path) -> None:
    done, commit = scaffolded(tmp_path)
    assert files(tmp_path) == TEMPLATE
    assert set(done.written) == in_last_commit(tmp_path) == set(TEMPLATE)
    assert commit == git(tmp_path, "rev-parse", "main")
    assert git(tmp_path, "status", "--porcelain") == ""


def test_an_existing_vault_gets_the_declarations_and_no_other_note_is_touched(existing: VaultClone) -> None:
    scaffolded(existing.path)
    assert files(existing.path) == {"Inbox.md": "mine\n", "People/Ada.md": "# Ada\n", **AGENT}
    assert in_last_commit(existing.path) == set(AGENT)
    assert existing.git("log", "-1", "--format=%an") == "Hana Human"
    assert existing.git("status", "--porcelain") == ""


def test_in_an_existing_vault_schedules_wait_and_what_runs_is_told(
    existing: VaultClone, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    fresh, _ = scaffolded(tmp_path / "new")
    done, _ = scaffolded(existing.path)
    assert set(fresh.runs) >= SCHEDULES
    assert set(done.paused) >= SCHEDULES
    assert OWNER in done.runs
    assert set(done.runs) | set(done.paused) == set(AGENT)
    assert set(fresh.paused) == set(done.paused) - SCHEDULES
    resumed = existing.path / DIGEST
    resumed.write_text(TEMPLATE[DIGEST])
    again, _ = scaffolded(existing.path)
    assert DIGEST in again.runs
    assert resumed.read_text() == TEMPLATE[DIGEST]


def test_a_vault_without_git_gets_one_that_holds_the_declarations_only(tmp_path: Path) -> None:
    (tmp_path / "Inbox.md").write_text("mine\n")
    scaffolded(tmp_path)
    assert in_last_commit(tmp_path) == set(AGENT)
    assert git(tmp_path, "status", "--porcelain") == "?? Inbox.md"


def test_a_second_call_changes_nothing(existing: VaultClone) -> None:
    _, first = scaffolded(existing.path)
    before = files(existing.path)
    done, commit = scaffolded(existing.path)
    assert (done.written, commit) == ([], None)
    assert set(done.kept) == set(AGENT)
    assert files(existing.path) == before
    assert existing.head == first


def test_what_somebody_edited_or_deleted_stays_so(tmp_path: Path) -> None:
    scaffolded(tmp_path)
    human = VaultClone(tmp_path)
    human.write(OWNER, "edited\n")
    human.write("Home.md", "edited\n")
    human.git("rm", "-q", "Inbox.md", "agent/crons/digest.md")
    human.git("-c", "user.name=Hana", "-c", "user.email=hana@example.org", "commit", "-q", "-m", "Mine")
    (tmp_path / "agent/defaults.md").unlink()
    before = files(tmp_path)
    done, commit = scaffolded(tmp_path)
    assert (done.written, commit) == ([], None)
    assert files(tmp_path) == before


def test_what_a_human_has_staged_stays_staged_and_uncommitted(existing: VaultClone) -> None:
    existing.write("People/Ada.md", "# Ada Lovelace\n")
    existing.write("New.md", "x\n")
    existing.git("add", "-A")
    existing.write("Inbox.md", "being written\n")
    scaffolded(existing.path)
    assert in_last_commit(existing.path) == set(AGENT)
    assert existing.git("diff", "--cached", "--name-only").splitlines() == ["New.md", "People/Ada.md"]
    assert existing.git("diff", "--name-only").splitlines() == ["Inbox.md"]


def test_a_declaration_that_a_human_is_writing_is_not_committed_for_them(existing: VaultClone) -> None:
    existing.write(OWNER, "half a scope\n")
    done, _ = scaffolded(existing.path)
    assert done.kept == [OWNER]
    assert in_last_commit(existing.path) == set(AGENT) - {OWNER}
    assert existing.git("status", "--porcelain", "-uall") == f"?? {OWNER}"


def test_what_was_copied_before_a_crash_is_committed_by_the_next_call(tmp_path: Path) -> None:
    scaffold.write_template(tmp_path)
    _, commit = scaffolded(tmp_path)
    assert commit is not None
    assert in_last_commit(tmp_path) == set(TEMPLATE)


def test_a_copy_that_broke_off_is_finished_by_the_next_call(tmp_path: Path) -> None:
    scaffold.write_template(tmp_path)
    shutil.rmtree(tmp_path / "agent")
    (tmp_path / "Inbox.md").unlink()
    scaffolded(tmp_path)
    assert files(tmp_path) == TEMPLATE
    assert in_last_commit(tmp_path) == set(TEMPLATE)


def test_the_branch_is_the_one_that_is_checked_out(existing: VaultClone, tmp_path: Path) -> None:
    assert scaffold.branch_of(existing.path, None) == scaffold.branch_of(existing.path, "master") == "master"
    assert scaffold.branch_of(tmp_path / "new", None) == "main"
    assert scaffold.branch_of(tmp_path / "new", "trunk") == "trunk"
    with pytest.raises(VaultloopError, match=r"has master checked out, not trunk.*git switch trunk"):
        scaffold.branch_of(existing.path, "trunk")
    existing.git("checkout", "-q", "--detach")
    with pytest.raises(VaultloopError, match="has no branch checked out"):
        scaffold.branch_of(existing.path, None)


def test_a_bare_remote_is_made_filled_and_followed(existing: VaultClone, tmp_path: Path) -> None:
    scaffolded(existing.path)
    remote = tmp_path / "remote.git"
    assert scaffold.make_bare_remote(remote, existing.path, "master")
    assert git(remote, "rev-parse", "HEAD") == existing.head
    existing.save("New.md", "x\n")
    existing.git("push", "-q")
    assert git(remote, "rev-parse", "master") == existing.head


def test_a_remote_that_is_ahead_is_left_to_the_engine(existing: VaultClone, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    scaffold.make_bare_remote(remote, existing.path, "master")
    other = VaultClone.of(remote, tmp_path / "other", "master")
    other.save("Elsewhere.md", "x\n")
    other.push()
    existing.save("Here.md", "x\n")
    assert not scaffold.make_bare_remote(remote, existing.path, "master")
    assert git(remote, "rev-parse", "master") == other.head


def test_a_remote_whose_making_broke_off_is_finished_by_the_next_call(
    existing: VaultClone, tmp_path: Path
) -> None:
    remote = bare_repository(tmp_path / "remote.git", "master")
    scaffold.make_bare_remote(remote, existing.path, "master")
    assert git(remote, "rev-parse", "master") == existing.head
    existing.git("config", "--unset", "branch.master.remote")
    scaffold.make_bare_remote(remote, existing.path, "master")
    assert existing.git("rev-parse", "--abbrev-ref", "@{upstream}") == "origin/master"


def test_a_place_that_is_taken_is_refused_with_what_to_do(existing: VaultClone, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(VaultloopError, match="Name another --bare-remote"):
        scaffold.make_bare_remote(tmp_path / "taken", existing.path, "master")
    existing.git("remote", "add", "origin", "https://hana:secret@example.org/vault.git")
    with pytest.raises(VaultloopError, match="already has the remote") as refused:
        scaffold.make_bare_remote(tmp_path / "remote.git", existing.path, "master")
    assert "secret" not in str(refused.value)


def test_what_git_or_the_disk_refuses_is_said_without_a_traceback(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()
    (vault / "agent").write_text("a file where a folder belongs")
    with pytest.raises(VaultloopError, match="cannot be used"):
        scaffold.write_template(vault)
    (vault / "agent").unlink()
    done = scaffold.write_template(vault)
    (vault / ".git").write_text("nonsense")
    with pytest.raises(VaultloopError, match="cannot be used"):
        scaffold.commit_template(vault, done, "main")
