"""The user in whose name fence tests run: root passes through fences, so a suite that root runs steps down.

`tests/install-tools` makes an account for it. Where there is none (the set-up was not root, or the system
takes no accounts) a user id that nobody has does as well. A suite of a plain user goes on as that user.

A driver is a function at the top of a module. It runs in a fresh Python process, so that nothing of the
suite's own process (descriptors, memory, what root has opened) is within its reach:

    def driver(place: str, what: str) -> str: ...

    with place() as folder:
        assert drive(driver, str(folder), "x") == "done"
"""

import importlib.util
import inspect
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ACCOUNT = "vaultloop-attack"

# Without an account: far above what systems give to people and services (65,534 is nobody's), below the
# ranges that containers map. The first that no account has.
_FREE_IDS = range(47_000, 47_100)

# Directories under /tmp: pytest's own are closed to all but the one who runs it.
_BASE = Path("/tmp")

# How long a driver may take (seconds); a test has 60.
PATIENCE = 55.0

_TESTS = Path(__file__).parent.parent
_ENGINE = _TESTS.parent / "engine"


@dataclass(frozen=True, slots=True)
class User:
    """Whom fence tests run as."""

    uid: int
    gid: int

    @property
    def is_me(self) -> bool:
        return self.uid == os.getuid()


class UnreachableError(Exception):
    """The unprivileged user cannot run what the suite runs; the text says what helps."""


@cache
def user() -> User:
    """The one who runs the suite, or, in root's place, one who has no rights."""
    if os.getuid() != 0:
        return User(os.getuid(), os.getgid())
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        taken = {known.pw_uid for known in pwd.getpwall()}
        free = next(number for number in _FREE_IDS if number not in taken)
        return User(free, free)
    return User(account.pw_uid, account.pw_gid)


@cache
def python() -> str:
    """An interpreter of this version that the user can run.

    Raises:
        UnreachableError: there is none, or the work tree is closed to the user.
    """
    if user().is_me:
        return sys.executable
    for needed in (_ENGINE, _TESTS, _packages()):
        if not _is_open(needed):
            raise UnreachableError(
                f"{needed} is closed to other users, so that fence tests cannot step down from root. "
                "Run the suite as a plain user, or from a folder that others may enter."
            )
    name = f"python3.{sys.version_info.minor}"
    for candidate in (Path(sys.executable), Path("/usr/local/bin") / name, Path("/usr/bin") / name):
        if candidate.exists() and _is_open(candidate.resolve()):
            return str(candidate)
    raise UnreachableError(
        f"{sys.executable} is closed to other users, so that fence tests cannot step down from root. "
        f"Run the suite as a plain user, or install {name} for all users."
    )


@contextmanager
def place() -> Iterator[Path]:
    """A folder that the user owns and nobody else can enter; gone after the block."""
    folder = _BASE / f"vaultloop-{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    os.chown(folder, user().uid, user().gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def environment(home: Path, **more: str) -> dict[str, str]:
    """A clean environment in which the user can import the engine and the tests."""
    return {
        "HOME": str(home),
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(map(str, (_ENGINE, _TESTS, _packages()))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "error",
        **more,
    }


def start(command: Sequence[str], env: Mapping[str, str], cwd: Path, **more: Any) -> subprocess.Popen[bytes]:
    """Start `command` as the user; `more` is what `Popen` takes."""
    if not user().is_me:
        more |= {"user": user().uid, "group": user().gid, "extra_groups": []}
    return subprocess.Popen(command, env=dict(env), cwd=cwd, **more)


def drive(driver: Callable[..., Any], *args: Any, env: Mapping[str, str] | None = None) -> Any:
    """What `driver` returns when it runs with `args` in a process of the user; both as JSON can say them.

    `env` is added to a clean environment. What the driver prints goes where the suite's output goes.

    Raises:
        AssertionError: it failed; with its traceback.
    """
    source = inspect.getsourcefile(driver)
    assert source is not None
    with place() as home:
        answer = home / "answer.json"
        command = [
            python(), "-m", "support.unprivileged", source, driver.__qualname__, json.dumps(args), str(answer)
        ]  # fmt: skip
        process = start(
            command, environment(home, **(env or {})), home, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            _, complaint = process.communicate(timeout=PATIENCE)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.returncode == 0, f"{driver.__qualname__} failed:\n{complaint.decode()}"
        return json.loads(answer.read_text())


def _is_open(path: Path) -> bool:
    """Whether anybody may come here."""
    return all(step.stat().st_mode & 0o001 for step in (path, *path.resolve().parents))


def _packages() -> Path:
    """Where the packages lie that this process runs with."""
    return Path(pytest.__file__).parent.parent


def _driver(source: str, name: str) -> Callable[..., Any]:
    """The function of this name in that file."""
    spec = importlib.util.spec_from_file_location("driven", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["driven"] = module
    spec.loader.exec_module(module)
    driver: Callable[..., Any] = getattr(module, name)
    return driver


def main() -> None:
    """Run the driver that the arguments name, and write down what it returns."""
    source, name, args, answer = sys.argv[1:]
    result = _driver(source, name)(*json.loads(args))
    Path(answer).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
