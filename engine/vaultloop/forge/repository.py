"""Where a repository lies at its forge, told from the address of the remote."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

_SCP_LIKE = re.compile(r"(?:[^@/\s]+@)?(?P<host>\[[^\]]+\]|[^:/\s]+):(?P<path>(?!//).+)\Z")

# Names under which forges take ssh where port 22 is closed.
_SSH_HOSTS = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}


@dataclass(frozen=True, slots=True)
class ForgeRepository:
    """One repository at a forge.

    Attributes:
        site: scheme, host and port of the forge's pages.
        host: the host alone.
        path: owners and name, without `.git`: `ada/vault`, `group/subgroup/vault`.
    """

    site: str
    host: str
    path: str

    @classmethod
    def of(cls, remote: str) -> Self | None:
        """The repository that `remote` names over https, http or ssh; None for a path on this machine."""
        if "://" not in remote:
            found = _SCP_LIKE.match(remote)
            return None if found is None else cls._at("https", found["host"], None, found["path"])
        parts = urlsplit(remote)
        if parts.scheme in ("http", "https"):
            return cls._at(parts.scheme, parts.hostname or "", parts.port, parts.path)
        if parts.scheme in ("ssh", "git+ssh", "ssh+git"):
            # The port is of ssh; the pages of a forge are where browsers look for them.
            return cls._at("https", parts.hostname or "", None, parts.path)
        return None

    @classmethod
    def _at(cls, scheme: str, host: str, port: int | None, path: str) -> Self | None:
        path = unquote(path).strip("/").removesuffix(".git")
        host = _SSH_HOSTS.get(host.strip("[]").lower(), host.strip("[]").lower())
        if not host or "/" not in path:
            return None
        shown = f"[{host}]" if ":" in host else host
        return cls(f"{scheme}://{shown}{f':{port}' if port else ''}", host, path)
