"""The operator's settings: what the body needs to know and the vault must never decide.

Each setting has a key in `vaultloop.toml`, an environment variable (`poll` is `VAULTLOOP_POLL`,
`git-password` is `VAULTLOOP_GIT_PASSWORD`) and, where that helps, a flag. Flag wins over environment wins
over file. A wrong one is refused at start, with where it came from and what was expected.
"""

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from vaultloop.gateway.secrets import BODY, is_body
from vaultloop.model.fields import Duration
from vaultloop.model.policy import Audience
from vaultloop.settings_sources import (
    FILE_NAME,
    PREFIX,
    Given,
    InvalidSettings,
    default_state,
    find_file,
    insist_outside,
    lies_in,
    usual_file,
)
from vaultloop.web.address import Address

__all__ = [
    "FILE_NAME",
    "PREFIX",
    "InvalidSettings",
    "SecretBinding",
    "Settings",
    "default_state",
    "folder_in",
    "load",
]


def _kebab(name: str) -> str:
    return name.replace("_", "-")


MEGABYTE = 1024 * 1024


# Characters of a secret that strangers may try to guess.
SHORTEST_SECRET = 16


class Signed(StrEnum):
    """Which commits must be signed by somebody whom the operator named."""

    OFF = "off"
    PROTECTED = "protected"
    ALL = "all"


class Forge(StrEnum):
    """Kinds of forges, by the API that they speak."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"


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
    trust: Signed = Signed.OFF
    """Which commits count only if an allowed signer signed them: off, protected (paths), all."""
    allowed_signers: Path | None = None
    """Whose signatures count: a file in the form of ssh's `allowed_signers`."""
    trust_folder: bool = False
    """Whether, with trust on, what is saved in the folder counts without a signature."""
    largest_file: int = 100 * MEGABYTE
    """Bytes of the largest file that the remote takes; a larger one is refused before it is committed."""
    web: Address | None = None
    """Where `/healthz`, `/metrics` and `/hooks/git` are answered over HTTP; nowhere if not given."""
    webhook_secret: SecretStr | None = None
    """What the forge signs its webhooks with; without it `/hooks/git` is closed."""
    forge: Forge | None = None
    """What kind of forge the remote is at: github, gitlab or gitea (Forgejo too)."""
    forge_token: SecretStr | None = None
    """With it the forge shows at each commit whether it was applied."""
    log_level: str = "info"
    """debug, info, warning or error."""

    _read: tuple[Path, ...] = PrivateAttr(())

    def note_read(self, files: Iterable[Path]) -> None:
        """Remember which files were read for these settings; see `private`."""
        self._read = tuple(files)

    @property
    def private(self) -> tuple[Path, ...]:
        """Files that no session may be shown: the settings file, files of secrets, the key of the remote."""
        return (*self._read, self.ssh_key) if self.ssh_key else self._read

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

    @field_validator("poll")
    @classmethod
    def _seen_daily(cls, value: timedelta) -> timedelta:
        """Other engines wait for this one for two of its intervals."""
        if value > timedelta(days=1):
            raise ValueError("a duration of a day at most, such as 5m")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr | None) -> SecretStr | None:
        """Whoever guesses it makes the engine look, and reads its figures."""
        if (
            value is not None
            and len(value.get_secret_value().removeprefix("whsec_").strip()) < SHORTEST_SECRET
        ):
            raise ValueError(
                f"at least {SHORTEST_SECRET} characters that nobody guesses, such as those of"
                " `openssl rand -hex 32`"
            )
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

    @model_validator(mode="after")
    def _somebody_to_trust(self) -> Self:
        if self.trust is not Signed.OFF and self.allowed_signers is None:
            raise ValueError(
                "trust is on, and allowed-signers names no file: without it nobody's commits would count. "
                "Name one, with a line such as: ada@example.org ssh-ed25519 AAAA..."
            )
        return self

    @model_validator(mode="after")
    def _outside_of_the_vault(self) -> Self:
        """What lies in the vault is pushed, and changed by whoever may change the vault."""
        private = {
            "state": self.state,
            "secrets-dir": self.secrets_dir,
            "ssh-key": self.ssh_key,
            "allowed-signers": self.allowed_signers,
        }
        for key, place in private.items():
            if place is not None and self.folder is not None and lies_in(place, self.folder):
                raise ValueError(
                    f"{key}: {place} lies in the vault's folder, where it is pushed with the notes, and "
                    "changed by whoever changes them. Keep it elsewhere"
                )
        return self

    def check_folder(self) -> None:
        """Refuse to start on a folder that is not there: an emptied agent would look like a wish.

        Raises:
            InvalidSettings: there is no such folder, of the vault or of secrets.
        """
        if self.secrets_dir is not None and not self.secrets_dir.is_dir():
            raise InvalidSettings(
                f"secrets-dir: {self.secrets_dir} is not there. Mount or create it, or delete the setting."
            )
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

    @field_validator("programs")
    @classmethod
    def _no_whole_machine(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        for folder in value:
            _require_folder(folder)
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

    @field_validator("mounts")
    @classmethod
    def _no_mounted_machine(cls, value: Mapping[str, Path]) -> Mapping[str, Path]:
        for folder in value.values():
            _require_folder(folder)
        return value

    @field_validator("secrets")
    @classmethod
    def _not_the_bodys(cls, value: Mapping[str, SecretBinding]) -> Mapping[str, SecretBinding]:
        for name in value:
            if is_body(name):
                raise ValueError(
                    f"{name} cannot be bound, for it is the engine's own: names that begin with "
                    f"{', '.join(BODY)} never reach a session. Give the secret another name"
                )
        return value

    @field_validator("anthropic_base_url")
    @classmethod
    def _over_http(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/\s]", value):
            raise ValueError("an address that begins with https:// or http://")
        return value

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
    given = Given()
    path = find_file(flags or {}, config, environment)
    if path is not None:
        given.read_file(path)
    given.read_environment(environment, _SECRETS)
    for key, value in (flags or {}).items():
        if value is not None:
            given.put(key, value, f"--{key}")
    found = _validated(given)
    if path is not None:
        # One that names no folder, or another, must not hide that it came with the vault.
        usual = usual_file(flags or {}, environment)
        vaults = (found.folder, folder_in(usual) if path != usual and usual.is_file() else None)
        insist_outside(path, filter(None, vaults))
    return found


def folder_in(path: Path) -> Path | None:
    """The folder that a settings file names; None if there is no file, or none in it.

    Raises:
        InvalidSettings: it cannot be read.
    """
    if not path.is_file():
        return None
    given = Given()
    given.read_file(path)
    folder = given.values.get("folder")
    return folder if isinstance(folder, Path) else None


def _require_folder(folder: Path) -> None:
    if not folder.is_absolute():
        raise ValueError("the path of a folder, such as /opt/agent")
    if folder.resolve().parent == folder.resolve():
        raise ValueError("a folder; `/` would be the whole machine, with every secret on it")


def _validated(given: Given) -> Settings:
    given.make_paths_absolute()
    try:
        found = Settings.model_validate(given.values)
    except ValidationError as error:
        # The cause is dropped on purpose: it would print the value, which may be a password.
        raise InvalidSettings("\n".join(_explained(item, given) for item in error.errors())) from None
    found.note_read(given.private)
    return found


# What was expected, where the library's words would be about its own types.
_EXPECTED = {
    "string_type": "a text in quotes",
    "path_type": 'a path in quotes, such as "/srv/vault"',
    "tuple_type": 'a list, such as ["one", "two"]',
    "mapping_type": "a table of names, each with its value",
    "dict_type": "a table of names, each with its value",
    "model_type": 'a table, such as {hosts = ["api.example.org"]}',
    "enum": "only owner and cron",
    "model_attributes_type": 'a table, such as {hosts = ["api.example.org"]}',
}


def _explained(item: Mapping[str, Any], given: Given) -> str:
    key = str(item["loc"][0]) if item["loc"] else ""
    place = given.places.get(key, key)
    inner = [str(part) for part in item["loc"][1:]]
    if item["type"] == "extra_forbidden":
        known = ", ".join(
            sorted(_kebab(name) for name in (SecretBinding if inner else Settings).model_fields)
        )
        if inner:
            return f"{place}: {inner[0]} has no key `{inner[-1]}`. Its keys are: {known}."
        return f"{place}: no such setting. The settings are: {known}."
    where = " ".join((place, *inner)) if place else ""
    if item["type"] == "enum" and not inner:
        return f"{where}: one of {str(item['ctx']['expected']).replace(chr(39), '')}."
    message = _EXPECTED.get(item["type"]) or str(item["msg"]).removeprefix("Value error, ").removesuffix(".")
    return f"{where}: {message}." if where else f"{message}."
