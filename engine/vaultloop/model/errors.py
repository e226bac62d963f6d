"""The errors of the engine, few, by what to do next.

    Exception
    |- VaultloopError          says what, where, expected and cure; shown to a person as it is
    |  |- Denied               somebody may not do this: answer them, change nothing
    |  |  |- Late              nobody may do it any more: its time has passed
    |  |  |- NotYet(policy)    nothing is answered as yet, but for commands of the engine
    |  |- Retry(after)         try again by itself, after that many seconds
    |  |- Stalled(cure)        only a human can help: show it and wait for a new revision
    |  |- Paused               sync stands still until a human has looked: both sides are kept
    |- anything else           a bug

What is wrong in a note is no exception but a value: `model.problem.Problem`. No message contains a secret.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `--help` must not wait for what resources are made of
    from vaultloop.model.policy import Policy
    from vaultloop.model.resource import Ref


class VaultloopError(Exception):
    """Something a person can act on; the text says how."""


class Denied(VaultloopError):
    """The one who asks may not do this."""


class Late(Denied):
    """It was for a time that has passed."""


class NotYet(Denied):
    """Who asks may ask, but something that sessions need is lacking.

    Attributes:
        policy: under which commands are answered all the same.
    """

    def __init__(self, message: str, policy: "Policy") -> None:
        super().__init__(message)
        self.policy = policy


class Retry(VaultloopError):
    """It did not work now; it may by itself later.

    Attributes:
        after: seconds until the next attempt makes sense.
    """

    def __init__(self, message: str, *, after: float = 30.0) -> None:
        super().__init__(message)
        self.after = after


class Stalled(VaultloopError):
    """It cannot work until a human changed something.

    Attributes:
        cure: what to change, one sentence.
        holder: the resource that has what this one wants; once it has changed, this is tried again.
    """

    def __init__(self, message: str, *, cure: str, holder: "Ref | None" = None) -> None:
        super().__init__(f"{message} {cure}" if cure else message)
        self.cure = cure
        self.holder = holder


class Paused(VaultloopError):
    """Two sides of the vault cannot be brought together without a human; nothing of either is lost."""
