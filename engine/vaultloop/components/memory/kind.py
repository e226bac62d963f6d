"""The kind `memory`."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Annotated, Literal

from vaultloop.model.fields import Names, Path, Positive
from vaultloop.model.finding import Finding
from vaultloop.model.flow import Flow, Told
from vaultloop.model.glob import matches
from vaultloop.model.problem import Severity
from vaultloop.model.resource import Kind, Reference, Spec, Stage

# A line of text, and a tenth of what today's models can hold.
FEWEST_TOKENS = 50
MOST_TOKENS = 50_000


class MemorySpec(Spec):
    """A tier of the agent's memory."""

    tier: Literal["hot", "topics", "long-term"]
    """`hot` is one note that is always at hand, `topics` a folder of notes, `long-term` what is looked up."""
    path: Path
    """The note or folder that holds it."""
    storage: Literal["vault", "volume"] = "vault"
    """In the vault, or beside it where it is not synced."""
    max_tokens: Positive | None = None
    """How large the tier may grow."""
    when_full: Literal["summarise", "archive", "refuse"] = "archive"
    """What happens then."""
    archive: Path | None = None
    """Where archived text goes."""
    inject: Literal["always", "index", "never"] = "index"
    """What of it stands in each session: all of it, a list of its notes, or nothing."""
    scopes: Annotated[Names, Reference("scope")] = ()
    """The scopes that have this memory: links to their notes; without any, the owner's."""

    def findings(self) -> Iterable[Finding]:
        """Places that cannot be what was meant, and sizes that nobody would want."""
        yield from self._place()
        yield from self._archive()
        yield from self._size()

    def _place(self) -> Iterable[Finding]:
        is_note = self.path.lower().endswith(".md")
        if self.tier == "hot" and not is_note:
            message = f"`hot` is one note, and `{self.path}` has no `.md`."
            yield Finding("path", "bad-path", message, write=f'"{self.path}.md"', severity=Severity.WARNING)
        if self.tier == "topics" and is_note:
            message = f"`topics` is a folder of notes, and `{self.path}` is a note."
            yield Finding("path", "bad-path", message, write=f'"{self.path[:-3]}"', severity=Severity.WARNING)

    def _archive(self) -> Iterable[Finding]:
        if self.archive is None:
            if "when_full" in self.model_fields_set and self.when_full == "archive":
                message = "Nothing says where archived text goes."
                yield Finding("when-full", "missing-field", message, add=f'archive: "{self._elsewhere}"')
        elif matches(self.path.casefold(), self.archive.casefold()):
            message = "The archive lies in what it is to make smaller."
            yield Finding("archive", "archive-inside", message, write=f'"{self._elsewhere}"')

    def _size(self) -> Iterable[Finding]:
        size = self.max_tokens
        if size is not None and size < FEWEST_TOKENS:
            message = f"{size} tokens are a sentence or two."
            yield self._sized(message, FEWEST_TOKENS)
        elif size is not None and size > MOST_TOKENS and self.inject == "always":
            message = f"Each session is told all of it, and {size} tokens are most of what a model can hold."
            yield self._sized(message, MOST_TOKENS)

    def _sized(self, message: str, better: int) -> Finding:
        return Finding("max-tokens", "bad-size", message, write=str(better), severity=Severity.WARNING)

    @property
    def _elsewhere(self) -> str:
        """A place for the archive beside the tier."""
        folder = "Old" if self.path.partition("/")[0].casefold() == "archive" else "Archive"
        return f"{folder}/{PurePosixPath(self.path).stem}"

    def flows(self) -> Iterable[Flow]:
        """What its scopes know."""
        yield Told(self.path, self.scopes, in_vault=self.storage == "vault")


KIND = Kind("memory", MemorySpec, Stage.CONTEXT, folder="memory", has_component=False)
