"""A human's clone of the vault, driven by the real git command."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

# The machine's own git settings, hooks and helpers stay out of the tests.
_ISOLATED = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


def git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What a git command says; it must succeed."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env=os.environ | _ISOLATED | dict(env or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


class VaultClone:
    """A working copy that belongs to a human."""

    def __init__(self, path: Path, env: Mapping[str, str] | None = None) -> None:
        self.path = path
        self._env = dict(env or {})

    @classmethod
    def of(
        cls, url: str | Path, path: Path, branch: str = "main", env: Mapping[str, str] | None = None
    ) -> "VaultClone":
        """Clone `url`, which may be empty, into `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        git(path.parent, "clone", "-q", str(url), str(path), env=env)
        clone = cls(path, env)
        clone._introduce()
        if not clone.git("branch", "--list", branch):
            clone.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        return clone

    @classmethod
    def fresh(cls, path: Path, branch: str = "main") -> "VaultClone":
        """A new repository of its own at `path`."""
        path.mkdir(parents=True, exist_ok=True)
        git(path, "init", "-q", f"--initial-branch={branch}")
        clone = cls(path)
        clone._introduce()
        return clone

    def _introduce(self) -> None:
        self.git("config", "user.name", "Hana Human")
        self.git("config", "user.email", "hana@example.org")

    def git(self, *arguments: str) -> str:
        return git(self.path, *arguments, env=self._env)

    def write(self, path: str, text: str) -> None:
        """Put a file there, without telling git."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self, path: str) -> str:
        return (self.path / path).read_text()

    def commit(self, message: str = "Edit") -> str:
        """Commit what lies there; returns the commit's id."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.head

    def save(self, path: str, text: str, message: str | None = None) -> str:
        """Write one file and commit it; returns the commit's id."""
        self.write(path, text)
        self.git("add", "--", path)
        self.git("commit", "-q", "-m", message or f"Edit {path}")
        return self.head

    def remove(self, path: str) -> str:
        """Delete one file and commit that; returns the commit's id."""
        self.git("rm", "-q", "--", path)
        self.git("commit", "-q", "-m", f"Delete {path}")
        return self.head

    def push(self, *options: str) -> None:
        self.git("push", "-q", "-u", *options, "origin", "HEAD")

    def pull(self) -> None:
        self.git("pull", "-q", "--no-rebase", "--no-edit")

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")
