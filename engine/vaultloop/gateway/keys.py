"""What the engine hands to the gateway process: on its standard input, and again when it has changed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from vaultloop.gateway.secrets import Secrets
from vaultloop.model.errors import VaultloopError

# The line with the keys is no longer (bytes): each secret has a bound of its own.
LONGEST_LINE = 8 * 1024 * 1024


class NoKeys(VaultloopError):
    """What should be the keys is something else. It is not repeated: it may hold one."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Everything secret that the gateway holds. Never printed.

    Attributes:
        api_key, oauth_token: the credentials of the model's API; the key wins where both are there.
        base_url: where that API is, if not at its vendor's; a change counts from the next start on.
        secrets: the operator's own, with what each may be used for.
    """

    api_key: str | None = field(default=None, repr=False)
    oauth_token: str | None = field(default=None, repr=False)
    base_url: str | None = None
    secrets: Secrets = field(default_factory=Secrets, repr=False)

    def to_json(self) -> dict[str, Any]:
        """For the call `keys`."""
        return {**asdict(self), "secrets": self.secrets.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What `to_json` wrote.

        Raises:
            NoKeys: it is something else.
        """
        try:
            texts = {name: content[name] for name in ("api_key", "oauth_token", "base_url")}
            if not all(isinstance(text, str | None) for text in texts.values()):
                raise TypeError
            return cls(**texts, secrets=Secrets.from_json(content["secrets"]))
        except (TypeError, KeyError, ValueError, AttributeError):
            raise NoKeys("What the engine handed over has not the shape of keys.") from None

    def to_line(self) -> bytes:
        """For standard input: one line."""
        return json.dumps(self.to_json()).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """What `to_line` wrote.

        Raises:
            NoKeys: it is something else.
        """
        try:
            content = json.loads(line)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise NoKeys(
                "The gateway needs its keys on standard input, as one line of JSON; `vaultloop up` starts it "
                "by itself and hands them over."
            )
        return cls.from_json(content)
