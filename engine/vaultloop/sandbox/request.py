"""What the engine asks of a supervisor, and how it is written on their socket.

Runs in small forked processes: the standard library only, and little of it.
"""

import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vaultloop.sandbox.landlock import Ruleset
from vaultloop.sandbox.limits import Limits
from vaultloop.sandbox.seccomp import Rules

_LENGTH = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class Request:
    """One program in one cell.

    Attributes:
        program: the file to run; `command[0]` is only what it is told to be called.
        view, own: its working folder, and those that were made for it alone: home and scratch folder.
        files: what it reaches, held with no more than `landlock_abi`; 0 where there is no Landlock.
        calls: what differs in the filter of system calls; None where there can be none.
        door: IPv4 address and port, the only one that it reaches; only behind a filter.
    """

    program: str
    command: tuple[str, ...]
    environment: dict[str, str]
    view: str
    own: tuple[str, ...]
    files: Ruleset
    landlock_abi: int
    calls: Rules | None
    door: tuple[str, int] | None
    limits: Limits

    def packed(self) -> bytes:
        """As `receive` reads it."""
        fields = asdict(self)
        fields["files"]["optional"] = list(self.files.optional)
        content = json.dumps(fields).encode()
        return _LENGTH.pack(len(content)) + content


def receive(control: socket.socket) -> Request | None:
    """The request that comes first on a control socket; None if its other end closed."""
    header = _exactly(control, _LENGTH.size)
    content = header and _exactly(control, *_LENGTH.unpack(header))
    return _request(json.loads(content)) if content else None


def _exactly(control: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        part = control.recv(length - len(content))
        if not part:
            return b""
        content += part
    return content


def _request(fields: Mapping[str, Any]) -> Request:
    files, calls, door = fields["files"], fields["calls"], fields["door"]
    return Request(
        program=fields["program"],
        command=tuple(fields["command"]),
        environment=fields["environment"],
        view=fields["view"],
        own=tuple(fields["own"]),
        files=Ruleset(
            execute=tuple(files["execute"]),
            read=tuple(files["read"]),
            write=tuple(files["write"]),
            devices=tuple(files["devices"]),
            optional=frozenset(files["optional"]),
        ),
        landlock_abi=fields["landlock_abi"],
        calls=Rules(**calls) if calls else None,
        door=(door[0], door[1]) if door else None,
        limits=Limits(**fields["limits"]),
    )
