"""`hooks/pre-receive` in a real bare repository: which pushes it takes, and what it says to the others."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.git_server import bare_repository
from support.installation import environment
from support.notes import OWNER, cron
from support.vault_clone import VaultClone

ROOT = Path(__file__).parents[1]
HOOK = ROOT / "hooks" / "pre-receive"

SCOPE = "agent/scopes/owner.md"
DIGEST = "agent/crons/digest.md"
WRONG = cron(schedule="0 25 * * *")


@dataclass
class Remote:
    """A bare repository with the hook in it, and somebody who pushes to it."""

    bare: Path
    human: VaultClone
    path: str

    def pushes(self, *words: str) -> tuple[bool, str]:
        """Whether `git push` went through, and what the other side said."""
        isolated = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "LC_ALL": "C"}
        done = subprocess.run(
            ["git", "push", *(words or ("origin", "HEAD"))],
            cwd=self.human.path,
            env=environment(**isolated, PATH=self.path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        said = [
            line.removeprefix("remote:").strip() for line in done.stderr.splitlines() if "remote:" in line
        ]
        return done.returncode == 0, "\n".join(said)

    def config(self, name: str, value: str) -> None:
        subprocess.run(["git", "-C", str(self.bare), "config", name, value], check=True)

    @property
    def head(self) -> str:
        asked = ["git", "-C", str(self.bare), "rev-parse", "--verify", "-q", "refs/heads/main"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "vaultloop"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error -m vaultloop "$@"\n')
    program.chmod(0o755)
    bare = bare_repository(tmp_path / "vault.git")
    shutil.copy(HOOK, bare / "hooks" / "pre-receive")
    human = VaultClone.of(bare, tmp_path / "human")
    return Remote(bare, human, f"{programs}:{os.environ['PATH']}")


@pytest.fixture
def sound(remote: Remote) -> Remote:
    """With a sound vault in it."""
    remote.human.write(SCOPE, OWNER)
    remote.human.write(DIGEST, cron())
    remote.human.commit()
    taken, said = remote.pushes()
    assert taken, said
    return remote


def test_a_first_push_is_checked_whole_before_anything_is_there(remote: Remote) -> None:
    remote.human.write(SCOPE, OWNER)
    remote.human.write(DIGEST, WRONG)
    remote.human.commit()
    taken, said = remote.pushes()
    assert not taken
    assert f"{DIGEST}:3:11: error:" in said
    assert '3 | schedule: "0 25 * * *"' in said
    assert "nothing was taken" in said
    assert remote.head == ""
    remote.human.save(DIGEST, cron())
    assert remote.pushes() == (True, "")
    assert remote.head == remote.human.head


def test_a_push_is_judged_by_what_it_changes_and_by_its_end(sound: Remote) -> None:
    before = sound.head
    sound.human.save(DIGEST, WRONG)
    assert not sound.pushes()[0]
    assert sound.head == before
    # Mended by a later commit of the same push.
    sound.human.save(DIGEST, cron(schedule="0 9 * * *"))
    assert sound.pushes() == (True, "")
    # An error that came in before the hook does not hold up others.
    (sound.bare / "hooks" / "pre-receive").rename(sound.bare / "hooks" / "off")
    sound.human.save("agent/crons/old.md", WRONG)
    assert sound.pushes()[0]
    (sound.bare / "hooks" / "off").rename(sound.bare / "hooks" / "pre-receive")
    sound.human.save("Note.md", "# Text\n")
    assert sound.pushes() == (True, "")
    sound.human.remove(SCOPE)
    taken, said = sound.pushes()
    assert not taken
    assert "There is no scope `owner`" in said


def test_other_branches_tags_and_deletions_pass(sound: Remote) -> None:
    sound.human.git("switch", "-q", "-c", "draft")
    sound.human.save(DIGEST, WRONG)
    assert sound.pushes() == (True, "")
    assert sound.pushes("origin", ":draft") == (True, "")
    sound.human.git("tag", "wrong")
    assert sound.pushes("origin", "wrong", "HEAD:refs/vaultloop/lease") == (True, "")
    # Among several references the vault's is found.
    assert not sound.pushes("origin", "HEAD:refs/heads/draft", "HEAD:refs/heads/main")[0]
    sound.config("vaultloop.branch", "draft")
    assert not sound.pushes("origin", "HEAD:refs/heads/draft")[0]
    assert sound.pushes("origin", "HEAD:refs/heads/main") == (True, "")


def test_a_check_is_skipped_only_where_the_server_lets_it(sound: Remote) -> None:
    sound.config("receive.advertisePushOptions", "true")
    sound.human.save(DIGEST, WRONG)
    skipping = ("-o", "something", "-o", "vaultloop.skip", "origin", "HEAD")
    assert not sound.pushes(*skipping)[0]
    sound.config("vaultloop.allowSkip", "true")
    assert not sound.pushes("-o", "vaultloop.skipped", "origin", "HEAD")[0]
    assert sound.pushes(*skipping) == (True, "pre-receive: main was not checked, as you asked.")


def test_a_vault_in_a_folder_of_the_repository_is_named_by_git_config(remote: Remote) -> None:
    remote.config("vaultloop.vault", "home/vault")
    remote.human.write("README.md", "Code\n")
    remote.human.write(f"home/vault/{SCOPE}", OWNER)
    remote.human.write(f"home/vault/{DIGEST}", WRONG)
    remote.human.commit()
    taken, said = remote.pushes()
    assert not taken
    assert f"{DIGEST}:3:11: error:" in said
    remote.human.save(f"home/vault/{DIGEST}", cron())
    assert remote.pushes() == (True, "")


def test_a_server_without_vaultloop_refuses_and_says_how_to_get_it(remote: Remote, tmp_path: Path) -> None:
    bare = tmp_path / "only-git"
    bare.mkdir()
    for name in ("git", "sh"):
        found = shutil.which(name)
        assert found is not None
        (bare / name).symlink_to(found)
    remote.path = str(bare)
    remote.human.save("Note.md", "Text\n")
    taken, said = remote.pushes()
    assert not taken
    assert "vaultloop is not on the PATH here" in said
    assert "pipx install vaultloop" in said


def test_the_hook_is_executable_and_plain_shell() -> None:
    assert os.access(HOOK, os.X_OK)
    assert HOOK.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", str(HOOK)], check=True)
