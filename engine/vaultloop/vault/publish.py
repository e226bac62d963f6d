"""Publishing: the changes of a view that its scope grants become one signed commit; the rest is named.

Blobs and trees are written straight into the object database: no checkout, no index, no git command. The
commit moves no branch; bringing it onto the branch is the work of `sync`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath

from vaultloop.model.conversation import Trigger
from vaultloop.model.policy import Policy, is_protected
from vaultloop.vault.files import Entry
from vaultloop.vault.repository import Identity, Repository
from vaultloop.vault.signing import Signer
from vaultloop.vault.view import Changes, NotOrdinaryError, Refusal, View

# What agents may write beside notes: the attachments that Obsidian shows, none of which can act.
ATTACHMENTS = frozenset(
    {".avif", ".bmp", ".csv", ".flac", ".gif", ".jpeg", ".jpg", ".m4a", ".mp3", ".mp4", ".ogg", ".pdf"}
    | {".png", ".txt", ".wav", ".webm", ".webp"}
)
WRITABLE_TYPES = frozenset({".md"}) | ATTACHMENTS

# So many deletions are held back if they are also more than half of what the session saw.
MANY = 10


@dataclass(frozen=True, slots=True)
class Selection:
    """The changes of a view, sorted into what may be published and what may not."""

    written: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """All that is published."""
        return self.written + self.deleted


@dataclass(frozen=True, slots=True)
class Audit:
    """What a commit says about the session that made it: engine data only, never a chat id."""

    session: str
    scope: str
    trigger: Trigger
    policy: str
    model: str
    cost_usd: float

    def trailers(self) -> str:
        """The audit trail as git trailers."""
        values = {
            "Session": self.session,
            "Scope": self.scope,
            "Trigger": str(self.trigger),
            "Policy": self.policy,
            "Model": self.model or "none",
            "Cost-USD": f"{self.cost_usd:.4f}",
        }
        return "\n".join(f"{key}: {_one_line(value)}" for key, value in values.items())


@dataclass(frozen=True, slots=True)
class Written:
    """A commit, or None where nothing was left to commit, and what was refused while writing it."""

    commit: str | None
    refused: tuple[Refusal, ...] = field(default=())


def select(changes: Changes, policy: Policy) -> Selection:
    """Sort `changes` into what `policy` lets a session publish and what is refused."""
    refused = list(changes.refused)
    allowed: dict[str, None] = {}
    for path in (*changes.written, *changes.deleted):
        if reason := refusal(path, policy):
            refused.append(Refusal(path, reason))
        else:
            allowed[path] = None
    deleted = tuple(path for path in changes.deleted if path in allowed)
    if deleted and _clears_out(changes):
        what = f"the deletion of {_counted(len(deleted), 'file')}"
        refused.append(Refusal(what, "more than half of all it could see; a human has to delete so much"))
        deleted = ()
    return Selection(
        written=tuple(path for path in changes.written if path in allowed),
        deleted=deleted,
        refused=tuple(sorted(refused, key=str)),
    )


def _clears_out(changes: Changes) -> bool:
    return len(changes.deleted) >= MANY and 2 * len(changes.deleted) > changes.files


def refusal(path: str, policy: Policy) -> str:
    """Why a session under `policy` may not change `path`; empty if it may."""
    if is_protected(path):
        return "it governs the agent, so only a human may change it"
    if not policy.writes(path):
        return f"the scope {policy.scope} does not grant writing it"
    if PurePosixPath(path).suffix.lower() not in WRITABLE_TYPES:
        return "agents write notes (.md) and common attachments only"
    return ""


def write_commit(
    repository: Repository,
    view: View,
    selection: Selection,
    audit: Audit,
    *,
    author: Identity,
    signer: Signer | None,
    at: datetime,
) -> Written:
    """Write what was selected as one commit upon the view's base; runs in the git thread.

    No commit is made where the selection changes nothing.
    """
    edits: dict[str, Entry | None] = dict.fromkeys(selection.deleted)
    refused: list[Refusal] = []
    for path in selection.written:
        known = view.base.get(path)
        try:
            # Read again, with all checks: a program that outlived its session may still be at work here.
            blob = repository.write_blob(view.read(path))
        except NotOrdinaryError as error:
            refused.append(Refusal(path, str(error)))
            continue
        edits[path] = Entry(path, blob, executable=known[0].executable if known else False)
    if not edits:
        return Written(None, tuple(refused))
    try:
        tree = repository.edit(view.revision, edits)
    except ValueError:
        # A note named like a folder of which the session saw only a part.
        clash = "its changes do not fit into the folders of the vault"
        return Written(None, tuple(refused) + tuple(Refusal(path, clash) for path in edits))
    message = f"{subject(audit.trigger, edits)}\n\n{audit.trailers()}\n"
    commit = repository.commit(tree, [view.revision], message, author=author, signer=signer, at=at)
    return Written(commit, tuple(refused))


def subject(trigger: Trigger, edits: Mapping[str, Entry | None]) -> str:
    """A subject line of engine data: `cron digest: 1 note changed`."""
    notes = sum(1 for path in edits if path.lower().endswith(".md"))
    files = len(edits) - notes
    counts = [_counted(notes, "note")] * bool(notes) + [_counted(files, "file")] * bool(files)
    return f"{_one_line(str(trigger))}: {' and '.join(counts)} changed"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _one_line(text: str) -> str:
    # A line break in a name or a model id would let it forge trailers.
    return " ".join(text.split())
