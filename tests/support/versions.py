"""Versions of files with their writers, for merges in tests."""

import hashlib
from datetime import UTC, datetime, timedelta

from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.merge.version import Version, Writer

_NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def human(data: str | bytes, *, minutes: int = 0, name: str = "Ada") -> Version:
    """What a human wrote, so many minutes after noon."""
    return _version(data, AuthorClass.HUMAN, minutes, name)


def agent(data: str | bytes, *, minutes: int = 5) -> Version:
    """What an agent wrote."""
    return _version(data, AuthorClass.AGENT, minutes, "Vaultloop")


def _version(data: str | bytes, author_class: AuthorClass, minutes: int, name: str) -> Version:
    data = data.encode() if isinstance(data, str) else data
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    return Version(data, blob, Writer(author_class, name, _NOON + timedelta(minutes=minutes), "c" * 40))
