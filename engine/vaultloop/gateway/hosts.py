"""Names of hosts: what a session asked for, and whether a list of a note covers it."""

import re

# A label of a name as it goes over the wire (RFC 1123; `_` is in use). Those of IDNA begin with `xn--`.
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LONGEST = 253

# What every reader takes for the end of an IPv4 address: decimal, octal or hexadecimal.
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")


class Unacceptable(Exception):
    """What was asked for is no name of a host; the text says why."""


def asked_for(authority: str) -> str:
    """The host in `host:443`, in lower case.

    Raises:
        Unacceptable: it is another port, an address, or no name in its plain form.
    """
    host, _, port = authority.rpartition(":")
    if port != "443":
        raise Unacceptable("only port 443 is reached")
    return plain(host)


def plain(host: str) -> str:
    """A name of a host in lower case.

    Raises:
        Unacceptable: it is an address, or no name in its plain form.
    """
    name = host.lower() if host.isascii() else ""
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]) or "[" in name or ":" in name:
        raise Unacceptable("an address is no name of a host")
    if len(name) > _LONGEST or not all(map(_LABEL.fullmatch, labels)):
        raise Unacceptable("that is no name of a host; write it in ASCII, without a dot at its end")
    return name


def covered(host: str, patterns: tuple[str, ...]) -> bool:
    """Whether a list stands for `host`: by its name, or as `*.example.org` for what lies below."""
    return any(_covers(pattern, host) for pattern in patterns)


def _covers(pattern: str, host: str) -> bool:
    below, wanted = pattern.startswith("*."), _ascii(pattern.removeprefix("*."))
    return wanted is not None and (host.endswith("." + wanted) if below else host == wanted)


def _ascii(name: str) -> str | None:
    """A name as a person writes it, in the form that goes over the wire; None where there is none."""
    try:
        return plain(name.strip().lower().encode("idna").decode())
    except (Unacceptable, UnicodeError):
        return None
