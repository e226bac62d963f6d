"""Path patterns of grants and watch lists: anchored at the vault's root; a folder means all below it."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_ANY_DEPTH = "(?:[^/]+/)*"


def normalised(path: str) -> str:
    """A vault path in the one form that comparisons use: NFC, no leading or trailing slash."""
    return unicodedata.normalize("NFC", path).strip("/")


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = [_component(part) for part in normalised(pattern).split("/")]
    # Below a match everything matches: "personal/finances" names the folder and so all that is in it,
    # and a `/**` at the end says nothing more.
    while len(parts) > 1 and parts[-1] == _ANY_DEPTH:
        parts.pop()
    return re.compile("".join(parts).removesuffix("/") + r"(?:/.*)?\Z", re.DOTALL)


def _component(part: str) -> str:
    if part == "**":
        return _ANY_DEPTH
    out = []
    for piece in re.findall(r"\*+|\?|\[!?[^\]/]+\]|[^*?\[]+|\[", part):
        if piece.startswith("*"):
            out.append("[^/]*")
        elif piece == "?":
            out.append("[^/]")
        elif piece.startswith("[") and len(piece) > 1:
            out.append(_class(piece[1:-1]))
        else:
            out.append(re.escape(piece))
    return "".join(out) + "/"


def _class(characters: str) -> str:
    negated = characters.startswith("!")
    inside = re.escape(characters.removeprefix("!")).replace(r"\-", "-")
    return f"[{'^/' if negated else ''}{inside}]"


def matches(pattern: str, path: str) -> bool:
    """Whether `path` is what `pattern` names, or lies below it.

    `*` and `?` stay within one path component, `**` spans any number of them; nothing else is special
    but `[...]`. The empty pattern matches nothing: an empty grant is nobody's.
    """
    pattern = normalised(pattern)
    if not pattern:
        return False
    if pattern == "**" or (pattern.startswith("**/**") and set(pattern.split("/")) == {"**"}):
        return True
    return _compiled(pattern).match(normalised(path)) is not None


def matches_any(patterns: Iterable[str], path: str) -> bool:
    """Whether one of `patterns` matches; no patterns match nothing."""
    return any(matches(pattern, path) for pattern in patterns)
