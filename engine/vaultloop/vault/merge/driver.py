"""One file joined for git on somebody's laptop, by the same code and so to the same bytes as on the server.

git calls a merge driver with three files and a path, and tells no more. Whose versions these are is found in
the repository: git names the other side in its environment (`GITHEAD_<commit>`) or leaves notes about what
is going on, and a version is recognised by its blob. A driver can add no file: what needs a copy, and a
declaration that is held, is left to the person as a conflict.
"""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vaultloop.vault.git import ancestry
from vaultloop.vault.git.attributes import attributes_of
from vaultloop.vault.git.object_id import blob_id
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import AuthorClass, made_by
from vaultloop.vault.merge import content
from vaultloop.vault.merge.bases import merge_bases
from vaultloop.vault.merge.version import Merged, Version, Writer
from vaultloop.vault.merge.writers import Writers
from vaultloop.vault.notes.location import FOLDER, top_of

# The engine's public key, in git's configuration; several, where several engines have served this vault.
ENGINE_KEY = "vaultloop.engineKey"

# Files in the git directory that name the other side of what is going on, and how.
_HEADS = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "rebase-merge/stopped-sha")
_TODOS = ("rebase-merge/done", "sequencer/todo")

# Commits among which the one is sought that a version comes from, where git names none (`git cherry-pick` of
# one commit, `git stash pop`).
FARTHEST = 2_000
# Criss-crosses upon criss-crosses; git joins their bases by the same driver.
DEEPEST = 10


@dataclass(frozen=True, slots=True)
class Three:
    """What git hands over: the file before both sides, here and there. Empty: there was none."""

    base: bytes
    ours: bytes
    theirs: bytes


class Driver:
    """Joins one path of the merge that git is at in a repository."""

    def __init__(self, repository: Repository, environment: Mapping[str, str]) -> None:
        self._repository = repository
        self._keys = repository.settings(ENGINE_KEY)
        self._writers = Writers(repository, self._class_of)
        self._head = repository.named("HEAD")
        self._others = tuple(dict.fromkeys(self._named(environment)))

    def joined(self, path: str, three: Three) -> Merged:
        """The file at `path`, joined; `held` or with something `lost` if git must ask a person."""
        ours, theirs = blob_id(three.ours), blob_id(three.theirs)
        if three.ours == three.theirs:
            return Merged(three.ours)
        here, there = self._sides(path, ours, theirs)
        one = Version(three.ours, ours, self._writer(path, ours, here, there))
        other = Version(three.theirs, theirs, self._writer(path, theirs, there, here))
        filtered = self._filtered(path, here, there)
        return content.joined(self._in_vault(path), three.base or None, one, other, filtered=filtered)

    def _class_of(self, commit: str) -> AuthorClass | None:
        """As `signing.author_class`, by the keys that this clone knows."""
        if len(ancestry.parents(self._repository, commit)) > 1:
            return None
        signed = self._repository.signature(commit)
        by_engine = signed is not None and bool(self._keys) and made_by(self._keys, *signed)
        return AuthorClass.AGENT if by_engine else AuthorClass.HUMAN

    def _in_vault(self, path: str) -> str:
        """The path as the vault knows it, where that is a folder of the repository."""
        folder, agent, rest = path.partition(f"/{FOLDER}/")
        workdir = self._repository.workdir
        if agent and workdir is not None and top_of(workdir / folder) == (workdir / folder).resolve():
            return f"{FOLDER}/{rest}"
        return path

    # Who is on the other side.

    def _named(self, environment: Mapping[str, str]) -> Iterator[str]:
        """The commits that git is bringing in."""
        named = [name.removeprefix("GITHEAD_") for name in sorted(environment) if name.startswith("GITHEAD_")]
        for name in _HEADS:
            named += self._read(name).split()
        for name in _TODOS:
            lines = [line.split() for line in self._read(name).splitlines()]
            # The last that was taken up is the one that git is at.
            named += [words[1] for words in reversed(lines) if len(words) > 1]
        for name in named:
            commit = self._repository.named(name)
            if commit is not None and commit != self._head:
                yield commit

    def _read(self, name: str) -> str:
        try:
            return (self._repository.path / name).read_text(errors="replace")
        except OSError:
            return ""

    def _sides(self, path: str, ours: str, theirs: str) -> tuple[str | None, str | None]:
        """The commits that have these versions, by blob: HEAD and another; or two bases of theirs."""
        if self._head is not None:
            for other in self._others:
                for here, there in self._pairs(self._head, other):
                    if self._place(here, there, path, ours) and self._place(there, here, path, theirs):
                        return here, there
        return self._found(path, ours), self._found(path, theirs)

    def _pairs(self, here: str, there: str) -> Iterator[tuple[str, str]]:
        """Two sides, and the bases that git joins by the same driver before it joins these."""
        for _ in range(DEEPEST):
            yield here, there
            bases = merge_bases(self._repository, here, there)
            if len(bases) < 2:
                return
            yield bases[1], bases[0]
            here, there = bases[:2]

    def _place(self, side: str, other: str, path: str, blob: str) -> str | None:
        """Where `side` has this version: at `path`, or where it was before `other` renamed it."""
        if self._has(side, path, blob):
            return path
        bases = merge_bases(self._repository, side, other)
        changes = self._repository.changed_leaves(bases[0] if bases else None, side)
        name = posixpath.basename(path)
        places = [place for place, (_, now) in changes.items() if now is not None and now.id == blob]
        return min(places, key=lambda place: (posixpath.basename(place) != name, place), default=None)

    def _has(self, commit: str, path: str, blob: str) -> bool:
        leaf = self._repository.trees.leaf(self._repository.tree_of(commit), path)
        return leaf is not None and leaf.id == blob

    def _found(self, path: str, blob: str) -> str | None:
        """The newest commit of any branch that has this version."""
        if self._head is not None and self._has(self._head, path, blob):
            return self._head
        for commit in ancestry.newest(self._repository, FARTHEST):
            if self._has(commit, path, blob):
                return commit
        return None

    def _writer(self, path: str, blob: str, side: str | None, other: str | None) -> Writer:
        if side is None:
            return self._somebody()
        place = self._place(side, other, path, blob) if other else path
        return self._writers.of((side,), place or path, (other,) if other else ())

    def _somebody(self) -> Writer:
        """Of a version that no commit has: whoever works here, now."""
        who = self._repository.configured_identity()
        name = who.name if who else "somebody"
        return Writer(AuthorClass.HUMAN, name, datetime.now().astimezone(), self._head or "")

    def _filtered(self, path: str, here: str | None, there: str | None) -> bool:
        bases = merge_bases(self._repository, here, there)[:1] if here and there else ()
        sides: Iterable[str] = (commit for commit in (*bases, here or self._head, there) if commit)
        return any(attributes_of(self._repository.files(commit)).filtered(path) for commit in sides)


def run(files: Sequence[Path], path: str, environment: Mapping[str, str], tell: Callable[[str], None]) -> int:
    """Join `files` (base, ours, theirs) as git wants it: the result in the second, and an exit code.

    Returns:
        0 if the second file has the result; 1 if a person must decide. Nothing is ever decided silently: of
        what goes wrong in here git makes a conflict too, with the second file as it was.
    """
    base, ours, theirs = files
    three = Three(base.read_bytes(), ours.read_bytes(), theirs.read_bytes())
    git_directory = environment.get("GIT_DIR")
    repository = Repository.around(Path(git_directory) if git_directory else Path.cwd())
    merged = Driver(repository, environment).joined(path, three)
    if merged.lost is not None:
        tell(f"{_shown(path)} {_NO_TEXT}")
        return 1
    _write(ours, merged.data)
    if merged.held:
        tell(f"{_shown(path)} {_HELD}")
        return 1
    return 0


_HELD = (
    "is a declaration that both sides changed, so it is left as it was before both. Write into it what you"
    " want, then git add it and commit. Both versions are in the history: git log --all -p -- the file."
)
_NO_TEXT = (
    "cannot be joined line by line. Your version is left in place. Take the other one beside it if you want"
    " both (git show MERGE_HEAD:the file), then git add and commit."
)


def _write(file: Path, data: bytes) -> None:
    """In one step: what git reads after a crash of ours is the version that it gave us."""
    fresh = file.with_name(f"{file.name}.vaultloop")
    fresh.write_bytes(data)
    fresh.replace(file)


def _shown(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
