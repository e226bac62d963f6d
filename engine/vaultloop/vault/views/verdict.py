"""What becomes of a session's changes to what governs the agent, and the port to who decides that."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vaultloop.model.policy import Policy
from vaultloop.vault.files import Files
from vaultloop.vault.views.view import Refusal

# The vault with some of a session's changes, those at the given paths, and no others.
EditedAt = Callable[[Collection[str]], Files]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Changes of protected paths, sorted.

    Attributes:
        admitted: those that need nobody's consent.
        proposed: those that wait for the owner.
        refused: the others, with the reason.
        reason: why the owner is asked, a sentence; empty where nobody is.
        permissions: what people may do more or less with what is proposed, one sentence each.
    """

    admitted: tuple[str, ...] = ()
    proposed: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    reason: str = ""
    permissions: tuple[str, ...] = ()


class Admission(Protocol):
    """Who decides; to be called where the repository may be used."""

    def judge(
        self, before: Files, edited: EditedAt, paths: Collection[str], policy: Policy, now: datetime
    ) -> Verdict:
        """The verdict on a session's changes at `paths` of the vault `before`, under the session's policy."""
        ...

    def permissions(self, before: Files, after: Files) -> tuple[str, ...]:
        """What people may do more or less after `before` became `after`, one sentence each."""
        ...


class NobodyAdmits:
    """Every change of a protected path is refused."""

    def judge(
        self, before: Files, edited: EditedAt, paths: Collection[str], policy: Policy, now: datetime
    ) -> Verdict:
        """Refuse all."""
        del before, edited, policy, now
        return Verdict(refused=tuple(Refusal(path, GOVERNS) for path in paths))

    def permissions(self, before: Files, after: Files) -> tuple[str, ...]:
        """Nothing to tell."""
        del before, after
        return ()


GOVERNS = "it governs the agent, so only a human may change it"
