"""Child processes that serve: started, listened to, and started again when they end."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.run import asynchronous
from support.running import until
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.process import Patience
from vaultloop.aio.service import keep_serving
from vaultloop.aio.supervise import background

START = datetime(2026, 11, 22, tzinfo=UTC)


class Service:
    """A child that is kept serving, the clock of its pauses, and what the log says of it."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "vaultloop.aio.service")
        self.folder = folder
        self.clock = VirtualClock(START)
        self._caplog = caplog

    def run(self, *command: str) -> AbstractAsyncContextManager[asyncio.Task[None]]:
        return background("service", self._kept(command))

    async def _kept(self, command: Sequence[str]) -> None:
        environment = {"PATH": "/usr/bin:/bin"}
        await keep_serving("bell", command, cwd=self.folder, environment=environment, clock=self.clock)

    @property
    def lines(self) -> list[str]:
        return self._caplog.messages

    def lives(self) -> int:
        return sum("starts again" in line for line in self.lines)


@pytest.fixture
def service(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Service:
    return Service(tmp_path, caplog)


@asynchronous
async def test_a_child_that_keeps_ending_is_started_again_after_growing_pauses(service: Service) -> None:
    async with service.run("/bin/sh", "-c", "exit 3"):
        for lives, pause in enumerate((1, 2, 4), start=1):
            await until(lambda lives=lives: service.lives() == lives)  # type: ignore[misc]
            assert service.lines[-1] == f"bell ended with exit code 3; it starts again in {pause} s"
            await service.clock.advance(pause - 1)
            assert service.lives() == lives
            await service.clock.advance(1)
        await until(lambda: service.lives() == 4)


@asynchronous
async def test_a_child_that_served_for_long_is_started_again_soon(service: Service) -> None:
    script = "echo serves; while [ ! -e stop ]; do sleep 0.02; done; rm stop"
    async with service.run("/bin/sh", "-c", script):
        for lives in range(1, 4):
            await until(lambda lives=lives: service.lines.count("bell: serves") == lives)  # type: ignore[misc]
            await service.clock.advance(3600)
            (service.folder / "stop").touch()
            await until(lambda lives=lives: service.lives() == lives)  # type: ignore[misc]
            assert service.lines[-1].endswith("it starts again in 1 s")
            await service.clock.advance(1)


@asynchronous
async def test_the_last_words_of_a_child_are_in_the_log_before_its_end(service: Service) -> None:
    async with service.run("/bin/sh", "-c", "echo one; echo 'no such bell' >&2; kill -9 $$"):
        await until(lambda: service.lives() == 1)
    said, end = service.lines[:-1], service.lines[-1]
    assert sorted(said) == ["bell: no such bell", "bell: one"]
    assert end == "bell was killed by signal 9; it starts again in 1 s"


@asynchronous
async def test_a_line_without_an_end_is_left_out_and_the_next_is_heard(service: Service) -> None:
    async with service.run("/bin/sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; echo; echo still here"):
        await until(lambda: service.lives() == 1)
    assert service.lines[0] == "bell said a line that is too long to be one; it is left out"
    assert service.lines[-2:] == ["bell: still here", "bell ended with exit code 0; it starts again in 1 s"]


@asynchronous
async def test_a_program_that_is_not_there_is_said_and_tried_again(service: Service) -> None:
    async with service.run("/nowhere/bell"):
        await until(lambda: service.lives() == 1)
        await service.clock.advance(1)
        await until(lambda: service.lives() == 2)
    assert service.lines[0] == "bell cannot be started (No such file or directory); it starts again in 1 s"


@asynchronous
async def test_a_pipe_that_a_grandchild_holds_open_does_not_hide_the_end(service: Service) -> None:
    leave = "import os, time; os.setsid(); time.sleep(60)"
    async with service.run("/bin/sh", "-c", f"{sys.executable} -c '{leave}' & exit 5"):
        await until(lambda: service.lives() == 1)
    assert service.lines == ["bell ended with exit code 5; it starts again in 1 s"]


@asynchronous
async def test_each_child_is_told_its_greeting_of_the_moment_and_its_input_stays_open(
    service: Service,
) -> None:
    greetings = iter([b"one\n", b"two\n"])
    kept = keep_serving(
        "bell",
        # Ends with its input, or when it is told to.
        ["/bin/sh", "-c", "read word; echo heard $word; read more && exit; echo closed"],
        cwd=service.folder,
        environment={"PATH": "/usr/bin:/bin"},
        clock=service.clock,
        greeting=lambda: next(greetings),
        patience=Patience(interrupt=0.1, terminate=0.1),
    )
    async with background("service", kept):
        for lives, word in enumerate(("one", "two"), start=1):
            await until(lambda word=word: f"bell: heard {word}" in service.lines)  # type: ignore[misc]
            assert "bell: closed" not in service.lines
            if lives == 1:
                [pid] = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
                os.kill(int(pid), signal.SIGKILL)
                await until(lambda: service.lives() == 1)
                await service.clock.advance(1)


@asynchronous
async def test_a_child_ends_with_its_keeper(service: Service) -> None:
    async with service.run("/bin/sh", "-c", "echo $$; exec sleep 600"):
        await until(lambda: len(service.lines) == 1)
        child = Path("/proc") / service.lines[0].removeprefix("bell: ")
        assert child.exists()
    assert not child.exists()
