"""The runner for the Claude Code CLI: one message in, JSON lines out.

The message goes in as stream-json with `client_composed`: otherwise the CLI would expand `@path` and slash
commands in it before the model runs, whatever tools are allowed. Permission flags are the soft layer only;
what holds the agent in is the cell.
"""

import asyncio
import json
import re
import shutil
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from vaultloop.model.cell import Cell, CellLauncher, Child, Result, Run, Task, ToolUse
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Policy

# The first version that honours `client_composed`; an older one silently expands what people write.
OLDEST_VERSION = (2, 1, 248)

# The CLI's own choice when it is asked for none (2.1.330); always said, so that an update cannot change it.
DEFAULT_MODEL = "claude-opus-5-5"
DEFAULT_MAX_STEPS = 50

# Any one of these lets the CLI reach the model.
CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")

READING_TOOLS = frozenset({"Read", "Grep", "Glob", "WebFetch", "WebSearch", "TodoWrite"})
_ABILITIES = {"web-search": "WebSearch", "web-fetch": "WebFetch", "shell": "Bash"}

_QUIET = {
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
}

_CREDENTIAL_CURE = "Set ANTHROPIC_API_KEY in the environment of the engine to a valid key."


class ClaudeRunner:
    """Drives the CLI directly, one process a session."""

    name = "claude"
    reports_tool_use = True
    # Program files whose version was asked for: path, time and size.
    _proven: ClassVar[set[tuple[str, int, int]]] = set()

    def __init__(
        self,
        launcher: CellLauncher,
        program: str,
        environment: Mapping[str, str],
        *,
        default_model: str = DEFAULT_MODEL,
    ) -> None:
        """Drive `program`, a path or a name on PATH; `environment` is what it needs to reach its model."""
        self._launcher = launcher
        self._program = program
        self._environment = environment
        self._default_model = default_model

    @asynccontextmanager
    async def spawn(self, task: Task, cell: Cell) -> AsyncIterator[Run]:
        """Start the CLI; leaving the block ends it and all it started.

        Raises:
            Stalled: it is missing, too old, or has no credential.
        """
        program = self._found(cell)
        equipped = replace(cell, environment=self._equipment(cell))
        await self._prove_version(program, equipped)
        rules = cell.scratch / "instructions.md"
        rules.write_text(task.instructions)
        command = [program, *self.flags(task, cell.policy, rules)]
        async with self._launcher.launch(command, equipped) as child:
            run = ClaudeRun(child)
            sending = asyncio.create_task(run.say(task.prompt), name="prompt")
            try:
                yield run
            finally:
                sending.cancel()
                await asyncio.wait([sending])

    def flags(self, task: Task, policy: Policy, rules: Path) -> list[str]:
        """The flags that keep the CLI to its view and to what the policy says."""
        tools = ["Read", "Grep", "Glob", *(["Write", "Edit"] if policy.can_write else [])]
        granted = [tool for ability, tool in _ABILITIES.items() if ability in policy.abilities]
        flags = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
        flags += ["--restricted", "--strict-mcp-config", "--mcp-config", '{"mcpServers":{}}']
        flags += ["--setting-sources", "", "--disable-slash-commands", "--permission-mode", "dontAsk"]
        flags += ["--tools", ",".join([*tools, *granted])]
        flags += ["--allowedTools", "Read(./**)", *(["Edit(./**)"] if policy.can_write else []), *granted]
        flags += ["--append-system-prompt-file", str(rules), "--system-prompt-snapshot", "off"]
        flags += ["--max-turns", str(policy.max_steps or DEFAULT_MAX_STEPS)]
        flags += ["--model", policy.model or self._default_model]
        if policy.budget_usd_per_run:
            flags += ["--max-budget-usd", f"{policy.budget_usd_per_run:g}"]
        return [
            *flags,
            *(["--resume", task.resume] if task.resume else ["--session-id", _uuid(task.session)]),
        ]

    def _found(self, cell: Cell) -> str:
        program = shutil.which(self._program, path=cell.environment.get("PATH"))
        if program is None:
            raise Stalled(
                f"The Claude Code CLI was not found (looked for `{self._program}`).",
                cure="Install it (npm install -g @anthropic-ai/claude-code, with Node 22 or newer), or write "
                "`runner: command` in the defaults note.",
            )
        if not any(self._environment.get(name) for name in CREDENTIALS):
            raise Stalled("The claude runner has no key for the model.", cure=_CREDENTIAL_CURE)
        return program

    def _equipment(self, cell: Cell) -> dict[str, str]:
        # The CLI runs git at its start and would find the repository that a state directory may lie in.
        ceiling = {"GIT_CEILING_DIRECTORIES": str(cell.view.parent)}
        return {**cell.environment, **_QUIET, **ceiling, **self._environment}

    async def _prove_version(self, program: str, cell: Cell) -> None:
        """Ask for the version, once for each program file."""
        found = await asyncio.to_thread(lambda: Path(program).stat())
        identity = (program, found.st_mtime_ns, found.st_size)
        if identity in self._proven:
            return
        async with self._launcher.launch([program, "--version"], cell) as child:
            await child.write(b"", last=True)
            said = b"".join([line async for line in child.lines()]).decode(errors="replace").strip()
        version = re.match(r"(\d+)\.(\d+)\.(\d+)", said)
        if version is None or tuple(map(int, version.groups())) < OLDEST_VERSION:
            oldest = ".".join(map(str, OLDEST_VERSION))
            raise Stalled(
                f"{program} says it is version “{said[:80]}”; {oldest} or newer is needed, because "
                "older ones read files that a message mentions.",
                cure="Update it: npm install -g @anthropic-ai/claude-code (with Node 22 or newer).",
            )
        self._proven.add(identity)


class ClaudeRun:
    """One run of the CLI. Its input stays open until the result is there, so that it can be interrupted."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._answer: dict[str, Any] | None = None
        self._model = ""

    @property
    def pid(self) -> int:
        return self._child.pid

    async def say(self, text: str) -> None:
        """Hand over the message as it was written: nothing in it is expanded."""
        message = {"role": "user", "content": text}
        await self._send({"type": "user", "client_composed": True, "message": message})

    async def events(self) -> AsyncIterator[ToolUse]:
        async for line in self._child.lines():
            event = _object(line)
            match event.get("type"):
                case "system" if event.get("subtype") == "init":
                    self._model = str(event.get("model") or "")
                case "assistant":
                    for name in _tools(event):
                        yield ToolUse(name, reads_only=name in READING_TOOLS)
                case "result":
                    self._answer = event
                    # Nothing more will be asked: the CLI ends when its input does.
                    await self._child.write(b"", last=True)

    async def result(self) -> Result:
        if self._answer is None:
            status = await self._child.wait()
            complaint = await self._child.complaint()
            return Result(
                ok=False, text=f"claude ended with status {status} and no result. {complaint}".strip()
            )
        return understood(self._answer, self._model)

    async def interrupt(self) -> None:
        request = {"subtype": "interrupt"}
        await self._send({"type": "control_request", "request_id": str(uuid.uuid4()), "request": request})

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._child.write(json.dumps(message).encode() + b"\n")


def understood(answer: Mapping[str, Any], model: str) -> Result:
    """What a result line means. Only `is_error` decides: API errors too have the subtype `success`."""
    ok = answer.get("is_error") is False
    usage = {key: value for key, value in (answer.get("usage") or {}).items() if isinstance(value, int)}
    return Result(
        ok=ok,
        text=str(answer.get("result") or "") if ok else _trouble(answer),
        cost_usd=float(answer.get("total_cost_usd") or 0.0),
        model=model or next(iter(answer.get("modelUsage") or {}), ""),
        steps=int(answer.get("num_turns") or 0),
        usage=usage,
    )


def _trouble(answer: Mapping[str, Any]) -> str:
    said = str(answer.get("result") or "; ".join(map(str, answer.get("errors") or ())))
    match answer.get("subtype"), answer.get("api_error_status"):
        case "error_max_turns", _:
            return "The agent used up its steps (`max-steps` in the scope) before it had an answer."
        case "error_max_budget_usd", _:
            return "The agent used up its budget (`budget-usd-per-run`) before it had an answer."
        case _, 401 | 403:
            return f"The model refused the engine's key ({said}). {_CREDENTIAL_CURE}"
        case _, 404:
            return f"The model was not found ({said}). Correct `model` in the scope or the defaults note."
        case _:
            return f"The model gave no answer: {said or 'it did not say why'}."


def _tools(event: Mapping[str, Any]) -> list[str]:
    content = (event.get("message") or {}).get("content")
    blocks = content if isinstance(content, list) else []
    return [str(block.get("name")) for block in blocks if block.get("type") == "tool_use"]


def _object(line: bytes) -> dict[str, Any]:
    # A line that is no JSON object is a stray print of some child; it says nothing to us.
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _uuid(session: str) -> str:
    # The CLI takes nothing else; a session id that is none keeps one of its own for ever.
    try:
        return str(uuid.UUID(session))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, session))
