"""Where files of a merge lie: names of copies, files in the way of folders, names that look alike."""

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator

from vaultloop.model.policy import folded
from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.merge.version import Writer

# Letters of a name of a copy that say whose it is; the rest of a long name goes.
LONGEST_WHO = 30
# Bytes, on every file system we know of.
LONGEST_NAME = 255
# Digits of a blob's id in names and callouts; more of them where these are taken.
DIGITS = (6, 12, 40)

_NOT_IN_NAMES = re.compile(r"[^\w]+")
_MARK = ".conflict-"


def copy_names(path: str, writer: Writer, blob: str) -> Iterator[str]:
    """Names beside `path` for the version that lost there, the best first; always the same for one blob."""
    folder, name = posixpath.split(path)
    stem, extension = posixpath.splitext(name)
    for digits in DIGITS:
        mark = f"{_MARK}{_who(writer)}-{writer.at:%Y-%m-%d}-{blob[:digits]}{extension}"
        room = LONGEST_NAME - len(_bytes(mark))
        yield posixpath.join(
            folder,
            _bytes(stem)[:room].decode("utf-8", "ignore" if room < len(_bytes(stem)) else "surrogateescape")
            + mark,
        )


def is_copy(path: str) -> bool:
    """Whether a path has the name of a copy."""
    return _MARK in posixpath.basename(path)


def folders(paths: Iterable[str]) -> set[str]:
    """Every folder that one of these lies in, at any depth."""
    found: set[str] = set()
    for path in paths:
        found.update(folders_of(path))
    return found


def folders_of(path: str) -> Iterator[str]:
    """The folders that a path lies in, the nearest first; without the top."""
    while path := posixpath.dirname(path):
        yield path


def twins(one: Collection[str], other: Collection[str]) -> Iterator[tuple[str, str]]:
    """Pairs of different paths, one of each, that some disks take for the same."""
    spellings: dict[str, list[str]] = {}
    for path in one:
        spellings.setdefault(folded(path), []).append(path)
    for path in sorted(other):
        for twin in sorted(spellings.get(folded(path), ())):
            if twin != path:
                yield (twin, path) if twin < path else (path, twin)


def _who(writer: Writer) -> str:
    if writer.author_class is AuthorClass.AGENT:
        return "agent"
    return _NOT_IN_NAMES.sub("-", writer.name).strip("-_")[:LONGEST_WHO].strip("-") or "human"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
