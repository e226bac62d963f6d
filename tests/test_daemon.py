"""One engine acts: on one state directory, and at one remote. Real processes over a real remote."""

import asyncio
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.git_server import git_server
from support.installation import COMMAND, Engine, Installation, environment
from support.running import Place
from support.vault_clone import git
from vaultloop.cli.terminal import NOT_TAKEN
from vaultloop.standby import WAITS
from vaultloop.state.directory import StateDirectory
from vaultloop.vault.lease.lease import REFERENCE, Lease, Word
from vaultloop.vault.lease.tenancy import STANDS_DOWN
from vaultloop.web.health import ask

pytestmark = pytest.mark.acceptance


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place.with_remote(tmp_path)
    _poll_every(place.config, "1s")
    return place


def _poll_every(config: Path, period: str) -> None:
    lines = [line for line in config.read_text().splitlines() if not line.startswith("poll")]
    config.write_text("\n".join([f'poll = "{period}"', *lines]) + "\n")


def elsewhere(place: Place, name: str) -> Installation:
    """The same vault on another machine: settings that differ in the state directory alone."""
    config = place.config.with_name(f"{name}.toml")
    config.write_text(place.config.read_text().replace(str(place.settings.state), str(config.parent / name)))
    return Installation(config)


def lease_of(place: Place) -> Lease:
    """The newest lease at the remote."""
    assert place.remote is not None
    found = Lease.parse(git(place.remote, "log", "-1", "--format=%B", REFERENCE))
    assert found is not None
    return found


def words_of(place: Place) -> list[str]:
    """Everything that was written, the newest first."""
    assert place.remote is not None
    return [line.split()[-1] for line in git(place.remote, "log", "--format=%s", REFERENCE).splitlines()]


@contextmanager
def acting(installation: Installation, **variables: str) -> Iterator[Engine]:
    with installation.engine(**variables) as engine:
        engine.line("ready at")
        yield engine


def test_a_second_process_on_one_state_directory_waits_healthy_and_takes_over(place: Place) -> None:
    installation = place.installation
    with acting(installation) as first:
        with installation.engine() as second:
            assert f"process {first.pid} acts on" in second.line("standby: ")
            [own] = StateDirectory(place.settings.state).standby_sockets
            assert installation.json("health")["status"] == "ok"
            assert asyncio.run(ask(own)).reason == WAITS
            first.stop()
            second.line("the state directory is free; this engine takes over")
            second.line("ready at")
            assert installation.say("/help").startswith("/status")
            assert own.exists()
        assert not own.exists()


@contextmanager
def terminal(config: Path) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """`vaultloop up --chat` at a terminal, and its other end."""
    ours, theirs = pty.openpty()
    command = [*COMMAND, "up", "--chat", "--config", str(config)]
    process = subprocess.Popen(
        command, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        yield ours, process
    finally:
        process.terminate()
        process.wait(timeout=30)
        os.close(ours)


def seen(terminal: int, expected: str) -> str:
    """All that it shows until `expected` is among it; a test that waits for ever is ended from outside."""
    shown = b""
    while expected.encode() not in shown:
        shown += os.read(terminal, 65536)
    return shown.decode()


def test_who_types_at_one_that_waits_hears_at_once_that_nothing_is_taken(place: Place) -> None:
    with acting(place.installation) as first, terminal(place.config) as (screen, process):
        seen(screen, NOT_TAKEN)
        os.write(screen, b"note: buy milk\n")
        seen(screen, f"    {NOT_TAKEN}")
        first.stop()
        seen(screen, "/help lists commands")
        # What was typed before was not kept; what is typed now is answered.
        os.write(screen, b"/help\n")
        assert "buy milk" not in seen(screen, "    /status")
        assert process.poll() is None


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def health_at(port: int) -> tuple[int, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=20) as response:
        return response.status, json.load(response)["status"]


def test_a_standby_answers_on_an_address_of_its_own_and_gets_one_that_is_taken_later(place: Place) -> None:
    shared, own = free_port(), free_port()
    with acting(place.installation, VAULTLOOP_WEB=f"127.0.0.1:{shared}") as first:
        first.line("web: listens on")
        with place.installation.engine(VAULTLOOP_WEB=f"127.0.0.1:{own}") as second:
            second.line("web: listens on")
            assert health_at(own) == (200, "standby")
            with urllib.request.urlopen(f"http://127.0.0.1:{own}/metrics", timeout=20) as page:
                assert "vaultloop_acting 0\n" in page.read().decode()
            assert health_at(shared) == (200, "ok")
            second.stop()
        with place.installation.engine(VAULTLOOP_WEB=f"127.0.0.1:{shared}") as third:
            third.line("is taken; it is tried again every second")
            first.stop()
            third.line("ready at")
            third.line("web: listens on")
            assert health_at(shared) == (200, "ok")


def test_it_takes_over_from_a_process_that_was_killed(place: Place) -> None:
    installation = place.installation
    with acting(installation) as first, installation.engine() as second:
        second.line("standby: ")
        first.kill()
        second.line("takes over")
        second.line("ready at")
    assert words_of(place)[0] == Word.RELEASED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_waits_ends_at_once_and_cleanly_when_it_is_told(
    place: Place, number: signal.Signals
) -> None:
    installation = place.installation
    with acting(installation), installation.engine() as second:
        second.line("standby: ")
        os.kill(second.pid, number)
        assert second.wait() == 0
        assert installation.json("health")["status"] == "ok"


def test_who_does_not_want_to_wait_hears_that_it_is_busy(place: Place) -> None:
    with acting(place.installation):
        done = subprocess.run(
            [*COMMAND, "up", "--no-wait", "--config", str(place.config)],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 75
    assert "Another vaultloop acts on" in done.stderr


def test_of_two_engines_at_one_remote_the_younger_acts_and_the_older_pushes_nothing_more(
    place: Place,
) -> None:
    younger = elsewhere(place, "younger")
    with acting(place.installation) as old:
        assert place.installation.json("status")["lease"]["acts"]
        with younger.engine() as young:
            old.line("standing down")
            young.line("ready at")
            old.line("this engine stands by")
            lease = lease_of(place)
            assert (lease.word, lease.awaited) == (Word.STOOD_DOWN, ())
            assert lease.holder is not None
            assert lease.holder.engine == StateDirectory(place.config.parent / "younger").engine_id
            # The older one is healthy, says who acts, and answers nobody.
            health = place.installation.json("health")
            assert (health["status"], health["reason"]) == ("standby", STANDS_DOWN)
            assert not place.installation.json("status")["lease"]["acts"]
            assert place.installation.run("chat", "--once", "hello", expect=None) == ""
            assert place.installation.run("pin", "HEAD", expect=1) == ""
            assert place.installation.run("resume", expect=1) == ""
            assert younger.say("note: buy milk")
            young.line("pushed")
            head = git(place.remote or Path(), "rev-parse", "main")
        # It ended, and said so: the one that stood by goes on, with all that was made meanwhile.
        old.line(f"ready at {head[:12]}")
        assert words_of(place)[:2] == [Word.ACTS, Word.RELEASED]
        assert len([line for line in old.log if "tandby: Engine" in line]) == 1
    assert "nobody here (stopped)" in place.installation.run("status")


def test_a_copy_of_a_state_directory_is_another_engine(place: Place) -> None:
    copy = elsewhere(place, "copy")
    with acting(place.installation) as original:
        shutil.copytree(
            place.settings.state,
            place.config.parent / "copy",
            ignore=lambda _, names: [n for n in names if ".sock" in n],
        )
        with copy.engine() as twin:
            original.line("standing down")
            twin.line("ready at")
            assert lease_of(place).word == Word.STOOD_DOWN


def test_an_engine_that_was_killed_acts_at_once_and_writes_no_lease_again(place: Place) -> None:
    with acting(place.installation) as engine:
        engine.kill()
    before = lease_of(place)
    with acting(place.installation):
        assert lease_of(place) == before


@pytest.mark.parametrize("point", ["lease-written", "lease-pushed", "lease-begun", "lease-released"])
def test_whatever_step_it_is_killed_at_the_next_start_acts(place: Place, point: str) -> None:
    with place.installation.engine(VAULTLOOP_FAILPOINT=point) as engine:
        if point == "lease-released":
            engine.line("ready at")
            os.kill(engine.pid, signal.SIGINT)
        engine.wait_killed()
    with acting(place.installation):
        assert place.installation.json("health")["status"] == "ok"
        holder = lease_of(place).holder
        assert holder is not None
        assert holder.engine == StateDirectory(place.settings.state).engine_id


def test_one_that_is_killed_as_it_gives_its_word_gives_none_twice(place: Place) -> None:
    younger = elsewhere(place, "younger")
    with place.installation.engine(VAULTLOOP_FAILPOINT="stood-down") as old:
        old.line("ready at")
        with younger.engine() as young:
            old.wait_killed()
            young.line("ready at")
            # It comes back, and is the younger one now.
            with acting(place.installation):
                young.line("standing down")
    assert words_of(place).count(Word.STOOD_DOWN) == 2


def test_a_remote_that_takes_no_lease_keeps_nobody_from_working_and_that_is_said(place: Place) -> None:
    assert place.remote is not None
    hook = place.remote / "hooks" / "pre-receive"
    hook.write_text(
        '#!/bin/sh\nwhile read old new ref; do case "$ref" in refs/heads/*) ;; *) exit 1;; esac; done\n'
    )
    hook.chmod(0o755)
    # Through git itself: a push to a path runs no hook.
    with git_server(place.remote.parent) as server:
        place.config.write_text(place.config.read_text().replace(str(place.remote), server.url("vault.git")))
        git(place.remote, "config", "http.receivepack", "true")
        with acting(place.installation) as engine:
            assert "does not take refs/vaultloop/lease" in "".join(engine.log)
            lease = place.installation.json("status")["lease"]
            assert lease["acts"]
            assert "Two engines could not see each other" in lease["why"]
