"""The gateway as a process of its own: what it is handed, who can look into it, and how it ends."""

import asyncio
import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.installation import COMMAND, environment
from support.messages_api import Hangs, MessagesApi, Says, messages_api
from support.run import asynchronous
from support.unprivileged import drive
from vaultloop.aio import rpc
from vaultloop.aio.clock import SystemClock
from vaultloop.gateway.client import Gateway
from vaultloop.gateway.keys import Keys
from vaultloop.gateway.terms import Terms
from vaultloop.model.conversation import Trigger
from vaultloop.model.gateway import Door, Grant
from vaultloop.model.policy import Audience, Policy

MODEL = "claude-opus-5-5"
KEY = "sk-ant-the-real-one"
GRANT = Grant("s1", Policy("finance", Audience.GROUP), Trigger("message", "m"), (MODEL,))
PATIENCE = 20.0


@pytest.fixture
def api() -> Iterator[MessagesApi]:
    with messages_api(Says("Hello.")) as serving:
        yield serving


@contextmanager
def started(state: Path, line: bytes) -> Iterator["subprocess.Popen[bytes]"]:
    """A gateway that was told this line, and whose input stays open."""
    command = [*COMMAND, "gateway", "--state", str(state)]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(line)
            process.stdin.flush()
            yield process
        finally:
            process.kill()


@contextmanager
def serving(state: Path, api: MessagesApi) -> Iterator["subprocess.Popen[bytes]"]:
    """A gateway that serves."""
    with started(state, Keys(api_key=KEY, base_url=api.url).to_line()) as process:
        until = time.monotonic() + PATIENCE
        while not (state / "gateway.sock").exists():
            assert process.poll() is None
            assert time.monotonic() < until, "the gateway does not start"
        yield process


def ask(door: Door) -> dict[str, Any]:
    """What the model says through a door."""
    body = {"model": MODEL, "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    request = urllib.request.Request(
        f"http://{door.host}:{door.port}/v1/messages",
        data=json.dumps(body).encode(),
        headers={"x-api-key": door.token, "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310
        return {"status": response.status, "body": response.read().decode()}


@asynchronous
async def test_a_door_leads_to_the_model_with_the_real_key_and_the_bill_is_what_was_served(
    tmp_path: Path, api: MessagesApi
) -> None:
    keys = Keys(api_key=KEY, base_url=api.url)
    async with Gateway.kept(tmp_path, lambda: keys, SystemClock()) as gateway:
        async with gateway.opened(GRANT) as opened:
            assert "Hello." in (await _asked(opened.door))["body"]
            first = await opened.bill()
            door = opened.door
        async with gateway.opened(GRANT) as again:
            # The session's second try: another door, and a bill of its own.
            assert (again.door.port, again.door.token) != (door.port, door.token)
            assert (await again.bill()).requests == 0
    assert [request.headers["x-api-key"] for request in api.requests] == [KEY]
    assert (first.requests, first.usage["input_tokens"], first.estimated) == (1, 100, False)
    assert first.usd > 0


async def _asked(door: Door) -> dict[str, Any]:
    return await asyncio.to_thread(ask, door)


@asynchronous
async def test_a_key_that_has_changed_counts_without_a_restart(tmp_path: Path, api: MessagesApi) -> None:
    held = [Keys(api_key=KEY, base_url=api.url)]
    async with Gateway.kept(tmp_path, lambda: held[-1], SystemClock()) as gateway:
        for key in (KEY, "sk-ant-another"):
            held.append(Keys(api_key=key, base_url=api.url))
            async with gateway.opened(GRANT) as opened:
                await _asked(opened.door)
    assert [request.headers["x-api-key"] for request in api.requests] == [KEY, "sk-ant-another"]


@asynchronous
async def test_a_gateway_that_is_killed_leaves_a_bill_in_its_ledger(tmp_path: Path, api: MessagesApi) -> None:
    keys = Keys(api_key=KEY, base_url=api.url)
    async with Gateway.kept(tmp_path, lambda: keys, SystemClock()) as gateway:
        async with gateway.opened(GRANT) as opened:
            await _asked(opened.door)
            whole = await opened.bill()
            [pid] = gateways(tmp_path)
            os.kill(pid, signal.SIGKILL)
            bill = await opened.bill()
        assert (bill.usd, bill.requests, bill.estimated) == (whole.usd, 1, True)
        async with gateway.opened(GRANT) as again:
            await _asked(again.door)
            assert (await again.bill()).requests == 1


def gateways(state: Path) -> list[int]:
    """Processes of gateways on this state directory."""
    mark = b"\0gateway\0--state\0" + os.fsencode(state)
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if mark in _read(entry / "cmdline")]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_the_key_is_in_no_argument_and_no_variable_of_the_process(tmp_path: Path, api: MessagesApi) -> None:
    with serving(tmp_path, api) as process:
        assert b"gateway" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        for name in ("cmdline", "environ"):
            # The second is closed to a plain user, also to the parent.
            assert KEY.encode() not in _read(Path(f"/proc/{process.pid}/{name}"))


def _neighbour() -> dict[str, str]:
    """What a process of the same user gets to see of a gateway; runs as a user without rights."""
    state = Path.cwd()
    with subprocess.Popen(
        [sys.executable, "-m", "vaultloop", "gateway", "--state", str(state)], stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(Keys(api_key=KEY, base_url="http://127.0.0.1:9").to_line())
        process.stdin.flush()
        while not (state / "gateway.sock").exists():
            assert process.poll() is None
        seen = {name: _opened(process.pid, name) for name in ("environ", "mem", "maps", "fd/0", "root/etc")}
        # PTRACE_ATTACH
        if ctypes.CDLL(None, use_errno=True).ptrace(16, process.pid, 0, 0) != 0:
            seen["ptrace"] = errno.errorcode[ctypes.get_errno()]
        process.stdin.close()
        process.wait(PATIENCE)
    return seen


def _opened(pid: int, name: str) -> str:
    try:
        os.close(os.open(f"/proc/{pid}/{name}", os.O_RDONLY))
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "opened"


def test_a_neighbour_of_the_same_user_cannot_look_into_the_process() -> None:
    seen = drive(_neighbour)
    assert set(seen.values()) <= {"EACCES", "EPERM"}, seen
    assert "ptrace" in seen


@pytest.mark.parametrize("how", ["end of input", "INT", "TERM"])
def test_it_ends_with_its_engine_and_when_it_is_told(tmp_path: Path, api: MessagesApi, how: str) -> None:
    with serving(tmp_path, api) as process:
        assert process.stdin is not None
        if how == "end of input":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGINT if how == "INT" else signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert not (tmp_path / "gateway.sock").exists()


@asynchronous
async def test_term_does_not_wait_for_answers_that_are_under_way(tmp_path: Path, api: MessagesApi) -> None:
    api.follows(Hangs())
    with serving(tmp_path, api) as process:
        async with rpc.connected(tmp_path / "gateway.sock") as peer:
            door = Door(**await peer.call("open", terms=Terms.of(GRANT).to_json()))
            asking = asyncio.create_task(_fails(door), name="asking")
            await asyncio.to_thread(api.asked)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0
            await asking


async def _fails(door: Door) -> None:
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        await _asked(door)


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b"not json\n", KEY.encode() + b"\n"])
def test_without_keys_it_says_what_it_needs_and_repeats_nothing(tmp_path: Path, line: bytes) -> None:
    command = [*COMMAND, "gateway", "--state", str(tmp_path)]
    done = subprocess.run(command, env=environment(), input=line, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"keys" in done.stderr
    assert KEY.encode() not in done.stderr
    assert b"Traceback" not in done.stderr


def test_where_a_library_is_missing_the_cure_is_said(tmp_path: Path) -> None:
    without = "import sys; sys.modules['h11'] = None; from vaultloop.cli import main; main()"
    command = [sys.executable, "-c", without, "gateway", "--state", str(tmp_path)]
    done = subprocess.run(command, env=environment(), input=b"", capture_output=True, check=False)
    assert done.returncode == 1
    assert b"pip install h11" in done.stderr
