"""The launcher with the fence: what a session's program reaches is what its policy grants."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from vaultloop.model.cell import Cell, Child
from vaultloop.model.policy import Audience
from vaultloop.model.status import Confinement
from vaultloop.sandbox import grants
from vaultloop.sandbox.direct import DirectLauncher
from vaultloop.sandbox.fenced import fenced
from vaultloop.sandbox.limits import Limits
from vaultloop.sandbox.probe import Layer, Probe
from vaultloop.sandbox.request import Request
from vaultloop.sandbox.seccomp import Rules
from vaultloop.sandbox.zygote_process import ZygoteProcess

# From this Landlock on signals stay within a cell by themselves.
SCOPES_SIGNALS = 6

# A session is ended by whoever asked for it; this much later (seconds) its supervisor does it.
BACKSTOP = 60.0

# Who may set files' times: of everybody else that would reach files whose name alone they know.
SET_TIMES = frozenset({Audience.OWNER, Audience.CRON})

# Without all of them there is no filter: it would put calls before a supervisor that cannot answer.
_FILTERING = (Layer.CALLS, Layer.GUARD, Layer.MEMORY)


class FencedLauncher:
    """Starts programs in cells; owns the zygote, so that entering and leaving it frame all sessions."""

    def __init__(
        self,
        probe: Probe,
        degraded: Collection[Audience] = (),
        programs: Sequence[Path] = (),
        *,
        private: Sequence[Path] = (),
        limits: Limits | None = None,
    ) -> None:
        """Hold sessions in by what `probe` found.

        Args:
            degraded: classes that may run although a layer is missing.
            programs: the operator's folders that agents may read and run.
            private: what no such folder may contain: the engine's state, the vault's folder.
            limits: of each session; their seconds are the policy's own.
        """
        self._probe = probe
        self._degraded = degraded
        self._programs = programs
        self._private = private
        self._limits = limits or Limits()
        self._zygote = ZygoteProcess()
        self._direct = DirectLauncher()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._zygote.close()

    @property
    def zygote(self) -> int | None:
        """The process id of the zygote while it runs."""
        return self._zygote.pid

    def confinement(self, audience: Audience) -> Confinement:
        """What holds sessions of this class in.

        Raises:
            Stalled: a layer is missing, and the operator does not let this class run without it.
        """
        allowed = self._probe.confinement(audience, self._degraded)
        nothing = not self._probe.abi and not self._filters
        return Confinement.UNCONFINED if nothing else allowed

    @asynccontextmanager
    async def launch(self, command: Sequence[str], cell: Cell) -> AsyncIterator[Child]:
        """Start `command` in `cell`; leaving the block ends it and all it started.

        Raises:
            Stalled: the program cannot be started, or not be held in as its class needs it.
        """
        if self.confinement(cell.policy.audience) is Confinement.UNCONFINED:
            async with self._direct.launch(command, cell) as unconfined:
                yield unconfined
            return
        async with fenced(self._request(command, cell), self._zygote.hand_over) as child:
            yield child

    def remedy(self, program: Path, path: Path) -> str:
        """How the operator lets `program` read `path` in its cells; empty if it does already."""
        if not self._probe.abi or grants.reaches(program, path, self._programs):
            return ""
        return grants.remedy(path, self._programs, self._private)

    @property
    def _filters(self) -> bool:
        return all(self._probe[layer].found for layer in _FILTERING)

    def _request(self, command: Sequence[str], cell: Cell) -> Request:
        program = grants.program_of(command, cell)
        limits = self._limits
        return Request(
            program=str(program),
            command=tuple(command),
            environment=dict(cell.environment),
            view=str(cell.view),
            own=(str(cell.home), str(cell.scratch)),
            files=grants.ruleset(program, cell, self._programs, self._private),
            landlock_abi=self._probe.abi,
            calls=self._rules(cell) if self._filters else None,
            door=(cell.door.host, cell.door.port) if cell.door else None,
            limits=Limits(
                memory=limits.memory,
                processes=limits.processes,
                growth=limits.growth,
                files=limits.files,
                seconds=cell.policy.stop_after.total_seconds() + BACKSTOP,
            ),
        )

    def _rules(self, cell: Cell) -> Rules:
        return Rules(
            set_times=cell.policy.audience in SET_TIMES, guard_signals=self._probe.abi < SCOPES_SIGNALS
        )
