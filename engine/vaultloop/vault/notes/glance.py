"""Whether a note declares something, seen at a glance: to tell a vault's `agent/` from others."""

import re
from collections.abc import Iterable

# Names of the kinds; the kinds themselves would have to be loaded, and a hook waits for them.
KIND_NAMES = (
    "bridge",
    "cron",
    "crontab",
    "defaults",
    "deploy",
    "mcp-server",
    "memory",
    "reminder",
    "rule",
    "scope",
)

# So much of a note is looked at: its kind stands at its top.
_TOP = 4096
_KIND = re.compile(
    rb"^\s*['\"]?kind['\"]?\s*:\s*['\"]?(?:%b)\b" % "|".join(KIND_NAMES).encode(),
    re.MULTILINE | re.IGNORECASE,
)


def is_note(path: str) -> bool:
    """Whether a path has the name of a note."""
    return path.lower().endswith(".md")


def declares(note: bytes) -> bool:
    """Whether a frontmatter at the top of a note names one of the kinds, be the rest of it right or wrong."""
    top = note[:_TOP].removeprefix(b"\xef\xbb\xbf").lstrip()
    return top.startswith(b"---") and _KIND.search(top.partition(b"\n---")[0]) is not None


def any_declares(notes: Iterable[bytes]) -> bool:
    """Whether one of these does; no more of them are read than that takes."""
    return any(declares(note) for note in notes)
