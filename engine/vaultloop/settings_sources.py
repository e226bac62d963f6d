"""Where settings come from: the file, the environment and flags; each value with its place."""

import os
import re
import sys
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaultloop.model.errors import VaultloopError

FILE_NAME = "vaultloop.toml"
PREFIX = "VAULTLOOP_"
SECRET_FILE = "_FILE"  # noqa: S105 - the end of a variable's name

# Variables with our prefix that are not settings: where the file is, and switches of tests.
_NOT_SETTINGS = frozenset({"VAULTLOOP_CONFIG", "VAULTLOOP_FAILPOINT", "VAULTLOOP_LANDLOCK_ABI"})

# An address with a scheme, or scp-like `host:path`; everything else is a local path.
_ADDRESS = re.compile(r"^(https?|ssh|git|file)://|^[^/\\]+:(?!\\)")

# Settings that are one path each.
_PATHS = ("state", "folder", "ssh-key", "known-hosts", "secrets-dir", "allowed-signers")


class InvalidSettings(VaultloopError):
    """The engine cannot start like this."""


def default_state() -> Path:
    """`$XDG_STATE_HOME/vaultloop`, or `~/.local/state/vaultloop`."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "vaultloop"


@dataclass(frozen=True, slots=True)
class Given:
    """Values as found, each with the place that a message names.

    Attributes:
        private: files that were read and may hold secrets.
    """

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    private: list[Path] = field(default_factory=list)

    def put(self, key: str, value: Any, place: str) -> None:
        self.values[key] = value
        self.places[key] = place

    def read_file(self, path: Path) -> None:
        """Take what `vaultloop.toml` says; its relative paths are taken from its folder.

        Raises:
            InvalidSettings: it cannot be read.
        """
        self.private.append(path.absolute())
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidSettings(f"{path} cannot be read as TOML: {error}.") from error
        for key, value in table.items():
            place = f"{path}: {key}"
            self.put(key, _from_folder(key, value, path.parent, place), place)

    def read_environment(self, environment: Mapping[str, str], secrets: Collection[str]) -> None:
        """Take the variables; one of `secrets` may end in `_FILE` and name where its value lies.

        Raises:
            InvalidSettings: one is given twice, or such a file gives nothing.
        """
        for name, text in environment.items():
            if name.startswith(PREFIX) and name not in _NOT_SETTINGS and text:
                self._read_variable(name, text, secrets)

    def _read_variable(self, name: str, text: str, secrets: Collection[str]) -> None:
        key, value = _key(name), text
        if name.endswith(SECRET_FILE) and _key(name.removesuffix(SECRET_FILE)) in secrets:
            path = expanded(text, name)
            self.private.append(path.absolute())
            key, value = _key(name.removesuffix(SECRET_FILE)), _read_secret(path, name)
        if (other := self.places.get(key, "")).startswith(PREFIX):
            raise InvalidSettings(f"{name} and {other} are both set: keep one of them.")
        self.put(key, value, name)

    def make_paths_absolute(self) -> None:
        """Paths of variables and flags are taken from the working directory."""
        for key in _PATHS:
            value = self.values.get(key)
            # Anything else is no path, and the model says so.
            if isinstance(value, str | Path):
                self.values[key] = expanded(value, self.places[key]).absolute()


def find_file(flags: Mapping[str, Any], config: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The settings file: the one that is named, else the first that lies where one is looked for.

    Raises:
        InvalidSettings: the named one is not there.
    """
    named = config or (Path(environment["VAULTLOOP_CONFIG"]) if environment.get("VAULTLOOP_CONFIG") else None)
    if named is not None:
        found = expanded(named, "--config" if config else "VAULTLOOP_CONFIG")
        if not found.is_file():
            raise InvalidSettings(f"{named}: no such settings file. Name an existing one with --config.")
        return found
    beside_command = Path(sys.argv[0]).absolute().parent
    places = (Path.cwd() / FILE_NAME, beside_command / FILE_NAME, usual_file(flags, environment))
    return next((path for path in places if path.is_file()), None)


def usual_file(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Path:
    """Where `init` puts the settings: in the state directory, whether they are there or not."""
    state = flags.get("state") or environment.get("VAULTLOOP_STATE") or default_state()
    return expanded(state, "state") / FILE_NAME


def lies_in(place: Path, folder: Path) -> bool:
    """Whether a path is in a folder, by its name or where its links lead."""
    places, folders = ((path.absolute(), path.resolve()) for path in (place, folder))
    return any(one.is_relative_to(other) for one in places for other in folders)


def insist_outside(path: Path, vaults: Iterable[Path]) -> None:
    """Whoever may change the vault does not say what this machine does.

    Raises:
        InvalidSettings: the settings file `path` lies in one of `vaults`.
    """
    for vault in vaults:
        if lies_in(path, vault):
            raise InvalidSettings(
                f"{path} lies in the vault's folder {vault}, so whoever changes the vault decides for this"
                " machine. Move it out of there (the state directory is a good place), or, if you do not"
                " know it, look who put it there."
            )


def expanded(path: str | Path, place: str) -> Path:
    """The path with its `~` replaced.

    Raises:
        InvalidSettings: there is no such person on this machine.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InvalidSettings(
            f"{place}: {path} names the home of somebody who is not known here. Write the whole path."
        ) from None


def _from_folder(key: str, value: Any, base: Path, place: str) -> Any:
    """A value of a file; its relative paths are taken from `base`."""

    def absolute(item: Any) -> Any:
        # What is no text, or empty, is left as it is: the model refuses it.
        return base / expanded(item, place) if item and isinstance(item, str) else item

    if key in _PATHS or (key == "remote" and isinstance(value, str) and not _ADDRESS.match(value)):
        found = absolute(value)
        return str(found) if key == "remote" else found
    if key == "programs" and isinstance(value, list):
        return [absolute(item) for item in value]
    if key == "mounts" and isinstance(value, dict):
        return {name: absolute(item) for name, item in value.items()}
    return value


def _key(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower().replace("_", "-")


def _read_secret(path: Path, variable: str) -> str:
    try:
        if secret := path.read_text(encoding="utf-8").strip():
            return secret
        why = "it is empty"
    except (OSError, UnicodeDecodeError) as error:
        why = str(error.strerror) if isinstance(error, OSError) else "it is no UTF-8 text"
    raise InvalidSettings(
        f"{variable}: {path} gives no secret ({why}). Name a file that holds it and nothing else."
    )
