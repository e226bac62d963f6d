"""What is left of sessions, whatever ended them: nothing."""

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from support import unprivileged
from support.cells import WHO, alive, cell_at, ended, fence, python, run_by
from vaultloop.sandbox.launcher import FencedLauncher
from vaultloop.sandbox.limits import tasks_of
from vaultloop.vault.debris import clear_away

# Leaves three processes in sessions of their own, without anything by which they could be known.
DAEMONISER = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.environ.clear()
            open('made', 'a').close()
            while True: time.sleep(1000)
        os._exit(0)
"""


async def spawn(launcher: FencedLauncher, folder: Path, number: int, chance: random.Random) -> None:
    """One session; every tenth is killed at a random moment, every twentieth leaves daemons behind."""
    place = folder / str(number)
    place.mkdir()
    command = python(DAEMONISER) if number % 20 == 0 else ["/bin/true"]
    if number % 10 == 5:
        command = python("import time; time.sleep(1000)")
    async with launcher.launch(command, cell_at(place)) as child:
        if number % 10 == 5:
            for _ in range(chance.randrange(300)):
                await asyncio.sleep(0)
            os.kill(child.pid, signal.SIGKILL)
        await child.wait()
    clear_away(place)


async def descriptors(zygote: int | None) -> int:
    """How many this process and the zygote keep open: the fewest of some looks.

    The loop closes a little later, and the zygote has files of /proc open while it looks for orphans; what is
    lost for good is there at every look.
    """
    looks = []
    for _ in range(30):
        await asyncio.sleep(0)
        looks.append(sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in ("self", zygote)))
    return min(looks)


def supervisors(zygote: int | None) -> int:
    listed = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
    return sum(alive(int(pid)) for pid in listed)


async def spawned(folder: Path, times: int) -> list[object]:
    """What is more after so many spawns than after the first: descriptors, folders, tasks of this user."""
    chance = random.Random(7)
    async with fence() as launcher:
        for number in range(3):
            await spawn(launcher, folder, number, chance)
        tasks, before = tasks_of(os.getuid()), await descriptors(launcher.zygote)
        for start in range(0, times, 4):
            async with asyncio.TaskGroup() as group:
                for number in range(start, start + 4):
                    group.create_task(spawn(launcher, folder, number, chance), name=f"spawn {number}")
        while supervisors(launcher.zygote):
            await asyncio.sleep(0)
        more = await descriptors(launcher.zygote) - before
        return [more, [place.name for place in folder.iterdir()], tasks_of(os.getuid()) - tasks]


@pytest.mark.parametrize("who", WHO)
def test_nothing_is_left_of_many_sessions_some_killed_and_some_leaving_daemons(who: str) -> None:
    expect_nothing_more(run_by(who, spawned, 100))


@pytest.mark.acceptance
@pytest.mark.timeout(300)
def test_nothing_is_left_of_a_thousand_sessions() -> None:
    expect_nothing_more(run_by("suite", spawned, 1000, patience=280))


def expect_nothing_more(found: Sequence[object]) -> None:
    more_descriptors, folders, more_tasks = found
    assert (more_descriptors, folders) == (0, [])
    # Others may start and end programs as this user meanwhile, but not by the hundred.
    assert isinstance(more_tasks, int)
    assert more_tasks < 50


# An engine with a session that daemonised; it tells the ids of all that runs for it, and waits.
ENGINE = """
import asyncio, os, sys
from pathlib import Path
from support.cells import cell_at, fence, python
program = sys.argv[2]
async def main():
    async with fence() as launcher, launcher.launch(python(program), cell_at(Path(sys.argv[1]))) as child:
        lines = child.lines()
        started = [(await anext(lines)).decode().strip() for _ in range(3)]
        print(launcher.zygote, child.pid, *started, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
STAYER = (
    DAEMONISER.replace("open('made', 'a').close()", "print(os.getpid(), flush=True)") + "time.sleep(1000)"
)


def test_an_engine_that_is_killed_takes_all_its_sessions_with_it() -> None:
    with unprivileged.place() as folder:
        for _ in range(5):
            engine = unprivileged.start(
                [unprivileged.python(), "-c", ENGINE, str(folder), STAYER],
                unprivileged.environment(folder),
                folder,
                stdout=subprocess.PIPE,
            )
            assert engine.stdout is not None
            ids = [int(word) for word in engine.stdout.readline().split()]
            assert len(ids) == 5
            engine.kill()
            engine.wait()
            engine.stdout.close()
            while any(map(alive, ids)):
                os.sched_yield()


async def beside_many(folder: Path) -> list[str]:
    """Three hundred other processes of the user, and a session that starts twenty."""
    others = [await asyncio.create_subprocess_exec("sleep", "1000") for _ in range(300)]
    try:
        program = (
            "import subprocess; print(sum(p.wait() for p in [subprocess.Popen(['true']) for _ in range(20)]))"
        )
        async with fence() as launcher:
            result = await ended(launcher, python(program), cell_at(folder))
        return [str(result.status), result.output, result.complaint]
    finally:
        for other in others:
            other.kill()
            await other.wait()


@pytest.mark.parametrize("who", WHO)
def test_a_user_with_three_hundred_other_processes_can_run_a_session(who: str) -> None:
    assert run_by(who, beside_many) == ["0", "0\n", ""]
