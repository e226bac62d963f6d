"""The operator's secrets: named in notes, bound in the settings, kept in the environment or in a folder.

A note names a secret and never holds one. What it may be used for is the operator's word alone: a secret
without a binding does not exist, one with a binding goes to the hosts and the programs that the binding
lists and nowhere else. The body's own credentials (the model's, git's, a messenger's) can never be named.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from vaultloop.gateway.hosts import covered
from vaultloop.model.errors import Stalled

# What belongs to the body, by the beginning of its name, however it is spelled.
BODY = ("VAULTLOOP_", "ANTHROPIC_", "CLAUDE_CODE_")

# A name that can be a file's, a variable's and a table's of vaultloop.toml.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

# No secret is longer (bytes): a file that is was put there by mistake.
LONGEST = 64 * 1024


class Bound(Protocol):
    """What the settings say of one secret."""

    @property
    def hosts(self) -> Sequence[str]: ...
    @property
    def commands(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret.

    Attributes:
        value: None where the operator bound it but gave it none.
        hosts: where it may be sent; exact names, or `*.example.org`.
        commands: programs that may be given it, as the note of the tool server writes them.
    """

    value: str | None = field(repr=False)
    hosts: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Secrets:
    """All secrets of the operator, by name. Their values are in no message, log or repr."""

    known: Mapping[str, Secret] = field(default_factory=dict)

    @classmethod
    def read(
        cls, bindings: Mapping[str, Bound], environment: Mapping[str, str], folder: Path | None = None
    ) -> Self:
        """The secrets as they are now; a file in `folder` comes before a variable of the same name."""
        known = {
            name: Secret(_value(name, environment, folder), tuple(bound.hosts), tuple(bound.commands))
            for name, bound in bindings.items()
            if not is_body(name) and _NAME.fullmatch(name)
        }
        return cls(known)

    def value_for_host(self, name: str, host: str) -> str:
        """The value, to be sent to `host`.

        Raises:
            Stalled: the secret may not go there, or there is none; with the line for the settings.
        """
        secret = self._bound(name, f'hosts = ["{_quoted(host)}"]')
        if not covered(host.lower(), secret.hosts):
            raise _unbound(name, f"may not be sent to {_quoted(host)}", f'hosts = ["{_quoted(host)}"]')
        return self._given(name, secret)

    def value_for_command(self, name: str, command: str) -> str:
        """The value, to be given to the program `command`, written as the binding writes it.

        Raises:
            Stalled: the program may not have it, or there is none; with the line for the settings.
        """
        secret = self._bound(name, f'commands = ["{_quoted(command)}"]')
        if command not in secret.commands:
            line = f'commands = ["{_quoted(command)}"]'
            raise _unbound(name, f"may not be given to `{_quoted(command)}`", line)
        return self._given(name, secret)

    def to_json(self) -> dict[str, Any]:
        """For the gateway process."""
        return {
            name: {"value": each.value, "hosts": list(each.hosts), "commands": list(each.commands)}
            for name, each in self.known.items()
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What `to_json` wrote.

        Raises:
            KeyError, TypeError, AttributeError: it is something else.
        """
        return cls(
            {
                str(name): Secret(each["value"], tuple(each["hosts"]), tuple(each["commands"]))
                for name, each in content.items()
            }
        )

    def _bound(self, name: str, line: str) -> Secret:
        if is_body(name):
            raise Stalled(
                f"`{_quoted(name)}` belongs to the engine itself; no note can name it.",
                cure="Give the tool a credential of its own, and name that.",
            )
        if (secret := self.known.get(name)) is None:
            raise _unbound(name, "is not bound to anything", line)
        return secret

    def _given(self, name: str, secret: Secret) -> str:
        if secret.value is None:
            raise Stalled(
                f"The secret `{name}` has no value.",
                cure=f"Set the variable {name} in the engine's environment, or put the value into a file "
                f"`{name}` in `secrets-dir`.",
            )
        return secret.value


def is_body(name: str) -> bool:
    """Whether this names something of the engine itself: in any case, with `-` or `_`."""
    return name.upper().replace("-", "_").startswith(BODY)


def _value(name: str, environment: Mapping[str, str], folder: Path | None) -> str | None:
    found = _in_file(folder / name) if folder is not None else None
    return found or environment.get(name) or None


def _in_file(path: Path) -> str | None:
    """What lies in a file, without the line end that editors add; None where there is nothing to read."""
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
        text = content.decode()
    except (OSError, UnicodeDecodeError):
        return None
    return text.rstrip("\r\n") if len(content) <= LONGEST else None


def _unbound(name: str, why: str, line: str) -> Stalled:
    table = name if _NAME.fullmatch(name) else "NAME"
    return Stalled(
        f"The secret `{_quoted(name)}` {why}.",
        cure=f"If that is wanted, write in vaultloop.toml: [secrets.{table}] {line}",
    )


def _quoted(text: str) -> str:
    """A name out of a note, as part of a line that somebody may copy."""
    return re.sub(r"[^\w.*/:@ -]", "?", text)[:100]
