"""The views of one state directory: leased to sessions, returned to a pool, kept for an owner to look at.

A view is made of plain copies in a directory that nobody can guess. Beside it lies its manifest: what was put
in, and how the files looked then, so that the changes can be found after a restart too. Making many files is
what costs, so a view that comes back is moved to the next revision by the difference.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from vaultloop.model.policy import Policy
from vaultloop.vault.files import Entry, Files
from vaultloop.vault.view import FOLDER, Look, View, bad_name, folder_below

KEPT_FOR = timedelta(days=7)

# Views that wait for the next session of their scope; more than run at once by default are of no use.
POOLED_PER_SCOPE = 2

_MANIFEST = "manifest.json"


class Views:
    """Leasing reads the vault's repository, so it runs in the git thread; the rest may run anywhere."""

    def __init__(self, state: Path) -> None:
        # Absolute: a session works in another directory than the engine.
        self._leased = state.absolute() / "views"
        self._pool = state.absolute() / "pool"
        self._kept = state.absolute() / "kept"

    def lease(self, files: Files, policy: Policy) -> View:
        """A view of exactly the files that `policy` lets a session read."""
        wanted = {
            entry.path: entry
            for entry in files.under("")
            if policy.reads(entry.path) and not any(map(bad_name, entry.path.split("/")))
        }
        self._leased.mkdir(mode=0o700, parents=True, exist_ok=True)
        for pooled in _children(self._pool_of(policy.scope)):
            # Under a new name: what a session may still know of it leads nowhere.
            home = self._leased / secrets.token_urlsafe(18)
            pooled.rename(home)
            with suppress(OSError):
                if known := self._pristine(home):
                    return _moved(home, known, wanted, files)
            _remove(home)
        home = self._leased / secrets.token_urlsafe(18)
        for folder in (home, home / FOLDER):
            folder.mkdir(mode=0o700)
        return _moved(home, {}, wanted, files)

    def reopen(self, home: Path) -> View | None:
        """A view that was leased before a restart; None if it is no more."""
        try:
            manifest = json.loads((home / _MANIFEST).read_bytes())
        except (OSError, ValueError):
            return None
        base = {
            path: (Entry(path, blob, executable=executable), Look(*look))
            for path, (blob, executable, look) in manifest["files"].items()
        }
        return View(home, manifest["revision"], base)

    def give_back(self, view: View, scope: str) -> None:
        """End a lease that is published or given up; the view serves the next session of `scope`."""
        pool = self._pool_of(scope)
        pool.mkdir(mode=0o700, parents=True, exist_ok=True)
        if len(_children(pool)) < POOLED_PER_SCOPE:
            view.home.rename(pool / view.home.name)
        else:
            _remove(view.home)

    def discard(self, view: View) -> None:
        """Remove a view, whatever a session left in it."""
        _remove(view.home)

    def keep(self, view: View, session: str, now: datetime) -> None:
        """Set a view aside under its session's id for as long as `KEPT_FOR`."""
        self._kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove(self._kept / session)
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
                _remove(home)
        pooled = [home for pool in _children(self._pool) for home in _children(pool)]
        for home in (*_children(self._kept), *pooled):
            if home.lstat().st_mtime < (now - KEPT_FOR).timestamp():
                _remove(home)

    def _pool_of(self, scope: str) -> Path:
        # Per scope: what one session leaves in a view, an empty folder say, no other scope ever sees.
        return self._pool / hashlib.sha256(scope.encode()).hexdigest()[:32]

    def _pristine(self, home: Path) -> dict[str, tuple[Entry, Look]] | None:
        """What a returned view still holds as it was put in; the rest is taken out. None if it cannot be."""
        view = self.reopen(home)
        if view is None:
            return None
        changes = view.changes()
        if changes.refused:
            return None
        for path in changes.written:
            _take_out(view.folder, path)
        gone = {*changes.written, *changes.deleted}
        return {path: known for path, known in view.base.items() if path not in gone}


def _moved(
    home: Path, known: Mapping[str, tuple[Entry, Look]], wanted: Mapping[str, Entry], files: Files
) -> View:
    """Make the view in `home`, which holds `known`, hold `wanted`."""
    folder = home / FOLDER
    # While it is half-way it has no manifest: after a crash nobody takes it for whole.
    (home / _MANIFEST).unlink(missing_ok=True)
    for path, (entry, _) in known.items():
        if wanted.get(path) != entry:
            _take_out(folder, path)
    base = {
        path: held
        if (held := known.get(path)) and held[0] == entry
        else (entry, _put_in(folder, entry, files.read(entry)))
        for path, entry in wanted.items()
    }
    _write_manifest(home, files.revision, base)
    return View(home, files.revision, base)


def _put_in(folder: Path, entry: Entry, data: bytes) -> Look:
    *parents, name = entry.path.split("/")
    with folder_below(folder, parents, make=True) as inside:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=inside)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        return Look.of(os.fstat(descriptor))


def _take_out(folder: Path, path: str) -> None:
    *parents, name = path.split("/")
    with folder_below(folder, parents) as inside:
        os.unlink(name, dir_fd=inside)


def _write_manifest(home: Path, revision: str, base: Mapping[str, tuple[Entry, Look]]) -> None:
    files: dict[str, Any] = {
        path: (entry.blob, entry.executable, (look.size, look.modified, look.changed, look.inode))
        for path, (entry, look) in base.items()
    }
    (home / _MANIFEST).write_text(json.dumps({"revision": revision, "files": files}))


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _remove(home: Path) -> None:
    if not home.exists():
        return
    # A session may have taken write permission from its own directories.
    for root, directories, _ in os.walk(home):
        for name in directories:
            path = Path(root, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(home)
