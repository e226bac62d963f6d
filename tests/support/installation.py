"""A whole installation as a person has it: a settings file, the command, a running engine."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

# The longest wait for one line of the log (seconds): a cron of every minute, with room for a busy machine.
PATIENCE = 100.0

# What a test's own programs need; PYTHONPATH where the suite's packages are shown to another Python that way.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")

COMMAND = (sys.executable, "-W", "error", "-m", "vaultloop")


def environment(**more: str) -> dict[str, str]:
    """What a child gets: no setting of the developer's own leaks into a test."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **more}


@dataclass(frozen=True)
class Installation:
    """A settings file and what it names."""

    config: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, *words: str, expect: int | None = 0, timeout: float = 60.0) -> str:
        """Run one command and return its standard output; its exit code must be `expect` (None: any)."""
        done = subprocess.run(
            [*COMMAND, words[0], *words[1:], "--config", str(self.config)],
            env=environment(**self.variables),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert expect is None or done.returncode == expect, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def json(self, *words: str, expect: int | None = 0) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.run(*words, "--json", expect=expect))

    def say(self, text: str, *more: str) -> str:
        """What the agent answers to `text`."""
        return self.run("chat", "--once", text, *more).strip()

    @contextmanager
    def engine(self, *program: str, **more: str) -> "Iterator[Engine]":
        """A running engine; interrupted, as by ctrl-C, at the end if it still runs."""
        with Engine(
            [*(program or (*COMMAND, "up")), "--config", str(self.config)], {**self.variables, **more}
        ) as up:
            yield up


class Engine:
    """A running `vaultloop up` and its log."""

    def __init__(self, command: list[str], variables: Mapping[str, str]) -> None:
        self.log: list[str] = []
        self._seen = 0
        self._ended = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            command,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="engine log", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._process.poll() is None:
                self.stop()
        finally:
            self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self, pattern: str, *, timeout: float = PATIENCE) -> str:
        """The next line of the log that matches; lines before it count as read."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for number in range(self._seen, len(self.log)):
                    if re.search(pattern, self.log[number]):
                        self._seen = number + 1
                        return self.log[number]
                left = deadline - time.monotonic()
                assert left > 0, f"no line matches {pattern!r} in:\n" + "".join(self.log)
                assert not self._ended, f"it ended before {pattern!r}:\n" + "".join(self.log)
                self._changed.wait(left)

    def stop(self) -> str:
        """Interrupt it, as ctrl-C does; it must end by itself, cleanly."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(timeout=30)
        self._reader.join(timeout=10)
        text = "".join(self.log)
        assert code == 0, f"exit code {code} in:\n{text}"
        assert "Traceback" not in text, text
        return text

    def kill(self) -> None:
        """kill -9."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(timeout=10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait(self, *, timeout: float = PATIENCE) -> int:
        """Its exit status once it has ended by itself: negative for a signal."""
        code = self._process.wait(timeout=timeout)
        self._reader.join(timeout=10)
        return code

    def wait_killed(self, *, timeout: float = PATIENCE) -> None:
        """Wait until it was killed from within."""
        try:
            code = self.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError("it was not killed:\n" + "".join(self.log)) from None
        assert code == -signal.SIGKILL, "".join(self.log)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.log.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
