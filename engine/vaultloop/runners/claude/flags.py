"""What the CLI is started with: the flags and variables that keep it to its view and to its policy.

They are the soft layer. A typo in a permission rule is silently ignored by the CLI, so there are only a few
rules here, and none that a note could write; what holds the agent in is the cell.
"""

import json
import uuid
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from vaultloop.model.cell import Cell, Task
from vaultloop.model.gateway import Door
from vaultloop.model.policy import Policy
from vaultloop.runners import proxy

# The CLI's own choice when it is asked for none; always said, so that an update cannot change it.
DEFAULT_MODEL = "claude-opus-5-5"
DEFAULT_MAX_STEPS = 50

# How often the CLI asks again when the model's API fails. Its pauses double from half a second: five tries
# outlast a hiccup of about 15 seconds, and what lasts longer is told rather than waited for; a cron has
# `retries`, with longer pauses, for that.
MAX_RETRIES = 5

_ABILITIES = {"web-search": "WebSearch", "web-fetch": "WebFetch", "shell": "Bash"}

# Before it fetches a page the CLI asks its vendor whether it may, at an address that no session reaches. Here
# the scope's `hosts` say so.
_FETCH_SETTINGS = json.dumps({"skipWebFetchPreflight": True})


class Credential(StrEnum):
    """What kind of credential the gateway holds: the CLI talks to the model's API in either way.

    The value is the variable in which it expects one; it gets the token of its door there.
    """

    API_KEY = "ANTHROPIC_API_KEY"
    OAUTH_TOKEN = "CLAUDE_CODE_OAUTH_TOKEN"  # noqa: S105 - the name of a variable


_QUIET = {
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_MAX_RETRIES": str(MAX_RETRIES),
}


def flags(
    task: Task,
    policy: Policy,
    rules: Path,
    default_model: str = DEFAULT_MODEL,
    *,
    mounts: Iterable[Path] = (),
) -> list[str]:
    """The flags for one run; `rules` is the file with what is appended to the system prompt, `mounts` are
    folders besides the view that it may read.

    `--restricted` and its neighbours shut out what lies in the vault for the CLI to find: settings, hooks,
    MCP servers, CLAUDE files. The session gathers the CLAUDE files itself, under the policy.
    """
    flags = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
    flags += ["--restricted", "--strict-mcp-config", "--mcp-config", '{"mcpServers":{}}']
    flags += ["--setting-sources", "", "--disable-slash-commands", "--permission-mode", "dontAsk"]
    flags += _tools(policy)
    for mount in mounts:
        flags += ["--add-dir", str(mount)]
    # Without the snapshot: a conversation that goes on is told today's rules, not those of its first day.
    flags += ["--append-system-prompt-file", str(rules), "--system-prompt-snapshot", "off"]
    flags += ["--max-turns", str(policy.max_steps or DEFAULT_MAX_STEPS)]
    flags += ["--model", policy.model or default_model]
    if policy.budget_usd_per_run is not None:
        flags += ["--max-budget-usd", f"{policy.budget_usd_per_run:.6g}"]
    which = ["--resume", task.resume.id] if task.resume else ["--session-id", as_uuid(task.session)]
    return [*flags, *which]


def variables(cell: Cell) -> dict[str, str]:
    """What the CLI gets in its environment besides what the cell says."""
    return {
        **_QUIET,
        # The CLI runs git at its start and would find the repository that a state directory may lie in.
        "GIT_CEILING_DIRECTORIES": str(cell.view.parent),
        # Its own choice is a folder that all sessions of a user share.
        "CLAUDE_CODE_TMPDIR": str(cell.scratch),
        **proxy.variables(cell),
    }


def way_to_the_model(door: Door, credential: Credential) -> dict[str, str]:
    """Where the CLI finds the model, and what opens the door there: worth nothing at any other."""
    return {"ANTHROPIC_BASE_URL": f"http://{door.host}:{door.port}", credential: door.token}


def as_uuid(session: str) -> str:
    """The CLI takes nothing else; a session id that is none keeps one of its own for ever."""
    try:
        return str(uuid.UUID(session))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, session))


def _tools(policy: Policy) -> list[str]:
    tools = ["Read", "Grep", "Glob", *(["Write", "Edit"] if policy.can_write else [])]
    granted = [tool for ability, tool in _ABILITIES.items() if ability in policy.abilities]
    if not policy.hosts and "WebFetch" in granted:
        # Pages are fetched from the scope's hosts alone; without any, the tool could only fail.
        granted.remove("WebFetch")
    allowed = ["Read(./**)", *(["Edit(./**)"] if policy.can_write else []), *granted]
    settings = ["--settings", _FETCH_SETTINGS] if "WebFetch" in granted else []
    return ["--tools", ",".join([*tools, *granted]), "--allowedTools", *allowed, *settings]
