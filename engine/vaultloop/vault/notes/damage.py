"""What no note should hold, wherever it lies: bytes that are no text, marks of a merge, secrets."""

import re
from collections.abc import Iterator

from vaultloop.model.problem import Problem, Severity
from vaultloop.vault.notes import secret

_MERGE_MARKS = tuple(re.compile(mark, re.MULTILINE) for mark in (rb"^<{7} ", rb"^={7}\r?$", rb"^>{7} "))


def nul_byte(path: str, data: bytes) -> Problem | None:
    """The first NUL byte."""
    if (at := data.find(b"\0")) < 0:
        return None
    message = "This note contains a NUL byte; it is damaged or not a text."
    return Problem(path, *_place(data, at), Severity.ERROR, "nul-byte", message, "Restore it.")


def not_utf8(path: str, data: bytes) -> Problem | None:
    """The first byte that is not UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        message, cure = "This note is not UTF-8 text.", "Save it with the encoding UTF-8."
        return Problem(path, *_place(data, error.start), Severity.ERROR, "not-utf-8", message, cure)
    return None


def unfinished_merge(path: str, data: bytes) -> Problem | None:
    """Where the marks that git leaves begin, if all three follow each other."""
    first = None
    at = 0
    for mark in _MERGE_MARKS:
        found = mark.search(data, at)
        if found is None:
            return None
        first = found.start() if first is None else first
        at = found.end()
    assert first is not None
    message = "This note contains the marks of an unfinished merge."
    cure = "Keep one of the two versions and delete the marks."
    return Problem(path, *_place(data, first), Severity.ERROR, "conflict-markers", message, cure)


def damage(path: str, data: bytes) -> Iterator[Problem]:
    """What is wrong with a note that declares nothing."""
    if (found := nul_byte(path, data) or unfinished_merge(path, data)) is not None:
        yield found
    for at in secret.sightings(data.decode("utf-8", errors="replace")):
        message = f"This looks like {at.what}."
        yield Problem(path, at.line, at.column, Severity.ERROR, "secret", message, secret.CURE)


def _place(data: bytes, at: int) -> tuple[int, int]:
    """Line and column of a byte, from 1."""
    line = data.count(b"\n", 0, at) + 1
    return line, len(data[data.rfind(b"\n", 0, at) + 1 : at].decode("utf-8", errors="replace")) + 1
