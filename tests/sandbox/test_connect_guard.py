import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.cells import ABIS, WHO, cell_at, ended, fence, python, run_by
from vaultloop.model.gateway import Door


class Server:
    """A loopback server that greets, and counts who came."""

    def __init__(self, server: asyncio.Server) -> None:
        self.port: int = server.sockets[0].getsockname()[1]
        self.visitors = 0

    @property
    def door(self) -> Door:
        return Door("127.0.0.1", self.port, "token")


@asynccontextmanager
async def serving(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Server]:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.visitors += 1
        writer.write(b"hello\n")
        writer.close()

    server = await asyncio.start_server(greet, host, port)
    made = Server(server)
    async with server:
        yield made


# Connects to each address, and prints the greeting or the error's name.
CALLER = """
import errno, socket, sys
def call(family, address, blocking):
    with socket.socket(family) as s:
        s.setblocking(blocking)
        try:
            s.connect(address)
            assert s.getblocking() == blocking and not s.get_inheritable()
            s.setblocking(True)
            return s.recv(100).decode().strip()
        except OSError as error:
            return errno.errorcode[error.errno]
door, other = map(int, sys.argv[1:])
for family, address in [
    (socket.AF_INET, ('127.0.0.1', door)), (socket.AF_INET, ('127.0.0.1', other)),
    (socket.AF_INET, ('127.0.0.2', door)), (socket.AF_INET, ('0.0.0.0', door)),
    (socket.AF_INET, ('192.0.2.1', door)),
    (socket.AF_INET6, ('::1', door)), (socket.AF_INET6, ('::ffff:127.0.0.1', door)),
]:
    print(call(family, address, True), call(family, address, False))
"""


async def calls(folder: Path, abi: int, has_door: bool) -> tuple[list[str], int]:
    async with (
        serving() as door,
        serving("127.0.0.2", door.port) as twin,
        serving() as other,
        fence(abi) as launcher,
    ):
        cell = cell_at(folder, door=door.door if has_door else None)
        result = await ended(launcher, python(CALLER, door.port, other.port), cell)
        assert result.status == 0, result
        return result.output.splitlines(), twin.visitors + other.visitors


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("abi", ABIS)
def test_the_door_is_reached_and_no_other_address(who: str, abi: int) -> None:
    assert run_by(who, calls, abi, True) in (
        (["hello hello", *["EACCES EACCES"] * 6], 0),
        [["hello hello", *["EACCES EACCES"] * 6], 0],
    )


@pytest.mark.parametrize("abi", ABIS)
def test_without_a_door_nothing_is_reached(abi: int) -> None:
    assert run_by("suite", calls, abi, False) == (["EACCES EACCES"] * 7, 0)


# While one thread connects, a second one changes the port in the very memory that the kernel is given.
FLIPPER = """
import ctypes, socket, struct, sys, threading
door, other = map(int, sys.argv[1:])
C = ctypes.CDLL(None, use_errno=True)
def packed(port):
    host = socket.inet_aton('127.0.0.1')
    return struct.pack('=H', socket.AF_INET) + struct.pack('!H', port) + host + bytes(8)
right, wrong = packed(door), packed(other)
address = ctypes.create_string_buffer(right, 16)
done = False
def flip():
    while not done:
        ctypes.memmove(address, wrong, 16)
        ctypes.memmove(address, right, 16)
sys.setswitchinterval(1e-6)
thread = threading.Thread(target=flip)
thread.start()
reached = 0
for _ in range(400):
    with socket.socket() as s:
        if C.connect(s.fileno(), address, 16) == 0:
            reached += 1
            assert s.getpeername()[1] == door
done = True
thread.join()
print(reached)
"""


async def race(folder: Path, abi: int) -> tuple[int, int]:
    async with serving() as door, serving() as other, fence(abi) as launcher:
        result = await ended(
            launcher, python(FLIPPER, door.port, other.port), cell_at(folder, door=door.door)
        )
        assert result.status == 0, result
        return int(result.output), other.visitors


@pytest.mark.parametrize("abi", ABIS)
def test_an_address_that_a_second_thread_changes_leads_to_the_door_or_nowhere(abi: int) -> None:
    # On a busy machine one of the two threads may win every time: then it was no race, and is run again.
    rounds = (run_by("suite", race, abi) for _ in range(5))
    for reached, elsewhere in rounds:
        assert elsewhere == 0
        if 0 < reached < 400:
            return
    pytest.fail("five times it was no race: one thread won all of it")


# What is no connection of a TCP socket: a pipe, a number that is not open, memory that is not there.
ODD = """
import ctypes, errno, os, socket, struct, sys
C = ctypes.CDLL(None, use_errno=True)
port, host = struct.pack('!H', int(sys.argv[1])), socket.inet_aton('127.0.0.1')
door = struct.pack('=H', socket.AF_INET) + port + host + bytes(8)
s = socket.socket()
own = s.fileno()
for descriptor, address, length in [
    (os.pipe()[0], door, 16), (99, door, 16), (own, ctypes.c_void_p(1), 16), (own, door, 8), (own, None, 0)
]:
    assert C.connect(descriptor, address, length) < 0
    print(errno.errorcode[ctypes.get_errno()])
"""


async def odd_calls(folder: Path) -> list[str]:
    async with serving() as door, fence() as launcher:
        result = await ended(launcher, python(ODD, door.port), cell_at(folder, door=door.door))
        assert result.status == 0, result
        return result.output.split()


def test_what_is_no_connection_fails_as_it_would_without_a_guard() -> None:
    assert run_by("suite", odd_calls) == ["ENOTSOCK", "EBADF", "EIO", "EACCES", "EACCES"]


async def closed_door(folder: Path) -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with fence() as launcher:
            cell = cell_at(folder, door=Door("127.0.0.1", port, "token"))
            return (await ended(launcher, python(CALLER, port, 1), cell)).output.splitlines()[0]


def test_a_door_that_is_closed_refuses_the_connection() -> None:
    assert run_by("suite", closed_door) == "ECONNREFUSED ECONNREFUSED"


async def full_door(folder: Path) -> list[str]:
    """Two callers at a door that does not answer; then one ends, and the other one's session is stopped."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as door:
        port = door.getsockname()[1]
        async with fence() as launcher:
            cell = cell_at(folder, door=Door("127.0.0.1", port, "token"))
            program = f"""
import socket, threading
held = []
def call():
    s = socket.socket()
    held.append(s)
    s.connect(('127.0.0.1', {port}))
    print('through', flush=True)
for _ in range(8): threading.Thread(target=call, daemon=True).start()
print(input(), flush=True)
"""
            async with launcher.launch(python(program), cell) as child:
                lines = child.lines()
                first = await anext(lines)
                await child.write(b"still heard\n")
                async for line in lines:
                    if line == b"still heard\n":
                        return [first.decode().strip(), line.decode().strip()]
    return []


def test_a_door_that_does_not_answer_holds_up_nobody_else() -> None:
    assert run_by("suite", full_door) == ["through", "still heard"]
