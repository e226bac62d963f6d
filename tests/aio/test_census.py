"""Finding processes by a mark in their environment."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from vaultloop.aio.census import kill_housed, kill_marked, marked


@pytest.fixture
def escaped(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that carries a mark."""
    with in_a_session_of_its_own(MARK=str(tmp_path)) as child:
        yield child
        child.kill()


def in_a_session_of_its_own(**environment: str) -> subprocess.Popen[bytes]:
    """A process that runs until its input ends, and whose environment can be seen by now."""
    child = subprocess.Popen(
        ["cat"],
        env={"PATH": os.environ["PATH"], **environment},
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    # Between its start and its first instruction the kernel shows no environment.
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"there?\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"there?\n"
    return child


def test_a_process_is_found_by_what_it_was_started_with(
    escaped: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert marked("MARK", str(tmp_path)) == [escaped.pid]
    assert marked("MARK", str(tmp_path / "another")) == []


def test_marked_processes_are_killed_and_no_others(escaped: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert kill_marked("MARK", str(tmp_path / "another")) == []
    assert escaped.poll() is None
    assert kill_marked("MARK", str(tmp_path)) == [escaped.pid]
    assert escaped.wait() == -9


def test_a_dead_process_that_nobody_has_waited_for_is_no_obstacle(
    escaped: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    escaped.kill()
    assert kill_marked("MARK", str(tmp_path)) in ([], [escaped.pid])


def test_whoever_lives_below_a_folder_is_killed_and_its_neighbours_are_not(tmp_path: Path) -> None:
    inside = in_a_session_of_its_own(HOME=str(tmp_path / "cells/one/home"))
    outside = in_a_session_of_its_own(HOME=str(tmp_path / "cells-of-others"))
    with inside, outside:
        assert kill_housed(tmp_path / "cells") == [inside.pid]
        assert inside.wait() == -9
        assert outside.poll() is None
        outside.kill()
