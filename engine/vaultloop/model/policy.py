"""A policy: a scope compiled from one accepted revision."""

import hashlib
import json
import re
import unicodedata
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from enum import StrEnum

from vaultloop.model.glob import matches, matches_any


class Audience(StrEnum):
    """Who may speak; derived, never declared. The fence is stricter from left to right."""

    OWNER = "owner"
    CRON = "cron"
    GROUP = "group"
    PUBLIC = "public"


# The slash commands that a scope may let its people use.
COMMANDS = ("status", "crons", "cancel", "retry", "help")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a session for one scope may do. Every grant is empty unless the note says otherwise.

    Attributes:
        scope: the note's name.
        chats: conversations it covers, as the channel reports their ids; `owner` is the owner's private chat.
        people: ids that may speak there; `owner` and `anyone` stand for themselves.
        attachments: which files that are no notes it sees of what it may read: `all`, `none`, or those that
            are asked for (`on-demand`).
        mounts: folders of the operator, by name.
        instructions: the note's body.
    """

    scope: str
    audience: Audience
    chats: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    can_read: tuple[str, ...] = ()
    can_write: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    attachments: str = "all"
    mounts: tuple[str, ...] = ()
    abilities: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()
    telegram_may: tuple[str, ...] = ()
    telegram_chats: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    self_edit: str = "deny"
    conversation: str = "fresh"
    model: str | None = None
    max_steps: int | None = None
    stop_after: timedelta = timedelta(minutes=10)
    budget_usd_per_run: float | None = None
    budget_usd_per_day: float | None = None
    budget_usd_per_month: float | None = None
    messages_per_person_per_hour: int | None = None
    files_to: str | None = None
    instructions: str = field(default="", repr=False)

    @property
    def id(self) -> str:
        """Equal ids, equal rights; 12 hexadecimal digits, quoted in the audit trail."""
        content = json.dumps(asdict(self), default=str, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def reads(self, path: str) -> bool:
        """Whether a session sees this file. What it may write it also sees."""
        return matches_any((*self.can_read, *self.can_write), path) and not self.hides(path)

    def writes(self, path: str) -> bool:
        """Whether the scope grants changing this file; protected paths are refused beyond that."""
        return matches_any(self.can_write, path) and not self.hides(path)

    def hides(self, path: str) -> bool:
        """Whether `except` names this file; then nothing grants it.

        A grant is taken exactly, a denial generously: in any case and spelling of the letters, and with a
        `[` as it stands in the name of a folder.
        """
        return any(self.hidden_by(pattern, path) for pattern in self.except_)

    @staticmethod
    def hidden_by(pattern: str, path: str) -> bool:
        """Whether this pattern of `except` names the file."""
        return _hides(pattern, path)


def _hides(pattern: str, path: str) -> bool:
    plain, wanted = folded(path), folded(pattern)
    # A `[` in brackets stands for itself; `*` and `?` match themselves anyway.
    literal = wanted.replace("[", "[[]")
    return matches(pattern, path) or matches(wanted, plain) or matches(literal, plain)


# Files that steer build machines of forges; somebody who writes there runs commands elsewhere.
_CI_FILES = frozenset({".gitlab-ci.yml", "jenkinsfile"})
_GOVERNING_NAMES = frozenset({"claude.md", "claude.local.md", "agents.md"}) | _CI_FILES
# What `is_protected` names, as patterns.
PROTECTED = ("agent", "templates", "**/.*", *(f"**/{name}" for name in sorted(_GOVERNING_NAMES)))


# What no screen shows: letters without a width, marks of direction, fillers (Unicode's default ignorables).
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

# Where Obsidian keeps templates unless its settings name another folder.
TEMPLATES = "Templates"


def folded(path: str) -> str:
    """A path as comparisons that protect see it: after NFKC and case folding, without invisible letters.

    Look-alikes (`Agent/`, full-width letters, soft hyphens) are the same path then.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())
    # Letters that an invisible one kept apart come together now.
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", plain))


def is_protected(path: str, template_folders: tuple[str, ...] = (TEMPLATES,)) -> bool:
    """Whether `path` governs the agent itself: an agent may change it only with an owner's consent.

    `agent/` at the root; CLAUDE.md, CLAUDE.local.md, AGENTS.md and CI files at any depth; every component
    that begins with a dot; Obsidian's template folders, or single notes that are templates.
    """
    # Some file systems take blanks and dots at the end of a name for nothing.
    parts = [part.strip().rstrip(". ") or part for part in folded(path).split("/")]
    if parts[0] == "agent" or any(part.startswith(".") for part in parts):
        return True
    if parts[-1] in _GOVERNING_NAMES:
        return True
    plain = "/".join(parts)
    return any(plain == t or plain.startswith(t + "/") for t in map(folded, template_folders) if t)
