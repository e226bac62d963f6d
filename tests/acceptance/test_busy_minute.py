"""A hundred crons come due in one minute, the engine is killed three times, and the chat stays awake."""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from support.installation import Engine
from support.notes import cron, note
from support.running import BASE, Place
from vaultloop.aio.rpc import JsonObject, Peer, connected
from vaultloop.model.conversation import Outcome
from vaultloop.state.database import Database
from vaultloop.state.turns import TurnRecord, Turns

SUPPORT = Path(__file__).parents[1] / "support"
ENGINE_AT = (sys.executable, "-W", "error", str(SUPPORT / "engine_at.py"))
DURABLE_ECHO = (sys.executable, str(SUPPORT / "durable_echo.py"))

CRONS = 100
MAX_SESSIONS = 2
KILLS = 3

# The longest that a command in the chat may take meanwhile (seconds). On a machine that is busy with other
# things, as many times the worst of what it takes on the idle engine, or a plain program needs to take one
# line down durably and send it back: on an idle machine that is less.
ANSWERED_WITHIN = 0.2
ANSWERED_WITHIN_TIMES = 10
# How often somebody asks (seconds).
PAUSE = 0.02

# An agent that needs a twentieth of a second and leaves a note of its own.
AGENT = 'sh -c "read -r name; sleep 0.05; echo done >> $name.md; echo $name"'


def crons() -> dict[str, str]:
    return {f"agent/crons/job-{n:03}.md": cron(f"job-{n:03}\n", schedule="0 12 * * *") for n in range(CRONS)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    defaults = note(
        "defaults", runner="command", command=f"'{AGENT}'", max_sessions=MAX_SESSIONS, timezone="UTC"
    )
    return Place.with_remote(tmp_path, {**BASE, "agent/defaults.md": defaults, **crons()})


@contextmanager
def engine(place: Place, time: str, *flags: str) -> Iterator[Engine]:
    """An engine that is ready, its clock at `time` of one day (UTC)."""
    with place.installation.engine(*ENGINE_AT, f"2026-11-22T{time}+00:00", *flags) as running:
        running.line("ready at")
        yield running


@dataclass
class Chat:
    """Somebody who says `/status` again and again.

    Attributes:
        waits: how long each answer took (seconds).
        echoes: how long the plain program took right after each.
    """

    peer: Peer
    echo: Callable[[], Awaitable[None]]
    answers: dict[str, asyncio.Event]
    waits: list[float] = field(default_factory=list)
    echoes: list[float] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def open(cls, place: Place, echo: Callable[[], Awaitable[None]]) -> "AsyncIterator[Chat]":
        answers: dict[str, asyncio.Event] = {}

        async def take(_: Peer, reply: JsonObject) -> bool:
            for message in reply["answers"]:
                if message in answers:
                    answers[message].set()
            return True

        async with connected(place.settings.state / "engine.sock", {"reply": take}) as peer:
            await peer.call("listen", chat="owner")
            yield cls(peer, echo, answers)

    async def ask(self) -> None:
        message = f"m{time.monotonic_ns()}"
        self.answers[message] = asyncio.Event()
        began = time.monotonic()
        await self.peer.call("say", chat="owner", person="owner", message=message, text="/status")
        await self.answers[message].wait()
        self.waits.append(time.monotonic() - began)
        began = time.monotonic()
        await self.echo()
        self.echoes.append(time.monotonic() - began)

    async def ask_until(self, over: Callable[[], bool]) -> None:
        while not over():
            await self.peer.while_open(self.ask())
            await asyncio.sleep(PAUSE)


@asynccontextmanager
async def durable_echo(root: Path) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """The plain program, and how to say one line to it and hear it again."""
    socket = root / "echo.sock"
    server = await asyncio.create_subprocess_exec(
        *DURABLE_ECHO, str(socket), str(root / "echo.db"), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    await server.stdout.readline()
    reader, writer = await asyncio.open_unix_connection(socket)

    async def echo() -> None:
        writer.write(b"/status\n")
        assert await reader.readline() == b"/status\n"

    try:
        yield echo
    finally:
        writer.close()
        server.kill()
        await server.wait()


def started(running: Engine) -> int:
    return sum("started for cron" in line for line in running.log)


def turns(place: Place) -> list[TurnRecord]:
    """All of crons, in the order of their making."""
    with Database(place.settings.state / "engine.db", read_only=True) as database:
        records = Turns(database).recent(10 * CRONS)[::-1]
        return [record for record in records if record.turn.trigger.kind == "cron"]


def began(record: TurnRecord) -> datetime:
    assert record.started_at is not None, record
    return record.started_at


async def the_minute(place: Place, chance: random.Random) -> tuple[list[float], list[float], list[float]]:
    """A hundred crons and three kills: waits on the idle engine before, waits and echoes meanwhile."""
    waits: list[float] = []
    echoes: list[float] = []
    async with durable_echo(place.config.parent) as echo:
        with engine(place, "11:59:59.900", "--held") as running:
            async with Chat.open(place, echo) as chat:
                await chat.ask_until(lambda: len(chat.waits) == 50)
                idle = list(chat.waits)
                os.kill(running.pid, signal.SIGUSR1)
                await chat.ask_until(lambda: started(running) > 0)
                await until_killed(running, chat, chance)
            waits += chat.waits[50:]
            echoes += chat.echoes[50:]
        for number in range(1, KILLS):
            with engine(place, f"12:{number:02}:00") as running:
                async with Chat.open(place, echo) as chat:
                    await until_killed(running, chat, chance)
                waits += chat.waits
                echoes += chat.echoes
        with engine(place, "12:10:00") as running:
            async with Chat.open(place, echo) as chat:
                await chat.ask_until(lambda: all(record.outcome for record in turns(place)))
            waits += chat.waits
            echoes += chat.echoes
            running.stop()
    return idle, waits, echoes


async def until_killed(running: Engine, chat: Chat, chance: random.Random) -> None:
    """Ask until the engine is killed, in the middle of some run."""
    after, later = started(running) + chance.randrange(1, 20), chance.random() * 0.1
    await chat.ask_until(lambda: started(running) >= after)
    await asyncio.sleep(later)
    running.kill()


def test_a_hundred_crons_due_in_one_minute_all_run_in_order_over_three_kills_while_the_chat_answers(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.randrange(1_000_000)
    idle, waits, echoes = asyncio.run(the_minute(place, random.Random(seed)))
    measured = {"/status": waits, "/status before, idle": idle, "a durable echo": echoes}
    worst = [f"{what}: {max(times) * 1000:.0f} ms, worst of {len(times)}" for what, times in measured.items()]
    figures = "; ".join([*worst, f"seed {seed}"])
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}\n")

    slots = turns(place)
    assert Counter(record.turn.key.rpartition("/")[2] for record in slots) == {"2026-11-22T12:00": CRONS}
    assert len({record.turn.conversation for record in slots}) == CRONS
    outcomes = Counter(record.outcome for record in slots)
    # A command may have acted when it was cut off, so it is not run again by itself.
    assert outcomes[Outcome.INTERRUPTED] <= KILLS * MAX_SESSIONS
    assert outcomes[Outcome.DONE] == CRONS - outcomes[Outcome.INTERRUPTED]
    # In the order of their making, but for those that run side by side.
    begun = sorted(slots, key=began)
    assert all(abs(begun.index(record) - number) < MAX_SESSIONS for number, record in enumerate(slots))
    place.human.pull()
    written = [
        place.human.read(f"{record.turn.trigger.name}.md")
        for record in slots
        if record.outcome is Outcome.DONE
    ]
    assert set(written) == {"done\n"}
    allowed = max(ANSWERED_WITHIN, ANSWERED_WITHIN_TIMES * max(*echoes, *idle))
    assert max(waits) <= allowed, f"{figures}; allowed {allowed * 1000:.0f} ms"
