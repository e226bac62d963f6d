"""The audit trail: what changed in the vault, who asked for it, under which policy, and what it cost.

git says what changed and when. Which session a commit is, and whose act, the engine's own records say, by
the commit's id: trailers could be pushed by anybody, and where the records do not bear one out, that is shown
as a claim. Reads only, so it answers whether the engine runs or not, and for a plain clone from git alone.
The shapes are a contract: later keys may be added, none changed.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from vaultloop.model.errors import VaultloopError
from vaultloop.settings import Settings
from vaultloop.state.authorship import Authored, Authorship
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory
from vaultloop.state.requests import Request, Requests
from vaultloop.state.turns import TurnRecord, Turns
from vaultloop.state.undos import Undos, standing
from vaultloop.vault.git.repository import Commit, Repository
from vaultloop.vault.git.signing import KEY_NAME, AuthorClass, Signer, author_class
from vaultloop.vault.trail.blame import Line, blame
from vaultloop.vault.trail.provenance import Provenance

# Trailers by which a commit says that a session made it.
CLAIMS = "Session"


@dataclass(frozen=True, slots=True)
class Query:
    """Which part of the trail somebody wants to see; empty for all of it.

    Attributes:
        paths: files or folders, followed through renames.
        session: of this one everything, also what is not in the vault.
        chat: the id of a chat that asked or was answered.
        trigger: a kind, or a kind and a name: `cron`, `cron/digest`.
        everything: sessions of which nothing is in the vault, too.
        limit: how many entries at most.
    """

    paths: tuple[str, ...] = ()
    session: str | None = None
    chat: str | None = None
    scope: str | None = None
    trigger: str | None = None
    since: datetime | None = None
    everything: bool = False
    limit: int = 20

    @property
    def is_of_sessions(self) -> bool:
        """Whether only the work of sessions can be meant."""
        return any((self.session, self.chat, self.scope, self.trigger))


class Trail:
    """The trail of one vault."""

    def __init__(self, repository: Repository, database: Database | None, signer: Signer | None) -> None:
        """Without a `database` and a `signer` everything is what git says, and sessions are claims."""
        self._repository, self._database, self._signer = repository, database, signer
        self._head = repository.head

    @classmethod
    def of(cls, settings: Settings, database: Database | None) -> "Trail":
        """The trail of the vault that the settings name.

        Raises:
            VaultloopError: it has no history yet.
        """
        signer = Signer.load(settings.state) if (settings.state / KEY_NAME).exists() else None
        return cls(repository_of(settings), database, signer)

    @classmethod
    def of_clone(cls, folder: Path) -> "Trail":
        """What git alone says, in a clone on somebody's own machine."""
        return cls(Repository.in_folder(folder), None, None)

    def log(self, query: Query) -> list[dict[str, Any]]:
        """`vaultloop log`: the newest first."""
        if self._head is None:
            return []
        found: Iterator[dict[str, Any]] = self._commits(query)
        if self._database is not None and (query.everything or query.session) and not query.paths:
            found = _newest_first(found, self._unpublished(query))
        return list(islice(found, query.limit))

    def blame(
        self, path: str, *, at: str | None = None, lying: bytes | None = None, lines: range | None = None
    ) -> list[dict[str, Any]]:
        """`vaultloop blame`: who wrote each line of a note, and who asked for it.

        Args:
            at: a revision, by git's name for it; None for the newest.
            lying: what lies in the folder now; its new lines are not committed yet.
            lines: their numbers, from 1; None for all.

        Raises:
            VaultloopError: there is no such note, or no such revision.
        """
        revision = self._repository.named(at) if at else self._head
        if revision is None:
            raise VaultloopError(
                f"Git knows no revision {at!r} here." if at else "The vault has no commit yet."
            )
        try:
            traced = blame(self._repository, revision, path, lying=lying, wanted=lines)
        except KeyError as error:
            raise VaultloopError(f"There is no note {path} in revision {revision[:10]}.") from error
        entries = {line.commit: self._entry_of(line.commit) for line in traced}
        return [_line(line, entries[line.commit]) for line in traced]

    def _entry_of(self, commit: str | None) -> dict[str, Any] | None:
        return None if commit is None else self._entry(self._repository.read_commit(commit))

    def _commits(self, query: Query) -> Iterator[dict[str, Any]]:
        assert self._head is not None
        if query.paths:
            commits = Provenance(self._repository).touching(self._head, query.paths)
        else:
            commits = self._repository.log(self._head, sys.maxsize)
        for commit in commits:
            # A commit may be older than its parent, where clocks were wrong: so each is looked at.
            if query.since and commit.at < query.since:
                continue
            authored = self._authored(commit)
            if not query.is_of_sessions or self._is_of(authored, query):
                yield self._entry(commit, authored)

    def _is_of(self, authored: Authored, query: Query) -> bool:
        record = authored.session
        if record is None and self._database is not None and authored.undo:
            record = Authorship(self._database).behind(authored.undo)
        return record is not None and self._fits(record, query)

    def _fits(self, record: TurnRecord, query: Query) -> bool:
        turn = record.turn
        kind, _, name = (query.trigger or "").partition("/")
        return (
            query.session in (None, record.id)
            and query.scope in (None, turn.scope)
            and kind in ("", turn.trigger.kind)
            and name in ("", turn.trigger.name)
            and (query.chat is None or query.chat in self._request(record).chats)
        )

    def _authored(self, commit: Commit) -> Authored:
        return Authorship(self._database).of(commit.id) if self._database is not None else Authored()

    def _request(self, record: TurnRecord) -> Request:
        assert self._database is not None
        return Requests(self._database).of(record)

    def _entry(self, commit: Commit, authored: Authored | None = None) -> dict[str, Any]:
        authored = self._authored(commit) if authored is None else authored
        proposal, undo = authored.proposal, authored.undo
        return {
            "commit": commit.id,
            "at": commit.at.isoformat(timespec="seconds"),
            "author": commit.author.name,
            "class": self._class(commit, authored),
            "subject": commit.subject,
            **self._of_session(authored.session),
            "parents": list(commit.parents),
            "notes": commit.body.splitlines() if len(commit.parents) > 1 and not authored.approved_by else [],
            "proposal": proposal.number if proposal else None,
            "approved_by": authored.approved_by,
            "undoes": undo.target if undo else None,
            "asked_by": undo.by if undo else None,
            "undone_by": self._undone_by(authored, commit),
            "claims": self._claim(commit, authored),
        }

    def _class(self, commit: Commit, authored: Authored) -> str:
        if authored.session is not None:
            # The engine made and signed it: it is the very commit that the records name.
            return AuthorClass.AGENT
        if len(commit.parents) > 1:
            return "merge"
        if self._signer is None:
            return "unknown" if self._repository.signature(commit.id) else AuthorClass.HUMAN
        return author_class(self._repository, commit.id, self._signer) or "merge"

    def _of_session(self, record: TurnRecord | None) -> dict[str, Any]:
        request = self._request(record) if record else None
        return {
            "session": record.id if record else None,
            "scope": record.turn.scope if record else None,
            "trigger": str(record.turn.trigger) if record else None,
            "outcome": str(record.outcome) if record and record.outcome else None,
            "cost_usd": record.cost_usd if record else 0.0,
            "why": request.why if request else None,
            "slot": request.slot if request else None,
            "chats": list(request.chats) if request else [],
            "policy": record.policy if record else None,
            "model": record.model if record else None,
        }

    def _undone_by(self, authored: Authored, commit: Commit) -> str | None:
        target = commit.id if authored.undo else authored.session.id if authored.session else None
        undo = standing(self._undos, target, self._is_there) if target else None
        return undo.commit if undo else None

    @cached_property
    def _undos(self) -> list[Any]:
        return Undos(self._database).all() if self._database is not None else []

    def _is_there(self, commit: str) -> bool:
        return self._head is not None and self._repository.is_ancestor(commit, self._head)

    def _claim(self, commit: Commit, authored: Authored) -> str | None:
        """The session that a commit says to be of, where the records do not say so."""
        said = commit.trailers.get(CLAIMS)
        known = {record.id for record in (authored.session,) if record}
        if authored.proposal:
            known.add(authored.proposal.draft.session)
        return said if said is not None and said not in known else None

    def _unpublished(self, query: Query) -> Iterator[dict[str, Any]]:
        """Sessions of which nothing is in the vault, newest first."""
        assert self._database is not None
        authorship = Authorship(self._database)
        for record in Turns(self._database).newest():
            if query.since and record.created_at < query.since:
                return
            if self._fits(record, query) and not any(map(self._is_there, authorship.made_by(record.id))):
                yield self._bare_entry(record)

    def _bare_entry(self, record: TurnRecord) -> dict[str, Any]:
        ended = record.ended_at or record.created_at
        return {
            "commit": None,
            "at": ended.isoformat(timespec="seconds"),
            "author": None,
            "class": AuthorClass.AGENT,
            "subject": f"{record.turn.trigger}: nothing in the vault",
            **self._of_session(record),
            "detail": record.detail,
        }


def _newest_first(one: Iterator[dict[str, Any]], other: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    # Commits come in the order of the history, which need not be that of their clocks: it is kept.
    waiting = next(other, None)
    for entry in one:
        while waiting and _at(waiting) > _at(entry):
            yield waiting
            waiting = next(other, None)
        yield entry
    if waiting:
        yield waiting
        yield from other


def _at(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["at"])


def _line(line: Line, entry: dict[str, Any] | None) -> dict[str, Any]:
    kept = (
        "at",
        "author",
        "class",
        "subject",
        "session",
        "scope",
        "trigger",
        "why",
        "slot",
        "chats",
        "policy",
    )
    more = ("model", "cost_usd", "outcome", "asked_by", "undoes", "claims")
    return {
        "line": line.number,
        "text": line.text.removesuffix(b"\r").decode(errors="replace"),
        "commit": line.commit,
        "path": line.path,
        "origin": line.origin,
        **{key: entry[key] if entry else None for key in (*kept, *more)},
    }


def repository_of(settings: Settings) -> Repository:
    """The repository that the vault's history is in.

    Raises:
        VaultloopError: there is none yet.
    """
    folder, bare = settings.folder, StateDirectory(settings.state).repository
    if folder is not None and (folder / ".git").exists():
        return Repository.in_folder(folder)
    if not bare.exists():
        raise VaultloopError(f"{settings.state} holds no history of the vault yet. Start it: `vaultloop up`.")
    return Repository.bare(bare, settings.branch)


def lying_at(folder: Path | None, path: str) -> bytes | None:
    """What lies in the vault's folder at a path; None without a folder, or without such a file."""
    file = folder / path if folder else None
    try:
        return file.read_bytes() if file and file.is_file() and not file.is_symlink() else None
    except OSError:
        return None


def in_vault(folder: Path | None, paths: Sequence[str], here: Path) -> tuple[str, ...]:
    """Paths as the vault in `folder` knows them, though somebody named them from where they stand in it."""
    top = folder.resolve() if folder else None
    return tuple(_in_vault(top, Path(path), here.resolve()) for path in paths)


def _in_vault(top: Path | None, path: Path, here: Path) -> str:
    if top and (path.is_absolute() or here.is_relative_to(top)):
        place = Path(os.path.normpath(here / path))
        path = place.relative_to(top) if place.is_relative_to(top) else path
    return "" if path == Path() else path.as_posix()
