"""The web process as the engine's child: started, replaced, ended, and never missed by the engine."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from support.installation import COMMAND, Engine, Installation, environment
from support.running import Place
from vaultloop.web import child
from vaultloop.web.address import Address
from vaultloop.web.child import MissingExtra, NoSecret, require_extra

LISTENS = r"listens on (127\.0\.0\.1:\d+)"


def answer(address: str, path: str = "/healthz") -> tuple[int, Any]:
    """Status and JSON of one request over HTTP."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass(frozen=True)
class Served:
    """An engine with its web process."""

    engine: Engine

    def listening(self) -> str:
        """The address of the next web process, once it listens."""
        found = re.search(LISTENS, self.engine.line(rf"web: {LISTENS}"))
        assert found is not None
        return found[1]

    @property
    def web(self) -> int:
        [pid] = [
            pid for pid in children(self.engine.pid) if b"web" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return pid


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    place = Place.with_remote(tmp_path)
    return Installation(place.config, {"VAULTLOOP_WEB": "127.0.0.1:0", "VAULTLOOP_GIT_PASSWORD": "hunter2"})


@pytest.fixture
def served(installation: Installation) -> Iterator[Served]:
    with installation.engine() as engine:
        engine.line(r"ready at")
        yield Served(engine)


@pytest.mark.acceptance
def test_the_engine_replaces_a_web_process_that_died_and_does_not_miss_it(
    served: Served, installation: Installation
) -> None:
    address = served.listening()
    status, health = answer(address)
    assert (status, health["status"]) == (200, "ok")
    assert health["revision"] == health["applied"]

    os.kill(served.web, signal.SIGKILL)
    served.engine.line("web was killed by signal 9; it starts again in 1 s")
    assert installation.say("/help").startswith("/status")
    assert installation.json("health")["status"] == "ok"
    assert answer(served.listening())[0] == 200


@pytest.mark.acceptance
def test_the_web_process_gets_no_secret_and_ends_with_its_engine(served: Served) -> None:
    served.listening()
    web = Path(f"/proc/{served.web}")
    given = web.joinpath("environ").read_bytes()
    assert b"PATH=" in given
    assert b"hunter2" not in given
    assert b"VAULTLOOP_" not in given
    served.engine.stop()
    assert not web.exists()


@pytest.mark.acceptance
def test_a_killed_engine_leaves_no_web_process_behind(served: Served) -> None:
    address = served.listening()
    served.engine.kill()
    while True:
        try:
            answer(address)
        except (urllib.error.URLError, ConnectionError):
            break


@contextmanager
def web_alone(state: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A web process that nobody keeps, and its address."""
    command = [*COMMAND, "web", "--state", str(state), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as web:
        try:
            assert web.stderr is not None
            found = re.search(LISTENS, web.stderr.readline())
            assert found is not None
            yield found[1], web
        finally:
            web.kill()


@pytest.mark.acceptance
def test_a_web_process_tells_whether_the_engine_runs(tmp_path: Path) -> None:
    installation = Installation(Place.with_remote(tmp_path).config)
    with web_alone(tmp_path / "state") as (address, web):
        stopped = {"status": "unreachable", "reason": "No engine answers. It is stopped, or still starting."}
        assert answer(address) == (503, stopped)
        with installation.engine() as engine:
            engine.line(r"ready at")
            while answer(address)[0] != 200:
                pass
        while answer(address) != (503, stopped):
            pass
        # An engine that is there and says nothing.
        with installation.engine() as engine:
            engine.line(r"ready at")
            os.kill(engine.pid, signal.SIGSTOP)
            while "did not answer within" not in answer(address)[1].get("reason", ""):
                pass
            os.kill(engine.pid, signal.SIGCONT)
            while answer(address)[0] != 200:
                pass
        web.terminate()
        assert web.wait(timeout=20) in {0, -signal.SIGTERM}


def test_where_the_web_server_is_missing_the_cure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    require_extra()
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"needs uvicorn: pip install 'vaultloop\[web\]'"):
        require_extra()


def test_an_engine_that_lacks_its_web_server_refuses_to_start(
    installation: Installation, tmp_path: Path
) -> None:
    # A program that finds no starlette, as in an environment without the extra.
    without = "import sys; sys.modules['starlette'] = None; from vaultloop.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", without, "up", "--config", str(installation.config)],
        env=environment(**installation.variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert "pip install 'vaultloop[web]', or in a clone pipx install --force '.[web]'" in done.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", "8080"], "--listen: an address and a port, such as 127.0.0.1:8080"),
        ([], "Missing option '--listen'"),
    ],
)
def test_a_wrong_command_line_exits_64(tmp_path: Path, words: list[str], said: str) -> None:
    command = [*COMMAND, "web", "--state", str(tmp_path), *words]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, said in done.stderr) == (64, True), done.stderr


def test_the_secret_is_handed_over_as_one_line_and_anything_else_is_refused_unseen() -> None:
    secret = SecretStr('with "quotes"\nand lines')
    line = child.greeting(secret)
    assert line.count(b"\n") == 1
    assert child.secret_from(line) == secret.get_secret_value()
    assert child.greeting(None) == b""
    for wrong in (
        b"",
        b"hunter2\n",
        b"[]\n",
        b'{"webhook-secret": ""}\n',
        b'{"webhook-secret": 1, "x": "hunter2"}\n',
    ):
        with pytest.raises(NoSecret, match="one line of JSON on standard input") as refused:
            child.secret_from(wrong)
        assert "hunter2" not in str(refused.value)
    assert "--secret-on-stdin" in child.command(Path("/state"), Address("", 80), with_secret=True)
    assert "--secret-on-stdin" not in child.command(Path("/state"), Address("", 80))


def test_the_environment_of_the_web_process_is_chosen_by_name() -> None:
    given = child.environment(
        {"PATH": "/bin", "ANTHROPIC_API_KEY": "k", "PYTHONPATH": "/p", "VAULTLOOP_WEB": ":1"}
    )
    assert given == {"PATH": "/bin", "PYTHONPATH": "/p"}
    command = child.command(Path("/state"), Address("::1", 80))
    assert command[-4:] == ["--state", "/state", "--listen", "[::1]:80"]
