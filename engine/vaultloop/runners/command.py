"""The runner for any program: the prompt on standard input, the reply on standard output."""

import asyncio
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from vaultloop.model.cell import Cell, CellLauncher, Child, Result, Run, Task, ToolUse
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Policy
from vaultloop.runners import needs, proxy

# A reply is for people; what is longer is cut rather than kept in memory.
LONGEST_REPLY = 256 * 1024


class CommandRunner:
    """Runs the `command` of the defaults note.

    It knows nothing of models, steps and costs, so `model`, `max-steps` and `budget-usd-per-run` do not hold
    it; `stop-after` does.
    """

    name = "command"
    # Nobody knows what it does while it runs: it counts as having acted from its start on.
    reports_tool_use = False

    def models(self, _: Policy) -> tuple[str, ...]:
        """Whatever it talks to, it is no model of ours."""
        return ()

    def __init__(self, launcher: CellLauncher, command: str) -> None:
        self._launcher = launcher
        self._command = command

    @asynccontextmanager
    async def spawn(self, task: Task, cell: Cell) -> AsyncIterator[Run]:
        """Start the program; leaving the block ends it and all it started.

        Raises:
            Stalled: the command is no command, or cannot be started.
        """
        told = _with_instructions(task, cell)
        async with self._launcher.launch(arguments(self._command), told) as child:
            sending = asyncio.create_task(child.write(_question(task), last=True), name="prompt")
            try:
                yield CommandRun(child, self._command, partial(self._out_of_reach, cell.environment))
            finally:
                sending.cancel()
                await asyncio.wait([sending])

    async def shortcomings(self, environment: Mapping[str, str]) -> list[str]:
        """What would keep the program from starting: a sentence, or none."""
        try:
            program, *_ = arguments(self._command)
        except Stalled as error:
            return [str(error)]
        # With a path that is not absolute, it is looked for in the view, which is not there yet.
        if "/" in program and not program.startswith("/"):
            return []
        if shutil.which(program, path=environment.get("PATH")):
            return self._out_of_reach(environment)
        return [
            f"The program `{program}` of the defaults note was not found. Install it, or correct `command`."
        ]

    def _out_of_reach(self, environment: Mapping[str, str]) -> list[str]:
        """What the program needs and may not read in a cell, with the cure: a sentence each."""
        name, *words = arguments(self._command)
        if (found := shutil.which(name, path=environment.get("PATH"))) is None:
            return []
        program = Path(found)
        told = ((path, self._launcher.remedy(program, path)) for path in needs.of(program, words))
        return [f"No session can read `{path}`, which `command` needs. {cure}" for path, cure in told if cure]


def arguments(command: str) -> Sequence[str]:
    """The words of a command line; `vaultloop` is this very program, wherever it is installed.

    Raises:
        Stalled: it is empty, a quotation mark is not closed, or it has characters that no command can have.
    """
    if command != (written := _writable(command.encode(errors="replace"))):
        raise Stalled(
            f"The command `{written}` has characters that no command can have.",
            cure="Correct `command` in the defaults note.",
        )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise Stalled(
            f"The command `{command}` cannot be read ({error}).",
            cure="Correct `command` in the defaults note.",
        ) from error
    if not words:
        raise Stalled(
            "There is no command to run.",
            cure="Write `command: vaultloop practice` in the defaults note, or another program.",
        )
    if words[0] == "vaultloop":
        # -P: it starts in a view, and a `vaultloop.py` that somebody wrote there is not this program.
        return [sys.executable, "-P", "-m", "vaultloop", *words[1:]]
    return words


def _writable(printed: bytes | bytearray) -> str:
    """What a program printed, as a text that can be kept and sent."""
    return printed.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _question(task: Task) -> bytes:
    return task.prompt.encode(errors="replace") + b"\n"


def _with_instructions(task: Task, cell: Cell) -> Cell:
    # A plain program has no system prompt: what would be in it lies in a file, for those that want it.
    path = cell.scratch / "instructions.md"
    path.write_text(task.instructions, encoding="utf-8", errors="replace")
    told = {"VAULTLOOP_INSTRUCTIONS": str(path), **proxy.variables(cell)}
    return replace(cell, environment={**cell.environment, **told})


class CommandRun:
    """One run of a program."""

    def __init__(
        self, child: Child, command: str, out_of_reach: Callable[[], Sequence[str]] = lambda: ()
    ) -> None:
        """`out_of_reach` says what the program may not read, though it needs it."""
        self._child = child
        self._out_of_reach = out_of_reach
        self._command = command
        self._reply = bytearray()

    @property
    def pid(self) -> int:
        return self._child.pid

    async def events(self) -> AsyncIterator[ToolUse]:
        """Nothing is known of what it does; ends when it closes its standard output."""
        async for line in self._child.lines():
            if len(self._reply) < LONGEST_REPLY:
                self._reply += line
        nothing: tuple[ToolUse, ...] = ()
        for use in nothing:
            yield use

    async def result(self) -> Result:
        status = await self._child.wait()
        if status == 0:
            return Result(ok=True, text=_writable(self._reply[:LONGEST_REPLY]).strip())
        complaint = _writable((await self._child.complaint()).encode(errors="replace"))
        text = f"`{self._command}` ended with status {status}."
        return Result(ok=False, text=" ".join((text, complaint, *self._out_of_reach())).strip())

    async def interrupt(self) -> None:
        """A plain program has no ear for this: it hears the signals that follow."""
