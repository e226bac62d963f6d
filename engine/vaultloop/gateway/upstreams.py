"""The vendors of models: where their APIs are, and exactly what is forwarded there."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """What an ability opens beyond what everybody may ask.

    Attributes:
        tools: types of the vendor's own tools; tool_names: what they are called when they are used.
        blocks, sources: of a conversation's content.
    """

    tools: Names = ()
    tool_names: Names = ()
    blocks: Names = ()
    sources: Names = ()
    betas: Names = ()


@dataclass(frozen=True, slots=True)
class Requests:
    """What requests may look like; a name that ends in `-` or `_` stands for all that begin with it.

    Attributes:
        paths: POST only; metered: those of them that are charged for.
        keys, message_keys, tool_keys: of the body, of each message, of each tool.
        betas: values of the header that asks for unfinished features.
    """

    paths: Names
    metered: Names
    queries: Names
    headers: Names
    betas: Names
    keys: Names
    message_keys: Names
    tool_keys: Names
    context_edits: Names
    blocks: Names
    sources: Names


@dataclass(frozen=True, slots=True)
class Credential:
    """How a real credential goes out: a header, what stands before the secret, the feature it needs."""

    header: str
    prefix: str = ""
    beta: str = ""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One vendor's API."""

    base_url: str
    requests: Requests
    answers: Names
    api_key: Credential
    oauth_token: Credential
    abilities: Mapping[str, Opened] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether others on the network can read along: no TLS, and not on this machine."""
        address = urlsplit(self.base_url)
        return address.scheme == "http" and address.hostname not in ("127.0.0.1", "::1", "localhost")

    def opened(self, abilities: Iterable[str]) -> Opened:
        """What these abilities open together."""
        given = [self.abilities[name] for name in abilities if name in self.abilities]
        return Opened(
            tools=tuple(name for item in given for name in item.tools),
            tool_names=tuple(name for item in given for name in item.tool_names),
            blocks=tuple(name for item in given for name in item.blocks),
            sources=tuple(name for item in given for name in item.sources),
            betas=tuple(name for item in given for name in item.betas),
        )


def claude(base_url: str | None = None) -> Upstream:
    """The Claude API, at the vendor's or at `base_url`."""
    text = files("vaultloop.gateway").joinpath("upstreams.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)["claude"]
    return Upstream(
        base_url=(base_url or table["base_url"]).rstrip("/"),
        requests=Requests(**_names(table["requests"])),
        answers=tuple(table["answers"]["headers"]),
        api_key=Credential(**table["api_key"]),
        oauth_token=Credential(**table["oauth_token"]),
        abilities={name: Opened(**_names(item)) for name, item in table["abilities"].items()},
    )


def listed(name: str, names: Names) -> bool:
    """Whether `name` is one of `names`, or begins with one of them that ends in `-` or `_`."""
    return any(name == item or (item[-1:] in ("-", "_") and name.startswith(item)) for item in names)


def _names(table: Mapping[str, Any]) -> dict[str, Names]:
    return {name: tuple(values) for name, values in table.items()}
