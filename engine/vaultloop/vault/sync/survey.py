"""Where the branch is, what of it waits for a human, and how much of it the remote does not have."""

import sys

from vaultloop.vault.sync.branch import Branch
from vaultloop.vault.sync.standing import Standing


class Survey:
    """Brings the standing up to date with the branch; for the git thread."""

    def __init__(self, branch: Branch, standing: Standing) -> None:
        self._branch, self._standing = branch, standing
        self._head: str | None = None
        # For which commits, here and at the remote, was counted how many are only here.
        self._counted: tuple[str | None, str | None] | None = None

    def taken(self, seen: str | None, *, has_remote: bool) -> str | None:
        """The branch's commit; `seen` is the newest one that the remote is known to have."""
        if not self._branch.is_there:
            # An unmounted folder takes its git along; that is no empty vault.
            return self._head
        self._head = head = self._branch.repository.head
        for cause, sentence in self._branch.review().items():
            self._standing.remark(cause, sentence)
        self._standing.count(self._branch.merges, self._branch.mended, self._branch.held)
        if self._counted != (head, seen):
            self._standing.ahead = self._ahead(head, seen) if head and has_remote else 0
            self._counted = (head, seen)
        return head

    def _ahead(self, head: str, seen: str | None) -> int:
        repository = self._branch.repository
        if seen is None or not repository.has(seen):
            return sum(1 for _ in repository.log(head, sys.maxsize))
        return sum(1 for _ in repository.parted(head, seen))
