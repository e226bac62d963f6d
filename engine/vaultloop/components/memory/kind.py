"""The kind `memory`."""

from typing import Annotated, Literal

from vaultloop.model.fields import Glob, Names, Positive
from vaultloop.model.resource import Kind, Reference, Spec, Stage


class MemorySpec(Spec):
    """A tier of the agent's memory."""

    tier: Literal["hot", "topics", "long-term"]
    """`hot` is one note that is always at hand, `topics` a folder of notes, `long-term` what is looked up."""
    path: Glob
    """The note or folder that holds it."""
    storage: Literal["vault", "volume"] = "vault"
    """In the vault, or beside it where it is not synced."""
    max_tokens: Positive | None = None
    """How large the tier may grow."""
    when_full: Literal["summarise", "archive", "refuse"] = "archive"
    """What happens then."""
    archive: Glob | None = None
    """Where archived text goes."""
    inject: Literal["always", "index", "never"] = "index"
    """What of it stands in each session: all of it, a list of its notes, or nothing."""
    scopes: Annotated[Names, Reference("scope")] = ()
    """The scopes that have this memory: links to their notes; without any, the owner's."""


KIND = Kind("memory", MemorySpec, Stage.CONTEXT, folder="memory", has_component=False)
