"""The views of one state directory: leased to sessions, returned to a pool, kept for an owner to look at.

A view is made of plain copies in a directory that nobody can guess. Beside it lies its manifest: what was put
in, and how the files looked then, so that the changes can be found after a restart too. Making many files is
what costs, so a view that comes back is moved to the next revision by the difference, and the repository, for
which others wait, is held only while the next few files are read.
"""

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Policy
from vaultloop.vault.debris import clear_away
from vaultloop.vault.files import Entry, Files
from vaultloop.vault.view import FOLDER, Look, Place, View, bad_name, folder_below, too_deep

KEPT_FOR = timedelta(days=7)

# Views that wait for the next session of their scope; more than run at once by default are of no use.
POOLED_PER_SCOPE = 2

# So many bytes are read, then written, at a time: some ten milliseconds of the repository's thread.
_BATCH = 1024 * 1024

_MANIFEST = "manifest.json"

# Bytes; a hundred thousand files have about 20 MB. What is larger, a session put there.
_LARGEST_MANIFEST = 100 * 1024 * 1024

T = TypeVar("T")

# What was put into a view, by path, and how it looked then.
Held = Mapping[str, tuple[Entry, Look]]


class InGit(Protocol):
    """Runs work where the repository may be used, and waits for it."""

    def __call__(self, work: Callable[[], T], /) -> T: ...


def here(work: Callable[[], T], /) -> T:
    """Runs `work` where the caller is: the caller owns the repository."""
    return work()


class Views:
    """What it does takes its time and may run in any thread."""

    def __init__(self, state: Path) -> None:
        # Absolute: a session works in another directory than the engine.
        self._leased = state.absolute() / "views"
        self._pool = state.absolute() / "pool"
        self._kept = state.absolute() / "kept"

    def lease(self, files: Files, policy: Policy, in_git: InGit = here) -> View:
        """A view of exactly the files that `policy` lets a session read.

        `files` are used inside `in_git` only, piece by piece.
        """
        wanted = {
            entry.path: entry
            for entry in in_git(lambda: list(files.under("")))
            if policy.reads(entry.path)
            and not any(map(bad_name, entry.path.split("/")))
            and not too_deep(entry.path)
        }
        self._leased.mkdir(mode=0o700, parents=True, exist_ok=True)
        for pooled in _children(self._pool_of(policy.scope)):
            # Under a new name: what a session may still know of it leads nowhere.
            home = self._leased / secrets.token_urlsafe(18)
            with suppress(OSError):
                # Gone if another session was faster.
                pooled.rename(home)
                if known := self._pristine(home):
                    return _moved(home, known, wanted, files, in_git)
            clear_away(home)
        home = self._leased / secrets.token_urlsafe(18)
        for folder in (home, home / FOLDER):
            folder.mkdir(mode=0o700)
        return _moved(home, {}, wanted, files, in_git)

    def reopen(self, home: Path) -> View | None:
        """A view that was leased before a restart; None if it is no more, or its manifest is not ours."""
        try:
            manifest = _Manifest.model_validate_json(_read_ordinary(home / _MANIFEST))
        except (OSError, ValidationError):
            return None
        if not all(map(_stays_inside, manifest.files)):
            return None
        base = {
            path: (Entry(path, blob, executable=executable), Look(*look))
            for path, (blob, executable, look) in manifest.files.items()
        }
        return View(home, manifest.revision, base, Place(*manifest.place))

    def give_back(self, view: View, scope: str) -> None:
        """End a lease that is published or given up; the view serves the next session of `scope`."""
        pool = self._pool_of(scope)
        pool.mkdir(mode=0o700, parents=True, exist_ok=True)
        if len(_children(pool)) < POOLED_PER_SCOPE:
            view.home.rename(pool / view.home.name)
        else:
            clear_away(view.home)

    def discard(self, view: View) -> None:
        """Remove a view, whatever a session left in it."""
        clear_away(view.home)

    def keep(self, view: View, session: str, now: datetime) -> None:
        """Set a view aside under its session's id for as long as `KEPT_FOR`."""
        self._kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        clear_away(self._kept / session)
        view.home.rename(self._kept / session)
        os.utime(self._kept / session, (now.timestamp(), now.timestamp()))

    def kept(self, session: str) -> View | None:
        """The view that was kept of a session."""
        return self.reopen(self._kept / session)

    def sweep(self, in_use: Collection[str], now: datetime) -> None:
        """Remove what a crash left behind and what was kept long enough; `in_use` are homes of views."""
        names = {Path(home).name for home in in_use}
        for home in _children(self._leased):
            if home.name not in names:
                clear_away(home)
        pooled = [home for pool in _children(self._pool) for home in _children(pool)]
        for home in (*_children(self._kept), *pooled):
            if home.lstat().st_mtime < (now - KEPT_FOR).timestamp():
                clear_away(home)

    def _pool_of(self, scope: str) -> Path:
        # Per scope: what one session leaves in a view, an empty folder say, no other scope ever sees.
        return self._pool / hashlib.sha256(scope.encode()).hexdigest()[:32]

    def _pristine(self, home: Path) -> dict[str, tuple[Entry, Look]] | None:
        """What a returned view still holds as it was put in; the rest is taken out. None if it cannot be."""
        view = self.reopen(home)
        if view is None:
            return None
        try:
            changes = view.changes()
        except Stalled:
            return None
        if changes.refused:
            return None
        for path in changes.written:
            _take_out(view.folder, path)
        gone = {*changes.written, *changes.deleted}
        return {path: known for path, known in view.base.items() if path not in gone}


def _moved(home: Path, known: Held, wanted: Mapping[str, Entry], files: Files, in_git: InGit) -> View:
    """Make the view in `home`, which holds `known`, hold `wanted`."""
    folder = home / FOLDER
    # While it is half-way it has no manifest: after a crash nobody takes it for whole.
    (home / _MANIFEST).unlink(missing_ok=True)
    for path, (entry, _) in known.items():
        if wanted.get(path) != entry:
            _take_out(folder, path)
    base = {path: held for path, held in known.items() if wanted.get(path) == held[0]}
    missing = (entry for path, entry in wanted.items() if path not in base)
    for batch in _batches(list(missing), files, in_git):
        base |= _put_in(folder, batch)
    view = View(home, files.revision, base, Place.of(folder.lstat()))
    _write_manifest(view)
    return view


def _batches(
    entries: Iterable[Entry], files: Files, in_git: InGit
) -> Iterator[Sequence[tuple[Entry, bytes]]]:
    """The entries with their contents, some at a time."""
    left = iter(entries)

    def some() -> list[tuple[Entry, bytes]]:
        batch: list[tuple[Entry, bytes]] = []
        size = 0
        while size < _BATCH and (entry := next(left, None)):
            batch.append((entry, files.read(entry)))
            size += len(batch[-1][1])
        return batch

    while batch := in_git(some):
        yield batch


def _put_in(folder: Path, batch: Sequence[tuple[Entry, bytes]]) -> dict[str, tuple[Entry, Look]]:
    """Write new files; neighbours in one go, because finding their folder costs as much as a file."""
    held = {}
    for parents, neighbours in groupby(batch, lambda found: found[0].path.split("/")[:-1]):
        with folder_below(folder, parents, make=True) as inside:
            for entry, data in neighbours:
                held[entry.path] = (entry, _write(inside, entry.path.rpartition("/")[2], data))
    return held


def _write(folder: int, name: str, data: bytes) -> Look:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "wb") as file:
        file.write(data)
        file.flush()
        return Look.of(os.fstat(file.fileno()))


def _take_out(folder: Path, path: str) -> None:
    *parents, name = path.split("/")
    with folder_below(folder, parents) as inside:
        os.unlink(name, dir_fd=inside)


class _Manifest(BaseModel):
    """What lies beside a view. A session may have written into it, so its form is checked."""

    model_config = ConfigDict(strict=True, extra="forbid")

    revision: str
    place: tuple[int, int]
    files: dict[str, tuple[str, bool, tuple[int, int, int, int]]]


def _write_manifest(view: View) -> None:
    files: dict[str, Any] = {
        path: (entry.blob, entry.executable, (look.size, look.modified, look.changed, look.inode))
        for path, (entry, look) in view.base.items()
    }
    place = (view.place.device, view.place.inode)
    manifest = {"revision": view.revision, "place": place, "files": files}
    (view.home / _MANIFEST).write_text(json.dumps(manifest))


def _read_ordinary(path: Path) -> bytes:
    """The content of a regular file; a pipe in its place is not waited for, nor a link followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_MANIFEST:
            raise OSError(f"{path} is no file of ours")
        return file.read(_LARGEST_MANIFEST)


def _stays_inside(path: str) -> bool:
    return not any(part in ("", ".", "..") or "\0" in part for part in path.split("/"))


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
