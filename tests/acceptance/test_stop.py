"""ctrl-C ends an engine within seconds, whatever is under way, and the next start goes on from there."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.git_server import git_server
from support.installation import Engine
from support.workplace import ENDLESS, Workplace

# How long stopping may take (seconds): an agent has two for ctrl-C, and two more for a harder word.
STOPPED_WITHIN = 6.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace.made(tmp_path_factory.mktemp("place"))


@pytest.fixture
def place(made: Workplace) -> Workplace:
    return made.renewed()


def stop(engine: Engine) -> None:
    """Press ctrl-C; it must end in time, with exit code 0 and no traceback."""
    began = time.monotonic()
    engine.stop()
    took = time.monotonic() - began
    assert took < STOPPED_WITHIN, f"it took {took:.1f} s:\n" + "".join(engine.log)


def at_work_in(folder: Path) -> list[str]:
    """Processes whose current directory lies below `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
        except OSError:
            continue
        if where.is_relative_to(folder):
            found.append(process.name)
    return found


def test_while_a_session_runs(place: Workplace) -> None:
    with place.engine("11:00:00") as engine:
        engine.line("ready at")
        with place.chat(ENDLESS) as chat:
            engine.line("started for message")
            stop(engine)
            assert chat.wait(timeout=10) == 69
    assert at_work_in(place.state) == []
    with place.engine("11:00:10") as engine:
        engine.line("ready at")
        with place.chat("/retry") as chat:
            said = "".join(chat.communicate(timeout=30))
        assert "The engine was stopped while it worked on this." in said
        assert "Running it again." in said
        stop(engine)


def test_while_a_push_hangs(place: Workplace) -> None:
    release = threading.Event()
    with git_server(place.root) as server:
        place.use_remote(server.url("vault.git"))
        place.accept_pushes()

        def hang(method: str, path: str) -> None:
            if method == "POST" and path.endswith("git-receive-pack"):
                hanging.set()
                release.wait(timeout=60)

        hanging = threading.Event()
        server.before = hang
        with place.engine("11:00:00") as engine:
            engine.line("ready at")
            with place.chat("append Call Ada to Inbox") as chat:
                assert chat.wait(timeout=30) == 0
            assert hanging.wait(timeout=10)
            stop(engine)
        release.set()
        with place.engine("11:00:10") as engine:
            engine.line(f"pushed {place.head[:12]}")
            stop(engine)
    assert place.remote_head == place.head


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that lets nobody in and sends nobody away: each connection is attempted until it times out."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        try:
            yield address[1]
        finally:
            for each in waiting:
                each.close()


def test_while_the_remote_cannot_be_reached(place: Workplace) -> None:
    with black_hole() as port:
        place.use_remote(f"http://127.0.0.1:{port}/vault.git")
        with place.engine("11:00:00") as engine:
            engine.line("sessions: ")
            stop(engine)


def test_a_second_ctrl_c_ends_it_at_once(place: Workplace) -> None:
    with black_hole() as port:
        place.use_remote(f"http://127.0.0.1:{port}/vault.git")
        with place.engine("11:00:00") as engine:
            engine.line("sessions: ")
            os.kill(engine.pid, signal.SIGINT)
            engine.line("stopping")
            os.kill(engine.pid, signal.SIGINT)
            assert engine.wait() == 130
            assert "Traceback" not in "".join(engine.log)
