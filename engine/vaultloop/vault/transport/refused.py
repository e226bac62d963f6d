"""What it means that a remote did not take a push, and what to do: forges say it in words of their own."""

import re

from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.trees import shown
from vaultloop.vault.transport.oversize import CURE, in_words, largest_in, speaks_of_size

# How GitHub (GH006; GH013 for rule sets), GitLab, and Gitea or Forgejo say that a branch is protected.
_PROTECTED = re.compile(
    r"\bGH006\b|\bGH013\b|not allowed to (?:push|force push) (?:code )?to (?:a )?protected branch"
    r"|protected branch (?:update failed|hook declined)|branch \S+ is protected|branch is protected",
    re.IGNORECASE,
)


def explained(said: str, repository: Repository, head: str, since: str | None) -> str:
    """A sentence with a remote's own words on why `head` did not get there, and what to do where it is known.

    `since` is the newest commit that the remote has. For the git thread.
    """
    if _PROTECTED.search(said):
        return (
            f"{said} The branch {repository.branch} is protected there. Let the engine's account push to it"
            " (the forge's settings of protected branches, or of its rules), or set another branch for the"
            " vault (the setting branch)."
        )
    if speaks_of_size(said) and (found := largest_in(repository, head, since)):
        path, size, commit = found
        return (
            f"{said} The largest file that it would get is {shown(path)} ({in_words(size)}, commit"
            f" {commit[:12]}). {CURE} It is in a commit by now: take it out of the history that is only here."
        )
    return said
