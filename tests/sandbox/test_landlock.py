"""Landlock with each version of its interface, in real processes of an unprivileged user."""

import errno
import json
import os
import socket
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from support.unprivileged import drive, place
from vaultloop.sandbox import landlock
from vaultloop.sandbox.landlock import (
    EXECUTE,
    IOCTL_DEV,
    MAKE_BLOCK,
    MAKE_CHAR,
    MAKE_FIFO,
    MAKE_SOCK,
    READ,
    REFER,
    TRUNCATE,
    WRITE,
    Ruleset,
)

FOUND = landlock.abi()
ABIS = [1, 2, 3, 4, 5, 6, 7]

pytestmark = pytest.mark.skipif(FOUND < 1, reason="this kernel has no Landlock")


def outcome(action: Callable[[], object]) -> str:
    """`works`, or the errno's name."""
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "works"


def in_child(action: Callable[[], Any]) -> Any:
    """What `action` returns in a process of its own: one that is held could not tell it by a file."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(action()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        said = told.read()
    os.waitpid(child, 0)
    return json.loads(said)


def held(folder: str, abi: int) -> Any:
    """What comes of each attempt under `abi`; 0 is without Landlock."""
    return in_child(lambda: _held(folder, abi))


def _held(folder: str, abi: int) -> dict[str, str]:
    given = Path(folder)
    inside, outside, single, readable = (given / name for name in ("in", "out", "single", "readable"))
    for made in (inside, outside, readable, inside / "a", inside / "b"):
        made.mkdir()
    for note in (inside / "a" / "note", outside / "note", outside / "long", single, readable / "note"):
        note.write_text("text")
    (inside / "link").symlink_to(outside / "note")
    script = inside / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    abstract = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    abstract.bind("\0" + folder)
    stranger = _stranger()
    kept = os.open(outside / "note", os.O_RDONLY)
    if abi:
        landlock.restrict(
            Ruleset(
                execute=("/usr", "/bin", "/lib", "/lib64"),
                read=(str(readable), str(single)),
                write=(str(inside),),
                devices=("/dev/null",),
                optional=frozenset({"/lib64"}),
            ),
            abi=abi,
        )
    attempts: dict[str, Callable[[], object]] = {
        "read outside": (outside / "note").read_text,
        "read outside by a link": (inside / "link").read_text,
        "read outside by ..": (inside / ".." / "out" / "note").read_text,
        "list outside": lambda: list(outside.iterdir()),
        "list the parent": lambda: list(given.iterdir()),
        "write outside": lambda: (outside / "note").write_text("x"),
        "make outside": (outside / "new").mkdir,
        "remove outside": (outside / "note").unlink,
        "move outside": lambda: (inside / "a" / "note").rename(outside / "moved"),
        "hard link from outside": lambda: (inside / "hard").hardlink_to(outside / "note"),
        "truncate outside": lambda: os.truncate(outside / "long", 0),
        "what is open stays open": lambda: os.read(kept, 1),
        "read inside": (inside / "a" / "note").read_text,
        "write inside": lambda: (inside / "a" / "more").write_text("x"),
        "truncate inside": lambda: os.truncate(inside / "a" / "note", 1),
        "make inside": (inside / "new").mkdir,
        "move inside a folder": lambda: (inside / "a" / "more").rename(inside / "a" / "renamed"),
        "move between folders": lambda: (inside / "a" / "renamed").rename(inside / "b" / "renamed"),
        "remove inside": (inside / "b" / "renamed").unlink,
        "run what it wrote": lambda: _run(str(script)),
        "run the system's": lambda: _run("/bin/true"),
        "make a pipe": lambda: os.mkfifo(inside / "pipe"),
        "make a socket": lambda: socket.socket(socket.AF_UNIX).bind(str(inside / "socket")),
        "read the single file": single.read_text,
        "write the single file": lambda: single.write_text("x"),
        "read what may be read": (readable / "note").read_text,
        "write what may be read": lambda: (readable / "note").write_text("x"),
        "make where may be read": (readable / "new").touch,
        "use a device": lambda: Path("/dev/null").write_text("x"),
        "connect": lambda: socket.create_connection(listener.getsockname(), 5).close(),
        "bind": lambda: socket.socket().bind(("127.0.0.1", 0)),
        "abstract socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect("\0" + folder),
        "signal": lambda: os.kill(stranger, 0),
        "environment of another": Path(f"/proc/{stranger}/environ").read_bytes,
    }
    return {name: outcome(attempt) for name, attempt in attempts.items()}


def _stranger() -> int:
    """A process that is not held, and ends when this one does."""
    until, ours = os.pipe()
    stranger = os.fork()
    if stranger == 0:
        os.close(ours)
        os.read(until, 1)
        os._exit(0)
    return stranger


def _run(program: str) -> None:
    os.waitpid(os.posix_spawn(program, [program], {}), 0)


@cache
def under(abi: int) -> Mapping[str, str]:
    with place() as folder:
        return dict(drive(held, str(folder), abi))


def at(abi: int) -> Mapping[str, str]:
    if abi > FOUND:
        pytest.skip(f"this kernel has Landlock up to ABI {FOUND}")
    return under(abi)


ALWAYS = {
    "read outside": "EACCES",
    "read outside by a link": "EACCES",
    "read outside by ..": "EACCES",
    "list outside": "EACCES",
    "list the parent": "EACCES",
    "write outside": "EACCES",
    "make outside": "EACCES",
    "remove outside": "EACCES",
    "hard link from outside": "EXDEV",
    "run what it wrote": "EACCES",
    "make a pipe": "EACCES",
    "make a socket": "EACCES",
    "write the single file": "EACCES",
    "write what may be read": "EACCES",
    "make where may be read": "EACCES",
    "environment of another": "EACCES",
    "what is open stays open": "works",
    "read inside": "works",
    "write inside": "works",
    "truncate inside": "works",
    "make inside": "works",
    "move inside a folder": "works",
    "run the system's": "works",
    "read the single file": "works",
    "read what may be read": "works",
    "use a device": "works",
}

# What each ABI adds; below it, the system call filter or nobody.
SINCE = {
    "move between folders": (2, "EXDEV", "works"),
    "truncate outside": (3, "works", "EACCES"),
    "connect": (4, "works", "EACCES"),
    "bind": (4, "works", "EACCES"),
    "abstract socket": (6, "works", "EPERM"),
    "signal": (6, "works", "EPERM"),
}


@pytest.mark.parametrize("abi", ABIS)
def test_files_are_held_at_every_abi(abi: int) -> None:
    said = at(abi)
    assert {name: said[name] for name in ALWAYS} == ALWAYS


@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("attempt", SINCE)
def test_each_abi_adds_what_it_is_known_for(abi: int, attempt: str) -> None:
    since, before, after = SINCE[attempt]
    assert at(abi)[attempt] == (after if abi >= since else before)


@pytest.mark.parametrize("abi", ABIS)
def test_nothing_is_moved_out_at_any_abi(abi: int) -> None:
    assert at(abi)["move outside"] in ("EXDEV", "EACCES")


def test_without_landlock_all_of_it_works() -> None:
    """So the refusals are Landlock's; what it moved or removed is gone for the attempts after it."""
    said = under(0)
    refused = [name for name, answer in ALWAYS.items() if answer != "works"]
    gone = {"hard link from outside", "read inside", "truncate inside", "remove inside"}
    assert {name: said[name] for name in refused if said[name] != "works"}.keys() <= gone


def without_a_folder(folder: str, optional: bool) -> str:
    missing = f"{folder}/missing"
    rules = Ruleset(read=(missing,), optional=frozenset({missing} if optional else ()))
    return str(in_child(lambda: outcome(lambda: landlock.restrict(rules, abi=FOUND))))


def test_a_path_that_is_missing_is_an_error_unless_it_may_be() -> None:
    with place() as folder:
        assert drive(without_a_folder, str(folder), False) == "ENOENT"
        assert drive(without_a_folder, str(folder), True) == "works"


def under_no_abi() -> str:
    try:
        landlock.restrict(Ruleset(), abi=0)
    except OSError as error:
        return str(error)
    return "held"


def test_no_abi_is_an_error_and_not_a_weaker_fence() -> None:
    assert "ABI 0 holds nothing" in drive(under_no_abi)


@pytest.mark.parametrize(("abi", "added"), [(1, 0), (2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)])
def test_rights_that_a_kernel_does_not_know_are_not_asked_for(abi: int, added: int) -> None:
    assert not landlock.handled(abi - 1) & added if abi > 1 else True
    assert landlock.handled(abi) & added == added


def test_what_may_be_written_is_never_run_and_holds_nothing_special() -> None:
    assert WRITE & READ == READ
    assert not WRITE & (EXECUTE | IOCTL_DEV | MAKE_CHAR | MAKE_BLOCK | MAKE_SOCK | MAKE_FIFO)
