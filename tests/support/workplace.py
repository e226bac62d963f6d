"""A vault in a folder with its own git, a bare remote beside it, and one cron: all an engine can have."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import vaultloop
from support.installation import COMMAND, Engine, Installation, environment
from support.vault_clone import VaultClone, git

DAY = "2026-11-22"
_SUPPORT = Path(__file__).parent
_ENGINE_AT = (sys.executable, "-W", "error", str(_SUPPORT / "engine_at.py"))

# What the agent of a workplace never ends.
ENDLESS = "take your time"
SLOT_TEXT = "the slot was here"
NOON = f"""\
---
kind: cron
schedule: "0 12 * * *"
scope: "[[owner]]"
send-to: owner
---
append {SLOT_TEXT} to Log
"""
_DEFAULTS = f"""\
---
kind: defaults
runner: command
command: sh {_SUPPORT / "patient_agent.sh"} {sys.executable}
timezone: UTC
---
"""

# What the agent's script runs lies outside of the system's folders: the operator has to name it.
_PROGRAMS = [str(_SUPPORT), sys.prefix, sys.base_prefix, str(Path(vaultloop.__file__).parent.parent)]


class Workplace:
    """Folder, remote, state and settings below one directory; making it takes its time, renewing does not."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = VaultClone(root / "vault")
        self.remote = root / "vault.git"
        self.state = root / "state"
        self.installation = Installation(root / "vaultloop.toml")

    @classmethod
    def made(cls, root: Path) -> Self:
        """A fresh one whose cron `noon` an engine has met, the day's slot still to come."""
        place = cls(root)
        words = ["init", "vault", "--bare-remote", "vault.git", "--state", "state"]
        subprocess.run([*COMMAND, *words], cwd=root, env=environment(), check=True, capture_output=True)
        place.use_remote("vault.git")
        place.folder.git("config", "user.name", "Hana Human")
        place.folder.git("config", "user.email", "hana@example.org")
        place.folder.remove("agent/crons/digest.md")
        place.folder.save("agent/defaults.md", _DEFAULTS)
        place.folder.save("agent/crons/noon.md", NOON)
        place.folder.git("push", "-q", str(place.remote), "HEAD")
        with place.engine("11:00:00") as engine:
            engine.line("ready at")
            engine.stop()
        shutil.copytree(root, place._as_made, symlinks=True)
        return place

    def renewed(self) -> Self:
        """The same, as it was when it was made."""
        # At the same path: what an engine remembers of its remote is remembered by address.
        shutil.rmtree(self.root)
        shutil.copytree(self._as_made, self.root, symlinks=True)
        return self

    @property
    def _as_made(self) -> Path:
        return self.root.with_name(f"{self.root.name}-as-made")

    def use_remote(self, url: str) -> None:
        """Name the remote, by default the bare one at its path, in the settings."""
        where = f'folder = "vault"\nremote = "{url}"\nstate = "state"\npoll = "1s"\n'
        self.installation.config.write_text(f"{where}programs = {json.dumps(_PROGRAMS)}\n")

    def accept_pushes(self) -> None:
        """Let everybody who reaches the remote over http push."""
        git(self.remote, "config", "http.receivepack", "true")

    @contextmanager
    def engine(self, time: str, *flags: str, **variables: str) -> Iterator[Engine]:
        """An engine whose clock begins at `time` of one day (UTC); flags as in `engine_at`."""
        with self.installation.engine(*_ENGINE_AT, f"{DAY}T{time}+00:00", *flags, **variables) as engine:
            yield engine

    @contextmanager
    def chat(self, text: str) -> Iterator[subprocess.Popen[str]]:
        """`vaultloop chat --once`, in the background; killed at the end of the block if it has not ended."""
        with subprocess.Popen(
            [*COMMAND, "chat", "--once", text, "--config", str(self.installation.config)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as chat:
            try:
                yield chat
            finally:
                chat.kill()

    @property
    def head(self) -> str:
        """The folder's newest commit."""
        return self.folder.head

    @property
    def remote_head(self) -> str:
        return git(self.remote, "rev-parse", "main")
