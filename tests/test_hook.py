"""`hooks/pre-commit` in real repositories: what `git commit` lets through, and what it says otherwise."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.installation import environment
from support.notes import OWNER, cron, note, scope
from support.vault_clone import VaultClone

ROOT = Path(__file__).parents[1]
HOOK = ROOT / "hooks" / "pre-commit"

SCOPE = "agent/scopes/owner.md"
DIGEST = "agent/crons/digest.md"
WRONG = cron(schedule="0 25 * * *")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH, with the `vaultloop` that is tested."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "vaultloop"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error -m vaultloop "$@"\n')
    program.chmod(0o755)
    return folder


class Vault(VaultClone):
    """A human's repository with the hook in it."""

    programs: Path

    @classmethod
    def with_hook(cls, path: Path, programs: Path, *, first_commit: bool = True) -> "Vault":
        vault = cls.fresh(path)
        assert isinstance(vault, Vault)
        vault.programs = programs
        if first_commit:
            vault.save(SCOPE, OWNER)
            vault.save(DIGEST, cron())
        shutil.copy(HOOK, path / ".git" / "hooks" / "pre-commit")
        return vault

    def commits(self, *words: str, path: str | None = None) -> tuple[bool, str]:
        """Whether `git commit` made a commit, and what was said."""
        paths = f"{self.programs}:{os.environ['PATH']}" if path is None else path
        isolated = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        done = subprocess.run(
            ["git", "commit", "-q", "-m", "Edit", *words],
            cwd=self.path,
            env=environment(**isolated, PATH=paths),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def vault(tmp_path: Path, programs: Path) -> Vault:
    return Vault.with_hook(tmp_path / "vault", programs)


def test_a_commit_of_a_sound_note_is_made_without_a_word(vault: Vault) -> None:
    vault.write(DIGEST, cron(schedule="0 8 * * *"))
    vault.git("add", DIGEST)
    assert vault.commits() == (True, "")


def test_a_commit_of_a_wrong_note_is_not_made_and_the_line_is_shown(vault: Vault) -> None:
    before = vault.head
    vault.write(DIGEST, WRONG)
    vault.git("add", DIGEST)
    made, said = vault.commits()
    assert not made
    assert vault.head == before
    assert f"{DIGEST}:3:11: error:" in said
    assert '    3 | schedule: "0 25 * * *"' in said
    assert "--no-verify" in said
    assert vault.commits("--no-verify")[0]


def test_a_warning_is_shown_and_does_not_keep_the_commit_from_being_made(vault: Vault) -> None:
    vault.write("agent/rules/kind.md", note("rule", "Be kind.", colour="blue"))
    vault.git("add", "-A")
    made, said = vault.commits()
    assert made
    assert "agent/rules/kind.md:3:1: warning:" in said


def test_a_half_staged_note_is_judged_by_its_staged_half(vault: Vault) -> None:
    vault.write(DIGEST, cron(schedule="0 9 * * *"))
    vault.git("add", DIGEST)
    vault.write(DIGEST, WRONG)
    assert vault.commits() == (True, "")
    vault.git("add", DIGEST)
    vault.write(DIGEST, cron(schedule="0 10 * * *"))
    assert not vault.commits()[0]


def test_what_is_not_staged_does_not_matter(vault: Vault) -> None:
    vault.write(DIGEST, WRONG)
    vault.write("agent/crons/new.md", WRONG)
    vault.write("Note.md", "Text\n")
    vault.git("add", "Note.md")
    assert vault.commits() == (True, "")


def test_a_wrong_note_that_was_committed_before_does_not_hold_up_another(vault: Vault) -> None:
    vault.write("agent/crons/old.md", WRONG)
    vault.git("add", "-A")
    assert vault.commits("--no-verify")[0]
    vault.write(DIGEST, cron(schedule="0 8 * * *"))
    vault.git("add", "-A")
    assert vault.commits() == (True, "")


def test_a_deleted_scope_that_a_cron_still_names_is_held_up(vault: Vault) -> None:
    vault.write("agent/scopes/family.md", scope())
    vault.write("agent/crons/other.md", cron(scope="family"))
    vault.git("add", "-A")
    made, said = vault.commits()
    assert made, said
    vault.git("rm", "-q", "agent/scopes/family.md")
    made, said = vault.commits()
    assert not made
    assert "agent/crons/other.md:4:8: error: There is no scope `family`." in said


def test_commit_a_and_commit_of_a_path_are_judged_by_what_they_would_record(vault: Vault) -> None:
    vault.write(DIGEST, WRONG)
    assert not vault.commits("-a")[0]
    assert not vault.commits("--only", DIGEST)[0]
    vault.git("add", DIGEST)
    vault.write("Note.md", "Text\n")
    vault.git("add", "-N", "Note.md")
    # This records the note alone, whatever else is staged.
    assert vault.commits("--only", "Note.md") == (True, "")


def test_the_first_commit_of_a_repository_is_checked_too(tmp_path: Path, programs: Path) -> None:
    vault = Vault.with_hook(tmp_path / "vault", programs, first_commit=False)
    vault.write(SCOPE, OWNER)
    vault.write(DIGEST, WRONG)
    vault.git("add", "-A")
    made, said = vault.commits()
    assert not made
    assert DIGEST in said
    vault.write(DIGEST, cron())
    vault.git("add", "-A")
    assert vault.commits() == (True, "")


def test_it_works_in_a_worktree(vault: Vault, tmp_path: Path) -> None:
    vault.git("worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    tree = Vault(tmp_path / "tree")
    tree.programs = vault.programs
    tree.write(DIGEST, WRONG)
    tree.git("add", "-A")
    assert not tree.commits()[0]
    tree.write(DIGEST, cron(schedule="0 8 * * *"))
    tree.git("add", "-A")
    assert tree.commits() == (True, "")


def test_it_works_from_a_shared_folder_of_hooks_and_as_a_link(vault: Vault, tmp_path: Path) -> None:
    (vault.path / ".git/hooks/pre-commit").unlink()
    shared = tmp_path / "hooks"
    shared.mkdir()
    (shared / "pre-commit").symlink_to(HOOK)
    vault.git("config", "core.hooksPath", str(shared))
    vault.write(DIGEST, WRONG)
    vault.git("add", "-A")
    made, said = vault.commits()
    assert not made
    assert DIGEST in said


def test_a_vault_in_a_folder_of_the_repository_is_found(tmp_path: Path, programs: Path) -> None:
    vault = Vault.with_hook(tmp_path / "repository", programs, first_commit=False)
    vault.write("README.md", "Code\n")
    vault.write(f"home/vault/{SCOPE}", OWNER)
    vault.write(f"home/vault/{DIGEST}", WRONG)
    vault.git("add", "-A")
    made, said = vault.commits()
    assert not made
    assert f"{DIGEST}:3:11: error:" in said
    assert vault.commits("--no-verify")[0]
    vault.write(f"home/vault/{DIGEST}", cron(scope="nobody"))
    vault.git("add", "-A")
    assert not vault.commits()[0]


def test_of_several_vaults_the_one_that_git_config_names_is_checked(tmp_path: Path, programs: Path) -> None:
    vault = Vault.with_hook(tmp_path / "repository", programs, first_commit=False)
    vault.write(f"a/{SCOPE}", OWNER)
    vault.write(f"b/{SCOPE}", OWNER)
    vault.write(f"b/{DIGEST}", WRONG)
    vault.git("add", "-A")
    made, said = vault.commits()
    assert not made
    assert "Several folders hold declarations: a, b." in said
    vault.git("config", "vaultloop.vault", "a")
    assert vault.commits() == (True, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"The key is sk-ant-{'a' * 24}.\n", "Note.md:1:12: error: This looks like an Anthropic key."),
        ("<<<<<<< ours\nA\n=======\nB\n>>>>>>> theirs\n", "Note.md:1:1: error:"),
        ("One\nTwo\0\n", "Note.md:2:4: error: This note contains a NUL byte"),
    ],
)
def test_an_ordinary_note_is_checked_for_what_no_note_should_hold(vault: Vault, text: str, said: str) -> None:
    vault.write("Note.md", text)
    vault.git("add", "-A")
    made, told = vault.commits()
    assert not made
    assert said in told
    assert "a" * 24 not in told


def test_the_commit_of_a_merge_is_checked_under_the_hooks_other_name(vault: Vault) -> None:
    (vault.path / ".git/hooks/pre-merge-commit").symlink_to("pre-commit")
    vault.git("switch", "-q", "-c", "other")
    vault.write("agent/crons/other.md", WRONG)
    vault.git("add", "-A")
    assert vault.commits("--no-verify")[0]
    vault.git("switch", "-q", "-")
    before = vault.head
    paths = f"{vault.programs}:{os.environ['PATH']}"
    merge = ["git", "-c", "user.name=H", "-c", "user.email=h@example.org", "merge", "-q", "--no-ff", "other"]
    done = subprocess.run(
        merge, cwd=vault.path, env=environment(PATH=paths), capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "pre-merge-commit: no commit was made." in done.stderr
    assert vault.head == before


def test_a_repository_that_lies_elsewhere_is_followed(vault: Vault, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    (vault.path / ".git").rename(apart)
    vault.write(DIGEST, WRONG)
    where = [f"--git-dir={apart}", f"--work-tree={vault.path}"]
    paths = f"{vault.programs}:{os.environ['PATH']}"
    done = subprocess.run(
        ["git", *where, "-c", "user.name=H", "-c", "user.email=h@x.org", "commit", "-qam", "Edit"],
        cwd=vault.path,
        env=environment(PATH=paths),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{DIGEST}:3:11: error:" in done.stderr + done.stdout


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder for PATH without `vaultloop`, as a program with windows has it."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("git", "sh"):
        found = shutil.which(name)
        assert found is not None
        (bare / name).symlink_to(found)
    return bare


def test_a_program_with_windows_finds_the_vaultloop_that_installed_the_hook(vault: Vault, bare: Path) -> None:
    vault.git("config", "vaultloop.program", str(vault.programs / "vaultloop"))
    vault.write(DIGEST, cron(schedule="0 8 * * *"))
    vault.git("add", DIGEST)
    assert vault.commits(path=str(bare)) == (True, "")
    vault.write(DIGEST, WRONG)
    vault.git("add", DIGEST)
    made, said = vault.commits(path=str(bare))
    assert not made
    assert f"{DIGEST}:3:11: error:" in said


def test_a_vaultloop_that_was_moved_since_is_sought_on_the_path(vault: Vault) -> None:
    vault.git("config", "vaultloop.program", str(vault.programs / "gone"))
    vault.write(DIGEST, cron(schedule="0 8 * * *"))
    vault.git("add", DIGEST)
    assert vault.commits() == (True, "")


def test_without_vaultloop_on_the_path_it_says_how_to_get_it(vault: Vault, bare: Path) -> None:
    vault.write("Note.md", "Text\n")
    vault.git("add", "-A")
    made, said = vault.commits(path=str(bare))
    assert not made
    assert "vaultloop is not on the PATH" in said
    assert "pipx install vaultloop" in said


def test_the_frameworks_manifest_runs_the_same_check_for_every_commit() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["id"] == "vaultloop-check"
    assert hook["entry"].split() == ["vaultloop", "check", "--staged"]
    assert hook["language"] == "python"
    assert hook["pass_filenames"] is False
    assert hook["always_run"] is True


def test_the_hook_is_executable_and_plain_shell() -> None:
    assert os.access(HOOK, os.X_OK)
    assert HOOK.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", str(HOOK)], check=True)
