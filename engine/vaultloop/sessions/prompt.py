"""What every session is told before it hears its prompt: its scope, the rules, and the vault's CLAUDE files.

The engine puts this together itself, from the blobs of one revision, because the agent program is told to
load nothing on its own. `@path` in a CLAUDE file imports another file, as people are used to; what the scope
may not read stays out, and the text says so.
"""

from collections.abc import Iterator, Sequence

from vaultloop.model.component import Contributor
from vaultloop.model.policy import Policy
from vaultloop.vault.files import Files
from vaultloop.vault.notes.context import DEEPEST_IMPORT, imports, meant, reached
from vaultloop.vault.notes.location import CONTEXT_FILES


def instructions(policy: Policy, files: Files, contributors: Sequence[Contributor]) -> str:
    """The text that is appended to the system prompt of a session under `policy`."""
    parts = [policy.instructions, *(contributor.contribute(policy) for contributor in contributors)]
    parts.extend(Context(policy, files).texts())
    return "\n\n".join(text for part in parts if (text := part.strip()))


class Context:
    """The vault's standing texts with their imports, each file once."""

    def __init__(self, policy: Policy, files: Files) -> None:
        self._policy = policy
        self._files = files
        self._read: dict[str, tuple[str, list[str]]] = {}
        self._seen: set[str] = set()
        standing = [name for name in CONTEXT_FILES if files.entry(name) and self._may_tell(name)]
        self._depths = reached(standing, lambda path: filter(self._may_tell, self._content(path)[1]))

    def texts(self) -> Iterator[str]:
        """Each standing text, followed by all that it imports."""
        for name in CONTEXT_FILES:
            if self._may_tell(name):
                yield from self._with_imports(name)
            elif self._files.entry(name):
                yield f"{name} was left out: this session may not read it."

    def _may_tell(self, path: str) -> bool:
        """Every session is told the standing texts without being granted them, unless `except` names them."""
        return self._policy.reads(path) or (path in CONTEXT_FILES and not self._policy.hides(path))

    def _with_imports(self, standing: str) -> Iterator[str]:
        waiting = [(standing, "")]
        while waiting:
            path, by = waiting.pop()
            if path in self._seen or (by and self._depths[by] == DEEPEST_IMPORT and path not in self._depths):
                continue
            if path in self._depths:
                text, imported = self._content(path)
                yield f"Contents of {path}:\n\n{text}"
                waiting.extend((other, path) for other in reversed(imported))
            elif by and path not in CONTEXT_FILES:
                yield f"{path} (imported by {by}) was left out: this session may not read it."
            self._seen.add(path)

    def _content(self, path: str) -> tuple[str, list[str]]:
        """The text of a file and the files that it imports; `@alice` names a person and no file."""
        if path not in self._read:
            entry = self._files.entry(path)
            text = self._files.read(entry).decode(errors="replace") if entry else ""
            self._read[path] = (
                text,
                [found for each in imports(text) if (found := self._found(each.path, path)) is not None],
            )
        return self._read[path]

    def _found(self, mentioned: str, by: str) -> str | None:
        return next((path for path in meant(mentioned, by) if self._files.entry(path)), None)
