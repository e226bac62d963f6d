"""Files that git was told about without their content (`git add -N`): they are in the index and in no commit.

libgit2 keeps that mark to itself, so that it is read from the index file, as git documents its form.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

_HEADER = struct.Struct(">4sLL")
_EXTENDED, _INTENDED = 0x4000, 0x2000
# Times, numbers and size of a file, and its id of 20 bytes; then 16 bits of marks.
_BEFORE_MARKS = 60
# From which version on there are further marks, and a path is written as what differs from the one before.
_WITH_MARKS, _WITH_DIFFERENCES = 3, 4


def intended(index: Path) -> frozenset[bytes]:
    """The paths in an index whose content is not staged.

    Raises:
        ValueError: this is no index that can be understood.
        OSError: it cannot be read.
    """
    data = index.read_bytes()
    try:
        signature, version, count = _HEADER.unpack_from(data)
        if signature != b"DIRC" or version > _WITH_DIFFERENCES:
            raise ValueError(f"its form (version {version}) is unknown")
        return frozenset(_intended(data, version, count)) if version >= _WITH_MARKS else frozenset()
    except (struct.error, IndexError) as error:
        raise ValueError("it ends too early") from error


def _intended(data: bytes, version: int, count: int) -> Iterator[bytes]:
    at, path = _HEADER.size, b""
    for _ in range(count):
        start, further = at, 0
        at += _BEFORE_MARKS
        (marks,) = struct.unpack_from(">H", data, at)
        at += 2
        if marks & _EXTENDED:
            (further,) = struct.unpack_from(">H", data, at)
            at += 2
        kept = len(path) if version == _WITH_DIFFERENCES else 0
        if version == _WITH_DIFFERENCES:
            dropped, at = _number(data, at)
            kept -= dropped
        end = data.index(b"\0", at)
        path = path[:kept] + data[at:end]
        # The older forms fill up with one to eight zeros.
        at = end + 1 if version == _WITH_DIFFERENCES else start + (end - start + 8) // 8 * 8
        if further & _INTENDED:
            yield path


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of as many bytes as it takes, and where it ends."""
    value = data[at] & 127
    while data[at] & 128:
        at += 1
        value = (value + 1) << 7 | data[at] & 127
    return value, at + 1
