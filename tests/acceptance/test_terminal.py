"""The engine with a chat in one terminal, as `make up` starts it."""

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.installation import COMMAND, environment

# The longest wait for something to appear (seconds).
PATIENCE = 30.0


class Screen:
    """A program in a terminal of its own: what is typed and what appears."""

    def __init__(self, *command: str) -> None:
        self._ours, theirs = pty.openpty()
        self.program = subprocess.Popen(
            command,
            env=environment(TERM="xterm"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.text = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def shows(self, pattern: str) -> str:
        """Wait until `pattern` appears; what came before it counts as read."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text)):
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._ours], [], [], max(left, 0))
            assert ready, f"{pattern!r} did not appear in:\n{self.text}"
            self.text += os.read(self._ours, 65536).decode(errors="replace")
        self.text = self.text[found.end() :]
        return found[0]

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.kill()
        self.program.wait()
        os.close(self._ours)


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    where = ["--state", str(tmp_path / "state"), "--config", str(tmp_path / "vaultloop.toml")]
    words = ["init", str(tmp_path / "vault"), "--bare-remote", str(tmp_path / "remote.git"), *where]
    subprocess.run([*COMMAND, *words], env=environment(), check=True, capture_output=True)
    found = Screen(*COMMAND, "up", "--chat", "--config", str(tmp_path / "vaultloop.toml"))
    try:
        yield found
    finally:
        found.close()


def test_what_is_typed_is_answered_and_ctrl_c_stops_cleanly(screen: Screen, tmp_path: Path) -> None:
    screen.shows(r"Vaultloop runs\. digest: next 20")
    screen.shows("You speak as the owner")
    screen.type("append Call Ada to Inbox\n")
    screen.shows(r"Added to \[\[Inbox\]\]")
    screen.type("/crons\n")
    screen.shows("digest: next")
    assert "Call Ada" in (tmp_path / "vault" / "Inbox.md").read_text()
    # The log is a file here: it must not run through what is typed.
    assert "INFO    sessions: fenced" in (tmp_path / "state" / "engine.log").read_text()
    screen.program.send_signal(2)
    assert screen.program.wait(timeout=PATIENCE) == 0


def test_a_conversation_may_come_from_a_pipe_or_a_file(screen: Screen, tmp_path: Path) -> None:
    screen.shows("You speak as the owner")
    said = tmp_path / "said.txt"
    said.write_text("what is open?\n/crons\n")
    chat = [*COMMAND, "chat", "--config", str(tmp_path / "vaultloop.toml")]
    from_pipe = subprocess.run(
        chat, input=said.read_text(), env=environment(), capture_output=True, text=True, check=True
    )
    with said.open() as file:
        from_file = subprocess.run(
            chat, stdin=file, env=environment(), capture_output=True, text=True, check=True
        )
    for done in (from_pipe, from_file):
        assert "4 open tasks" in done.stdout
        assert "digest: next" in done.stdout


def test_ending_the_chat_leaves_the_engine_running(screen: Screen) -> None:
    screen.shows("You speak as the owner")
    screen.type("\x04")
    screen.shows("The chat ended; the engine goes on")
    assert screen.program.poll() is None
