"""What a person's clone of a vault is given, so that it checks and merges as the engine does.

Hooks and the merge driver live in a clone's own git directory, where git lets nobody send them: each person
installs them once. What stands there already is kept, and can be taken out again.
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path

import pygit2

from vaultloop.model.errors import Stalled, VaultloopError
from vaultloop.vault.git.attributes import Attributes
from vaultloop.vault.lease.lease import REFERENCE, Lease
from vaultloop.vault.merge.driver import ENGINE_KEY
from vaultloop.vault.notes.location import top_of

# The hooks, by the names that git calls them by; one file does for both.
HOOKS = ("pre-commit", "pre-merge-commit")
# By this line a hook is known to be ours, of whatever version.
_OURS = "`vaultloop check --staged`"

DRIVER = "vaultloop"
# Where the hooks find this program, in git's configuration.
PROGRAM = "vaultloop.program"
ATTRIBUTES = ".gitattributes"
# What the driver can join; git's own way would break the others of these or put markers into notes.
PATTERNS = ("*.md", "*.canvas", "*.base", "*.json")
_WHY = "# Joined by `vaultloop merge-driver` where `vaultloop hooks install` was run.\n"

# Seconds for one question to the remote.
PATIENCE = 60
# Commits of the lease that are looked through for keys of engines that served this vault.
MOST_LEASES = 1_000


class State(StrEnum):
    """How one part stands."""

    DONE = "done"  # just now
    THERE = "there"  # already
    GONE = "gone"  # taken out just now
    MISSING = "missing"
    FOREIGN = "foreign"  # somebody else's is in its place, and stays


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is installed.

    Attributes:
        name: for scripts: a hook's name, `driver`, `attributes` or `engine-key`.
        told: a sentence for people.
    """

    name: str
    state: State
    told: str


def hook_file() -> Path:
    """The hook: in the wheel, or beside the source.

    Raises:
        VaultloopError: this installation lacks it.
    """
    installed = Path(str(resources.files("vaultloop"))) / "hooks" / HOOKS[0]
    source = Path(__file__).parents[3] / "hooks" / HOOKS[0]
    for candidate in (installed, source):
        if candidate.is_file():
            return candidate
    raise VaultloopError("The hook is missing from this installation. Install vaultloop again.")


class Clone:
    """A person's clone of a vault.

    Attributes:
        vault: the vault's folder in it, or its top where there are no declarations yet.
    """

    def __init__(self, place: Path) -> None:
        """`place` lies in the clone.

        Raises:
            Stalled: there is no git repository with a working copy around it.
        """
        found = pygit2.discover_repository(str(place))
        handle = None if found is None else pygit2.Repository(found)
        if handle is None or handle.workdir is None:
            raise Stalled(
                f"{place} lies in no clone of a git repository.",
                cure="Name the folder of your vault, and make it a git repository first (git init).",
            )
        self._handle = handle
        self._top = Path(handle.workdir)
        self.vault = top_of(place.resolve()) or self._top

    def install(self, engine_key: str | None = None) -> list[Part]:
        """Install everything; what is there already stays.

        Args:
            engine_key: the engine's public key; without one the remote is asked.

        Raises:
            Stalled: something cannot be written.
        """
        with _explained(self._top):
            self._name_program()
            return [
                *(self._install_hook(name) for name in HOOKS),
                self._install_driver(),
                self._install_attributes(),
                self._install_key(engine_key),
            ]

    def status(self) -> list[Part]:
        """How each part stands."""
        return [
            *(self._hook(name) for name in HOOKS),
            self._driver(),
            self._attributes(),
            self._key(),
        ]

    def uninstall(self) -> list[Part]:
        """Take out what was installed, and nothing else; `.gitattributes` belongs to the vault and stays.

        Raises:
            Stalled: something cannot be taken out.
        """
        with _explained(self._top):
            self._forget(PROGRAM)
            return [*(self._remove_hook(name) for name in HOOKS), self._remove_driver(), self._remove_key()]

    # Hooks.

    def _hooks(self) -> Path:
        """Where git looks for hooks here."""
        named = self._configured("core.hooksPath")
        common = Path(self._handle.path)
        if (shared := common / "commondir").is_file():
            common = (common / shared.read_text().strip()).resolve()
        return self._top / Path(named[-1]).expanduser() if named else common / "hooks"

    def _is_shared(self) -> bool:
        """Whether hooks lie where other repositories find theirs too."""
        named = self._configured("core.hooksPath")
        return bool(named) and not self._hooks().resolve().is_relative_to(self._top.resolve())

    def _hook(self, name: str) -> Part:
        file = self._hooks() / name
        if not file.exists():
            return Part(name, State.MISSING, f"The hook {name} is not installed.")
        if _is_ours(file):
            return Part(name, State.THERE, f"The hook {name} checks what you commit.")
        return Part(
            name,
            State.FOREIGN,
            f"{file} is somebody else's and stays. To check notes too, add this line to it:"
            ' vaultloop check --staged --quiet "$(git config --get vaultloop.vault || echo .)" || exit 1',
        )

    def _install_hook(self, name: str) -> Part:
        found, file = self._hook(name), self._hooks() / name
        if found.state is State.MISSING and self._is_shared():
            told = f"Your hooks lie in {file.parent} for several repositories; nothing was put there."
            return Part(
                name, State.FOREIGN, f"{told} Copy {hook_file()} there if you want it in all of them."
            )
        wanted = hook_file().read_bytes()
        if found.state is State.FOREIGN or (found.state is State.THERE and file.read_bytes() == wanted):
            return found
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f"{name}.vaultloop")
        fresh.write_bytes(wanted)
        fresh.chmod(0o755)
        fresh.replace(file)
        return Part(name, State.DONE, f"The hook {name} checks from now on what you commit.")

    def _name_program(self) -> None:
        """Tell the hooks where this program is: git has no PATH to it when Obsidian, say, starts it."""
        found = _program()
        if found is not None and self._configured(PROGRAM) != (found,):
            self._handle.config[PROGRAM] = found

    def _remove_hook(self, name: str) -> Part:
        found = self._hook(name)
        if found.state is not State.THERE:
            return found
        (self._hooks() / name).unlink()
        return Part(name, State.GONE, f"The hook {name} was taken out.")

    # The driver.

    def _driver(self) -> Part:
        if self._configured(f"merge.{DRIVER}.driver") == (driver_command(),):
            return Part("driver", State.THERE, "git joins notes as the engine does.")
        return Part("driver", State.MISSING, "git does not know how the engine joins notes.")

    def _install_driver(self) -> Part:
        found = self._driver()
        if found.state is State.THERE:
            return found
        self._handle.config[f"merge.{DRIVER}.name"] = "notes joined as the engine does"
        self._handle.config[f"merge.{DRIVER}.driver"] = driver_command()
        return Part("driver", State.DONE, "git joins notes from now on as the engine does.")

    def _remove_driver(self) -> Part:
        if not self._configured(f"merge.{DRIVER}.driver"):
            return self._driver()
        for name in ("name", "driver"):
            self._forget(f"merge.{DRIVER}.{name}")
        return Part("driver", State.GONE, "git joins notes in its own way again.")

    def _attributes(self) -> Part:
        missing, foreign = self._unset(), self._set_otherwise()
        if foreign:
            told = f"{self.vault / ATTRIBUTES} has another merge for {', '.join(foreign)}, and that stays."
            return Part("attributes", State.FOREIGN, f"{told} Write merge={DRIVER} there to change it.")
        if missing:
            told = f"{self.vault / ATTRIBUTES} does not name the driver for {', '.join(missing)}."
            return Part("attributes", State.MISSING, told)
        return Part("attributes", State.THERE, f"{self.vault / ATTRIBUTES} names the driver.")

    def _install_attributes(self) -> Part:
        missing, file = self._unset(), self.vault / ATTRIBUTES
        if not missing:
            return self._attributes()
        before = file.read_bytes() if file.exists() else b""
        lines = _WHY + "".join(f"{pattern} merge={DRIVER}\n" for pattern in missing)
        glue = b"\n" if before and not before.endswith(b"\n") else b""
        file.write_bytes(before + glue + lines.encode())
        told = f"{file} names the driver for {', '.join(missing)}. Commit it, so that every clone knows."
        return Part("attributes", State.DONE, told)

    def _unset(self) -> list[str]:
        return [pattern for pattern in PATTERNS if self._merge_of(pattern) is None]

    def _set_otherwise(self) -> list[str]:
        return [pattern for pattern in PATTERNS if self._merge_of(pattern) not in (None, DRIVER)]

    def _merge_of(self, pattern: str) -> str | bool | None:
        def read(path: str) -> bytes | None:
            file = self.vault / path
            return file.read_bytes() if file.is_file() else None

        return Attributes(read).value(pattern.replace("*", "name"), "merge")

    # The engine's key.

    def _key(self) -> Part:
        if self._configured(ENGINE_KEY):
            return Part(
                "engine-key", State.THERE, "The engine's key is known, so its sessions are told apart."
            )
        told = "The engine's key is not known, so what sessions write counts as a human's in merges here."
        return Part("engine-key", State.MISSING, told)

    def _install_key(self, given: str | None) -> Part:
        known = self._configured(ENGINE_KEY)
        keys = [_public_key(given)] if given is not None else list(self._keys_at_the_remote())
        new = [key for key in dict.fromkeys(keys) if key not in known]
        for key in new:
            self._handle.config.set_multivar(ENGINE_KEY, f"^{_escaped(key)}$", key)
        if new:
            return Part(
                "engine-key", State.DONE, "The engine's key is known now: its sessions are told apart."
            )
        found = self._key()
        if found.state is State.MISSING:
            cure = "Call this again once an engine runs, or name a file with its key: --engine-key."
            return Part(found.name, found.state, f"{found.told} {cure}")
        return found

    def _remove_key(self) -> Part:
        if not self._configured(ENGINE_KEY):
            return self._key()
        self._handle.config.delete_multivar(ENGINE_KEY, ".*")
        return Part("engine-key", State.GONE, "The engine's key was forgotten.")

    def _keys_at_the_remote(self) -> Iterator[str]:
        """The keys of all engines that wrote a lease there; asked with the person's own git and logins."""
        remote = next(iter(self._remotes()), None)
        listed = self._git("ls-remote", remote, REFERENCE) if remote else ""
        if not listed.split():
            return
        assert remote is not None
        tip = listed.split()[0]
        self._git("fetch", "-q", "--no-tags", "--no-write-fetch-head", remote, REFERENCE)
        for message in self._git("log", "-z", f"-{MOST_LEASES}", "--format=%B", tip).split("\0"):
            lease = Lease.parse(message)
            if lease is not None and lease.key:
                yield _public_key(lease.key)

    def _remotes(self) -> Sequence[str]:
        names = [remote.name for remote in self._handle.remotes if remote.name]
        return sorted(names, key=lambda name: (name != "origin", name))

    def _git(self, *arguments: str) -> str:
        """What git says; nothing if it cannot."""
        try:
            done = subprocess.run(
                ["git", "-C", str(self._top), *arguments],
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout if done.returncode == 0 else ""

    # git's configuration.

    def _configured(self, name: str) -> tuple[str, ...]:
        return tuple(value for value in self._handle.config.get_multivar(name) if value)

    def _forget(self, name: str) -> None:
        if self._configured(name):
            del self._handle.config[name]


def driver_command() -> str:
    """What git is told to call: this very program, also where it is not on the PATH of whoever calls git."""
    program = _program()
    words = [program] if program else [sys.executable, "-m", "vaultloop"]
    return f"{shlex.join(words)} merge-driver %O %A %B %P"


def _program() -> str | None:
    beside = shutil.which("vaultloop", path=str(Path(sys.executable).parent))
    return beside or shutil.which("vaultloop")


def _is_ours(file: Path) -> bool:
    try:
        return _OURS in file.read_text(errors="replace")
    except OSError:
        return False


def _public_key(text: str) -> str:
    """The first key of a file: its kind and its body, without whose it is.

    Raises:
        VaultloopError: there is none.
    """
    words = text.split()
    if len(words) < 2 or not words[0].startswith(("ssh-", "ecdsa-", "sk-")) or "PRIVATE" in text:
        raise VaultloopError(
            "This is no public ssh key. The engine's is engine_key.pub in its state directory."
        )
    return " ".join(words[:2])


def _escaped(key: str) -> str:
    return "".join(f"\\{letter}" if letter in "+.$^*?()[]{}|\\" else letter for letter in key)


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    """What the disk refuses, said with the place."""
    try:
        yield
    except (OSError, pygit2.GitError) as error:
        raise Stalled(
            f"What git needs in {place} cannot be written: {error}.",
            cure="Check the permissions of its .git folder.",
        ) from error
