"""What an owner says of the revision that runs: go back to one, stay at one, go on with the newest."""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress

import pygit2

from vaultloop.aio.clock import Clock
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import Stalled
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.trees import shown
from vaultloop.vault.sync import last_good
from vaultloop.vault.sync.rollback import Rollback, rollback, write
from vaultloop.vault.sync.sync import Sync

log = logging.getLogger(__name__)

# So many digits of a commit's id are shown; so many paths are named.
SHOWN = 10
NAMED = 5


class Steering:
    """Carries out one wish at a time. Doing the same twice changes nothing."""

    def __init__(self, sync: Sync, clock: Clock, author: Identity, on_change: Callable[[], None]) -> None:
        """`author` is the engine's name; `on_change` is called when another revision should run."""
        self._sync, self._clock, self._author, self._on_change = sync, clock, author, on_change
        self._one = asyncio.Lock()

    async def roll_back(
        self, name: str, by: str, *, shown_as: str | None = None, only: Collection[str] = ()
    ) -> str:
        """Go back to what governed the agent at `name` (a revision; empty for the last good); says what came.

        `shown_as` is the newest commit of which the owner was shown what this changes. `only`: as `rollback`.

        Raises:
            Stalled: there is no such revision, nobody trusted stands behind it, or it would change something
                else than what was shown.
            Retry: git is at work in the folder.
        """
        async with self._one:
            # What a human has saved by now is in the history before anything is taken back.
            await self._sync.look(poll=False)
            plan = await self._sync.git(self._planned, name, shown_as, tuple(only))
            if not plan.edits:
                return f"Nothing to roll back: what governs the agent is as in {plan.revision[:SHOWN]}."
            commit = await self._sync.git(self._written, plan, by)
            done = await self._sync.integrate(commit, gate=_owners)
            if done.parked:
                raise Stalled(
                    f"Nothing was rolled back: {_listed(done.parked)} in the folder is in the way.",
                    cure="Put that right, and do it again.",
                )
            self._on_change()
            log.info("rolled back to %s by %s, as %s", plan.revision[:SHOWN], by, commit[:SHOWN])
            but = await self._sync.git(self._still_runs)
            return " ".join(filter(None, (_rolled_back(plan, commit), but)))

    async def pin(self, name: str, by: str) -> str:
        """Run the declarations of the revision `name` whatever comes, until `unpin`; says so.

        Raises:
            Stalled: there is no such revision, it cannot be read, or nobody trusted stands behind it.
            Retry: it cannot be written down.
        """
        async with self._one:
            said = await self._sync.git(self._pinned, name, by)
            self._on_change()
            return said

    async def unpin(self, by: str) -> str:
        """Go on with the newest revision; says so. Raises Retry as `pin`."""
        async with self._one:
            if not await self._sync.git(last_good.unpin, self._sync.repository):
                return "Nothing is pinned."
            self._on_change()
            log.info("unpinned by %s", by)
            return "Unpinned: the newest revision runs again."

    # In the git thread.

    def _planned(self, name: str, shown_as: str | None, only: tuple[str, ...]) -> Rollback:
        repository = self._sync.repository
        head = repository.head
        if head is None:
            raise Stalled("The vault has no commit yet: there is nothing to go back from.", cure="")
        revision = resolved(repository, name)
        self._insist_on_trust(revision, "Nothing was rolled back", "Go back to a revision")
        plan = rollback(repository, head, revision, only)
        if (
            shown_as not in (None, head)
            and rollback(repository, str(shown_as), revision, only).edits != plan.edits
        ):
            raise Stalled(
                "The vault changed since you were shown what this would do. Nothing was rolled back.",
                cure="Look again, and decide anew.",
            )
        return plan

    def _written(self, plan: Rollback, by: str) -> str:
        commit = write(self._sync.repository, plan, by, self._author, self._clock.now())
        reached(Failpoint.ROLLBACK_COMMITTED)
        return commit

    def _pinned(self, name: str, by: str) -> str:
        repository = self._sync.repository
        revision = resolved(repository, name)
        try:
            last_good.declarations(repository, revision)
        except (KeyError, pygit2.GitError) as error:
            raise Stalled(
                f"The revision {revision[:SHOWN]} cannot be read: {error}.", cure="Pin another."
            ) from error
        self._insist_on_trust(revision, "Nothing was pinned", "Pin a revision")
        last_good.pin(repository, revision, by, self._author, self._clock.now())
        log.info("pinned %s by %s", revision[:SHOWN], by)
        return (
            f"Pinned: what {revision[:SHOWN]} declares runs until `vaultloop unpin`. Edits are still taken"
            " and pushed meanwhile."
        )

    def _insist_on_trust(self, revision: str, undone: str, instead: str) -> None:
        """A name may lead to what was fetched and is held: no act of an owner makes that run unseen."""
        if not self._sync.trust.counts(self._sync.repository, revision):
            raise Stalled(
                f"Trust is on, and nobody trusted stands behind {revision[:SHOWN]}. {undone}.",
                cure=f"{instead} that ran before; `vaultloop log` lists them.",
            )

    def _still_runs(self) -> str | None:
        """Why something else runs than the branch's newest, all the same."""
        repository, pin = self._sync.repository, None
        with suppress(KeyError):
            pin = last_good.pinned(repository)
        if pin is not None:
            return f"But {pin.revision[:SHOWN]} is pinned, and runs until `vaultloop unpin`."
        held = self._sync.trust.newest(repository).held
        return f"But that does not run yet. {held}" if held else None


def resolved(repository: Repository, name: str) -> str:
    """The whole id of a commit by git's names for it; empty for the last good one.

    Raises:
        Stalled: there is none.
    """
    if not name:
        found = last_good.last_good(repository)
        if found is None:
            raise Stalled(
                "No revision has stayed healthy for long enough to be called the last good one.",
                cure="Name one; `vaultloop log` lists them.",
            )
        return found
    try:
        return str(repository.handle.revparse_single(name).peel(pygit2.Commit).id)
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise Stalled(
            f"There is no revision {name!r} in the vault.", cure="`vaultloop log` lists the newest."
        ) from error


def _owners(before: object, after: object, paths: object) -> tuple[str, ...]:
    """The gate of the owner's own acts: every protected path may differ."""
    del before, after, paths
    return ()


def _rolled_back(plan: Rollback, commit: str) -> str:
    return (
        f"Rolled back to {plan.revision[:SHOWN]} in {_listed(plan.paths)}, by commit {commit[:SHOWN]}. What"
        f" was there is in the history; to have it back: vaultloop rollback {plan.head[:SHOWN]}"
    )


def _listed(paths: Collection[str]) -> str:
    named = ", ".join(map(shown, sorted(paths)[:NAMED]))
    return f"{named} and {len(paths) - NAMED} more" if len(paths) > NAMED else named
