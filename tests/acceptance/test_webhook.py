"""A push is known as soon as the forge says so, and a thousand such words cost two looks."""

import asyncio
import json
import logging
import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.installation import Engine
from support.run import asynchronous
from support.running import Place, until
from support.webhooks import BODY, SECRET, answer, github, head
from vaultloop.aio.clock import SystemClock
from vaultloop.aio.supervise import background
from vaultloop.web import child

LISTENS = r"listens on 127\.0\.0\.1:(\d+)"
BURST = 1_000
# Connections at one time: a process may have few descriptors.
AT_ONCE = 300


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An engine that looks at its remote once an hour, with a web process that takes webhooks."""
    place = Place.with_remote(tmp_path)
    with place.config.open("a") as config:
        config.write(f'web = "127.0.0.1:0"\nwebhook-secret = "{SECRET}"\n')
    return place


@pytest.mark.acceptance
@asynchronous
async def test_a_burst_of_a_thousand_webhooks_is_two_polls_at_most(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    doors = asyncio.Semaphore(AT_ONCE)

    def port() -> int:
        found = re.search(LISTENS, caplog.text)
        return int(found[1]) if found else 0

    async def sent() -> int:
        async with doors:
            return (await answer(port(), head(github()), BODY))[0]

    clock, web = SystemClock(), place.settings.web
    assert web is not None
    kept = child.kept(place.settings.state, web, place.settings.webhook_secret, clock)
    async with place.engine(clock) as running, background("web", kept):
        await until(lambda: port() > 0)
        before = running.engine.effort.polls
        first = place.push({"Note.md": "one\n"})
        assert set(await asyncio.gather(*(sent() for _ in range(BURST)))) == {202}
        await until(lambda: running.overview()["revision"] == first)
        second = place.push({"Note.md": "two\n"})
        assert await sent() == 202
        await until(lambda: running.overview()["revision"] == second)
        # Two for the burst, one for the last word.
        assert running.engine.effort.polls - before <= 3


@pytest.fixture
def engine(place: Place) -> Iterator[Engine]:
    with place.installation.engine() as engine:
        engine.line("ready at")
        yield engine


def revision(port: int) -> str:
    """What strangers are told of the engine's revision."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=20) as response:
        return str(json.load(response)["revision"])


def post(port: int, secret: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/hooks/git", data=BODY, headers=dict(github(BODY, secret))
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - this machine
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def web_process(engine: Engine) -> Path:
    children = Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split()
    (found,) = (pid for pid in children if b"web" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return Path(f"/proc/{found}")


@pytest.mark.acceptance
def test_a_push_is_known_once_the_forge_or_a_hang_up_says_so_and_the_secret_is_nowhere(
    place: Place, engine: Engine
) -> None:
    listening = re.search(LISTENS, engine.line(LISTENS))
    assert listening is not None
    port = int(listening[1])

    told = place.push({"Note.md": "by webhook\n"})
    assert post(port, "a guess") == 401
    assert post(port, SECRET) == 202
    while revision(port) != told:
        pass

    rung = place.push({"Note.md": "by signal\n"})
    os.kill(engine.pid, signal.SIGHUP)
    while revision(port) != rung:
        pass

    web = web_process(engine)
    assert SECRET.encode() not in web.joinpath("cmdline").read_bytes()
    # It holds a secret: only root can look into it any more.
    assert web.joinpath("environ").stat().st_uid == 0
    if os.geteuid() == 0:
        assert SECRET.encode() not in web.joinpath("environ").read_bytes()
    log = engine.stop()
    assert SECRET not in log
    assert "refused 1 webhooks" in log
