"""Child processes that serve: started, listened to, and started again when they end."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.process import Patience, Process, running
from vaultloop.aio.supervise import FIRST_PAUSE, LONGEST_PAUSE

log = logging.getLogger(__name__)

# A life this long was no failed start: the next pause is short again.
STEADY = timedelta(minutes=1)

# How long a child that has ended may keep its last lines from us (seconds); whoever inherited its pipes can
# hold them open for ever.
LAST_LINES_PATIENCE = 2.0


async def keep_serving(
    name: str,
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    clock: Clock,
    greeting: Callable[[], bytes] = bytes,
    patience: Patience | None = None,
) -> None:
    """Run `command` until cancelled, its lines in our log; when it ends, start it again.

    The pause before that doubles while it keeps ending soon after its start. It never raises: what we do
    without this child goes on without it.

    Args:
        greeting: what each new child is told on its standard input, which stays open.
        patience: for its end, where it is not the usual one.
    """
    pause = FIRST_PAUSE
    while True:
        started = clock.now()
        life = running(command, cwd=cwd, environment=environment, patience=patience)
        end = await _one_life(name, life, greeting)
        if clock.now() - started >= STEADY:
            pause = FIRST_PAUSE
        log.warning("%s %s; it starts again in %.0f s", name, end, pause)
        await sleep(clock, pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def _one_life(
    name: str, life: AbstractAsyncContextManager[Process], greeting: Callable[[], bytes]
) -> str:
    """Run the child once; how it ended, in words."""
    try:
        async with life as child:
            await child.write(greeting())
            await _until_gone(name, child)
            code = await child.wait()
    except OSError as error:
        return f"cannot be started ({error.strerror})"
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


async def _until_gone(name: str, child: Process) -> None:
    """Forward what the child says until it has ended and said its last."""
    async with asyncio.TaskGroup() as group:
        listeners = [
            group.create_task(_forward(name, stream), name=f"lines of {name}")
            for stream in (child.stdout, child.stderr)
        ]
        await child.wait()
        await asyncio.wait(listeners, timeout=LAST_LINES_PATIENCE)
        for listener in listeners:
            listener.cancel()


async def _forward(name: str, stream: asyncio.StreamReader) -> None:
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            log.warning("%s said a line that is too long to be one; it is left out", name)
            continue
        if not line:
            return
        log.info("%s: %s", name, line.decode(errors="replace").rstrip())
