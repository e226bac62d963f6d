"""Which files of a revision a session sees: those that its policy lets it read and that fit into a view."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

from vaultloop.model.policy import Policy
from vaultloop.vault.files import Entry, Files
from vaultloop.vault.views.scan import bad_name, too_deep

# So many attachments are fetched for one prompt.
MOST_ASKED = 100

_LINKS = re.compile(r"\[\[([^\]|#^\n]+)|\]\(\s*<?([^)>\n]+?)>?(?:\s+[\"'(][^)\n]*)?\s*\)")
_WORD_ENDS = re.compile(r"[\s\"'`<>()\[\]{}|,;]+")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")


@dataclass(frozen=True, slots=True)
class Reading:
    """The choice of files for one session.

    Attributes:
        asked: attachments that are in it because its prompt names them.
    """

    policy: Policy
    asked: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """Equal keys, equal choice; but for what is asked for."""
        policy = self.policy
        parts = (policy.can_read, policy.can_write, policy.except_, policy.attachments)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def takes(self, entry: Entry | None) -> bool:
        """Whether a session sees this file."""
        if entry is None or not may_be_seen(entry.path, self.policy):
            return False
        return self.policy.attachments == "all" or is_note(entry.path) or entry.path in self.asked


def reading(policy: Policy, files: Files, prompt: str) -> Reading:
    """The choice for a session under `policy` that is asked `prompt`."""
    if policy.attachments != "on-demand":
        return Reading(policy)
    return Reading(policy, frozenset(asked_for(prompt, policy, files)))


def may_be_seen(path: str, policy: Policy) -> bool:
    """Whether a session may see a file, were it a note."""
    return policy.reads(path) and not any(map(bad_name, path.split("/"))) and not too_deep(path)


def is_note(path: str) -> bool:
    """Whether it is a note; anything else is an attachment."""
    return path.lower().endswith(".md")


def asked_for(prompt: str, policy: Policy, files: Files) -> set[str]:
    """The attachments that a prompt names: by a link of any form, or as a path or a name with its ending.

    A name without its folder means the one file of that name among those that the scope may read; where there
    are several, none: nobody said which.
    """
    found: set[str] = set()
    names: set[str] = set()
    for named in dict.fromkeys(_named(prompt)):
        if len(found) == MOST_ASKED:
            return found
        entry = _entry(files, named)
        if entry and not is_note(entry.path) and may_be_seen(entry.path, policy):
            found.add(entry.path)
        elif "/" not in named and _SUFFIX.search(named) and not is_note(named):
            names.add(named.casefold())
    if names:
        found |= set(_by_name(names, policy, files))
    return found


def _entry(files: Files, named: str) -> Entry | None:
    try:
        return files.entry(named)
    except (KeyError, ValueError):
        return None


def _by_name(names: set[str], policy: Policy, files: Files) -> list[str]:
    """The paths of the attachments of these names, of each name that is there once."""
    paths: dict[str, list[str]] = {}
    for entry in files.under(""):
        name = PurePosixPath(entry.path).name.casefold()
        if name in names and may_be_seen(entry.path, policy):
            paths.setdefault(name, []).append(entry.path)
    return sorted(path for several in paths.values() if len(several) == 1 for path in several)[:MOST_ASKED]


def _named(prompt: str) -> Iterator[str]:
    """What may be the name or the path of a file in a prompt."""
    for wikilink, link in _LINKS.findall(prompt):
        yield _plain(wikilink or unquote(link))
    for word in _WORD_ENDS.split(prompt):
        if _SUFFIX.search(word.rstrip(".!?:")):
            yield _plain(word.rstrip(".!?:"))
    # A name with blanks in it can only be told from prose where it stands in quotes, or on a line of its own.
    for quoted in re.findall(
        r"[\"'`\u201c\u201e\u00ab]([^\"'`\u201c\u201d\u00bb\n]+)[\"'`\u201d\u201c\u00bb]", prompt
    ):
        if _SUFFIX.search(quoted):
            yield _plain(quoted)


def _plain(named: str) -> str:
    return named.strip().removeprefix("./").strip("/")
