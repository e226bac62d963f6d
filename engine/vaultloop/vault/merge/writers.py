"""Who wrote one side's version of a path: the newest commit of that side, merges aside, that touched it."""

from collections.abc import Callable, Iterable

from vaultloop.vault.git.ancestry import parents as parents_of
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.merge.version import Writer

# Commits that are looked at for one path. Who worked longer without meeting the other side is found by their
# newest commit instead.
FARTHEST = 10_000


class Writers:
    """Answers from the history of one repository; what a commit touched is looked up once."""

    def __init__(self, repository: Repository, class_of: Callable[[str], AuthorClass | None]) -> None:
        """`class_of` tells of a commit whether a human or an agent made it; None for a merge."""
        self._repository = repository
        self._class_of = class_of
        self._touched: dict[tuple[str, str | None], frozenset[str]] = {}
        self._found: dict[tuple[tuple[str, ...], str, tuple[str, ...]], Writer] = {}
        self._writers: dict[str, Writer] = {}

    def of(self, side: tuple[str, ...], path: str, other: tuple[str, ...] = ()) -> Writer:
        """Who wrote (or deleted, or moved) what `side` has at `path`.

        Args:
            side: the commits that the side consists of, mostly one.
            other: those of the other side; what it has in common with them is nobody's work of this side.
        """
        key = (side, path, other)
        if key not in self._found:
            commits = [commit for tip in side if (commit := self._search(tip, path, other)) is not None]
            self._found[key] = self._newest(commits or side)
        return self._found[key]

    def _search(self, tip: str, path: str, other: tuple[str, ...]) -> str | None:
        """The newest commit, merges aside, from which the version at `tip` came."""
        waiting, seen, found = [tip], {tip}, set()
        while waiting and len(seen) <= FARTHEST:
            commit = waiting.pop()
            parents = parents_of(self._repository, commit)
            same = sorted(parent for parent in parents if path not in self._touched_between(parent, commit))
            if len(parents) <= 1 and not same:
                found.add(commit)
            # A merge took the path as one parent had it, or joined several versions of it.
            further = same[:1] or [p for p in parents if len(parents) > 1 and not self._is_of(p, other)]
            waiting += [parent for parent in further if parent not in seen]
            seen.update(further)
        return self._newest(found).commit if found else None

    def _touched_between(self, parent: str, commit: str) -> frozenset[str]:
        key = (commit, parent)
        if key not in self._touched:
            self._touched[key] = frozenset(self._repository.changed_leaves(parent, commit))
        return self._touched[key]

    def _is_of(self, commit: str, tips: tuple[str, ...]) -> bool:
        return any(self._repository.is_ancestor(commit, tip) for tip in tips)

    def _newest(self, commits: Iterable[str]) -> Writer:
        return max(map(self._writer, commits), key=lambda writer: (writer.at.timestamp(), writer.commit))

    def _writer(self, commit: str) -> Writer:
        if commit not in self._writers:
            read = self._repository.read_commit(commit)
            author_class = self._class_of(commit) or AuthorClass.HUMAN
            self._writers[commit] = Writer(author_class, read.author.name, read.at, commit)
        return self._writers[commit]
