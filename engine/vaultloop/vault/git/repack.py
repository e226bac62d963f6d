"""Once a night the packs and loose objects of the engine's own repository become few packs.

libgit2 keeps each fetch as a pack of its own and each object it writes as a file of its own; after a year of
sessions that is hundreds of thousands of files, and each look for an object asks them all. What is here stays
here: nothing is pruned, reachable or not, so no proposal, rescued commit or held version can get lost. A
human's own repository is left to the human's git.

It runs in a child process of its own, for its memory and its time; the program git is not needed. Whenever it
is killed, every object is still there: the new pack is whole, on the disk and in its place before anything
goes, and what was to go is written down first.
"""

import asyncio
import hashlib
import json
import logging
import os
import random
import re
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pygit2

from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.aio.process import running
from vaultloop.vault.debris import clear_away

log = logging.getLogger(__name__)

# Fewer than these cost nobody anything.
MOST_PACKS = 10
MOST_LOOSE = 500
# A pack so many times as large as all smaller ones together is left alone: else each night would write the
# whole vault again.
GROWTH = 2

# The hour, by the machine's time, and over how many seconds engines on one machine spread.
HOUR = 3
SPREAD = 2 * 3600.0
# Seconds between two looks at whether the engine is idle, and how many of them there are in a night.
LOOK_AGAIN = 600.0
LOOKS = 18
# Seconds after which a repack is given up until the next night: 100,000 notes take about one minute.
LONGEST = 1800.0

# Bytes that the search for similar objects may hold.
_WINDOW = 64 * 1024 * 1024
_CHUNK = 1 << 20
_LOOSE_FOLDER = re.compile(r"[0-9a-f]{2}")
_WORKSHOP = "vaultloop-pack"
_REMOVING = "vaultloop-removing"


@dataclass(frozen=True, slots=True)
class Repacked:
    """What was done.

    Attributes:
        objects: how many are in the new pack; 0 where there was nothing to do.
        packs, loose: how many packs and loose objects it has taken the place of.
    """

    objects: int = 0
    packs: int = 0
    loose: int = 0


def repack(git_dir: Path) -> Repacked:
    """Join the small packs and loose objects of a bare repository; a second run does nothing.

    Raises:
        OSError, pygit2.GitError, ValueError: it did not work out; every object is still where it was.
    """
    objects = git_dir / "objects"
    _finish_removal(objects)
    clear_away(objects / _WORKSHOP)
    if not is_due(git_dir):
        return Repacked()
    packs, loose = list(_small(_packs(objects))), dict(_loose(objects))
    wanted = {*loose, *(each for pack in packs for each in ids(pack.with_suffix(".idx")))}
    fresh = _written(git_dir, wanted)
    old = [pack for pack in packs if pack.name != fresh.name]
    _note_removal(objects, old)
    _finish_removal(objects)
    for file in loose.values():
        file.unlink(missing_ok=True)
        reached(Failpoint.LOOSE_REMOVED)
    return Repacked(len(wanted), len(packs), len(loose))


def is_due(git_dir: Path) -> bool:
    """Whether a repack would do anything: there is much to join, or one that was killed is to be ended."""
    objects = git_dir / "objects"
    if (objects / _WORKSHOP).exists() or (objects / "pack" / _REMOVING).exists():
        return True
    return len(list(_small(_packs(objects)))) > MOST_PACKS or sum(1 for _ in _loose(objects)) > MOST_LOOSE


def ids(index: Path) -> Iterator[str]:
    """The objects that a pack's index names.

    Raises:
        ValueError: it is of another version than git has written since 2007.
    """
    data = index.read_bytes()
    if data[:8] != b"\xfftOc\x00\x00\x00\x02":
        raise ValueError(f"{index} is no index of version 2")
    (count,) = struct.unpack_from(">I", data, 8 + 255 * 4)
    start = 8 + 256 * 4
    yield from (data[at : at + 20].hex() for at in range(start, start + 20 * count, 20))


def _packs(objects: Path) -> list[Path]:
    """The packs, the smallest first, without those that somebody asked to keep."""
    whole = (pack for pack in (objects / "pack").glob("pack-*.pack") if pack.with_suffix(".idx").exists())
    free = (pack for pack in whole if not pack.with_suffix(".keep").exists())
    return sorted(free, key=lambda pack: (pack.stat().st_size, pack.name))


def _small(packs: list[Path]) -> Iterable[Path]:
    """Those of `packs` to join: all up to the last that is not much larger than all before it."""
    total, last = 0, 0
    for number, pack in enumerate(packs, start=1):
        size = pack.stat().st_size
        if size < GROWTH * total:
            last = number
        total += size
    return packs[:last]


def _loose(objects: Path) -> Iterator[tuple[str, Path]]:
    for folder in objects.iterdir():
        if _LOOSE_FOLDER.fullmatch(folder.name) and folder.is_dir():
            for file in folder.iterdir():
                if len(file.name) == 38:
                    yield folder.name + file.name, file


def _written(git_dir: Path, wanted: set[str]) -> Path:
    """A pack of exactly these objects, in its place; it is on the disk, and was read back."""
    workshop = git_dir / "objects" / _WORKSHOP
    (workshop / "pack").mkdir(parents=True)
    handle = pygit2.Repository(str(git_dir))
    handle.config["pack.windowMemory"] = _WINDOW
    builder = pygit2.PackBuilder(handle)
    builder.set_threads(1)
    for each in sorted(wanted):
        builder.add(pygit2.Oid(hex=each))
    builder.write(str(workshop / "pack"))
    (index,) = (workshop / "pack").glob("*.idx")
    _insist_on_whole(workshop, index, wanted)
    reached(Failpoint.PACK_WRITTEN)
    place = git_dir / "objects" / "pack"
    place.mkdir(exist_ok=True)
    for file in (index.with_suffix(".pack"), index):
        _sync(file)
        file.replace(place / file.name)
    _sync(place)
    reached(Failpoint.PACK_INSTALLED)
    clear_away(workshop)
    return place / index.with_suffix(".pack").name


def _insist_on_whole(workshop: Path, index: Path, wanted: set[str]) -> None:
    pack = index.with_suffix(".pack")
    digest, left = hashlib.sha1(usedforsecurity=False), pack.stat().st_size - 20
    with pack.open("rb") as content:
        while left and (chunk := content.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
        whole = content.read() == digest.digest()
    reader = pygit2.OdbBackendPack(str(workshop))
    if (
        not whole
        or set(ids(index)) != wanted
        or not all(reader.exists(pygit2.Oid(hex=each)) for each in wanted)
    ):
        raise ValueError(f"the new pack {pack} is not whole")


def _note_removal(objects: Path, packs: list[Path]) -> None:
    """Write down which packs go, now that all they hold is elsewhere: half a removal can be finished."""
    fresh = objects / "pack" / f"{_REMOVING}.new"
    fresh.write_text(json.dumps([pack.stem for pack in packs]))
    _sync(fresh)
    fresh.replace(objects / "pack" / _REMOVING)


def _finish_removal(objects: Path) -> None:
    noted = objects / "pack" / _REMOVING
    try:
        names = json.loads(noted.read_text())
    except FileNotFoundError:
        return
    for name in names:
        for suffix in (".idx", ".rev", ".bitmap", ".mtimes", ".pack"):
            (objects / "pack" / f"{name}{suffix}").unlink(missing_ok=True)
            reached(Failpoint.PACK_REMOVED)
    noted.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def nightly(
    git_dir: Path, clock: Clock, is_idle: Callable[[], bool], share: Callable[[], float] = random.random
) -> None:
    """Repack every night, once the engine is idle; for ever. What does not work out is logged.

    Args:
        git_dir: the engine's own, bare repository.
        share: where in the night's two hours it begins, from 0 to 1.
    """
    while True:
        await clock.sleep_until(next_night(clock.now(), share()))
        for _ in range(LOOKS):
            if is_idle():
                if await asyncio.to_thread(is_due, git_dir):
                    await _in_a_child(git_dir)
                break
            await sleep(clock, LOOK_AGAIN)


def next_night(now: datetime, share: float) -> datetime:
    """The next time to begin, by the clock on the wall."""
    here = now.astimezone()
    start = here.replace(hour=HOUR, minute=0, second=0, microsecond=0) + timedelta(seconds=share * SPREAD)
    return start if start > here else start + timedelta(days=1)


async def _in_a_child(git_dir: Path) -> None:
    command = (sys.executable, "-P", "-m", "vaultloop.vault.git.repack", str(git_dir))
    try:
        async with (
            asyncio.timeout(LONGEST),
            running(command, cwd=git_dir, environment=dict(os.environ)) as child,
        ):
            told, trouble = await asyncio.gather(child.stdout.read(), child.stderr.read())
            status = await child.wait()
    except TimeoutError:
        log.warning("the nightly repack of %s took too long; it is tried again tomorrow", git_dir)
        return
    if status != 0:
        last = trouble.decode(errors="replace").strip().splitlines()[-1:]
        log.warning("the nightly repack of %s failed: %s", git_dir, *last or (f"status {status}",))
        return
    log.info("repacked %s: %s", git_dir, told.decode().strip())


def _main(git_dir: str) -> None:
    os.nice(19)
    print(json.dumps(asdict(repack(Path(git_dir)))))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    _main(sys.argv[1])
