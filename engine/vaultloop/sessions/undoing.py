"""Taking back what a session published: the owner's act, by a commit that says so."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from vaultloop.aio.clock import Clock
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import Stalled
from vaultloop.model.visible import visible
from vaultloop.state.authorship import Authorship
from vaultloop.state.database import Database
from vaultloop.state.undos import Undo, Undos, standing
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.plain_folder import FolderFiles
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.trail.undo import Obstacle, Reversal, reversal, tree_of

log = logging.getLogger(__name__)

# So many obstacles, and people behind one, are named; the rest is counted.
NAMED = 10
MOST_WRITERS = 3

# So many digits of a commit's id are shown.
SHOWN = 10
# So many it has.
WHOLE = 40


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody wants to take back, by the records.

    Attributes:
        target: the session, or the commit of an undo.
        commits: of what it may have published.
        undos: everything that was ever taken back, newest first.
    """

    target: str
    commits: tuple[str, ...]
    undos: tuple[Undo, ...]

    @property
    def title(self) -> str:
        """What is taken back, for a sentence."""
        is_undo = len(self.target) == WHOLE
        return f"undo {self.target[:SHOWN]}" if is_undo else f"session {self.target}"


@dataclass(frozen=True, slots=True)
class Prospect:
    """What taking it back would mean for the vault.

    Attributes:
        head: the commit that the reversal is for.
        commits: those of the claim that are in the vault.
        done: what took it back already.
        people: who made each commit that is in the way, for a sentence.
    """

    head: str | None
    commits: tuple[str, ...] = ()
    reversal: Reversal = field(default_factory=Reversal)
    done: Undo | None = None
    people: Mapping[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        """What would change."""
        return tuple(sorted(self.reversal.edits))


def claimed(database: Database, name: str) -> Claim:
    """What `name` means: a session, or one by the first digits of its commit, or an undo by those of its own.

    Raises:
        Stalled: the records know no such thing.
    """
    authorship, undos = Authorship(database), Undos(database)
    target = authorship.target(name)
    if target is None:
        raise Stalled(f"There is no session {name}.", cure="`vaultloop sessions` lists them.")
    commits = (target,) if undos.by_commit(target) else tuple(authorship.made_by(target))
    return Claim(target, commits, tuple(undos.all()))


def prospect(repository: Repository, claim: Claim) -> Prospect:
    """What the claim means for the newest commit; reads only."""
    head = repository.head
    if head is None:
        return Prospect(None)
    is_there = partial(_is_on, repository, head)
    commits = tuple(filter(is_there, claim.commits))
    if done := standing(claim.undos, claim.target, is_there):
        return Prospect(head, commits, done=done)
    found = reversal(repository, head, commits)
    behind = {commit for obstacle in found.obstacles for commit in obstacle.commits}
    people = {commit: _person(repository, commit) for commit in behind}
    return Prospect(head, commits, found, people=people)


def _person(repository: Repository, commit: str) -> str:
    made = repository.read_commit(commit)
    return f"{visible(made.author.name)} ({made.at:%Y-%m-%d}, commit {commit[:SHOWN]})"


def _is_on(repository: Repository, head: str, commit: str) -> bool:
    return repository.is_ancestor(commit, head)


def insist(database: Database, claim: Claim, found: Prospect) -> None:
    """Let pass what can be taken back.

    Raises:
        Stalled: it is not in the vault, is taken back already, or somebody edited it since; with the cure.
    """
    title = claim.title.capitalize()
    if found.done:
        short = found.done.commit[:SHOWN]
        raise Stalled(
            f"{title} is already undone, by commit {short}.", cure=f"To have it back: vaultloop undo {short}"
        )
    if not found.commits:
        raise Stalled(
            f"Nothing of {claim.title} is in the vault.",
            cure=f"What became of it: vaultloop sessions show {claim.target}",
        )
    if obstacles := found.reversal.obstacles:
        lines = [f"- {_sentence(database, found, each)}" for each in obstacles[:NAMED]]
        more = [f"- and {len(obstacles) - NAMED} more places"] if len(obstacles) > NAMED else []
        raise Stalled(
            "\n".join((f"{title} cannot be undone, and nothing was changed:", *lines, *more)),
            cure=f"\nChange these places yourself; look: vaultloop blame {visible(obstacles[0].path)}",
        )
    if not found.paths:
        raise Stalled(f"Nothing is left in the vault of what {claim.title} changed.", cure="")


def _sentence(database: Database, found: Prospect, obstacle: Obstacle) -> str:
    """One obstacle with its path, its lines and who is behind it."""
    writers = list(dict.fromkeys(_writer(database, found, commit) for commit in obstacle.commits))
    by = f" by {', '.join(writers[:MOST_WRITERS])}" if writers else ""
    more = f" and {len(writers) - MOST_WRITERS} more" if len(writers) > MOST_WRITERS else ""
    return f"{visible(obstacle.path)}{_lines(obstacle)}: {obstacle.why}{by}{more}"


def _lines(obstacle: Obstacle) -> str:
    if not obstacle.last:
        return ""
    if obstacle.first == obstacle.last:
        return f", line {obstacle.first}"
    return f", lines {obstacle.first}-{obstacle.last}"


def _writer(database: Database, found: Prospect, commit: str) -> str:
    record = Authorship(database).of(commit).session
    return f"session {record.id}" if record else found.people[commit]


class Undoing:
    """Takes back what sessions published, one at a time. Doing it again changes nothing."""

    def __init__(
        self,
        database: Database,
        sync: Sync,
        clock: Clock,
        on_published: Callable[[], None],
        *,
        author: Identity,
    ) -> None:
        """`author` is the engine's name; `on_published` is called after a commit came onto the branch."""
        self._database, self._sync, self._clock = database, sync, clock
        self._on_published, self._author = on_published, author
        # A merge takes a while: the same wish, said again meanwhile, must find it done.
        self._one = asyncio.Lock()

    async def undo(self, name: str, by: str) -> str:
        """Take back `name`, as `claimed` understands it, in the name of `by`; says what came of it.

        Raises:
            Stalled: as `claimed` and `insist`; nothing was changed.
            Retry: git is at work in the folder.
        """
        async with self._one:
            claim = claimed(self._database, name)
            # What others did meanwhile, here and at the remote, is left alone only if it is known.
            await self._sync.look()
            found = await self._sync.git(prospect, self._sync.repository, claim)
            insist(self._database, claim, found)
            await self._wait_for_typing(claim, found)
            commit = await self._sync.git(self._written, claim, found, by)
            reached(Failpoint.UNDO_WRITTEN)
            Undos(self._database).add(Undo(claim.target, commit, by, self._clock.now()))
            reached(Failpoint.UNDO_RECORDED)
            return await self._bring_in(claim, found, commit, by)

    async def _wait_for_typing(self, claim: Claim, found: Prospect) -> None:
        """Raises Stalled while somebody writes in one of these files: what is not committed is not known."""
        if self._sync.folder is None:
            return
        lying = await self._sync.lying()
        typed = await self._sync.git(_typed, self._sync.repository, found, lying)
        if typed:
            raise Stalled(
                f"{claim.title.capitalize()} is not undone: {', '.join(map(visible, typed))} is being edited"
                " in the folder, and the edit is not in the vault yet.",
                cure="Nothing was changed. Do it again in a minute.",
            )

    def _written(self, claim: Claim, found: Prospect, by: str) -> str:
        """The commit that takes it back; no branch has it yet. Unsigned: it is a human's act."""
        assert found.head is not None
        repository = self._sync.repository
        try:
            with repository.at_work():
                tree = tree_of(repository, found.head, found.reversal)
                return repository.commit(
                    tree, [found.head], _message(claim, found, by), author=self._author, at=self._clock.now()
                )
        except ValueError as error:
            raise Stalled(
                f"{claim.title.capitalize()} cannot be undone, and nothing was changed: {error}",
                cure="Move what lies there away first.",
            ) from error

    async def _bring_in(self, claim: Claim, found: Prospect, commit: str, by: str) -> str:
        integrated = await self._sync.integrate(commit, gate=_owners)
        if stopped := (*integrated.parked, *integrated.contested, *integrated.protected):
            paths = ", ".join(map(visible, stopped))
            raise Stalled(
                f"{claim.title.capitalize()} is not undone: somebody changed {paths} at the same time.",
                cure="Nothing was changed. Do it again in a moment.",
            )
        reached(Failpoint.UNDO_ARRIVED)
        self._on_published()
        log.info("%s is undone by %s, as %s", claim.title, by, commit[:SHOWN])
        said = (
            f"{claim.title.capitalize()} is undone, in {_counted(found.paths)}, by commit {commit[:SHOWN]}."
        )
        if integrated.revision != commit:
            said += " Others changed the vault at the same time, and both were joined: look at these files."
        return said


def _typed(repository: Repository, found: Prospect, lying: FolderFiles) -> list[str]:
    """The texts that lie otherwise in the folder than in the vault, but for their line ends."""
    assert found.head is not None
    files, typed = repository.files(found.head), []
    for path in found.paths:
        here, there = lying.entry(path), files.entry(path)
        texts = [lying.read(here) if here else b"", files.read(there) if there else b""]
        # What a filter of git's makes of a file is no edit.
        is_text = not any(b"\0" in text for text in texts)
        if is_text and len({text.replace(b"\r", b"") for text in texts}) > 1:
            typed.append(path)
    return typed


def _owners(before: object, after: object, paths: object) -> tuple[str, ...]:
    """The gate of the owner's own acts: every protected path may differ."""
    del before, after, paths
    return ()


def _message(claim: Claim, found: Prospect, by: str) -> str:
    taken = "\n".join(f"Undoes-Commit: {commit}" for commit in found.commits)
    return f"Undo {claim.title}, asked by {by}\n\nUndoes: {claim.target}\n{taken}\nAsked-By: {by}\n"


def _counted(paths: tuple[str, ...]) -> str:
    return visible(paths[0]) if len(paths) == 1 else f"{len(paths)} files"
