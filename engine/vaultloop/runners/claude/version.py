"""Which Claude Code this vaultloop was tested with, and which it can work with at all.

The CLI changes almost daily: flags come and go, fields of its output move. So one version is pinned. The
tests run it, known by these sums; the runner runs any that is not too old, and says when it is another one.
Imports nothing: what installs the CLI for the tests reads it too.
"""

import re
from typing import NamedTuple


class Version(NamedTuple):
    """A version of the CLI; compares as numbers do."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


TESTED = Version(2, 1, 330)

# The first version that honours `client_composed`; an older one silently expands what people write.
OLDEST = Version(2, 1, 248)

# Of the program itself, by machine (glibc): the packages it comes in hold the same bytes.
SHA256 = {
    "x86_64": "f390eaa0814e6a1bff74cbb47acb74cb9c89d30ced809fe0af5af00c7bfe8ebb",
    "aarch64": "6016f90cac783e367fb1aa97c768a2efb94a0128a5b46b70fb3d8fcbbd9dd444",
}
BYTES = {"x86_64": 381_121_040, "aarch64": 379_971_000}

# The release of the Python package `claude-agent-sdk` that carries the same program.
TESTED_WHEEL = "0.2.187"


def parsed(said: str) -> Version | None:
    """The version in what `claude --version` prints; None where there is none."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", said.strip())
    return Version(*map(int, found.groups())) if found else None


def remark(version: Version) -> str | None:
    """What the owner should know of a version that works but is not the tested one."""
    if version == TESTED:
        return None
    age = "newer" if version > TESTED else "older"
    return (
        f"claude {version} is {age} than {TESTED}, with which this vaultloop was tested. "
        f"Sessions run with it all the same; {TESTED} is the safe choice."
    )
