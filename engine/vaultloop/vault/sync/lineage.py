"""Whether what the remote has goes on from what it had: the one reason to follow it without asking.

What it had last is remembered in a reference of our own, by the remote's address. A history that was
rewritten, a branch that vanished and another vault at the same address all look like news otherwise, and
following them would take away what everybody here works upon. Plain code for the git thread.
"""

import hashlib
import re

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import Stalled
from vaultloop.vault.git.repository import OWN_REFS
from vaultloop.vault.sync.branch import Branch
from vaultloop.vault.sync.folder_edits import listed

# So many digits of a commit are shown, and so few name it.
SHOWN = 12
FEWEST_DIGITS = 4


class Lineage:
    """What one remote's branch had, and whether it goes on from there.

    Attributes:
        seen: the newest commit of it that is known; None before the first.
    """

    def __init__(self, branch: Branch, url: str) -> None:
        self._branch, self._repository, self._url = branch, branch.repository, url
        self.seen: str | None = None

    def recall(self) -> None:
        """Remember, after a restart, what it had."""
        self.seen = self._repository.kept(self._tracking)

    def saw(self, commit: str) -> None:
        """The remote's branch is at `commit`, and that may come, or has come, onto ours."""
        self._repository.keep(self._tracking, commit)
        reached(Failpoint.TRACKING_KEPT)
        self.seen = commit
        self._repository.let_go(self._mark)

    @property
    def fetched(self) -> str:
        """Where to keep what is fetched and not judged yet, below `refs/vaultloop/`."""
        return f"fetched/{self._tracking}"

    def absence(self) -> str | None:
        """What to say when the remote has no such branch; None if it never had one."""
        if self.seen is None:
            return None
        rescue = self._rescued(self.seen)
        return (
            f"The branch {self._repository.branch} is gone from {self._url}. The vault is kept here, at"
            f" {self.seen[:SHOWN]} ({rescue}), and nothing is pushed. Push that branch there again."
        )

    def refusal(self, theirs: str) -> str | None:
        """Why the remote's commit cannot be what comes after the one that was seen last; None if it can."""
        branch, url, seen = self._repository.branch, self._url, self.seen
        if seen and not self._repository.is_ancestor(seen, theirs):
            if self._was_accepted(seen, theirs):
                return None
            return (
                f"The history of {branch} at {url} was rewritten: {theirs[:SHOWN]} does not descend from"
                f" {seen[:SHOWN]}. Nothing is taken or pushed; the old history is kept under"
                f" {self._rescued(seen)}. Push the old history there again, or a merge of both (git merge"
                f" {seen[:SHOWN]}). To follow the new one, with what is only here on top: vaultloop resume"
                f" --accept-remote {theirs[:SHOWN]}"
            )
        if seen is None and not self._branch.may_meet(theirs):
            head = self._repository.head
            assert head is not None
            return (
                f"{url} holds another vault: its branch {branch} has no commit in common with the one here."
                f" Nothing was changed, and the one here is kept under {self._rescued(head)}. Correct the"
                " remote setting, or use a new state directory. To have everything of both in one vault:"
                f" vaultloop resume --accept-remote {theirs[:SHOWN]}"
            )
        return None

    def accept(self, theirs: str, named: str) -> str:
        """Follow `theirs` though it does not go on from what was seen; an owner has `named` it.

        What is only here comes on top. Doing it again, after a crash say, ends the same. Says what was done.

        Raises:
            Stalled: nothing is to be accepted, it is another commit, or files in the folder are in its way.
            Retry, Paused: as for `Branch.unite`.
        """
        if self.refusal(theirs) is None:
            raise Stalled(
                f"Nothing waits to be accepted: what {self._url} has goes on from what is here.",
                cure="`vaultloop status` shows how sync stands.",
            )
        if not _names(named, theirs):
            raise Stalled(
                f"The branch at {self._url} is not at {named}, but at {theirs[:SHOWN]}.",
                cure=f"Look at it, and if you want it: vaultloop resume --accept-remote {theirs[:SHOWN]}",
            )
        before = self._repository.head
        rescue = self._rescued(before) if before else ""
        since, branch = self.seen, self._repository.branch
        in_the_way = self._branch.accept(
            theirs, since, f"Follow {branch} at the remote, which was rewritten\n", self._marked
        )
        if in_the_way:
            raise Stalled(
                f"{listed(in_the_way)} cannot be written to the folder, so nothing was changed.",
                cure="Commit what is staged there, or move what git ignores away; then accept it again.",
            )
        reached(Failpoint.UNITED)
        self.saw(theirs)
        reached(Failpoint.ACCEPTANCE_NOTED)
        return self._accepted(theirs, before, since, rescue)

    def _accepted(self, theirs: str, before: str | None, since: str | None, rescue: str) -> str:
        only_here = (
            sum(1 for _ in self._repository.parted(before, since)) if before and since else bool(before)
        )
        joined = (
            f" What only was here ({only_here} commits) is joined on top, and is pushed, with the history"
            " that it was made upon."
            if only_here
            else " Nothing was only here."
        )
        git = self._repository.command
        return (
            f"The vault follows {theirs[:SHOWN]} now.{joined} As it was before, it is kept under {rescue};"
            f" to look: {git} log {rescue}, or {git} diff {rescue} {self._repository.branch}"
        )

    def _rescued(self, commit: str) -> str:
        """The reference that holds on to `commit` whatever becomes of the branch."""
        name = f"rescue/{commit}"
        if self._repository.kept(name) is None:
            self._repository.keep(name, commit)
            reached(Failpoint.RESCUE_KEPT)
        return OWN_REFS + name

    def _marked(self, target: str) -> None:
        self._repository.keep(self._mark, target)
        reached(Failpoint.ACCEPTANCE_MARKED)

    def _was_accepted(self, seen: str, theirs: str) -> bool:
        """Whether an owner has accepted `theirs`, and the engine was killed before that was put down."""
        head, mark = self._repository.head, self._repository.kept(self._mark)
        if head is None or mark is None or not self._repository.is_ancestor(mark, head):
            return False
        if mark == theirs:
            return not self._repository.is_ancestor(seen, head)
        return theirs in self._repository.read_commit(mark).parents

    @property
    def _mark(self) -> str:
        return f"accepted/{self._tracking}"

    @property
    def _tracking(self) -> str:
        # By address: what one remote had says nothing of another.
        key = hashlib.sha256(self._url.encode()).hexdigest()[:16]
        return f"remote/{key}/{self._repository.branch}"


def _names(named: str, commit: str) -> bool:
    digits = named.strip().lower()
    return re.fullmatch(rf"[0-9a-f]{{{FEWEST_DIGITS},40}}", digits) is not None and commit.startswith(digits)
