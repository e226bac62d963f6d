"""The kind `mcp-server`."""

import re
from collections.abc import Iterable
from typing import Literal

from vaultloop.model.fields import Text, Texts
from vaultloop.model.finding import Finding
from vaultloop.model.resource import Kind, Spec, Stage

_SECRET_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


class McpServerSpec(Spec):
    """A tool server. Scopes name the servers that they may use."""

    transport: Literal["stdio", "http"]
    """`stdio` starts a program here, `http` calls a server elsewhere."""
    command: Text | None = None
    """With `stdio`: the program and its arguments, on one line."""
    args: Texts = ()
    """More arguments, one an item."""
    url: Text | None = None
    """With `http`: the address."""
    secrets: Texts = ()
    """Names of secrets that it needs; their values are in the operator's settings, never in a note."""
    allow_tools: Texts = ()
    """The tools that may be used, by name or pattern; without any, none."""

    def findings(self) -> Iterable[Finding]:
        """Each transport needs its address."""
        if self.transport == "stdio" and self.command is None:
            message = "A server with `transport: stdio` needs the program to start."
            yield Finding("command", "missing-field", message, add="command: npx -y some-mcp-server")
        if self.transport == "http" and self.url is None:
            message = "A server with `transport: http` needs its address."
            yield Finding("url", "missing-field", message, add="url: https://example.org/mcp")
        for item, name in enumerate(self.secrets):
            if not _SECRET_NAME.fullmatch(name):
                message = "This is not the name of a secret."
                cure = "Write a name such as `GITHUB_TOKEN`; its value belongs in the operator's settings."
                yield Finding("secrets", "bad-secret-name", message, cure, item=item)


KIND = Kind("mcp-server", McpServerSpec, Stage.CONTEXT, folder="mcp-servers", has_component=False)
