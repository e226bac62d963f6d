"""Publishing: what a view's changes become, and commits of them.

Each change is sorted once: published, held (an owner or the rules of self-edit decide), or refused with a
reason. Blobs and trees are written straight into the object database: no checkout, no index, no git command.
A commit moves no branch; bringing it onto the branch is the work of `sync`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import PurePosixPath

from vaultloop.model.conversation import Trigger
from vaultloop.model.policy import Audience, Policy, is_protected
from vaultloop.vault.files import Entry
from vaultloop.vault.git.attributes import attributes_of
from vaultloop.vault.git.repository import BULK, Identity, Repository
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.notes.location import FOLDER
from vaultloop.vault.notes.protected import LookAlikes, Protected, is_declared_at
from vaultloop.vault.transport.oversize import LARGEST_FILE, in_words
from vaultloop.vault.views.active_content import KIND, MOST_TEXT, TOO_LONG, added
from vaultloop.vault.views.verdict import GOVERNS
from vaultloop.vault.views.view import MOST_BYTES, Changes, NotOrdinaryError, Refusal, View
from vaultloop.vault.views.views import InGit, here

# What agents may write beside notes: the attachments that Obsidian shows, none of which can act.
ATTACHMENTS = frozenset(
    {".avif", ".bmp", ".csv", ".flac", ".gif", ".jpeg", ".jpg", ".m4a", ".mp3", ".mp4", ".ogg", ".pdf"}
    | {".png", ".txt", ".wav", ".webm", ".webp"}
)
WRITABLE_TYPES = frozenset({".md"}) | ATTACHMENTS

# So many deletions are held back if they are also more than half of what the session saw.
MANY = 10

# Short names that Windows gives to `.git`; git refuses them everywhere.
_GITS_OWN = re.compile(r"git~\d+[ .]*", re.IGNORECASE)

# What one session may change, deletions included: a history keeps it for ever. How much it may write, its
# view says already; here it is counted again, of what is really read.
MOST_FILES = 1000

# What no text holds: with a NUL in it git shows no difference any more, and others drive a terminal.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")

# Why a deletion stays undone: all that was written of it lies in a place that is not published.
LOST = "its text might be lost: what the session wrote elsewhere is not in the vault"

# At so many bytes (or `BULK` files) a piece of them is written: others wait for the repository no longer.
PIECE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Selection:
    """The changes of a view, sorted by their paths.

    Attributes:
        written, deleted: what may be published.
        held_written, held_deleted: changes of protected paths, to be judged.
        refused: what may not, with the reason.
    """

    written: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    held_written: tuple[str, ...] = ()
    held_deleted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """All that may be published."""
        return self.written + self.deleted

    @property
    def held(self) -> tuple[str, ...]:
        """All that is to be judged."""
        return self.held_written + self.held_deleted


# What a commit changes, by path; None is a deletion.
Edits = Mapping[str, Entry | None]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Changes as they were read from a view, once.

    Attributes:
        edits: what may be published.
        held: changes of protected paths, to be judged.
        active: what might be published, but acts when it is opened.
        acts: the words for what acts, by path; also of what is held.
        refused: what turned out to be unfit, with all that was refused before.
    """

    edits: Edits = field(default_factory=dict)
    held: Edits = field(default_factory=dict)
    active: Edits = field(default_factory=dict)
    acts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: tuple[Refusal, ...] = ()


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


def select(changes: Changes, policy: Policy, protected: Protected | None = None) -> Selection:
    """Sort `changes` into what `policy` lets a session publish, what is to be judged, and what is refused."""
    everything = (*changes.written, *changes.deleted)
    if len(everything) > MOST_FILES:
        what = f"the changes of {_counted(len(everything), 'file')}"
        too_many = Refusal(what, f"a session publishes at most {MOST_FILES}; nothing of it is published")
        return Selection(refused=(*changes.refused, too_many))
    protected = protected or Protected()
    reasons = {path: refusal(path, policy, protected) for path in everything}
    refused = [*changes.refused, *(Refusal(path, why) for path, why in reasons.items() if why)]
    held = {path for path, why in reasons.items() if not why and path in protected}
    allowed = {path for path, why in reasons.items() if not why} - held
    deleted = tuple(path for path in changes.deleted if path in allowed)
    if deleted and _clears_out(changes):
        what = f"the deletion of {_counted(len(deleted), 'file')}"
        refused.append(Refusal(what, "more than half of all it could see; a human has to delete so much"))
        deleted = ()
    return Selection(
        written=tuple(path for path in changes.written if path in allowed),
        deleted=deleted,
        held_written=tuple(path for path in changes.written if path in held),
        held_deleted=tuple(path for path in changes.deleted if path in held),
        refused=tuple(sorted(refused, key=str)),
    )


def _clears_out(changes: Changes) -> bool:
    return len(changes.deleted) >= MANY and 2 * len(changes.deleted) > changes.files


def refusal(path: str, policy: Policy, protected: Protected | None = None) -> str:
    """Why a session under `policy` may not even ask for a change of `path`; empty if it may."""
    if path in (protected or Protected()) and not _may_be_judged(path, policy):
        return GOVERNS
    if not policy.writes(path):
        return f"the scope {policy.scope} does not grant writing it"
    if any(map(_GITS_OWN.fullmatch, path.split("/"))):
        return "git cannot hold a name like that"
    if PurePosixPath(path).suffix.lower() not in WRITABLE_TYPES:
        return "agents write notes (.md) and common attachments only"
    return ""


def _may_be_judged(path: str, policy: Policy) -> bool:
    """Whether anybody could admit or approve a change of this protected path.

    With `self-edit: deny` only a reminder has a chance. What merely looks like `agent/` would mislead its
    owner, and a name that begins with a dot is no note.
    """
    if any(part.startswith(".") for part in path.split("/")):
        return False
    top = path.partition("/")[0]
    if top != FOLDER and is_protected(f"{top}/note", ()):
        return False
    return policy.self_edit != "deny" or is_declared_at(path)


def gather(
    repository: Repository,
    view: View,
    selection: Selection,
    policy: Policy,
    in_git: InGit = here,
    *,
    largest_file: int = LARGEST_FILE,
) -> Gathered:
    """Read what was selected, once and with all checks, into blobs.

    A program that outlived its session may still be at work in the view: what is judged is what is committed.
    The repository is used inside `in_git` only, piece by piece; reading files and judging them is outside.
    No file of more than `largest_file` bytes is taken.
    """
    reading = _Reading(repository, view, policy, in_git, largest_file)
    edits = reading.edits(selection.deleted, selection.written)
    held = reading.edits(selection.held_deleted, selection.held_written)
    edits, held = in_git(lambda: (reading.fitting(edits), reading.fitting(held)))
    return Gathered(
        edits={path: entry for path, entry in edits.items() if path not in reading.acts},
        held=held,
        active={path: entry for path, entry in edits.items() if path in reading.acts},
        acts=reading.acts,
        refused=tuple(sorted((*selection.refused, *reading.refused), key=str)),
    )


class _Reading:
    """One pass over the changed files of a view."""

    def __init__(
        self, repository: Repository, view: View, policy: Policy, in_git: InGit, largest_file: int
    ) -> None:
        self._repository, self._view, self._policy, self._in_git = repository, view, policy, in_git
        self._largest_file = largest_file
        self._left = MOST_BYTES
        self._text_left = MOST_TEXT
        self.acts: dict[str, tuple[str, ...]] = {}
        self.refused: list[Refusal] = []

    def edits(self, deleted: Collection[str], written: Collection[str]) -> dict[str, Entry | None]:
        found: dict[str, Entry | None] = dict.fromkeys(deleted)
        for piece in self._pieces(written):
            found |= self._in_git(partial(self._put_down, piece))
        return found

    def _pieces(self, paths: Iterable[str]) -> Iterator[dict[str, bytes]]:
        """What lies at `paths` and is fit, as much at a time as the repository is kept busy with."""
        piece: dict[str, bytes] = {}
        size = 0
        for path in paths:
            try:
                piece[path] = self._read(path)
            except NotOrdinaryError as error:
                self.refused.append(Refusal(path, str(error)))
                continue
            size += len(piece[path])
            if size >= PIECE or len(piece) == BULK:
                yield piece
                piece, size = {}, 0
        yield piece

    def _read(self, path: str) -> bytes:
        data = self._view.read(path)
        if len(data) > self._largest_file:
            raise NotOrdinaryError(
                f"it has {in_words(len(data))}, and the remote takes files of at most"
                f" {in_words(self._largest_file)}"
            )
        if len(data) > self._left:
            raise NotOrdinaryError(f"a session publishes at most {MOST_BYTES // (1024 * 1024)} MB")
        self._left -= len(data)
        if path.lower().endswith(".md") and (found := _CONTROL.search(data)):
            line = data.count(b"\n", 0, found.start()) + 1
            raise NotOrdinaryError(f"it holds the control character U+{found[0][0]:04X}, in line {line}")
        if words := self._active_content(path, data):
            self.acts[path] = words
        return data

    def _active_content(self, path: str, data: bytes) -> tuple[str, ...]:
        """What acts in a note that it did not hold before; the owner's own sessions may write it."""
        if self._policy.audience is Audience.OWNER or not path.lower().endswith(".md"):
            return ()
        before = self._before(path) if len(data) <= self._text_left else None
        self._text_left -= len(data) + len(before or b"")
        if self._text_left < 0:
            # Looking takes long, and a session may have written just what makes it take longest.
            self._text_left = 0
            return (TOO_LONG,)
        words = added(_text(before), data.decode(errors="replace"))
        # In its place a declaration is judged by what it declares.
        return tuple(word for word in words if word != KIND or not is_declared_at(path))

    def _before(self, path: str) -> bytes | None:
        if (known := self._view.base.get(path)) is None:
            return None
        return self._in_git(partial(self._repository.blob, known[0].blob))

    def _put_down(self, piece: Mapping[str, bytes]) -> dict[str, Entry]:
        with self._repository.in_bulk(len(piece)):
            return {path: self._entry(path, data) for path, data in piece.items()}

    def _entry(self, path: str, data: bytes) -> Entry:
        known = self._view.base.get(path)
        blob = self._repository.write_blob(data)
        return Entry(path, blob, executable=known[0].executable if known else False)

    def fitting(self, edits: dict[str, Entry | None]) -> dict[str, Entry | None]:
        """Those that fit into the folders of the vault, beside what is there."""
        try:
            tree = self._repository.edit(self._view.revision, edits)
        except ValueError:
            # A note named like a folder of which the session saw only a part.
            clash = "its changes do not fit into the folders of the vault"
            self.refused += [Refusal(path, clash) for path in edits]
            return {}
        unfit = self._unseen(edits) | _twins(self._repository, tree, self._new(edits)) | self._filtered(edits)
        self.refused += [Refusal(path, why) for path, why in unfit.items()]
        return self.fitting({path: edits[path] for path in edits if path not in unfit}) if unfit else edits

    def _new(self, edits: Edits) -> list[str]:
        return [path for path, entry in edits.items() if entry and path not in self._view.base]

    def _filtered(self, edits: Edits) -> dict[str, str]:
        """What would lie in git as it is, where people's git encrypts it or keeps it elsewhere."""
        files = self._repository.files(self._view.revision)
        attributes = attributes_of(files)
        kept_apart = (path for path, entry in edits.items() if entry and attributes.filtered(path))
        return dict.fromkeys(kept_apart, "a program outside of git (git-crypt, LFS) stands before it")

    def _unseen(self, edits: Edits) -> dict[str, str]:
        root = self._repository.tree_of(self._view.revision)
        there = (path for path in self._new(edits) if self._repository.trees.leaf(root, path))
        return dict.fromkeys(there, "something that the session was not shown lies there")


def losing(edits: Edits, view: View, published: Collection[str]) -> frozenset[str]:
    """Those of `edits` that delete a text which is not among the `published` blobs."""
    gone = (path for path, entry in edits.items() if entry is None)
    return frozenset(path for path in gone if view.base[path][0].blob not in published)


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode(errors="replace")


def _twins(repository: Repository, tree: str, paths: Collection[str]) -> dict[str, str]:
    """Those of `paths` with a name, or a folder's, that looks like another one in `tree`; and which."""
    folders: dict[str, LookAlikes] = {}

    def alike(place: str) -> LookAlikes:
        if place not in folders:
            leaf = repository.trees.leaf(tree, place)
            folders[place] = LookAlikes(repository.trees.listing(leaf.id) if leaf and leaf.is_tree else ())
        return folders[place]

    found = {}
    for path in paths:
        parts = path.split("/")
        for depth, name in enumerate(parts):
            place = "/".join(parts[:depth])
            if twin := alike(place).of(name):
                found[path] = f"its name cannot be told from `{f'{place}/{twin}'.lstrip('/')}`"
    return found


def write_commit(
    repository: Repository,
    base: str,
    edits: Edits,
    audit: Audit,
    *,
    author: Identity,
    signer: Signer | None,
    at: datetime,
) -> str | None:
    """Write `edits` as one commit upon `base`; None where there is nothing. Runs in the git thread."""
    if not edits:
        return None
    tree = repository.edit(base, edits)
    message = f"{subject(audit.trigger, edits)}\n\n{audit.trailers()}\n"
    return repository.commit(tree, [base], message, author=author, signer=signer, at=at)


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
