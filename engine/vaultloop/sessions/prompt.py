"""What every session is told before it hears its prompt: its scope, the rules, and the vault's CLAUDE files.

The engine puts this together itself, from the blobs of one revision, because the agent program is told to
load nothing on its own. `@path` in a CLAUDE file imports another file, as people are used to; what the scope
may not read stays out, and the text says so.
"""

from collections.abc import Iterator, Sequence

from vaultloop.model.component import Contributor
from vaultloop.model.policy import Policy
from vaultloop.vault.context import DEEPEST_IMPORT, imports, meant
from vaultloop.vault.files import Files
from vaultloop.vault.location import CONTEXT_FILES


def instructions(policy: Policy, files: Files, contributors: Sequence[Contributor]) -> str:
    """The text that is appended to the system prompt of a session under `policy`."""
    parts = [policy.instructions, *(contributor.contribute(policy) for contributor in contributors)]
    context = Context(policy, files)
    for name in CONTEXT_FILES:
        parts.extend(context.standing(name))
    return "\n\n".join(text for part in parts if (text := part.strip()))


class Context:
    """The vault's standing texts with their imports, each file once."""

    def __init__(self, policy: Policy, files: Files) -> None:
        self._policy = policy
        self._files = files
        self._seen: set[str] = set()

    def standing(self, path: str) -> Iterator[str]:
        """One of the files that every session is told without being granted it, unless `except` names it."""
        if not self._policy.hides(path):
            yield from self.included(path)
        elif self._files.entry(path):
            yield f"{path} was left out: this session may not read it."

    def included(self, path: str, depth: int = 0) -> Iterator[str]:
        """The text of a file and of all that it imports; nothing if it is not there or was given before."""
        entry = self._files.entry(path)
        if entry is None or path in self._seen:
            return
        self._seen.add(path)
        text = self._files.read(entry).decode(errors="replace")
        yield f"Contents of {path}:\n\n{text}"
        if depth < DEEPEST_IMPORT:
            for imported in imports(text):
                yield from self._imported(imported.path, path, depth + 1)

    def _imported(self, mentioned: str, by: str, depth: int) -> Iterator[str]:
        found = next((path for path in meant(mentioned, by) if self._files.entry(path)), None)
        if found is None or found in self._seen:
            # `@alice` names a person; what is no file is left as it is written.
            return
        if self._policy.reads(found):
            yield from self.included(found, depth)
        else:
            self._seen.add(found)
            yield f"{found} (imported by {by}) was left out: this session may not read it."
