"""The kind `mcp-server`."""

import re
from collections.abc import Iterable
from typing import Literal

from vaultloop.model.fields import Texts
from vaultloop.model.finding import Finding
from vaultloop.model.outside import Command, Url
from vaultloop.model.problem import Severity
from vaultloop.model.resource import Kind, Spec, Stage

_SECRET_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
# What the engine itself needs: it never leaves it.
_OWN_SECRETS = ("VAULTLOOP_", "ANTHROPIC_", "CLAUDE_CODE_")
_TOOL = re.compile(r"[\w.:/*?\[\]!-]+")
_QUALIFIED = re.compile(r"mcp__.+?__(.+)")


class McpServerSpec(Spec):
    """A tool server. Scopes name the servers that they may use."""

    transport: Literal["stdio", "http"]
    """`stdio` starts a program here, `http` calls a server elsewhere."""
    command: Command | None = None
    """With `stdio`: the program and its arguments, on one line."""
    args: Texts = ()
    """More arguments, one an item."""
    url: Url | None = None
    """With `http`: the address."""
    secrets: Texts = ()
    """Names of secrets that it needs; their values are in the operator's settings, never in a note."""
    allow_tools: Texts = ()
    """The tools that may be used, by name or pattern; without any, none."""

    def findings(self) -> Iterable[Finding]:
        """Each transport needs its address; secrets are names, and tools are named to be used."""
        yield from self._address()
        yield from self._secrets()
        yield from self._tools()

    def _address(self) -> Iterable[Finding]:
        if self.transport == "stdio" and self.command is None:
            message = "A server with `transport: stdio` needs the program to start."
            yield Finding("command", "missing-field", message, add="command: npx -y some-mcp-server")
        if self.transport == "http" and self.url is None:
            message = "A server with `transport: http` needs its address."
            yield Finding("url", "missing-field", message, add="url: https://example.org/mcp")
        unused = ("url",) if self.transport == "stdio" else ("command", "args")
        for key in unused:
            if getattr(self, key):
                message = f"A server with `transport: {self.transport}` has no use for `{key}`."
                cure = "Delete this line." if key != "args" else "Delete this key and its items."
                yield Finding(key, "unused-field", message, cure, severity=Severity.WARNING)

    def _secrets(self) -> Iterable[Finding]:
        for item, name in enumerate(self.secrets):
            if name.upper().startswith(_OWN_SECRETS):
                message = f"`{name}` is a secret of the engine itself, which no server is given."
                cure = "Delete it here; a secret for this server needs a name of its own."
                yield Finding("secrets", "bad-secret-name", message, cure, item=item)
            if not _SECRET_NAME.fullmatch(name):
                message = "This is not the name of a secret."
                cure = "Write a name such as `GITHUB_TOKEN`; its value belongs in the operator's settings."
                yield Finding("secrets", "bad-secret-name", message, cure, item=item)

    def _tools(self) -> Iterable[Finding]:
        if not self.allow_tools:
            message = "No tool is named, so none may be used."
            add = 'allow-tools: "*"'
            yield Finding("allow-tools", "nothing-granted", message, add=add, severity=Severity.WARNING)
        for item, name in enumerate(self.allow_tools):
            if found := _QUALIFIED.fullmatch(name):
                message = f"`{name}` is what a session calls the tool; the server calls it `{found[1]}`."
                yield Finding("allow-tools", "bad-tool", message, write=f'"{found[1]}"', item=item)
            elif not _TOOL.fullmatch(name):
                message = f"`{name}` is not the name of a tool, nor a pattern."
                cure = 'Write a name, or a pattern such as `"get_*"`, and one an item.'
                yield Finding("allow-tools", "bad-tool", message, cure, item=item)


KIND = Kind("mcp-server", McpServerSpec, Stage.CONTEXT, folder="mcp-servers", has_component=False)
