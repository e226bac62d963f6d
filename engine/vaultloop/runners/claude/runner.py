"""The runner for the Claude Code CLI: one message in, JSON lines out.

The message goes in as stream-json with `client_composed`: otherwise the CLI would expand `@path` and slash
commands in it before the model runs, whatever tools are allowed. Permission flags are the soft layer only;
what holds the agent in is the cell.
"""

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from vaultloop.model.cell import Cell, CellLauncher, Child, Result, Run, Task, ToolUse, Transcript
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience, Policy
from vaultloop.runners.claude import flags, lines, transcript, version
from vaultloop.runners.claude.flags import DEFAULT_MODEL, Credential
from vaultloop.runners.claude.program import ClaudeProgram
from vaultloop.runners.claude.result import KEY_CURE, garbled, quoted, understood, without_result

log = logging.getLogger(__name__)

READING_TOOLS = frozenset({"Read", "Grep", "Glob", "WebFetch", "WebSearch", "TodoWrite"})

_NO_KEY = "The claude runner has no key for the model."

# Where the CLI finds the model; who says so without a door also says what opens it.
_ADDRESS = "ANTHROPIC_BASE_URL"

# How long an interrupted run may take to end by itself (seconds), before signals follow: it was measured to
# say what it has cost within 0.05 s, and within 0.55 s when it has only just been started.
INTERRUPT_PATIENCE = 0.45

# How long it may live on after its result (seconds): a command that it left in the background keeps it from
# ending at all.
FAREWELL = 1.0


class ClaudeRunner:
    """Drives the CLI directly, one process a session."""

    name = "claude"
    reports_tool_use = True

    def __init__(
        self,
        launcher: CellLauncher,
        program: str,
        credential: Credential | None,
        *,
        default_model: str = DEFAULT_MODEL,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Drive `program`, a path or a name on PATH.

        Args:
            credential: the kind that the gateway holds; the credential itself is not known here.
            environment: what the CLI is told besides. Where a cell has no door, as in tests, it says where
                the model is.
        """
        self._launcher = launcher
        self._program = ClaudeProgram(program, launcher)
        self._credential = credential
        self._environment = environment or {}
        self._default_model = default_model

    @asynccontextmanager
    async def spawn(self, task: Task, cell: Cell) -> AsyncIterator[Run]:
        """Start the CLI; leaving the block ends it and all it started.

        Raises:
            Stalled: it is missing, too old, has no credential, no way to its model, or may spend nothing.
        """
        program, _ = await self._program.proven(cell.environment, cell.policy.audience)
        equipment = self._equipment(cell)
        if (budget := cell.policy.budget_usd_per_run) is not None and budget <= 0:
            raise Stalled("`budget-usd-per-run` leaves nothing to spend.", cure="Raise it, or remove it.")
        rules = cell.scratch / "instructions.md"
        rules.write_text(task.instructions, encoding="utf-8", errors="replace")
        if task.resume is not None:
            # Where it cannot be read, the CLI says that it has no such conversation.
            with suppress(OSError):
                await asyncio.to_thread(transcript.put, task.resume, cell.home)
        mounts = cell.mounts.values()
        said = flags.flags(task, cell.policy, rules, self._default_model, mounts=mounts)
        environment = {**cell.environment, **flags.variables(cell), **equipment}
        async with self._launcher.launch([program, *said], replace(cell, environment=environment)) as child:
            hidden = [value for name in Credential if (value := equipment.get(name))]
            run = ClaudeRun(child, task, cell, hidden)
            sending = asyncio.create_task(run.say(task.prompt), name="prompt")
            try:
                yield run
            finally:
                sending.cancel()
                await asyncio.wait([sending])

    def models(self, policy: Policy) -> tuple[str, ...]:
        """The one that its command line names."""
        return (policy.model or self._default_model,)

    async def shortcomings(self, environment: Mapping[str, str]) -> list[str]:
        """What would keep a session from running, or what the owner should know of this CLI: sentences.

        `environment` is the engine's: PATH is looked through as in a session.
        """
        keyless = [] if self._credential else [f"{_NO_KEY} {KEY_CURE}"]
        try:
            _, found = await self._program.proven(environment, Audience.OWNER)
        except (Stalled, OSError) as error:
            return [str(error), *keyless]
        return [*filter(None, [version.remark(found)]), *keyless]

    def _equipment(self, cell: Cell) -> dict[str, str]:
        """What it needs to reach its model.

        Raises:
            Stalled: there is no credential, or no door to where one is.
        """
        if self._credential is None:
            raise Stalled(_NO_KEY, cure=KEY_CURE)
        if cell.door is not None:
            return {**flags.way_to_the_model(cell.door, self._credential), **self._environment}
        if _ADDRESS not in self._environment:
            raise Stalled("A session with a model needs the gateway, and there is none.", cure="")
        return dict(self._environment)


class ClaudeRun:
    """One run of the CLI. Its input stays open until the result is there, so that it can be interrupted."""

    def __init__(self, child: Child, task: Task, cell: Cell, hidden: Collection[str] = ()) -> None:
        """Follow `child`; texts in `hidden` are never repeated."""
        self._child = child
        self._task = task
        self._cell = cell
        self._hidden = hidden
        self._answer: dict[str, Any] | None = None
        self._model = ""
        # Whether its lines name their session: one that does not is then somebody else's.
        self._says_session = False
        self._heard_odd_line = False
        self._over = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._child.pid

    async def say(self, text: str) -> None:
        """Hand over the message as it was written: nothing in it is expanded."""
        message = {"role": "user", "content": text}
        await self._send({"type": "user", "client_composed": True, "message": message})

    async def events(self) -> AsyncIterator[ToolUse]:
        printed = self._child.lines()
        async for line in printed:
            for name in self._noted(lines.parsed(line)):
                yield ToolUse(name, reads_only=name in READING_TOOLS)
            if self._answer is not None:
                break
        # Nothing more will be asked: the CLI ends when its input does.
        await self._child.write(b"", last=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                async for _ in printed:
                    pass
        self._over.set()

    async def result(self) -> Result:
        result = await self._understood()
        if not self._task.keep_transcript:
            return result
        return replace(result, transcript=await asyncio.to_thread(self._transcript, result))

    async def interrupt(self) -> None:
        """Ask it to stop; returns once it has said what it has cost, or does not listen.

        Somebody must go on following its events meanwhile.
        """
        request = {"subtype": "interrupt"}
        await self._send({"type": "control_request", "request_id": str(uuid.uuid4()), "request": request})
        with suppress(TimeoutError):
            async with asyncio.timeout(INTERRUPT_PATIENCE):
                await self._over.wait()

    def _noted(self, event: Mapping[str, Any] | None) -> list[str]:
        """Take note of an event; the tools that it says were used."""
        used: list[str] | None = []
        match event:
            case None:
                used = None
            case {"type": "system", "subtype": "init"}:
                self._note_init(event)
            case {"type": "system", "subtype": "api_retry"}:
                self._log_retry(event)
            case {"type": "assistant"}:
                used = lines.tools(event)
            case {"type": "result"}:
                used = self._note_result(event)
        if used is None:
            self._log_odd_line()
        return used or []

    def _note_init(self, event: Mapping[str, Any]) -> None:
        if event.get("session_id") in (None, self._id) and not self._model:
            self._model = quoted(lines.text(event, "model"), self._hidden)
            self._says_session = "session_id" in event

    def _note_result(self, event: Mapping[str, Any]) -> list[str] | None:
        """The first result of this very session counts; any other line is nobody's."""
        if event.get("session_id") != self._id and (self._says_session or "session_id" in event):
            return None
        self._answer = dict(event)
        self._log_denials(event)
        return []

    async def _understood(self) -> Result:
        if self._answer is not None and lines.is_result(self._answer):
            return understood(self._answer, self._model, spent_before=self._spent_before, hidden=self._hidden)
        # What it cost was written down all the same, if it was not killed.
        result = garbled() if self._answer is not None else await self._without_result()
        file = await asyncio.to_thread(transcript.found, self._cell.home, self._id)
        spent = await asyncio.to_thread(transcript.total_cost, file) if file else 0.0
        return replace(result, model=self._model, cost_usd=max(0.0, spent - self._spent_before))

    async def _without_result(self) -> Result:
        status = await self._child.wait()
        return without_result(status, await self._child.complaint(), self._hidden)

    def _transcript(self, result: Result) -> Transcript | None:
        file = transcript.found(self._cell.home, self._id)
        return Transcript(self._id, file, self._spent_before + result.cost_usd) if file else None

    @property
    def _id(self) -> str:
        """The CLI's name for the conversation: it stays the same when it is resumed."""
        resumed = self._task.resume
        return resumed.id if resumed else flags.as_uuid(self._task.session)

    @property
    def _spent_before(self) -> float:
        return self._task.resume.spent_usd if self._task.resume else 0.0

    def _log_retry(self, event: Mapping[str, Any]) -> None:
        delay = event.get("retry_delay_ms")
        status, attempt, most = (
            event.get(name) if lines.is_count(event.get(name)) else None
            for name in ("error_status", "attempt", "max_retries")
        )
        log.warning(
            "session %s: the model's API failed (%s); try %s of %s in %.1f s",
            self._task.session,
            status or quoted(lines.text(event, "error"), self._hidden) or "no answer",
            attempt,
            most,
            (delay if isinstance(delay, int | float) and lines.is_count(delay) else 0) / 1000,
            extra={"session": self._task.session},
        )

    def _log_denials(self, answer: Mapping[str, Any]) -> None:
        said = answer.get("permission_denials")
        denials = [denial for denial in said if isinstance(denial, dict)] if isinstance(said, list) else []
        if names := sorted({quoted(lines.text(denial, "tool_name"), self._hidden) for denial in denials}):
            log.info(
                "session %s: %d uses of tools were not allowed (%s)",
                self._task.session,
                len(denials),
                ", ".join(names),
                extra={"session": self._task.session},
            )

    def _log_odd_line(self) -> None:
        """Once a run, and not the line itself: whoever printed it, it may hold anything."""
        if not self._heard_odd_line:
            log.debug(
                "session %s: there was a line that Claude Code does not print; it is left out",
                self._task.session,
                extra={"session": self._task.session},
            )
        self._heard_odd_line = True

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._child.write(json.dumps(message).encode() + b"\n")
