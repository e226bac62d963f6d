"""A cell and what runs in it: the borders between a session, a runner and the sandbox."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vaultloop.model.gateway import Door
from vaultloop.model.policy import Audience, Policy
from vaultloop.model.status import Confinement


@dataclass(frozen=True, slots=True)
class Cell:
    """What a session's process is confined to.

    Attributes:
        view: its working directory: the files of its scope and nothing else.
        home, scratch: fresh for each session (HOME and TMPDIR).
        environment: exactly what the process gets; never a secret.
        door: the only address that it can reach; without one it reaches none.
        mounts: folders of the operator that it may read, by the names that notes use.
    """

    view: Path
    home: Path
    scratch: Path
    environment: Mapping[str, str]
    policy: Policy
    door: Door | None = None
    mounts: Mapping[str, Path] = field(default_factory=dict)


class Child(Protocol):
    """A running process in its cell."""

    @property
    def pid(self) -> int: ...
    async def write(self, data: bytes, *, last: bool = False) -> None: ...
    def lines(self) -> AsyncIterator[bytes]:
        """Lines of standard output, until it closes."""
        ...

    async def complaint(self) -> str:
        """The limit of its cell that ended it, if one did, and the end of standard error, once it closed."""
        ...

    async def wait(self) -> int: ...
    async def stop(self) -> None:
        """End it and all it started, in widening steps; returns when they are gone."""
        ...


class CellLauncher(Protocol):
    """Starts programs in cells."""

    def confinement(self, audience: Audience) -> Confinement:
        """What holds sessions of this class in.

        Raises:
            Stalled: a layer that they need is missing here; with the layer, the errno and the remedy.
        """
        ...

    def launch(self, command: Sequence[str], cell: Cell) -> AbstractAsyncContextManager[Child]:
        """Start `command`; leaving the block ends it.

        Raises:
            Stalled: the program cannot be started, or not be held in; says which and how to mend it.
        """
        ...

    def remedy(self, program: Path, path: Path) -> str:
        """How the operator lets `program` read `path` in its cells; empty if it does already."""
        ...


@dataclass(frozen=True, slots=True)
class Transcript:
    """What an agent program remembers of a conversation, in its own format.

    Attributes:
        id: the program's own name for it.
        file: where it lies; in the home or scratch folder of a cell it lasts only as long as the cell.
        spent_usd: what the conversation had cost in all when it ended.
    """

    id: str
    file: Path
    spent_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Task:
    """What a runner is asked to do.

    Attributes:
        prompt: what the person or the schedule says.
        instructions: appended to the agent's system prompt: scope, rules and the vault's CLAUDE files.
        session: id of the session.
        resume: the conversation's transcript, where it continues.
        keep_transcript: whether the result is to name the transcript of this run.
    """

    session: str
    prompt: str
    instructions: str
    resume: Transcript | None = None
    keep_transcript: bool = False


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The agent used a tool; `reads_only` is false for anything that may have changed the world."""

    name: str
    reads_only: bool


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Attributes:
        ok: there is an answer; false when `text` is the runner's complaint.
        cost_usd: of this run alone; 0 for programs that cost nothing.
        transcript: what was asked for with `keep_transcript`; its file lies in the cell.
        resumable: false where it ended because the program could not use the transcript of its task.
        retryable: whether another try may do better than one that is not `ok`; false for a bad key, an
            unknown model, a budget or a number of steps that is used up, a refusal.
    """

    ok: bool
    text: str
    cost_usd: float = 0.0
    model: str = ""
    steps: int = 0
    usage: Mapping[str, int] = field(default_factory=dict)
    transcript: Transcript | None = None
    resumable: bool = True
    retryable: bool = True


class Run(Protocol):
    """One run of an agent."""

    @property
    def pid(self) -> int: ...
    def events(self) -> AsyncIterator[ToolUse]:
        """What it does, as it does it; ends when the run ends."""
        ...

    async def result(self) -> Result:
        """How it ended; only after `events` ended."""
        ...

    async def interrupt(self) -> None:
        """Ask it to stop; it may still give an answer."""
        ...


class Runner(Protocol):
    """Drives one kind of agent program."""

    @property
    def name(self) -> str: ...
    @property
    def reports_tool_use(self) -> bool:
        """Whether `Run.events` tells every tool use; otherwise a run counts as acting from its start."""
        ...

    def models(self, policy: Policy) -> tuple[str, ...]:
        """The models that a session under `policy` asks for; none for a program that talks to no model."""
        ...

    def spawn(self, task: Task, cell: Cell) -> AbstractAsyncContextManager[Run]:
        """Start the agent; leaving the block ends it and all it started.

        Raises:
            Stalled: the program is missing or cannot start; with the cure.
        """
        ...
