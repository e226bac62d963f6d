"""Each commit of a range looked at: does somebody who may stand behind what it changes?

A range is as good as its worst commit: a signed tip says nothing of what lies below it, for whoever signed it
may never have looked there. Who did look says so, in a signed commit: `Vouches-for: <commit>`.
"""

import logging
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import cast

import pygit2
from pygit2.enums import SortMode

from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import NAMESPACE, Signer
from vaultloop.vault.notes.protected import protected_in
from vaultloop.vault.sync.allowed_signers import AllowedSigners, SshSignature

log = logging.getLogger(__name__)

# The line in a signed commit's message by which its signer stands behind another commit, by its whole id.
VOUCHES = "Vouches-for"
_VOUCHES = re.compile(rf"^{VOUCHES}: ([0-9a-f]{{40}})\s*$", re.MULTILINE)

# After so many commits of a long range it is said how far we are: two processes a commit take their time.
TELLING = 500

# The tree that merging two commits gives; None if they cannot be merged.
Rejoin = Callable[[Repository, str, str], str | None]


class Coverage(StrEnum):
    """Which commits must be signed."""

    OFF = "off"
    PROTECTED = "protected"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Finding:
    """A commit that nobody stands behind.

    Attributes:
        paths: what it changes that somebody should stand behind; empty where the commit as a whole is meant.
        why: the rest of a sentence that begins with the commit.
    """

    commit: str
    paths: tuple[str, ...]
    why: str


@dataclass(slots=True)
class Vetting:
    """Looks at commits of one repository; to be used from the git thread.

    Attributes:
        coverage: which commits must be signed.
        signers: whose signatures count beside the engine's own.
        engine: the engine's key: it signs what came through its own gate.
        rejoin: makes the tree that merging two commits gives, to compare an unsigned merge with.
    """

    coverage: Coverage
    signers: AllowedSigners
    engine: Signer
    rejoin: Rejoin | None = None
    _signed: dict[tuple[str, str, datetime], str] = field(default_factory=dict)

    def findings(
        self, repository: Repository, known: Collection[str], new: str, floor: datetime | None
    ) -> tuple[Finding, ...]:
        """What is wrong in the commits that `new` brings beyond those `known`, the oldest first.

        No signature is taken to be older than `floor`: who holds a key that was withdrawn writes any date.
        """
        commits = tuple(_range(repository, known, new))
        suspects = tuple(self._suspects(repository, commits))
        vouched = self._vouched(repository, commits, floor)
        found = [self._finding(repository, *one, floor) for one in suspects if str(one[0].id) not in vouched]
        # Where clocks were wrong, the range has commits in it that are in what is known.
        return tuple(
            one
            for one in reversed(found)
            if one and not any(repository.is_ancestor(one.commit, commit) for commit in known)
        )

    def tip(self, repository: Repository, commit: str) -> Finding | None:
        """What is wrong with one commit that shall vouch for all before it."""
        return self._finding(repository, _commit(repository, commit), (), None)

    def _suspects(
        self, repository: Repository, commits: Sequence[pygit2.Commit]
    ) -> Iterator[tuple[pygit2.Commit, tuple[str, ...]]]:
        """The commits that somebody must stand behind, with the paths for which."""
        for number, commit in enumerate(commits, 1):
            if number % TELLING == 0:
                log.info("trust: looked at %d of %d commits", number, len(commits))
            paths = self._governed(repository, commit)
            if odd := _odd_folder(repository, commit):
                yield commit, (f"{odd} (as git never writes a folder)", *sorted(paths))
            elif (self.coverage is Coverage.ALL or paths) and not self._adds_nothing(
                repository, commit, paths
            ):
                yield commit, tuple(sorted(paths))

    def _governed(self, repository: Repository, commit: pygit2.Commit) -> set[str]:
        """The paths that `commit` has otherwise than one of its parents, if they must be signed for."""
        found, parents = set[str](), _parents(commit)
        for parent in parents or (None,):
            changed = repository.changed_leaves(parent, str(commit.id)).keys()
            found |= self._covered(repository, parent, str(commit.id), changed)
        return found

    def _covered(self, repository: Repository, old: str | None, new: str, paths: Collection[str]) -> set[str]:
        if self.coverage is Coverage.ALL or not paths:
            return set(paths)
        protected = protected_in(repository.files(new))
        if old is not None:
            protected |= protected_in(repository.files(old))
        return {path for path in paths if path in protected}

    def _adds_nothing(self, repository: Repository, merge: pygit2.Commit, paths: Collection[str]) -> bool:
        """Whether a merge only brings together what its parents have: then they answer for all of it.

        Each path must be what merging gives. An evil merge has something else there: text of its own, or the
        older version of a path that one side has changed.
        """
        parents = _parents(merge)
        if len(parents) != 2:
            return False
        if self.coverage is Coverage.PROTECTED and not _answered_for(
            repository, str(merge.id), parents, paths
        ):
            return False
        if _is_plain(repository, str(merge.id), parents, paths):
            return True
        if self.rejoin is None:
            return False
        tree = self.rejoin(repository, *parents)
        if tree is None:
            return False
        other = repository.trees.changes(tree, str(merge.tree_id))
        return not (other.keys() & set(paths))

    def _vouched(
        self, repository: Repository, commits: Sequence[pygit2.Commit], floor: datetime | None
    ) -> set[str]:
        found: set[str] = set()
        for commit in commits:
            named = _VOUCHES.findall(commit.message)
            if named and self._signer(repository, commit, floor):
                found.update(named)
        return found

    def _finding(
        self, repository: Repository, commit: pygit2.Commit, paths: tuple[str, ...], floor: datetime | None
    ) -> Finding | None:
        signed = repository.signature(str(commit.id))
        if signed is None:
            return Finding(str(commit.id), paths, "is not signed")
        said = SshSignature.read(signed[0])
        if said is None:
            return Finding(
                str(commit.id), paths, "is signed in another way than with ssh: only that is checked"
            )
        if said.namespace != NAMESPACE:
            return Finding(str(commit.id), paths, f"carries a signature that was made for `{said.namespace}`")
        if said.key == self.engine.public_key:
            if self.engine.made(*signed):
                return None
        elif self._signer(repository, commit, floor):
            return None
        return Finding(
            str(commit.id),
            paths,
            f"is signed with {said.fingerprint}, which does not count: no line of allowed-signers admits that"
            " key at that time, or the signature is of another text",
        )

    def _signer(self, repository: Repository, commit: pygit2.Commit, floor: datetime | None) -> str | None:
        """Which person signed it, if one did whose signature counts."""
        at = datetime.fromtimestamp(commit.commit_time, UTC)
        at = max(at, floor) if floor else at
        key = (str(commit.id), self.signers.stamp, at)
        if key not in self._signed:
            signed = repository.signature(str(commit.id))
            name = self.signers.signer(*signed, at) if signed else None
            if name is None:
                return None
            self._signed[key] = name
        return self._signed[key]


def _range(repository: Repository, known: Collection[str], new: str) -> Iterator[pygit2.Commit]:
    """The commits that `new` has beyond `known`, children before parents."""
    walker = repository.handle.walk(new, SortMode.TOPOLOGICAL)
    for commit in known:
        walker.hide(commit)
    yield from walker


def _odd_folder(repository: Repository, commit: pygit2.Commit) -> str | None:
    """A folder that a commit brings, unlike any parent's, and that git would not have written."""
    olds = [repository.tree_of(parent) for parent in _parents(commit)] or [None]
    found = [repository.trees.disorder(old, str(commit.tree_id)) for old in olds]
    return found[0] if all(found) else None


def _answered_for(repository: Repository, merge: str, parents: Sequence[str], paths: Collection[str]) -> bool:
    """Whether each path comes from where it had to be signed for.

    One side may have written a note that only the other side's settings make a template.
    """
    sides = [
        (protected_in(repository.files(side)), repository.changed_leaves(side, merge).keys())
        for side in parents
    ]
    return all(
        all(path in protected for protected, _ in sides)
        or any(path in protected and path not in off for protected, off in sides)
        for path in paths
    )


def _is_plain(repository: Repository, merge: str, parents: Sequence[str], paths: Collection[str]) -> bool:
    """Whether at each path one side changed nothing since they parted, and the merge has the other's."""
    one, other = parents
    base = repository.merge_base(one, other)
    if base is None or not _parted_once(repository, one, other, base):
        return False
    by_one, by_other = (repository.changed_leaves(base, side).keys() for side in parents)
    off_one, off_other = (repository.changed_leaves(side, merge).keys() for side in parents)
    return all(
        (path not in off_one and path not in by_other) or (path not in off_other and path not in by_one)
        for path in paths
    )


def _parted_once(repository: Repository, one: str, other: str, base: str) -> bool:
    """Whether two lines of work have no common ancestor that `base` does not know."""
    ours = {str(commit.id) for commit in _range(repository, (base,), one)}
    return all(str(commit.id) not in ours for commit in _range(repository, (base,), other))


def newest_dated(repository: Repository, known: Collection[str], new: str, now: datetime) -> str | None:
    """Of `known` and what `new` has beyond them, the commit with the newest date that is not to come."""
    commits = (*(_commit(repository, one) for one in known), *_range(repository, known, new))
    dated = [(commit.commit_time, str(commit.id)) for commit in commits]
    return max((one for one in dated if one[0] <= now.timestamp()), default=(0, None))[1]


def committed_at(repository: Repository, commit: str) -> datetime:
    """When a commit says that it was committed."""
    return datetime.fromtimestamp(_commit(repository, commit).commit_time, UTC)


def _commit(repository: Repository, commit: str) -> pygit2.Commit:
    return cast("pygit2.Commit", repository.handle[commit])


def _parents(commit: pygit2.Commit) -> list[str]:
    return [str(parent) for parent in commit.parent_ids]
