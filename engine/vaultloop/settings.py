"""The operator's settings: what the body needs to know and the vault must never decide.

Each setting has a key in `vaultloop.toml`, an environment variable (`poll` is `VAULTLOOP_POLL`,
`git-password` is `VAULTLOOP_GIT_PASSWORD`) and, where that helps, a flag. Flag wins over environment wins
over file. A wrong one is refused at start, with where it came from and what was expected.
"""

import json
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from vaultloop.model.errors import VaultloopError
from vaultloop.model.fields import Duration
from vaultloop.model.policy import Audience
from vaultloop.web.address import Address

FILE_NAME = "vaultloop.toml"
PREFIX = "VAULTLOOP_"
SECRET_FILE = "_FILE"  # noqa: S105 - the end of a variable's name

# Variables with our prefix that are not settings: where the file is, and switches of tests.
_NOT_SETTINGS = frozenset({"VAULTLOOP_CONFIG", "VAULTLOOP_FAILPOINT", "VAULTLOOP_LANDLOCK_ABI"})

# An address with a scheme, or scp-like `host:path`; everything else is a local path.
_ADDRESS = re.compile(r"^(https?|ssh|git|file)://|^[^/\\]+:(?!\\)")


# Settings that are one path each.
_PATHS = ("state", "folder", "ssh-key", "known-hosts", "secrets-dir")


class InvalidSettings(VaultloopError):
    """The engine cannot start like this."""


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def default_state() -> Path:
    """`$XDG_STATE_HOME/vaultloop`, or `~/.local/state/vaultloop`."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "vaultloop"


class SecretBinding(BaseModel):
    """What one secret may be used for; for anything else it does not exist."""

    model_config = ConfigDict(alias_generator=_kebab, populate_by_name=True, frozen=True, extra="forbid")

    hosts: tuple[str, ...] = ()
    """Hosts that it may be sent to."""
    commands: tuple[str, ...] = ()
    """Programs of tool servers that may be given it."""


class Settings(BaseModel):
    """All settings, valid. Relative paths of a file are taken from the file's folder."""

    model_config = ConfigDict(
        alias_generator=_kebab,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
    )

    remote: str | None = None
    """Address of the vault's git remote: https, http, ssh or a local path."""
    folder: Path | None = None
    """A folder that holds the vault and is watched, on this machine."""
    branch: str | None = None
    """The branch that is the vault; else what the folder has checked out, or the remote's default."""
    state: Path = Field(default_factory=default_state)
    """Where the engine keeps its database, keys, history and sessions (0700)."""
    poll: Duration = timedelta(seconds=5)
    """How often the remote is asked for news."""
    settle: Duration = timedelta(seconds=2)
    """How long a file in the folder must be unchanged before it counts."""
    quiet: Duration = timedelta(minutes=1)
    """How long an ordinary note in the folder must be unchanged before it is committed."""
    owners: tuple[str, ...] = ()
    """Numeric ids of the owners; the console on this machine always is the owner's."""
    git_name: str = "Vaultloop"
    """Author name of the engine's commits."""
    git_email: str = "vaultloop@localhost"
    """Author address of the engine's commits."""
    git_username: str | None = None
    """User name for an http(s) remote."""
    git_password: SecretStr | None = None
    """Password or token for an http(s) remote; better in the environment than in the file."""
    ssh_key: Path | None = None
    """Private key for an ssh remote; without it the ssh agent is asked."""
    known_hosts: Path | None = None
    """Host keys of ssh remotes; `~/.ssh/known_hosts` if not given. Unknown hosts are refused."""
    claude: str = "claude"
    """The Claude Code CLI: a name on PATH or a path."""
    anthropic_api_key: SecretStr | None = None
    """Key for the model; `ANTHROPIC_API_KEY` is read too."""
    claude_oauth_token: SecretStr | None = None
    """Token of a subscription in place of a key; `CLAUDE_CODE_OAUTH_TOKEN` is read too."""
    anthropic_base_url: str | None = None
    """Address of the model's API, where it is not the vendor's."""
    degraded: tuple[Audience, ...] = ()
    """Classes of sessions that may run although this machine lacks a part of the fence: owner, cron."""
    programs: tuple[Path, ...] = ()
    """Folders that agent programs may read and run beyond the system's own."""
    mounts: Mapping[str, Path] = Field(default_factory=dict)
    """Folders outside the vault that a note may name, each by a name: sessions can read them, never write."""
    secrets: Mapping[str, SecretBinding] = Field(default_factory=dict)
    """What each secret may be used for; its value is in the environment or in `secrets-dir`."""
    secrets_dir: Path | None = None
    """A folder with one file a secret, named like it; read again when it changes."""
    web: Address | None = None
    """Where `/healthz` is answered over HTTP; nowhere if not given."""
    log_level: str = "info"
    """debug, info, warning or error."""

    @field_validator("owners", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """A comma-separated text (environment) or one number is a list too."""
        if isinstance(value, int) and not isinstance(value, bool):
            return (str(value),)
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, list):
            return tuple(str(part) for part in value)
        return value

    @field_validator("owners")
    @classmethod
    def _numeric(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for owner in value:
            if not re.fullmatch(r"\d{1,20}", owner):
                raise ValueError(f"{owner!r} is not a numeric id, such as 123456789")
        return value

    @field_validator("poll", "settle", "quiet")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError("a duration longer than nothing, such as 5s")
        return value

    @field_validator("web", mode="before")
    @classmethod
    def _address(cls, value: object) -> object:
        return value if value is None or isinstance(value, Address) else Address.parse(str(value))

    @field_validator("log_level")
    @classmethod
    def _level(cls, value: str) -> str:
        if value.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError("debug, info, warning or error")
        return value.lower()

    @field_validator("branch")
    @classmethod
    def _branch(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"(?!-)(?!.*\.\.)[\w./-]+", value):
            raise ValueError("a branch name, such as main")
        return value

    @model_validator(mode="after")
    def _vault_somewhere(self) -> Self:
        if self.remote is None and self.folder is None:
            raise ValueError(
                "neither remote nor folder is set, so there is no vault: give at least one, "
                "for example VAULTLOOP_FOLDER=~/vault, or run `vaultloop init ~/vault` first"
            )
        return self

    def check_folder(self) -> None:
        """Refuse to start on a folder that is not there: an emptied agent would look like a wish.

        Raises:
            InvalidSettings: there is no such folder.
        """
        if self.folder is not None and not self.folder.is_dir():
            raise InvalidSettings(
                f"folder: {self.folder} is not there. Mount or create it, "
                f"or run `vaultloop init {shlex.quote(str(self.folder))}`."
            )

    @field_validator("degraded", mode="before")
    @classmethod
    def _classes(cls, value: object) -> object:
        """A comma-separated text (environment) is a list too."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("degraded")
    @classmethod
    def _never_for_others(cls, value: tuple[Audience, ...]) -> tuple[Audience, ...]:
        """Whoever is not the owner never gets less than the whole fence."""
        if set(value) - {Audience.OWNER, Audience.CRON}:
            raise ValueError("only owner and cron; sessions of groups and of the public never run degraded")
        return value

    @field_validator("programs", mode="before")
    @classmethod
    def _folders(cls, value: object) -> object:
        """In the environment they are separated as in PATH."""
        if isinstance(value, str):
            return tuple(Path(part).expanduser().absolute() for part in value.split(os.pathsep) if part)
        return value

    @field_validator("mounts", mode="before")
    @classmethod
    def _named_folders(cls, value: object) -> object:
        """In the environment: `name=/path`, separated by commas."""
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(name.strip() and path.strip() for name, _, path in pairs):
            raise ValueError("a name and a folder each, such as finance=/srv/finance,tax=/srv/tax")
        return {name.strip(): Path(path.strip()).expanduser().absolute() for name, _, path in pairs}

    @field_validator("secrets", mode="before")
    @classmethod
    def _bindings(cls, value: object) -> object:
        """In the environment: the same table as JSON."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError('JSON, such as {"TOKEN": {"hosts": ["api.example.org"]}}') from None

    @property
    def oauth_token(self) -> str | None:
        """The subscription's token, never printed."""
        if self.claude_oauth_token is not None:
            return self.claude_oauth_token.get_secret_value()
        return os.environ.get("CLAUDE_CODE_OAUTH_TOKEN")

    @property
    def api_key(self) -> str | None:
        """The model's key, never printed."""
        if self.anthropic_api_key is not None:
            return self.anthropic_api_key.get_secret_value()
        return os.environ.get("ANTHROPIC_API_KEY")


# What may lie in a file of its own, as container platforms hand secrets over.
_SECRETS = frozenset(
    _kebab(name) for name, info in Settings.model_fields.items() if info.annotation == SecretStr | None
)


@dataclass(frozen=True, slots=True)
class _Given:
    """Values as found, each with the place that a message names."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, value: Any, place: str) -> None:
        self.values[key] = value
        self.places[key] = place


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings from file, environment and flags (by their keys, `None` for not given).

    Raises:
        InvalidSettings: a value is wrong, a key unknown, or the named file is missing.
    """
    environment = os.environ if environment is None else environment
    given = _Given()
    path = _find_file(flags or {}, config, environment)
    if path is not None:
        _read_file(path, given)
    for name, text in environment.items():
        if name.startswith(PREFIX) and name not in _NOT_SETTINGS and text:
            _read_variable(name, text, given)
    for key, value in (flags or {}).items():
        if value is not None:
            given.put(key, value, f"--{key}")
    return _validated(given)


def folder_in(path: Path) -> Path | None:
    """The folder that a settings file names; None if there is no file, or none in it.

    Raises:
        InvalidSettings: it cannot be read.
    """
    if not path.is_file():
        return None
    given = _Given()
    _read_file(path, given)
    folder = given.values.get("folder")
    return folder if isinstance(folder, Path) else None


def _find_file(flags: Mapping[str, Any], config: Path | None, environment: Mapping[str, str]) -> Path | None:
    named = config or (Path(environment["VAULTLOOP_CONFIG"]) if environment.get("VAULTLOOP_CONFIG") else None)
    if named is not None:
        if not named.expanduser().is_file():
            raise InvalidSettings(f"{named}: no such settings file. Name an existing one with --config.")
        return named.expanduser()
    state = flags.get("state") or environment.get("VAULTLOOP_STATE") or default_state()
    beside_command = Path(sys.argv[0]).absolute().parent
    candidates = (folder / FILE_NAME for folder in (Path.cwd(), beside_command, Path(state).expanduser()))
    return next((path for path in candidates if path.is_file()), None)


def _read_file(path: Path, given: _Given) -> None:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSettings(f"{path} cannot be read as TOML: {error}.") from error
    for key, value in table.items():
        if key in _PATHS and isinstance(value, str):
            value = path.parent / Path(value).expanduser()  # noqa: PLW2901 - the same value, made absolute
        if key == "programs" and isinstance(value, list):
            value = [path.parent / Path(str(item)).expanduser() for item in value]  # noqa: PLW2901 - likewise
        if key == "mounts" and isinstance(value, dict):
            value = {  # noqa: PLW2901 - likewise
                name: path.parent / Path(str(item)).expanduser() for name, item in value.items()
            }
        if key == "remote" and isinstance(value, str) and not _ADDRESS.match(value):
            value = str(path.parent / Path(value).expanduser())  # noqa: PLW2901 - likewise
        given.put(key, value, f"{path}: {key}")


def _read_variable(name: str, text: str, given: _Given) -> None:
    """The setting that `name` is the variable of; a secret's may end in `_FILE` and name where it lies."""
    key, value = _key(name), text
    if name.endswith(SECRET_FILE) and _key(name.removesuffix(SECRET_FILE)) in _SECRETS:
        key, value = _key(name.removesuffix(SECRET_FILE)), _read_secret(Path(text), name)
    if (other := given.places.get(key, "")).startswith(PREFIX):
        raise InvalidSettings(f"{name} and {other} are both set: keep one of them.")
    given.put(key, value, name)


def _key(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower().replace("_", "-")


def _read_secret(path: Path, variable: str) -> str:
    try:
        if secret := path.expanduser().read_text(encoding="utf-8").strip():
            return secret
        why = "it is empty"
    except (OSError, UnicodeDecodeError) as error:
        why = str(error.strerror) if isinstance(error, OSError) else "it is no UTF-8 text"
    raise InvalidSettings(
        f"{variable}: {path} gives no secret ({why}). Name a file that holds it and nothing else."
    )


def _validated(given: _Given) -> Settings:
    for key in _PATHS:
        if key in given.values:
            given.values[key] = Path(given.values[key]).expanduser().absolute()
    try:
        return Settings.model_validate(given.values)
    except ValidationError as error:
        # The cause is dropped on purpose: it would print the value, which may be a password.
        raise InvalidSettings("\n".join(_explained(item, given) for item in error.errors())) from None


def _explained(item: Mapping[str, Any], given: _Given) -> str:
    key = str(item["loc"][0]) if item["loc"] else ""
    place = given.places.get(key, key)
    if item["type"] == "extra_forbidden":
        known = ", ".join(sorted(_kebab(name) for name in Settings.model_fields))
        return f"{place}: no such setting. The settings are: {known}."
    message = str(item["msg"]).removeprefix("Value error, ").removesuffix(".")
    return f"{place}: {message}." if place else f"{message}."
