"""Whether two path patterns can name the same file, one that no exception hides.

Both patterns are walked at once, folder by folder. It errs to one side only: where several exceptions hide a
file between them and none of them alone, the patterns are still said to meet.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from vaultloop.model.policy import PROTECTED, folded

_Parts = tuple[str, ...]


def meeting(writes: Iterable[str], reads: Iterable[str], hidden: Iterable[str]) -> tuple[str, str] | None:
    """The first pattern of each list that can name the same file; None if no two do.

    `hidden` are the exceptions of both. Protected paths do not count: no session writes them. Like `except`
    itself, this looks past the case of letters, so that it rather tells too much.
    """
    second_ones, but = tuple(reads), tuple(dict.fromkeys(hidden))
    for first in writes:
        for second in second_ones:
            if _begin_alike(first, second) and meet(first, second, but):
                return first, second
    return None


@lru_cache(maxsize=4096)
def meet(first: str, second: str, hidden: tuple[str, ...] = ()) -> bool:
    """Whether a path can lie in both patterns and in none of `hidden`, and is not protected."""
    one, two = _parts(first, loose=True), _parts(second, loose=True)
    return _Walk(one, two, [_parts(pattern) for pattern in (*hidden, *PROTECTED)]).arrives()


def _begin_alike(first: str, second: str) -> bool:
    """A quick answer for most pairs, which begin with the names of two different folders."""
    one, two = _parts(first, loose=True)[0], _parts(second, loose=True)[0]
    return one == two or "*" in one or "*" in two


class _Walk:
    """All ways through two patterns at once, remembering how far each exception has come."""

    def __init__(self, first: _Parts, second: _Parts, hidden: Sequence[_Parts]) -> None:
        self._first, self._second, self._hidden = first, second, hidden

    def arrives(self) -> bool:
        """Whether there is a way to the end of both that no exception covers."""
        begun = tuple(_rests(pattern, {0}) for pattern in self._hidden)
        waiting = [(0, 0, begun)] if not self._is_hidden(begun) else []
        seen = set(waiting)
        while waiting:
            for at in self._next(*waiting.pop()):
                if at[0] == len(self._first) and at[1] == len(self._second):
                    return True
                if at not in seen:
                    seen.add(at)
                    waiting.append(at)
        return False

    def _next(
        self, one: int, two: int, hiding: tuple[frozenset[int], ...]
    ) -> Iterator[tuple[int, int, tuple[frozenset[int], ...]]]:
        """One folder further: where each pattern may be then, and how far the exceptions are."""
        for part, after in _moves(self._first, one):
            for other, then in _moves(self._second, two):
                if not _both(part, other):
                    continue
                now = tuple(
                    _rests(pattern, _after(pattern, places, (part, other)))
                    for pattern, places in zip(self._hidden, hiding, strict=True)
                )
                if not self._is_hidden(now):
                    yield after, then, now

    def _is_hidden(self, places: tuple[frozenset[int], ...]) -> bool:
        # At its end an exception hides what is there and all that lies below.
        return any(len(pattern) in at for pattern, at in zip(self._hidden, places, strict=True))


@lru_cache(maxsize=4096)
def _parts(pattern: str, *, loose: bool = False) -> _Parts:
    """The components of a pattern, folded; loosely, `?` and `[...]` stand for any letters."""
    parts = folded(pattern).strip("/").split("/")
    while len(parts) > 1 and parts[-1] == "**":
        parts.pop()
    if loose:
        parts = [re.sub(r"\[.*|\?", "*", part) for part in parts]
    return tuple(part if part == "**" else re.sub(r"\*+", "*", part) for part in parts)


def _moves(pattern: _Parts, at: int) -> Iterator[tuple[str, int]]:
    """What the next component may look like, and the place behind it."""
    while at < len(pattern) and pattern[at] == "**":
        yield "*", at
        at += 1
    if at == len(pattern):
        # A folder means all below it.
        yield "*", at
    else:
        yield pattern[at], at + 1


def _rests(pattern: _Parts, places: Iterable[int]) -> frozenset[int]:
    """The places with those behind a `**`, which may stand for no folder at all."""
    found = set(places)
    for place in tuple(found):
        at = place
        while at < len(pattern) and pattern[at] == "**":
            at += 1
            found.add(at)
    return frozenset(found)


def _after(pattern: _Parts, places: Iterable[int], named: tuple[str, str]) -> Iterator[int]:
    for at in places:
        if pattern[at] == "**":
            yield at
        elif any(_covers(pattern[at], part) for part in named):
            yield at + 1


@lru_cache(maxsize=4096)
def _both(part: str, other: str) -> bool:
    """Whether one name can match both components; their only wildcard is `*`."""
    if "*" not in part:
        return _regex(other).fullmatch(part) is not None
    if "*" not in other:
        return _regex(part).fullmatch(other) is not None
    (head, tail), (second_head, second_tail) = _ends(part), _ends(other)
    return (head.startswith(second_head) or second_head.startswith(head)) and (
        tail.endswith(second_tail) or second_tail.endswith(tail)
    )


@lru_cache(maxsize=4096)
def _covers(exception: str, part: str) -> bool:
    """Whether an exception's component matches every name that `part` does."""
    # A `*` is taken for a letter here, one that only another `*` can stand for.
    return _regex(exception).fullmatch(part) is not None


@lru_cache(maxsize=4096)
def _regex(part: str) -> re.Pattern[str]:
    pieces = {"*": ".*", "?": "[^*]"}
    return re.compile("".join(pieces.get(letter) or re.escape(letter) for letter in part), re.DOTALL)


def _ends(part: str) -> tuple[str, str]:
    return part[: part.index("*")], part[part.rindex("*") + 1 :]
