"""kill -9 at every step of bringing branch, folder and remote together: nothing is lost, nothing doubled."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.commits import NOON, commit
from support.git_server import bare_repository
from support.killed import killed_at
from support.vault_clone import VaultClone, git
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.failpoint import Failpoint
from vaultloop.model.status import PushState
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.sync.sync import Sync

CRON = "agent/crons/digest.md"
MARKED = "begin\n<<<<<<< HEAD\nmine\n=======\ntheirs\n>>>>>>> origin/main\nend\n"


@dataclass(frozen=True)
class Scene:
    """A remote, a human's clone, an engine's state and the folder that it watches, all in one place."""

    place: Path

    @property
    def origin(self) -> Path:
        return self.place / "vault.git"

    @property
    def human(self) -> VaultClone:
        return VaultClone(self.place / "human")

    @property
    def watched(self) -> Path:
        return self.place / "watched"

    def sync(self) -> Sync:
        watched = self.watched if self.watched.exists() else None
        at_once = timedelta(0)
        return Sync(
            self.place / "state",
            VirtualClock(NOON),
            remote=str(self.origin),
            folder=watched,
            settle=at_once,
            quiet=at_once,
        )

    async def answer(self, sync: Sync, texts: dict[str, str | None]) -> str:
        """What a session that saw the branch as it is would publish."""
        base = await sync.git(lambda: sync.repository.head)
        signer = Signer.make(self.place / "state")
        made = await sync.git(commit, sync.repository, base, texts, signer=signer)
        await sync.git(sync.repository.keep, "session", made)
        return made

    def push(self, path: str, text: str) -> None:
        self.human.save(path, text)
        self.human.push()


async def begun(scene: Scene) -> None:
    """A human's vault that the engine has, and one answer that only the engine has."""
    for path, text in {"note.md": "one\n", CRON: "kind: cron\n", "log.md": "begin\n"}.items():
        scene.human.save(path, text)
    scene.human.push()
    async with scene.sync() as sync:
        await sync.look()
        await sync.integrate(await scene.answer(sync, {"note.md": "the agent's\n"}))


async def both_changed(scene: Scene) -> None:
    await begun(scene)
    scene.push("note.md", "the human's\n")


async def look_and_push(scene: Scene) -> None:
    async with scene.sync() as sync:
        await sync.look()
        await sync.push()


async def held(scene: Scene) -> None:
    await begun(scene)
    async with scene.sync() as sync:
        base = await sync.git(lambda: sync.repository.head)
        here = await sync.git(commit, sync.repository, base, {CRON: "kind: cron # here\n"})
        await sync.git(sync.repository.move, base, here)
    scene.push(CRON, "kind: cron # there\n")


async def decided(scene: Scene) -> None:
    await held(scene)
    await look_and_push(scene)
    scene.human.pull()
    scene.push(CRON, "kind: cron # decided\n")


async def marked(scene: Scene) -> None:
    """What the human pushes follows what is here: nothing is joined."""
    await begun(scene)
    await look_and_push(scene)
    scene.human.pull()
    scene.push("log.md", MARKED)


async def raced(scene: Scene) -> None:
    """The human is faster: what the engine pushes upon is not what is there."""
    async with scene.sync() as sync:
        await sync.look()
        scene.push("note.md", "the human's\n")
        await sync.push()


async def edited(scene: Scene) -> None:
    scene.watched.mkdir()
    await begun(scene)
    (scene.watched / "saved.md").write_text("saved\n")


async def in_the_way(scene: Scene) -> None:
    scene.watched.mkdir()
    await begun(scene)
    (scene.watched / "answer.md").symlink_to("elsewhere.md")
    async with scene.sync() as sync:
        await scene.answer(sync, {"answer.md": "42\n"})


async def integrate(scene: Scene) -> None:
    """What publishing does, and does again after a crash."""
    async with scene.sync() as sync:
        await sync.look()
        made = await sync.git(sync.repository.kept, "session")
        assert made is not None
        await sync.integrate(made)
        await sync.push()


async def rewritten(scene: Scene) -> None:
    await begun(scene)
    scene.human.git("reset", "-q", "--hard", "HEAD~1")
    scene.human.save("other.md", "rewritten\n")
    scene.human.push("--force")


async def accept(scene: Scene) -> None:
    async with scene.sync() as sync:
        await sync.look()
        if sync.paused:
            await sync.resume(scene.human.head)
        await sync.push()


@dataclass(frozen=True)
class Case:
    """How a place is made, what dies in it at which points, and what starts again after that.

    Attributes:
        lines: what has to be there at the end, each with its file.
    """

    made: Callable[[Scene], Coroutine[Any, Any, None]]
    work: Callable[[Scene], Coroutine[Any, Any, None]]
    again: Callable[[Scene], Coroutine[Any, Any, None]]
    points: tuple[Failpoint, ...]
    lines: Mapping[str, tuple[str, ...]]


F = Failpoint
BOTH = {"note.md": ("the human's", "> the agent's")}
CASES = {
    "join": Case(
        both_changed,
        look_and_push,
        look_and_push,
        (
            *(F.HEADS_HEARD, F.FETCHED, F.TRACKING_KEPT, F.COMMIT_WRITTEN, F.JOIN_WRITTEN, F.BRANCH_MOVED),
            *(F.UNITED, F.BEFORE_PUSH, F.AFTER_PUSH, F.PUSH_NOTED),
        ),
        BOTH,
    ),
    "race": Case(begun, raced, look_and_push, (F.PUSH_REFUSED,), BOTH),
    "hold": Case(held, look_and_push, look_and_push, (F.HELD_KEPT,), {CRON: ("kind: cron",)}),
    "decide": Case(
        decided, look_and_push, look_and_push, (F.HELD_RELEASED,), {CRON: ("kind: cron # decided",)}
    ),
    "mend": Case(
        marked,
        look_and_push,
        look_and_push,
        (F.MEND_WRITTEN,),
        {"log.md": ("begin", "mine", "theirs", "end"), "note.md": ("the agent's",)},
    ),
    "edit": Case(
        edited,
        look_and_push,
        look_and_push,
        (F.EDITS_COMMITTED,),
        {"saved.md": ("saved",), "note.md": ("the agent's",)},
    ),
    "park": Case(in_the_way, integrate, integrate, (F.PARKED_KEPT,), {"note.md": ("the agent's",)}),
    "accept": Case(
        rewritten,
        accept,
        accept,
        (
            *(F.RESCUE_KEPT, F.JOIN_WRITTEN, F.ACCEPTANCE_MARKED, F.BRANCH_MOVED, F.UNITED),
            *(F.TRACKING_KEPT, F.ACCEPTANCE_NOTED),
        ),
        {"note.md": ("the agent's",), "other.md": ("rewritten",)},
    ),
}


class Places:
    """Places as the cases need them, each made once: a copy lies where the original was made."""

    def __init__(self, folder: Path) -> None:
        self.scene = Scene(folder / "place")
        self._originals = folder / "originals"
        self._undisturbed: dict[str, tuple[str, str]] = {}

    async def laid_out(self, name: str) -> Scene:
        """A fresh place for a case."""
        shutil.rmtree(self.scene.place, ignore_errors=True)
        original = self._originals / name
        if original.exists():
            shutil.copytree(original, self.scene.place, symlinks=True)
            return self.scene
        bare_repository(self.scene.origin)
        VaultClone.of(self.scene.origin, self.scene.place / "human")
        await CASES[name].made(self.scene)
        shutil.copytree(self.scene.place, original, symlinks=True)
        return self.scene

    async def undisturbed(self, name: str) -> tuple[str, str]:
        """What the remote has where nothing dies: its tree, and how many commits led there."""
        if name not in self._undisturbed:
            scene = await self.laid_out(name)
            await CASES[name].work(scene)
            self._undisturbed[name] = at_remote(scene)
        return self._undisturbed[name]


def at_remote(scene: Scene) -> tuple[str, str]:
    return git(scene.origin, "rev-parse", "main^{tree}"), git(scene.origin, "rev-list", "--count", "main")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(tmp_path_factory.mktemp("crashes"))


@pytest.mark.parametrize(
    ("name", "point"),
    [
        pytest.param(name, point, id=f"{name}-{point}")
        for name, case in CASES.items()
        for point in case.points
    ],
)
def test_after_kill_9_the_remote_gets_everything_once(places: Places, name: str, point: Failpoint) -> None:
    case = CASES[name]
    wanted = asyncio.run(places.undisturbed(name))
    scene = asyncio.run(places.laid_out(name))
    killed_at(point, lambda: case.work(scene))
    asyncio.run(case.again(scene))
    assert at_remote(scene) == wanted
    for path, lines in case.lines.items():
        found = git(scene.origin, "show", f"main:{path}").splitlines()
        assert [found.count(line) for line in lines] == [1] * len(lines)
    git(scene.origin, "fsck", "--strict")
    asyncio.run(quiet(scene))


async def quiet(scene: Scene) -> None:
    """Everything is there, and another look finds nothing to do."""
    before = git(scene.origin, "rev-parse", "main")
    async with scene.sync() as sync:
        assert await sync.look() == before
        assert (await sync.push()).state is PushState.PUSHED
        assert not sync.paused
        assert not await sync.git(sync.repository.keeps, "accepted/")
