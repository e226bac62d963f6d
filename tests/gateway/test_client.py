"""The engine's side of the gateway, against a process that answers in the gateway's words and notes them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.run import asynchronous
from vaultloop.aio.clock import Clock, SystemClock, VirtualClock
from vaultloop.aio.process import Patience
from vaultloop.gateway import client
from vaultloop.gateway.client import Gateway
from vaultloop.gateway.keys import Keys, NoKeys
from vaultloop.gateway.secrets import Secret, Secrets
from vaultloop.gateway.terms import Terms
from vaultloop.model.conversation import Trigger
from vaultloop.model.errors import Retry, Stalled
from vaultloop.model.gateway import Bill, Grant
from vaultloop.model.policy import Audience, Policy

KEY = "sk-ant-the-real-one"
GRANT = Grant(
    "s1", Policy("finance", Audience.GROUP, hosts=("example.org",)), Trigger("message", "m"), ("model",)
)

# Notes the line that it got, its arguments, its environment and each call; ends with its input.
PROGRAM = """
import asyncio, json, os, sys
from pathlib import Path
from vaultloop.aio import rpc

def note(**what):
    with open("heard", "a") as file:
        file.write(json.dumps(what) + "\\n")

keys = json.loads(sys.stdin.buffer.readline())
note(process=os.getpid(), keys=keys, arguments=sys.argv, environment=dict(os.environ))

async def main():
    bill = {"usd": 0.25, "requests": 2, "usage": {"input_tokens": 3}, "estimated": False, "refused": ""}

    async def opened(peer, said):
        note(open=said)
        if said["terms"]["scope"] == "nowhere":
            raise rpc.RpcError(rpc.REFUSED, "There is no such model. Correct `model` in the scope.")
        return {"host": "127.0.0.1", "port": 4, "token": "t"}

    async def told(peer, said):
        note(keys=said)

    async def billed(peer, said):
        note(bill=said)
        return bill

    async def closed(peer, said):
        note(close=said)
        return bill

    handlers = {"open": opened, "keys": told, "bill": billed, "close": closed}
    async with rpc.serving(Path("gateway.sock"), handlers):
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(0, lambda: os.read(0, 1) or ended.set())
        await ended.wait()

asyncio.run(main())
"""


@dataclass
class Engine:
    """What the engine has of a gateway."""

    folder: Path
    clock: Clock = field(default_factory=SystemClock)
    keys: Keys = field(default_factory=lambda: Keys(api_key=KEY, base_url="http://127.0.0.1:9"))
    booked: Bill = field(default_factory=lambda: Bill(usd=0.5, requests=1))
    program: str = PROGRAM

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        program = [sys.executable, "-c", self.program]
        async with Gateway.kept(
            self.folder, lambda: self.keys, self.clock, ledger=self._charged, program=program
        ) as gateway:
            yield gateway

    def _charged(self, state: Path, session: str, since: datetime) -> Bill:
        assert (state, session) == (self.folder, "s1")
        assert since.tzinfo is not None
        return self.booked

    @property
    def heard(self) -> list[Mapping[str, Any]]:
        file = self.folder / "heard"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def lives(self) -> list[Mapping[str, Any]]:
        return [line for line in self.heard if "process" in line]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


@asynchronous
async def test_a_session_gets_a_door_and_a_bill_and_the_door_is_closed(engine: Engine) -> None:
    async with engine.gateway() as gateway, gateway.opened(GRANT) as opened:
        assert (opened.door.host, opened.door.port, opened.door.token) == ("127.0.0.1", 4, "t")
        assert await opened.bill() == Bill(0.25, 2, {"input_tokens": 3})
    _, asked, billed, closed = engine.heard
    assert asked == {"open": {"terms": json.loads(json.dumps(Terms.of(GRANT).to_json()))}}
    # The bill has waited for what was under way: closing has nothing more to wait for.
    assert billed == {"bill": {"session": "s1", "patience": 10.0}}
    assert closed == {"close": {"session": "s1", "patience": 0.0}}


@asynchronous
async def test_there_is_no_process_before_the_first_door_and_none_after_the_last_block(
    engine: Engine,
) -> None:
    async with engine.gateway() as gateway:
        for _ in range(100):
            await asyncio.sleep(0)
        assert engine.heard == []
        async with gateway.opened(GRANT):
            [life] = engine.lives
        async with gateway.opened(GRANT):
            assert engine.lives == [life]
    assert not Path(f"/proc/{life['process']}").exists()


@asynchronous
async def test_the_keys_go_over_standard_input_and_no_other_way(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "VAULTLOOP_GIT_PASSWORD", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, KEY)
    async with engine.gateway() as gateway, gateway.opened(GRANT):
        [life] = engine.lives
    assert Keys.from_json(life["keys"]) == engine.keys
    assert KEY not in json.dumps([life["arguments"], life["environment"]])
    assert "PATH" in life["environment"]


@asynchronous
async def test_keys_that_have_changed_count_from_the_next_session_on(engine: Engine) -> None:
    changed = Keys(oauth_token="another", secrets=Secrets({"GITHUB": Secret("g", ("api.github.com",))}))
    async with engine.gateway() as gateway:
        async with gateway.opened(GRANT):
            engine.keys = changed
        for _ in range(2):
            async with gateway.opened(GRANT):
                pass
    told = [line["keys"] for line in engine.heard if "keys" in line and "process" not in line]
    assert [Keys.from_json(keys) for keys in told] == [changed]
    assert len(engine.lives) == 1


@asynchronous
async def test_what_the_gateway_refuses_is_told_in_its_words(engine: Engine) -> None:
    policy = Policy("nowhere", Audience.OWNER)
    async with engine.gateway() as gateway:
        with pytest.raises(Stalled, match=r"There is no such model. Correct `model` in the scope."):
            async with gateway.opened(Grant("s1", policy, Trigger("message", "m"))):
                pass
    # Closed all the same: the refusal may have been about its last step.
    assert "close" in engine.heard[-1]


@asynchronous
async def test_a_session_whose_gateway_was_killed_is_charged_what_the_ledger_says(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine.gateway() as gateway, gateway.opened(GRANT) as opened:
        os.kill(engine.lives[0]["process"], signal.SIGKILL)
        assert await opened.bill() == Bill(usd=0.5, requests=1, estimated=True)
    assert (
        "session s1: the gateway ended before it wrote the bill; 0.5000 USD are in its ledger" in caplog.text
    )


@asynchronous
async def test_a_gateway_that_was_killed_is_started_again_after_a_pause(engine: Engine) -> None:
    clock = VirtualClock(datetime(2026, 11, 22, tzinfo=UTC))
    engine.clock = clock
    async with engine.gateway() as gateway:
        async with gateway.opened(GRANT):
            os.kill(engine.lives[0]["process"], signal.SIGKILL)
        engine.keys = Keys(api_key="changed meanwhile")
        opening = asyncio.create_task(_open(gateway), name="next session")
        while not opening.done():
            await clock.advance(0.1)
            await asyncio.sleep(0.01)
        await opening
    first, second = engine.lives
    assert first["process"] != second["process"]
    assert second["keys"]["api_key"] == "changed meanwhile"
    assert (clock.now() - datetime(2026, 11, 22, tzinfo=UTC)).total_seconds() >= 1


async def _open(gateway: Gateway) -> None:
    async with gateway.opened(GRANT) as opened:
        assert opened.door.port == 4


@asynchronous
async def test_a_gateway_that_never_answers_is_given_up_for_now(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "START_PATIENCE", 0.2)
    engine.program = "import sys; sys.exit('no ledger: repair it')"
    async with engine.gateway() as gateway:
        with pytest.raises(Retry, match="does not answer"):
            await _open(gateway)


@asynchronous
async def test_a_gateway_that_stops_answering_is_given_up_for_now(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BILL_PATIENCE", 0.2)
    monkeypatch.setattr(client, "PATIENCE", Patience(0.1, 0.1))
    async with engine.gateway() as gateway:
        async with gateway.opened(GRANT) as opened:
            monkeypatch.setattr(client, "START_PATIENCE", 0.2)
            os.kill(engine.lives[0]["process"], signal.SIGSTOP)
            assert (await opened.bill()).estimated
        with pytest.raises(Retry, match="does not answer"):
            await _open(gateway)


@asynchronous
async def test_a_missing_library_is_said_with_its_cure_before_anything_starts(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    async with engine.gateway() as gateway:
        with pytest.raises(Stalled, match=r"needs aiohttp.*pip install aiohttp"):
            await _open(gateway)
    assert engine.heard == []


def test_the_engine_loads_neither_a_server_nor_a_client_of_http() -> None:
    look = "import sys, vaultloop.gateway.client; print({'aiohttp', 'h11', 'mcp'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_keys_are_in_no_repr_and_what_is_no_key_is_not_repeated() -> None:
    keys = Keys(api_key=KEY, oauth_token=KEY, secrets=Secrets({"A": Secret(KEY)}))
    assert KEY not in repr(keys)
    assert Keys.from_line(keys.to_line()) == keys
    for garbage in (b"", b"{}", b"[]", KEY.encode(), json.dumps({"api_key": [KEY]}).encode()):
        with pytest.raises(NoKeys) as caught:
            Keys.from_line(garbage)
        assert KEY not in str(caught.value)
