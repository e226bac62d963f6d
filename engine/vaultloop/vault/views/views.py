"""The views of one state directory: leased to sessions, returned to a pool, kept for an owner to look at.

A view is made of plain copies in a directory that nobody can guess. Beside it lies its manifest: what was put
in, and how the files looked then, so that the changes can be found after a restart too. Making many files is
what costs, so a view that comes back is moved to the next revision by the difference of the two trees: that
takes what the change takes, however large the vault is. The repository, for which others wait, is held only
while the next few files are read.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Protocol, TypeVar

from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Policy
from vaultloop.vault.debris import clear_away
from vaultloop.vault.files import Entry, Revised
from vaultloop.vault.views.manifest import STANDING, Base, Look, NotOursError, Standing, append, boot
from vaultloop.vault.views.reading import Reading, reading
from vaultloop.vault.views.scan import Place, folder_below
from vaultloop.vault.views.view import FOLDER, Leftover, View

KEPT_FOR = timedelta(days=7)

# Views that wait for the next session of their scope; more than run at once by default are of no use.
POOLED_PER_SCOPE = 2

# So many bytes are read, then written, at a time: some ten milliseconds of the repository's thread.
_BATCH = 1024 * 1024

# A view in which a session changed more is not worth mending.
_MOST_LEFT = 2_000

T = TypeVar("T")


class InGit(Protocol):
    """Runs work where the repository may be used, and waits for it."""

    def __call__(self, work: Callable[[], T], /) -> T: ...


def here(work: Callable[[], T], /) -> T:
    """Runs `work` where the caller is: the caller owns the repository."""
    return work()


@dataclass(frozen=True, slots=True)
class _Move:
    """The way of a view to another revision: what is taken out, then what is put in.

    Attributes:
        folders: those of a session's, to be taken out too.
        tree: the root tree of the revision that it leads to.
    """

    out: Collection[str]
    folders: Sequence[str]
    put_in: Sequence[Entry]
    reading: Reading
    revision: str
    tree: str


class Views:
    """What it does takes its time and may run in any thread."""

    def __init__(self, state: Path) -> None:
        # Absolute: a session works in another directory than the engine.
        self._leased = state.absolute() / "views"
        self._pool = state.absolute() / "pool"
        self._kept = state.absolute() / "kept"

    def lease(self, files: Revised, policy: Policy, in_git: InGit = here, *, prompt: str = "") -> View:
        """A view of exactly the files that `policy` lets a session read that is asked `prompt`.

        `files` are used inside `in_git` only, piece by piece.
        """
        chosen = in_git(lambda: reading(policy, files, prompt))
        self._leased.mkdir(mode=0o700, parents=True, exist_ok=True)
        for pooled in _children(self._pool_of(policy.scope)):
            # Under a new name: what a session may still know of it leads nowhere.
            home = self._leased / secrets.token_urlsafe(18)
            with suppress(OSError, NotOursError, Stalled):
                # Gone if another session was faster.
                pooled.rename(home)
                if move := _way(home, files, chosen, in_git):
                    return _moved(home, move, files, in_git)
            clear_away(home)
        home = self._leased / secrets.token_urlsafe(18)
        for folder in (home, home / FOLDER):
            folder.mkdir(mode=0o700)
        return _moved(home, in_git(lambda: _from_nothing(files, chosen)), files, in_git)

    def reopen(self, home: Path) -> View | None:
        """A view that was leased before a restart; None if it is no more, or its manifest is not ours."""
        standing = Standing.beside(home)
        if standing is None:
            return None
        view = View(home, standing.revision, Place(*standing.place))
        try:
            # Read now: who learns only later that it cannot be read has promised something.
            len(view.base)
        except (OSError, NotOursError):
            return None
        return view

    def give_back(self, view: View, scope: str, *, fenced: bool = False) -> None:
        """End a lease that is published or given up; the view serves the next session of `scope`.

        `fenced`: its session was held in and has ended, so nobody can have changed the view since its changes
        were looked at last; then the next lease need not look through all of it.
        """
        standing, left = Standing.beside(view.home), view.leftover if fenced else None
        pool = self._pool_of(scope)
        pool.mkdir(mode=0o700, parents=True, exist_ok=True)
        if standing is None or len(_children(pool)) >= POOLED_PER_SCOPE or _is_wrecked(left):
            clear_away(view.home)
            return
        if isinstance(view.base, Base):
            view.base.tidy()
        known = (list(left.files), list(left.folders)) if left else None
        standing.model_copy(update={"left": known, "boot": boot()}).write(view.home)
        view.home.rename(pool / view.home.name)

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


def _is_wrecked(left: Leftover | None) -> bool:
    return left is not None and len(left.files) + len(left.folders) > _MOST_LEFT


def _from_nothing(files: Revised, chosen: Reading) -> _Move:
    wanted = [entry for entry in files.under("") if chosen.takes(entry)]
    return _Move((), (), wanted, chosen, files.revision, files.tree_id("") or "")


def _way(home: Path, files: Revised, chosen: Reading, in_git: InGit) -> _Move | None:
    """How a returned view becomes what is wanted; None if it cannot be known what is in it."""
    standing = Standing.beside(home)
    if standing is None:
        return None
    left = _leftover(home, standing)
    if left is None:
        return None
    if standing.reading == chosen.key:
        before = Reading(chosen.policy, frozenset(standing.asked))
        if move := in_git(lambda: _by_difference(standing.tree, before, chosen, files, left)):
            return move
    base = Base(home)
    return in_git(lambda: _by_comparison(base, chosen, files, left))


def _leftover(home: Path, standing: Standing) -> Leftover | None:
    """What the last session left that has to be mended; None if that is more than files and folders."""
    view = View(home, standing.revision, Place(*standing.place))
    if Place.of(view.folder.lstat()) != view.place:
        return None
    if standing.left is not None and standing.boot == boot():
        return Leftover(*map(tuple, standing.left))
    view.changes()
    return view.leftover


def _by_difference(
    tree: str, before: Reading, after: Reading, files: Revised, left: Leftover
) -> _Move | None:
    """The way from the revision with this root `tree`; None if that is no more."""
    changed = files.changed_since(tree)
    if changed is None:
        return None
    mended = frozenset(left.files)
    out, put_in = list(left.files), []
    for path in sorted({*changed, *mended, *(before.asked ^ after.asked)}):
        was, now = changed[path] if path in changed else (files.entry(path),) * 2
        had = was if before.takes(was) else None
        wants = now if after.takes(now) else None
        if had == wants and path not in mended:
            continue
        if had and path not in mended:
            out.append(path)
        if wants:
            put_in.append(wants)
    return _Move(out, left.folders, put_in, after, files.revision, files.tree_id("") or "")


def _by_comparison(base: Base, chosen: Reading, files: Revised, left: Leftover) -> _Move:
    """The way for a view of other files: each that is in it against each that is wanted."""
    wanted = {entry.path: entry for entry in files.under("") if chosen.takes(entry)}
    stays = {path for path, (entry, _) in base.items() if wanted.get(path) == entry} - {*left.files}
    out = {*base, *left.files} - stays
    put_in = [entry for path, entry in wanted.items() if path not in stays]
    return _Move(out, left.folders, put_in, chosen, files.revision, files.tree_id("") or "")


def _moved(home: Path, move: _Move, files: Revised, in_git: InGit) -> View:
    """Go the way with the view in `home`."""
    folder = home / FOLDER
    (home / STANDING).unlink(missing_ok=True)
    for path in move.out:
        _take_out(folder, path)
    for path in reversed(move.folders):
        *parents, name = path.split("/")
        # It is gone already if only files were in it that were taken out.
        with suppress(FileNotFoundError), folder_below(folder, parents) as inside:
            os.rmdir(name, dir_fd=inside)
    put_in: dict[str, tuple[Entry, Look]] = {}
    for batch in _batches(move.put_in, files, in_git):
        put_in |= _put_in(folder, batch)
    append(home, move.out, put_in)
    place = Place.of(folder.lstat())
    Standing(
        revision=move.revision,
        tree=move.tree,
        place=(place.device, place.inode),
        reading=move.reading.key,
        asked=sorted(move.reading.asked),
        boot=boot(),
    ).write(home)
    return View(home, move.revision, place)


def _batches(
    entries: Iterable[Entry], files: Revised, in_git: InGit
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
    """Remove a file, and the folders that are empty without it."""
    *parents, name = path.split("/")
    with suppress(FileNotFoundError), folder_below(folder, parents) as inside:
        os.unlink(name, dir_fd=inside)
    with suppress(OSError):
        for depth in range(len(parents), 0, -1):
            with folder_below(folder, parents[: depth - 1]) as outer:
                os.rmdir(parents[depth - 1], dir_fd=outer)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
