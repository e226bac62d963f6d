"""Taking back what commits changed, with everything that others made of it since left as it is.

Each line that a commit brought in must still stand as it stood; it goes, and what stood in its place before
comes back. A line that somebody changed since is an obstacle, and with one obstacle nothing is taken back.
Nothing here moves a branch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.trees import Leaf
from vaultloop.vault.trail.alignment import Course, Hunk, bare, hunks, lines_of
from vaultloop.vault.trail.blame import blame
from vaultloop.vault.trail.provenance import Provenance

# Why a line cannot be taken back whose writer is the one who is in the way.
CHANGED = "changed since"

# git's own sign for a file that holds no text.
_NUL = b"\0"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why something cannot be taken back.

    Attributes:
        path: as it is called now.
        first, last: the lines that stand there now, from 1; both 0 for the whole file.
        why: what is in the way, the end of a sentence.
        commits: of those who are behind it, joins aside.
    """

    path: str
    why: str
    first: int = 0
    last: int = 0
    commits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reversal:
    """What the vault would be without some commits.

    Attributes:
        edits: what changes, by path: what comes to lie there, None for nothing.
        obstacles: why it cannot be; then nothing should be changed.
    """

    edits: Mapping[str, "Leaf | Text | None"] = field(default_factory=dict)
    obstacles: tuple[Obstacle, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A file's new content, which no blob has yet."""

    data: bytes = field(repr=False)
    mode: int


def reversal(repository: Repository, head: str, commits: Sequence[str]) -> Reversal:
    """What `head` would be without `commits`, each of which is in its history and has one parent.

    Reads only. What is as it was before them already needs no edit.
    """
    edits: dict[str, Leaf | Text | None] = {}
    obstacles: list[Obstacle] = []
    for commit in commits:
        taking = _Taking(Provenance(repository), commit, head)
        for path in taking.paths:
            try:
                edits |= taking.back(path)
            except _InTheWay as error:
                obstacles += [taking.behind(obstacle) for obstacle in error.obstacles]
    return Reversal(edits, tuple(obstacles))


def tree_of(repository: Repository, head: str, found: Reversal) -> str:
    """The tree of `head` with the edits of a reversal, written.

    Raises:
        ValueError: what comes back does not fit between the folders of the vault.
    """
    leaves = {
        path: Leaf(repository.write_blob(what.data), what.mode) if isinstance(what, Text) else what
        for path, what in found.edits.items()
    }
    return repository.edit_leaves(head, leaves)


class _InTheWay(Exception):
    def __init__(self, *obstacles: Obstacle) -> None:
        super().__init__()
        self.obstacles = obstacles


class _Taking:
    """Taking back one commit."""

    def __init__(self, provenance: Provenance, commit: str, head: str) -> None:
        self._provenance, self._session, self._head = provenance, commit, head
        self._commit = commit
        self._base, self._commit = self._as_it_came_in()
        changes = provenance.repository.changed_leaves(self._base, self._commit)
        # What the commit renamed is named by its new path.
        self._sources = {
            path: provenance.source(self._commit, path, self._base)
            for path, (_, now) in changes.items()
            if now
        }
        renamed = set(self._sources.values()) - self._sources.keys()
        self.paths = [path for path in changes if path not in renamed]

    def _as_it_came_in(self) -> tuple[str, str]:
        """The vault before and after the commit came in: of a join, the other side and what became of both.

        So what the join made of it goes too: callouts, and the place that it found beside others' lines.
        """
        commit, child = self._session, self._head
        (base,) = self._provenance.commit(commit).parents
        while child != commit and self._towards(child) != commit:
            child = self._towards(child)
        others = [parent for parent in self._provenance.parents(child) if parent != commit]
        is_ancestor = self._provenance.repository.is_ancestor
        if child == commit or len(others) != 1 or is_ancestor(commit, others[0]):
            return base, commit
        # Only if the other side lacks nothing but the commit itself.
        return (others[0], child) if is_ancestor(base, others[0]) else (base, commit)

    def back(self, path: str) -> dict[str, Leaf | Text | None]:
        """The edits that take back what the commit did at `path`."""
        after, source = self._provenance.leaf(self._commit, path), self._sources.get(path)
        before = self._provenance.leaf(self._base, source or path)
        if after is None:
            return self._restored(path, before)
        lies_at = self._place(path)
        if lies_at is None:
            # Somebody deleted it since: without the commit, it would be gone as well.
            return {}
        now = self._provenance.leaf(self._head, lies_at)
        assert now is not None
        if source is None or source == path:
            return self._at(lies_at, self._content(lies_at, before, after, now), now)
        content = self._content(lies_at, before, after, now)
        if lies_at != path:
            # Renamed once more since: the newer name stays.
            return self._at(lies_at, content, now)
        return {lies_at: None, **self._vacant(source), source: content}

    def behind(self, obstacle: Obstacle) -> Obstacle:
        """The same obstacle with the commits of those who are behind it."""
        path, lines = obstacle.path, range(obstacle.first, obstacle.last + 1)
        commits: list[str] = []
        if obstacle.why == CHANGED:
            written = blame(self._provenance.repository, self._head, path, wanted=lines)
            commits = [line.commit for line in written if line.commit not in (None, self._session)]
        return replace(obstacle, commits=tuple(dict.fromkeys(commits or self._since(path))))

    def _since(self, path: str) -> Iterator[str]:
        """The commits that touched a path after this one, joins aside."""
        for commit in self._provenance.touching(self._head, (path,)):
            if self._provenance.repository.is_ancestor(commit.id, self._commit):
                return
            if len(commit.parents) == 1:
                yield commit.id

    def _at(self, path: str, content: Leaf | Text | None, now: Leaf) -> dict[str, Leaf | Text | None]:
        return {} if content == now else {path: content}

    def _place(self, path: str) -> str | None:
        if self._provenance.leaf(self._head, path) is not None:
            return path
        return self._provenance.renamed_to(self._commit, path, self._head)

    def _vacant(self, path: str) -> dict[str, Leaf | Text | None]:
        if self._provenance.leaf(self._head, path) is not None:
            raise _InTheWay(Obstacle(path, "something else lies there by now"))
        return {}

    def _restored(self, path: str, before: Leaf | None) -> dict[str, Leaf | Text | None]:
        if self._provenance.leaf(self._head, path) == before:
            return {}
        return {**self._vacant(path), path: before}

    def _content(self, path: str, before: Leaf | None, after: Leaf, now: Leaf) -> Leaf | Text | None:
        """What comes to lie there."""
        if now in (after, before):
            return before
        if not (now.is_file and after.is_file and (before is None or before.is_file)):
            raise _InTheWay(Obstacle(path, "it is another kind of file by now"))
        was, then, lies = (self._data(leaf) for leaf in (before, after, now))
        if any(_NUL in data for data in (was, then, lies)):
            raise _InTheWay(Obstacle(path, "it is no text, and was changed since"))
        changed_by_it = before is not None and before.mode != after.mode
        mode = before.mode if before and changed_by_it and now.mode == after.mode else now.mode
        text = _without(path, was, self._versions(path, then, lies))
        if before is None and not text.strip():
            return None
        return now if text == lies and mode == now.mode else Text(text, mode)

    def _versions(self, path: str, then: bytes, now: bytes) -> list[bytes]:
        """What the commit made of a note, and each different text of it from there to now, oldest first."""
        found, commit = [now], self._head
        while commit != self._commit:
            parent = self._towards(commit)
            path = self._provenance.source(commit, path, parent) or path
            leaf = self._provenance.leaf(parent, path)
            if leaf is None or not leaf.is_file:
                return [then, now]
            if (data := self._data(leaf)) != found[-1]:
                found.append(data)
            commit = parent
        return found[::-1]

    def _towards(self, commit: str) -> str:
        """The parent through which the commit came in."""
        parents = self._provenance.parents(commit)
        if len(parents) == 1:
            return parents[0]
        is_ancestor = self._provenance.repository.is_ancestor
        return next(parent for parent in parents if is_ancestor(self._commit, parent))

    def _data(self, leaf: Leaf | None) -> bytes:
        return self._provenance.repository.blob(leaf.id) if leaf else b""


def _without(path: str, before: bytes, versions: Sequence[bytes]) -> bytes:
    """The newest of `versions` without what made the first one of `before`."""
    now = versions[-1]
    lies = lines_of(now)
    replacing = _Replacing(lines_of(before), [lines_of(version) for version in versions])
    edits = list(replacing.edits())
    if replacing.changed:
        raise _InTheWay(*(Obstacle(path, why, first, last) for first, last, why in replacing.changed))
    ending = b"\r" if _mostly_crlf(lies) else b""
    # From below; what comes back into one gap in the order in which it stood.
    for start, end, lines in sorted(edits, key=lambda edit: edit[:2])[::-1]:
        lies[start:end] = [line + ending for line in lines]
    return b"\n".join(lies) + b"\n" * (now.endswith(b"\n") and bool(lies))


def _mostly_crlf(lines: Sequence[bytes]) -> bool:
    return 2 * sum(line.endswith(b"\r") for line in lines) > len(lines)


class _Replacing:
    """The lines that a commit changed, looked for in what stands there now.

    Attributes:
        changed: what somebody changed since: first and last line there now, from 1, and how.
    """

    def __init__(self, before: list[bytes], versions: Sequence[list[bytes]]) -> None:
        after = versions[0]
        self._before, self._after, self._now = bare(before), bare(after), bare(versions[-1])
        self._done = [single for hunk in hunks(before, after) for single in _singles(hunk)]
        self._course = Course(len(after))
        for older, newer in pairwise(versions):
            self._course.follow(hunks(older, newer))
        self._standing = {place for place in self._course.places if place is not None}
        self.changed: list[tuple[int, int, str]] = []

    def edits(self) -> Iterator[tuple[int, int, list[bytes]]]:
        """Lines of what stands there now, as a range, and what comes into their place."""
        for hunk in self._done:
            restored = self._before[hunk.old : hunk.old_end]
            if hunk.new == hunk.new_end:
                yield from self._put_back(hunk.new, restored)
            elif restored:
                yield from self._replaced(hunk, restored)
            else:
                yield from self._removed(hunk)

    def _removed(self, hunk: Hunk) -> Iterator[tuple[int, int, list[bytes]]]:
        for line in range(hunk.new, hunk.new_end):
            place = self._course.places[line]
            if place is None:
                continue
            if self._stands(line):
                yield place, place + 1, []
            else:
                self._refuse(place, place + 1, CHANGED)

    def _replaced(self, hunk: Hunk, restored: list[bytes]) -> Iterator[tuple[int, int, list[bytes]]]:
        lines = range(hunk.new, hunk.new_end)
        places = [place for line in lines if (place := self._course.places[line]) is not None]
        if not places:
            gap = self._course.gaps[hunk.new]
            self._refuse(max(gap - 1, 0), gap, "what stood below was deleted since")
            return
        first, end = min(places), max(places) + 1
        if self._now[first:end] == restored:
            return
        if not all(map(self._stands, lines)):
            self._refuse(first, end, CHANGED)
        elif end - first != len(lines):
            self._refuse(first, end, "somebody wrote between these lines since")
        else:
            yield first, end, restored

    def _put_back(self, gap: int, restored: list[bytes]) -> Iterator[tuple[int, int, list[bytes]]]:
        """What was deleted comes back where it stood, unless somebody wrote the same there again."""
        at = self._course.gaps[gap]
        there = range(at, at + len(restored))
        if self._now[at : there.stop] != restored or not self._standing.isdisjoint(there):
            yield at, at, restored

    def _stands(self, line: int) -> bool:
        place = self._course.places[line]
        return place is not None and self._now[place] == self._after[line]

    def _refuse(self, start: int, end: int, why: str) -> None:
        found = (start + 1, max(end, start + 1), why)
        if found not in self.changed:
            self.changed.append(found)


def _singles(hunk: Hunk) -> list[Hunk]:
    """As many lines for as many: each on its own, so that text between them is in nobody's way."""
    if not hunk.is_even:
        return [hunk]
    return [
        Hunk(old, old + 1, new, new + 1)
        for old, new in zip(range(hunk.old, hunk.old_end), range(hunk.new, hunk.new_end), strict=True)
    ]
