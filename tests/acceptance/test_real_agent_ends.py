"""How a session with the real Claude Code CLI ends when it has no answer, and what the owner hears of it."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from support.desk import OWNER, Desk, OpenDesk, settled
from support.messages_api import (
    BreaksOff,
    Fails,
    Garbles,
    Hangs,
    MessagesApi,
    Says,
    Script,
    Use,
    messages_api,
    refuses,
)
from support.real_agent import KEY, MODEL, runner
from support.run import asynchronous
from vaultloop.aio.clock import SystemClock
from vaultloop.model.conversation import Outcome

HELLO = "console/owner/1"


@pytest.fixture
def api() -> Iterator[MessagesApi]:
    with messages_api() as serving:
        yield serving


@dataclass(frozen=True)
class Trouble:
    """What the model or the machine does, and what the owner hears."""

    script: tuple[Script, ...]
    told: str
    policy: Mapping[str, Any]
    variables: Mapping[str, str]


def trouble(*script: Script, told: str, url: str = "", **policy: Any) -> Trouble:
    return Trouble(script, told, policy, {"ANTHROPIC_BASE_URL": url} if url else {})


LOOKS = Says(uses=[Use("Glob", {"pattern": "*"})], input_tokens=20_000)
TROUBLES = {
    "400": trouble(Fails(400, "invalid_request_error", "no such field"), told=r"\(400: no such field\)"),
    "401": trouble(Fails(401, "authentication_error", f"bad {KEY}"), told="Set ANTHROPIC_API_KEY"),
    "402": trouble(Fails(402, "billing_error", "pay"), told="nothing left to spend.*Add credit"),
    "403": trouble(Fails(403, "permission_error", "not you"), told=r"may not do this \(403: not you\)"),
    "404": trouble(Fails(404, "not_found_error", "model"), told="no model `.+`.*Correct `model`"),
    "413": trouble(Fails(413, "request_too_large", "big"), told=r"too large.*\(413\)"),
    "429": trouble(Fails(429, "rate_limit_error", "slow down"), told=r"\(429: slow down\).*few minutes"),
    "500": trouble(Fails(500, "api_error", "boom"), told=r"error of its own \(500\).*few minutes"),
    "529": trouble(Fails(529, "overloaded_error", "Overloaded"), told=r"overloaded \(529\).*few minutes"),
    "max-turns": trouble(LOOKS, told="used up its steps.*`max-steps`", max_steps=1),
    "budget": trouble(LOOKS, told="used up its budget.*`budget-usd-per-run`", budget_usd_per_run=0.01),
    "refusal": trouble(refuses(), told="declined.*other words"),
    "malformed": trouble(Garbles(), told="cannot be understood.*`anthropic-base-url`"),
    "broken-off": trouble(BreaksOff(), told="cannot be reached.*network"),
    "no-connection": trouble(Says(), told="cannot be reached.*network", url="http://127.0.0.1:9"),
}


@asynchronous
async def ends_in_words(folder: Path, api: MessagesApi, case: Trouble) -> None:
    api.follows(*case.script)
    desk = Desk.at(folder)
    desk.guard.policies = [replace(OWNER, model=MODEL, **case.policy)]
    desk.runner = lambda _: runner(api, **case.variables)
    async with desk.open() as engine:
        await engine.say("Hello")
        record = await engine.answered(HELLO)
        (told,) = await desk.chats.has(1)
    assert record.outcome is Outcome.FAILED
    assert re.search(case.told, told), told
    assert KEY not in told + record.detail
    assert desk.pushed() == []


@pytest.mark.parametrize("name", TROUBLES)
def test_what_goes_wrong_is_told_in_words_that_help(tmp_path: Path, api: MessagesApi, name: str) -> None:
    ends_in_words(tmp_path, api, TROUBLES[name])


def of_a_session(desk: Desk, program: str) -> list[int]:
    """Processes of a program that were given a home in the cells of this desk."""
    mark = f"HOME={desk.state / 'cells'}/".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ours = mark in (entry / "environ").read_bytes()
            runs = (entry / "cmdline").read_bytes().split(b"\0")[0].decode().rpartition("/")[2]
        except OSError:
            continue
        if ours and runs == program:
            found.append(int(entry.name))
    return found


@asynccontextmanager
async def running(folder: Path, api: MessagesApi) -> AsyncIterator[tuple[Desk, OpenDesk]]:
    """A session whose agent has just begun a command that never ends."""
    endless = Use("Bash", {"command": "exec tail -f /dev/null", "timeout": 600_000})
    api.follows(Says(uses=[endless], input_tokens=20_000))
    desk = Desk.at(folder)
    desk.clock = SystemClock()
    desk.guard.policies = [replace(OWNER, model=MODEL, abilities=("shell",))]
    desk.runner = lambda _: runner(api)
    async with desk.open() as engine:
        await engine.say("Take your time")
        await settled(lambda: bool(of_a_session(desk, "tail")))
        yield desk, engine


@asynchronous
async def test_a_terminated_cli_is_told_as_such_and_what_it_cost_is_recorded(
    tmp_path: Path, api: MessagesApi
) -> None:
    async with running(tmp_path, api) as (desk, engine):
        (pid,) = of_a_session(desk, "claude")
        os.kill(pid, signal.SIGTERM)
        record = await engine.answered(HELLO)
        # It had a shell: nobody can tell what it did, so it is not run again by itself.
        assert record.outcome is Outcome.FAILED
        assert "was stopped (SIGTERM)" in (await desk.chats.has(1))[0]
        assert record.cost_usd > 0.05


@asynchronous
async def test_a_cancel_ends_the_agent_and_its_commands_within_a_second(
    tmp_path: Path, api: MessagesApi
) -> None:
    async with running(tmp_path, api) as (desk, engine):
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await engine.say("/cancel", 2)
        record = await engine.answered(HELLO)
        took = loop.time() - begun
        assert record.outcome is Outcome.CANCELLED
        assert of_a_session(desk, "tail") == of_a_session(desk, "claude") == []
        assert record.cost_usd > 0.05
    assert took < 1.0, f"{took:.2f} s"


@asynchronous
async def test_a_cancel_while_the_model_says_nothing_ends_within_a_second(
    tmp_path: Path, api: MessagesApi
) -> None:
    api.follows(Hangs())
    desk = Desk.at(tmp_path)
    desk.clock = SystemClock()
    desk.runner = lambda _: runner(api)
    async with desk.open() as engine:
        await engine.say("Hello")
        await asyncio.to_thread(api.asked)
        begun = asyncio.get_running_loop().time()
        await engine.say("/cancel", 2)
        assert (await engine.answered(HELLO)).outcome is Outcome.CANCELLED
        assert asyncio.get_running_loop().time() - begun < 1.0
