"""What `.gitattributes` in the vault says: which files a program outside of git stands before.

Behind `filter=` (git-crypt, LFS) the blob is not what a person sees: ciphertext, or the name of something
kept elsewhere. We run no such program, so such a file passes through byte for byte, and nobody commits it
anew. Read from the tree alone, never from a machine's own settings: every engine and every merge must say
the same of the same commit. Without a checkout libgit2 answers for no tree.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from vaultloop.vault.files import Files

NAME = ".gitattributes"

# Git itself reads no attributes from a larger file, nor from longer lines (attr.h; bytes).
LARGEST_FILE = 100 * 1024 * 1024
LONGEST_LINE = 2048

# What a file in the place of one that LFS keeps begins with; longer ones are no pointers (its specification).
_POINTER = (b"version https://git-lfs.github.com/spec/v1\n", b"version https://hawser.github.com/spec/v1\n")
_LONGEST_POINTER = 1024

_MACRO = "[attr]"
_BLANK = " \t\r"
_ESCAPE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

# A word for "named", True for set, False for unset; None for `!name`: as if nobody had said anything.
Value = str | bool | None
Assignments = tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class _Line:
    pattern: str
    assignments: Assignments


class Attributes:
    """The attributes of one tree, each file of them read once."""

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        """`read` gives the content of the file at a path; None where there is no regular file."""
        self._read = read
        self._lines: dict[str, tuple[_Line, ...]] = {}
        self._macros = dict(_macros(read(NAME) or b""))

    def filtered(self, path: str) -> bool:
        """Whether a program outside of git stands between the file and its blob."""
        return self.value(path, "filter") not in (None, False)

    def value(self, path: str, name: str) -> Value:
        """What is said of `name` at `path`; the last word of the nearest folder counts, as in git."""
        said: dict[str, Value] = {}
        for folder in _nearest_first(path):
            rest = path[len(folder) + 1 :] if folder else path
            for line in reversed(self._of(folder)):
                if _matches(line.pattern, rest):
                    self._note(said, line.assignments)
                if name in said:
                    return said[name]
        return None

    def _note(self, said: dict[str, Value], assignments: Assignments) -> None:
        # The first word stands, since the strongest comes first; a macro that is set stands for its own.
        for name, value in reversed(assignments):
            if name in said:
                continue
            said[name] = value
            if value is True and name in self._macros:
                self._note(said, self._macros[name])

    def _of(self, folder: str) -> tuple[_Line, ...]:
        if folder not in self._lines:
            data = self._read(f"{folder}/{NAME}" if folder else NAME)
            self._lines[folder] = _parsed(data) if data else ()
        return self._lines[folder]


def attributes_of(files: Files) -> Attributes:
    """The attributes of one state of a vault."""

    def read(path: str) -> bytes | None:
        entry = files.entry(path)
        return None if entry is None else files.read(entry)

    return Attributes(read)


def filtered(files: Files, path: str) -> bool:
    """As `Attributes.filtered`, for a single path; for several keep one `attributes_of(files)`."""
    return attributes_of(files).filtered(path)


def is_pointer(data: bytes) -> bool:
    """Whether a blob stands for content that LFS keeps elsewhere; also where no attribute says so."""
    return len(data) < _LONGEST_POINTER and data.startswith(_POINTER) and b"\noid " in data


@lru_cache(maxsize=16)
def _parsed(data: bytes) -> tuple[_Line, ...]:
    found = (_line(text) for text in _texts(data) if not text.startswith(_MACRO))
    return tuple(line for line in found if line is not None)


def _macros(data: bytes) -> Iterator[tuple[str, Assignments]]:
    """The macros that the vault's topmost file defines; those of other folders do not count."""
    yield "binary", (("diff", False), ("merge", False), ("text", False))
    for text in _texts(data):
        words = text.removeprefix(_MACRO).split()
        if text.startswith(_MACRO) and words:
            yield words[0], tuple(map(_assignment, words[1:]))


def _texts(data: bytes) -> Iterator[str]:
    if len(data) > LARGEST_FILE:
        return
    for raw in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        text = raw.decode("utf-8", "surrogateescape").lstrip(_BLANK)
        if text and not text.startswith("#") and len(raw) < LONGEST_LINE:
            yield text


def _line(text: str) -> _Line | None:
    pattern, rest = _pattern(text)
    # Git takes no exceptions here, and what names a folder names no file.
    if not pattern or pattern.startswith("!") or pattern.endswith("/"):
        return None
    return _Line(pattern, tuple(map(_assignment, rest.split())))


def _pattern(text: str) -> tuple[str, str]:
    """The pattern that a line begins with, out of its quotes, and the rest of the line."""
    if text.startswith('"') and (quoted := re.match(r'"((?:[^"\\]|\\.)*)"', text)):
        return _unquoted(quoted[1]), text[quoted.end() :]
    pattern, *rest = re.split(r"[ \t\r]+", text, maxsplit=1)
    return pattern, "".join(rest)


def _unquoted(text: str) -> str:
    """A name as C writes it, read."""

    def read(escape: re.Match[str]) -> str:
        if escape[1][0] in "01234567":
            return chr(int(escape[1], 8))
        return _ESCAPE.get(escape[1], escape[1])

    plain = re.sub(r"\\([0-3][0-7]{2}|.)", read, text)
    if not re.search(r"\\[0-3]", text):
        return plain
    # Octal numbers are bytes of UTF-8.
    return plain.encode("latin-1", "ignore").decode("utf-8", "replace")


def _assignment(word: str) -> tuple[str, Value]:
    if word.startswith("-"):
        return word[1:], False
    if word.startswith("!"):
        return word[1:], None
    name, equals, value = word.partition("=")
    return name, value if equals else True


def _nearest_first(path: str) -> Sequence[str]:
    """The folders that a path lies in, the top (`""`) last."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]


def _matches(pattern: str, path: str) -> bool:
    """Whether a pattern fits `path`, which is relative to the folder of its file."""
    if "/" not in pattern:
        return _expression(pattern).fullmatch(path.rpartition("/")[2]) is not None
    return _expression(pattern.removeprefix("/")).fullmatch(path) is not None


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile("".join(_translated(pattern)), re.DOTALL)
    except re.error:
        return re.compile(r"(?!)")


def _translated(pattern: str) -> Iterator[str]:
    """As `wildmatch` in git does: stars and question marks stop at slashes, `**` between slashes does not."""
    at = 0
    while at < len(pattern):
        rest = pattern[at:]
        if rest.startswith("**/") and (at == 0 or pattern[at - 1] == "/"):
            taken, expression = 3, "(?:.*/)?"
        elif rest == "**" and (at == 0 or pattern[at - 1] == "/"):
            taken, expression = 2, ".*"
        elif rest[0] == "*":
            taken, expression = len(rest) - len(rest.lstrip("*")), "[^/]*"
        elif rest[0] == "[":
            taken, expression = _bracket(rest)
        elif rest[0] == "\\" and len(rest) > 1:
            taken, expression = 2, re.escape(rest[1])
        else:
            taken, expression = 1, "[^/]" if rest[0] == "?" else re.escape(rest[0])
        yield expression
        at += taken


def _bracket(rest: str) -> tuple[int, str]:
    """A choice of letters: how long it is, and its expression; one that is not closed fits nothing."""
    found = re.match(r"\[([!^]?)(\]?(?:\\.|\[:\w+:\]|[^\]\\])*)\]", rest, re.DOTALL)
    if found is None:
        return len(rest), "(?!)"
    letters = re.sub(r"\[:(\w+):\]", lambda name: _CLASSES.get(name[1], ""), found[2])
    inside = re.sub(r"([\[\]&~|^])", r"\\\1", letters.replace("\\]", "]"))
    return found.end(), f"(?!/)[{'^' if found[1] else ''}{inside}]"


_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": " \t\n\r\f\v",
    "xdigit": "0-9a-fA-F",
}
