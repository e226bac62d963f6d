"""A damaged git repository is put right at the start, from what else there is, and nothing is thrown away.

A power cut leaves files empty or half-written: a reference, an object, HEAD. What is damaged is set aside in
the git directory, and comes anew: a reference from its log, an object from the files of the folder or from
the remote. libgit2 would not heal it by itself: to write an object again that is there, though empty, is
answered "done" and changes nothing. Locks that a dead git left are set aside too; the index is in `index`.
"""

import hashlib
import logging
import os
import re
import shutil
import stat
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pygit2
from pygit2.enums import FileMode, ObjectType

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import Stalled, VaultloopError
from vaultloop.vault.debris import clear_away
from vaultloop.vault.git.lock import abandoned

log = logging.getLogger(__name__)

# Where, in the git directory, what was damaged is kept for whoever wants to look.
ASIDE = "vaultloop-damaged"

# Objects younger than this (seconds) are read and checked at the start: what the last power cut can have
# hurt. Of older ones, only those that are empty are found here. Reading a thousand takes 0.1 s.
YOUNG = 2 * 24 * 3600.0
MOST_READ = 20_000
# Bytes; a larger object was written in more than a moment, but to check it would hold up the start.
LARGEST_READ = 32 * 1024 * 1024

# What is fetched once more lies here, in the git directory, for a moment.
_AGAIN = "vaultloop-again-"

_ID = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_OBJECT = re.compile(r"-objects-([0-9a-f]{2})-([0-9a-f]+)\Z")
_LOOSE = re.compile(r"[0-9a-f]{2}")

# Fetches a branch (the full name of its reference) into the bare repository at a path.
Fetch = Callable[[Path, str], None]


@dataclass(slots=True)
class Damage:
    """What was wrong, and is put right or not.

    Attributes:
        sentences: for people, one for each thing that was done.
        objects: the ids of those that were set aside.
    """

    sentences: list[str] = field(default_factory=list)
    objects: set[str] = field(default_factory=set)

    def tell(self, sentence: str) -> None:
        self.sentences.append(sentence)
        log.warning("%s", sentence, extra={"repair": True})


def set_aside(file: Path, git_dir: Path) -> Path:
    """Move a damaged file to where it can be looked at; returns its new place."""
    target = _aside(file, git_dir)
    file.replace(target)
    reached(Failpoint.DAMAGE_SET_ASIDE)
    return target


def keep_copy(file: Path, git_dir: Path) -> Path:
    """As `set_aside`, for what may not be missing even for a moment: it is about to be replaced."""
    target = _aside(file, git_dir)
    shutil.copy(file, target)
    reached(Failpoint.DAMAGE_SET_ASIDE)
    return target


def _aside(file: Path, git_dir: Path) -> Path:
    place = git_dir / ASIDE
    place.mkdir(exist_ok=True, mode=0o700)
    return place / f"{time.strftime('%Y%m%d-%H%M%S')}-{'-'.join(file.relative_to(git_dir).parts)}"


def prepare(git_dir: Path, branch: str | None) -> Damage:
    """Put right what would keep the repository at `git_dir` from being opened.

    Raises:
        Stalled: HEAD or the branch cannot be told from anything that is left.
    """
    damage = Damage()
    if not (git_dir / "objects").is_dir():
        return damage
    for debris in git_dir.glob(f"{_AGAIN}*"):
        clear_away(debris)
    for lock in abandoned(git_dir):
        kept = set_aside(lock, git_dir)
        damage.tell(f"{lock} was left by a git that is dead; it is now {kept}.")
    _mend_head(git_dir, branch, damage)
    for file in _damaged_objects(git_dir / "objects"):
        damage.objects.add(file.parent.name + file.name)
        set_aside(file, git_dir)
    damage.objects |= {each for _, each in _set_aside_before(git_dir)}
    if damage.objects:
        damage.tell(
            f"{len(damage.objects)} damaged objects in {git_dir} are now in {git_dir / ASIDE}:"
            f" {_some(damage.objects)}."
        )
    for file in _damaged_references(git_dir):
        _mend_reference(file, git_dir, damage)
    return damage


def heal(
    handle: pygit2.Repository, branch: str, damage: Damage, *, folder: Path | None, fetch: Fetch | None
) -> None:
    """Bring back the objects that were set aside: from the `folder`, from the index, from the remote.

    Raises:
        Stalled: the branch needs one that is nowhere.
    """
    if not damage.objects:
        return
    if folder is not None:
        entries = _from_folder(handle, folder, damage.objects)
        _write_trees(handle, entries if handle.is_bare else _staged(handle))
    tip = handle.references.get(f"refs/heads/{branch}")
    if tip is None:
        return
    missing = _missing(handle, str(tip.target))
    trouble = ""
    if missing and fetch is not None:
        try:
            _from_remote(handle, branch, missing, fetch)
        except VaultloopError as error:
            trouble = f" {error}"
        missing = _missing(handle, str(tip.target))
    if missing:
        raise Stalled(
            f"The git repository {handle.path} has lost objects that the vault needs, and they are neither in"
            f" the folder nor at the remote: {_some(missing)}.{trouble} Nothing else was changed.",
            cure=f"Copy what is in .git/objects of another clone of the vault into {handle.path}objects;"
            f" what was damaged is in {handle.path}{ASIDE}.",
        )
    for file, _ in _set_aside_before(Path(handle.path)):
        file.rename(file.with_name(f"{file.name}.done"))
    damage.tell("Every object that the vault needs is there again.")


def _set_aside_before(git_dir: Path) -> list[tuple[Path, str]]:
    """The objects that were set aside and not seen to be there again: a repair may be killed, too."""
    found = ((file, _OBJECT.search(file.name)) for file in (git_dir / ASIDE).glob("*-objects-*"))
    return [(file, name[1] + name[2]) for file, name in found if name]


def _mend_head(git_dir: Path, branch: str | None, damage: Damage) -> None:
    head = git_dir / "HEAD"
    data = head.read_bytes() if head.exists() else b""
    if data.startswith(b"ref: refs/") or _ID.fullmatch(data.strip()):
        return
    heads = git_dir / "refs" / "heads"
    names = {str(file.relative_to(heads)) for file in heads.rglob("*") if file.is_file()}
    names |= {name.removeprefix("refs/heads/") for name in _packed(git_dir) if name.startswith("refs/heads/")}
    found = branch or (names.pop() if len(names) == 1 else None)
    if found is None:
        raise Stalled(
            f"{head} is damaged: it does not say which branch is checked out.",
            cure=f"Say it: git -C {git_dir.parent} symbolic-ref HEAD refs/heads/BRANCH.",
        )
    if head.exists():
        keep_copy(head, git_dir)
    _write(head, f"ref: refs/heads/{found}\n")
    reached(Failpoint.BRANCH_RESTORED)
    damage.tell(f"{head} was damaged; it names the branch {found} again.")


def _damaged_references(git_dir: Path) -> list[Path]:
    files = (file for file in (git_dir / "refs").rglob("*") if file.is_file())
    return [file for file in files if file.suffix != ".lock" and not _is_reference(file.read_bytes())]


def _is_reference(data: bytes) -> bool:
    return data.startswith(b"ref: ") or _ID.fullmatch(data.strip()) is not None


def _mend_reference(file: Path, git_dir: Path, damage: Damage) -> None:
    """Set a reference to the newest commit that is known of it; what nothing is known of is no more."""
    name = file.relative_to(git_dir).as_posix()
    commit = next((each for each in _candidates(git_dir, name) if _is_commit(git_dir, each)), None)
    if commit is None and name.startswith("refs/heads/"):
        raise Stalled(
            f"The reference {file} is damaged, and nothing tells where the branch was.",
            cure=f"Set it: git -C {git_dir.parent} update-ref {name} COMMIT (git fsck --lost-found lists"
            " commits).",
        )
    if commit is None:
        set_aside(file, git_dir)
        damage.tell(f"The reference {name} was damaged; nothing tells what it was, so it is gone.")
        return
    keep_copy(file, git_dir)
    _write(file, commit + "\n")
    reached(Failpoint.BRANCH_RESTORED)
    damage.tell(
        f"The reference {name} was damaged; it is {commit[:12]} again, as its log or the remote has it."
    )


def _candidates(git_dir: Path, name: str) -> Iterator[str]:
    """What a reference may have been, the likeliest first: its log, then what the remote is known to have."""
    with suppress(OSError):
        for line in reversed((git_dir / "logs" / name).read_bytes().splitlines()):
            words = line.split(b" ")
            if len(words) > 1 and _ID.fullmatch(words[1]) and words[1].strip(b"0"):
                yield words[1].decode()
    packed = _packed(git_dir)
    if name in packed:
        yield packed[name]
    branch = name.removeprefix("refs/heads/")
    places = (*(git_dir / "refs" / "remotes").glob(f"*/{branch}"), *_tracking(git_dir, branch))
    for file in places:
        with suppress(OSError):
            if _ID.fullmatch(found := file.read_bytes().strip()):
                yield found.decode()


def _tracking(git_dir: Path, branch: str) -> Iterator[Path]:
    own = git_dir / "refs" / "vaultloop"
    for kind in ("remote", "fetched/remote"):
        yield from (own / kind).glob(f"*/{branch}")


def _packed(git_dir: Path) -> dict[str, str]:
    try:
        lines = (git_dir / "packed-refs").read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    pairs = (line.split(" ", 1) for line in lines if line[:1] not in "#^")
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def _is_commit(git_dir: Path, commit: str) -> bool:
    try:
        handle = pygit2.Repository(str(git_dir))
        return handle[commit].type == ObjectType.COMMIT and bool(handle[commit].peel(ObjectType.TREE))
    except (pygit2.GitError, KeyError, ValueError):
        return False


def _damaged_objects(objects: Path) -> Iterator[Path]:
    read, since = 0, time.time() - YOUNG
    for folder in objects.iterdir():
        if not _LOOSE.fullmatch(folder.name) or not folder.is_dir():
            continue
        for file in folder.iterdir():
            info = file.stat()
            if file.name.startswith("tmp_"):
                continue
            young = info.st_mtime >= since and info.st_size <= LARGEST_READ and read < MOST_READ
            read += young
            if info.st_size == 0 or (young and not _is_whole(file)):
                yield file


def _is_whole(file: Path) -> bool:
    name = file.parent.name + file.name
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(file.read_bytes())
    except zlib.error:
        return False
    except OSError:
        return True  # unreadable to us is not damaged
    digest = hashlib.sha1(usedforsecurity=False) if len(name) == 40 else hashlib.sha256()
    digest.update(data)
    return inflate.eof and digest.hexdigest() == name


def _from_folder(handle: pygit2.Repository, folder: Path, wanted: set[str]) -> list[pygit2.IndexEntry]:
    """Write what is wanted and lies in the folder; returns an entry for each file there."""
    entries = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for file in (Path(place, name) for name in files):
            with suppress(pygit2.GitError, OSError, ValueError):
                entries.append(_restored(handle, file, file.relative_to(folder), wanted))
    return entries


def _restored(handle: pygit2.Repository, file: Path, path: Path, wanted: set[str]) -> pygit2.IndexEntry:
    info = file.lstat()
    if stat.S_ISLNK(info.st_mode):
        return pygit2.IndexEntry(str(path), handle.create_blob(os.fsencode(file.readlink())), FileMode.LINK)
    if not stat.S_ISREG(info.st_mode):
        raise ValueError(f"{path} is no file")
    blob = pygit2.hashfile(str(file))
    if str(blob) in wanted:
        # Not by its path: libgit2 would look into the index for attributes, which may be damaged, too.
        blob = handle.create_blob(file.read_bytes())
        reached(Failpoint.OBJECT_RESTORED)
    elif not handle.is_bare and b"\r\n" in file.read_bytes():
        # Line ends may be others in git than on the disk.
        blob = handle.create_blob_fromworkdir(str(path))
    mode = FileMode.BLOB_EXECUTABLE if info.st_mode & stat.S_IXUSR else FileMode.BLOB
    return pygit2.IndexEntry(str(path), blob, mode)


def _staged(handle: pygit2.Repository) -> Iterator[pygit2.IndexEntry]:
    with suppress(pygit2.GitError, OSError):
        yield from handle.index


def _write_trees(handle: pygit2.Repository, entries: Iterable[pygit2.IndexEntry]) -> None:
    """The trees of what is staged, or lies in the folder: mostly those of the last commit."""
    # Not from the index itself: it remembers the ids of trees, and would not write them again.
    index = pygit2.Index()
    with suppress(pygit2.GitError, OSError, KeyError):
        for entry in entries:
            if entry.id in handle:
                index.add(entry)
        index.write_tree(handle)


def _from_remote(handle: pygit2.Repository, branch: str, missing: set[str], fetch: Fetch) -> None:
    """Fetch the branch as a newcomer does, and take what is missing from there."""
    with tempfile.TemporaryDirectory(prefix=_AGAIN, dir=handle.path) as place:
        pygit2.init_repository(place, bare=True)
        fetch(Path(place), f"refs/heads/{branch}")
        fresh = pygit2.Repository(place)
        tip = handle.references.get(f"refs/heads/{branch}")
        assert tip is not None
        # What was behind a missing object is only known once it is here.
        while missing:
            found = [each for each in missing if each in fresh]
            for each in found:
                kind, data = fresh.read(each)
                handle.write(kind, data)
                reached(Failpoint.OBJECT_RESTORED)
            missing = _missing(handle, str(tip.target)) if found else set()


def _missing(handle: pygit2.Repository, tip: str) -> set[str]:
    """The objects that a commit or its past needs and that are not here; each tree is entered once."""
    missing: set[str] = set()
    seen: set[str] = set()
    open_ = [tip]
    while open_:
        each = open_.pop()
        if each in seen:
            continue
        seen.add(each)
        try:
            found = handle[each]
        except (KeyError, pygit2.GitError):
            missing.add(each)
            continue
        if found.type == ObjectType.COMMIT:
            commit = cast("pygit2.Commit", found)
            open_ += [str(commit.tree_id), *map(str, commit.parent_ids)]
        elif found.type == ObjectType.TREE:
            _look_into(handle, cast("pygit2.Tree", found), open_, missing)
    return missing


def _look_into(handle: pygit2.Repository, tree: pygit2.Tree, open_: list[str], missing: set[str]) -> None:
    for item in tree:
        if item.type == ObjectType.TREE:
            open_.append(str(item.id))
        elif item.filemode != FileMode.COMMIT and item.id not in handle:
            missing.add(str(item.id))


def _write(file: Path, text: str) -> None:
    """Put a small file there in one step, on the disk for certain."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.vaultloop")
    with fresh.open("w") as content:
        content.write(text)
        content.flush()
        os.fsync(content.fileno())
    fresh.replace(file)


def _some(ids: set[str]) -> str:
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return ", ".join(sorted(ids)[:5]) + more
