"""Where a remote is: its URL, read once, and apart from the secrets that were written into it."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_SCP_LIKE = re.compile(r"(?:(?P<user>[^@/\s]+)@)?(?P<host>\[[^\]]+\]|[^:/\s]+):(?P<path>(?!//).+)\Z")


def scrubbed(text: str) -> str:
    """`text` without user names and passwords in its URLs."""
    return _CREDENTIALS_IN_URL.sub("", text)


@dataclass(frozen=True, slots=True)
class Address:
    """A remote's URL, apart from the secrets that were written into it."""

    url: str
    host: str | None
    port: int | None
    ssh: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read https, http, ssh and file URLs, `user@host:path`, and local paths."""
        if "://" not in url:
            scp = _SCP_LIKE.match(url)
            if scp is None or Path(url).exists():
                return cls(url, None, None, ssh=False)
            return cls(url, scp["host"].strip("[]"), None, ssh=True, username=scp["user"])
        parts = urlsplit(url)
        ssh = parts.scheme in ("ssh", "git+ssh", "ssh+git")
        host = parts.netloc.rpartition("@")[2]
        user = unquote(parts.username) if parts.username else None
        # A user name is part of an ssh address; in an http one it is half of a secret.
        netloc = f"{parts.username}@{host}" if ssh and user else host
        clean = urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))
        password = unquote(parts.password) if parts.password else None
        return cls(clean, parts.hostname, parts.port, ssh, user, password)

    @property
    def git_dir(self) -> Path | None:
        """The repository's own directory, where it is on this machine."""
        scheme, _, path = self.url.rpartition("://")
        if self.ssh or scheme not in ("", "file"):
            return None
        place = Path(unquote(path) if scheme else path)
        return place if (place / "HEAD").is_file() else place / ".git"

    @property
    def known_as(self) -> str:
        """How a known_hosts file names the host."""
        return f"[{self.host}]:{self.port}" if self.port not in (None, 22) else str(self.host)
