"""Frontmatter values that name something outside of the vault: hosts, addresses, programs, mounts."""

import re
import shlex
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from vaultloop.model.fields import Many, plain, wrong

_LABEL = re.compile(r"(?!-)[^\W_](?:[\w-]*[^\W_])?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


# Hosts.


def _host(value: Any) -> str:
    text = plain(value)
    if "," in text or " " in text:
        parts = ", ".join(f'"{part}"' for part in re.split(r"[,\s]+", text) if part)
        raise wrong("bad-host", f"`{text}` is more than one host.", write=f"[{parts}]")
    bare = re.split(r"[/?#]", _SCHEME.sub("", text), maxsplit=1)[0].rpartition("@")[2]
    bare = re.sub(r":\d*\Z", "", bare).lower().rstrip(".")
    name = bare.removeprefix("*.")
    if _is_address(name) or _is_address(bare.strip("[]")):
        raise wrong("bad-host", f"`{text}` is an address; hosts are named.", cure=_HOST)
    if "*" in name or "." not in name:
        raise _too_wide(text, name)
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise wrong("bad-host", f"`{text}` is not the name of a host.", cure=_HOST)
    if bare != text.lower().rstrip("."):
        raise wrong("bad-host", f"`{text}` is more than the name of a host.", write=f'"{bare}"')
    return bare


_HOST = "Write a name such as `api.example.org`, or `*.example.org` for all below it."


def _too_wide(text: str, name: str) -> PydanticCustomError:
    rest = name.rpartition("*")[2].strip(".-")
    if "." in rest and "*" in name and not rest.startswith(("*", "-")):
        message = f"`{text}` has a `*` that is not all of its first part."
        return wrong("bad-host", message, write=f'"*.{rest}"')
    if "*" in text:
        return wrong("bad-host", f"`{text}` is too wide.", cure=_HOST)
    return wrong("bad-host", f"`{text}` is not the name of a host on the internet.", cure=_HOST)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


Host = Annotated[
    str,
    BeforeValidator(_host),
    WithJsonSchema({"type": "string", "examples": ["api.example.org", "*.example.org"]}),
]
Hosts = Many[Host]


# Addresses.


def _url(value: Any) -> str:
    text = plain(value)
    cure = "Write an address such as `https://example.org/mcp`."
    if not text or re.search(r"\s", text):
        raise wrong("bad-url", f"`{text}` is not an address.", cure=cure)
    if not _SCHEME.match(text):
        if "." in text.partition("/")[0]:
            raise wrong("bad-url", f"`{text}` lacks its `https://`.", write=f"https://{text}")
        raise wrong("bad-url", f"`{text}` is not an address.", cure=cure)
    found = _split(text)
    if found is None or not found.hostname or found.scheme not in {"http", "https"}:
        raise wrong("bad-url", f"`{text}` is not an address of the web.", cure=cure)
    if found.username is not None:
        message = "There is a name or a password in this address."
        raise wrong("bad-url", message, cure="Delete it here and name it in `secrets`.")
    if found.scheme == "http" and not _is_here(found.hostname):
        message = f"`{text}` would send everything unencrypted."
        raise wrong("bad-url", message, write="https" + text[len("http") :])
    return text


def _split(text: str) -> SplitResult | None:
    try:
        found = urlsplit(text)
        _ = found.port
    except ValueError:
        return None
    return found


def _is_here(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


Url = Annotated[
    str, BeforeValidator(_url), WithJsonSchema({"type": "string", "examples": ["https://example.org/mcp"]})
]


# Programs.


def _command(value: Any) -> str:
    text = _typed(value)
    if "\n" in text:
        message = "A command is one line."
        raise wrong("bad-command", message, write=" ".join(text.split()))
    try:
        words = shlex.split(text)
    except ValueError:
        message = "A quote in this command is not closed."
        raise wrong("bad-command", message, cure="Close the quote, or delete it.") from None
    if not words:
        message = "This command is empty."
        raise wrong("bad-command", message, cure="Write the program to start, or delete this line.")
    return text


def _typed(value: Any) -> str:
    # Without `plain`: the quotes of a command are part of it.
    return value.strip() if isinstance(value, str) else plain(value)


Command = Annotated[str, BeforeValidator(_command), WithJsonSchema({"type": ["string", "number"]})]


# Mounts.


def _mount(value: Any) -> str:
    text = plain(value)
    if not re.fullmatch(r"[\w][\w.-]*", text):
        message = f"`{text}` is not the name of a mount."
        cure = "Write the name that the operator's settings give the folder; its path stands there."
        raise wrong("bad-mount", message, cure=cure)
    return text


Mount = Annotated[str, BeforeValidator(_mount), WithJsonSchema({"type": ["string", "number"]})]
Mounts = Many[Mount]
