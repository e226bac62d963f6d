"""What sessions work with, and what a crash leaves of it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.desk import Desk
from support.run import asynchronous


@pytest.fixture
def left_behind(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command of an agent whose engine was killed: its home is a cell's."""
    home = tmp_path / "state" / "cells" / "of-a-session" / "home"
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with subprocess.Popen(["sleep", "1000"], env=environment, start_new_session=True) as child:
        yield child
        child.kill()


@asynchronous
async def test_a_start_ends_what_a_killed_engine_left_running_in_a_cell(
    tmp_path: Path, left_behind: subprocess.Popen[bytes]
) -> None:
    desk = Desk.at(tmp_path)
    (desk.state / "cells" / "of-a-session").mkdir(parents=True)
    async with desk.open():
        assert left_behind.wait(timeout=10) == -9
        assert list((desk.state / "cells").glob("*")) == []
