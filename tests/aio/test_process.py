"""Child processes that end when asked, and are ended when they do not listen."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from support.run import asynchronous
from vaultloop.aio import process
from vaultloop.aio.process import running

ENVIRONMENT = {"PATH": os.defpath}
DEAF = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print('deaf', flush=True)
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@asynchronous
async def test_a_child_answers_over_its_pipes(tmp_path: Path) -> None:
    async with running(["cat"], cwd=tmp_path, environment=ENVIRONMENT) as child:
        await child.write(b"hello", last=True)
        assert await child.stdout.read() == b"hello"
        assert await child.wait() == 0


@asynchronous
async def test_a_child_gets_exactly_the_environment_it_is_given(tmp_path: Path) -> None:
    async with running(["/usr/bin/env"], cwd=tmp_path, environment={"ONLY": "this"}) as child:
        assert await child.stdout.read() == b"ONLY=this\n"


@asynchronous
async def test_leaving_the_block_ends_a_child_that_ignores_interrupt_and_terminate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "INT_PATIENCE", 0.05)
    monkeypatch.setattr(process, "TERM_PATIENCE", 0.05)
    async with running([sys.executable, "-c", DEAF], cwd=tmp_path, environment=ENVIRONMENT) as child:
        assert await child.stdout.readline() == b"deaf\n"
    assert child.returncode == -signal.SIGKILL


@asynchronous
async def test_grandchildren_in_the_group_end_with_the_child(tmp_path: Path) -> None:
    script = "sleep 600 & echo $!; wait"
    async with running(["/bin/sh", "-c", script], cwd=tmp_path, environment=ENVIRONMENT) as child:
        grandchild = int(await child.stdout.readline())
        assert is_alive(grandchild)
    while is_alive(grandchild):
        await asyncio.sleep(0)


@asynchronous
async def test_a_cancelled_caller_leaves_no_process_behind(tmp_path: Path) -> None:
    pids: asyncio.Queue[int] = asyncio.Queue()

    async def caller() -> None:
        async with running(["sleep", "600"], cwd=tmp_path, environment=ENVIRONMENT) as child:
            pids.put_nowait(child.pid)
            await child.wait()

    task = asyncio.create_task(caller())
    pid = await pids.get()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pid)


@asynchronous
async def test_writing_to_a_child_that_is_gone_is_no_error(tmp_path: Path) -> None:
    async with running(["true"], cwd=tmp_path, environment=ENVIRONMENT) as child:
        await child.wait()
        await child.write(b"x" * 1_000_000, last=True)


@asynchronous
async def test_a_child_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent = (
        "import asyncio, pathlib, sys\n"
        "from vaultloop.aio.process import running\n"
        "async def main():\n"
        "    path = {'PATH': '/usr/bin:/bin'}\n"
        "    async with running(['sleep', '600'], cwd=pathlib.Path('.'), environment=path) as c:\n"
        "        print(c.pid, flush=True)\n"
        "        await c.wait()\n"
        "asyncio.run(main())\n"
    )
    async with running([sys.executable, "-c", parent], cwd=tmp_path, environment=ENVIRONMENT) as child:
        orphan = int(await child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()
        while is_alive(orphan):
            await asyncio.sleep(0)


async def said(child: process.Process) -> list[bytes]:
    return [line async for line in child.lines()]


@asynchronous
async def test_lines_come_whole_however_long_they_are_and_the_last_needs_no_end(tmp_path: Path) -> None:
    program = "import sys; sys.stdout.write('a' * 300_000 + '\\n\\nb\\n' + 'c' * 70_000)"
    async with running([sys.executable, "-c", program], cwd=tmp_path, environment=ENVIRONMENT) as child:
        assert await said(child) == [b"a" * 300_000 + b"\n", b"\n", b"b\n", b"c" * 70_000]


@asynchronous
async def test_a_line_that_never_ends_is_cut_and_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LONGEST_LINE", 100_000)
    program = "import sys; sys.stdout.write('a' * 3_000_000 + '\\nb\\n' + 'c' * 3_000_000)"
    async with running([sys.executable, "-c", program], cwd=tmp_path, environment=ENVIRONMENT) as child:
        assert await said(child) == [b"a" * 100_000 + b"\n", b"b\n", b"c" * 100_000]


@asynchronous
async def test_a_child_may_be_given_less_patience_than_usual(tmp_path: Path) -> None:
    short = process.Patience(0.01, 0.01)
    command = [sys.executable, "-c", DEAF]
    async with running(command, cwd=tmp_path, environment=ENVIRONMENT, patience=short) as child:
        assert await child.stdout.readline() == b"deaf\n"
        before = asyncio.get_running_loop().time()
    assert child.returncode == -signal.SIGKILL
    assert asyncio.get_running_loop().time() - before < process.INT_PATIENCE
