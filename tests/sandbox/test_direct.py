import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from support.run import asynchronous
from vaultloop.model.cell import Cell
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience, Policy
from vaultloop.model.status import Confinement
from vaultloop.sandbox.direct import DirectLauncher


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    environment = {"PATH": os.environ["PATH"], "GREETING": "hello"}
    return Cell(tmp_path, tmp_path, tmp_path, environment, Policy("owner", Audience.OWNER))


def python(program: str) -> Sequence[str]:
    return [sys.executable, "-c", program]


def test_it_says_that_nothing_is_confined() -> None:
    assert DirectLauncher().confinement(Audience.OWNER) is Confinement.UNCONFINED


@asynchronous
async def test_a_program_gets_its_folder_and_exactly_the_environment_of_the_cell(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "not for children")
    program = "import os; print(os.getcwd()); print(sorted(k for k in os.environ if k != 'LC_CTYPE'))"
    async with DirectLauncher().launch(python(program), cell) as child:
        lines = [line.decode().strip() async for line in child.lines()]
        assert await child.wait() == 0
    assert lines == [str(cell.view), "['GREETING', 'PATH']"]


@asynchronous
async def test_what_is_written_reaches_the_program_and_its_complaint_comes_back(cell: Cell) -> None:
    program = "import sys; t = sys.stdin.read(); print(t); print('x' * 100_000 + t, file=sys.stderr); exit(3)"
    async with DirectLauncher().launch(python(program), cell) as child:
        await child.write(b"hi", last=True)
        assert [line async for line in child.lines()] == [b"hi\n"]
        assert await child.wait() == 3
        assert (await child.complaint()).endswith("xxxhi")


@asynchronous
async def test_a_missing_program_is_named_with_a_cure(cell: Cell) -> None:
    with pytest.raises(Stalled, match=r"no-such-program cannot be started.*Install it"):
        async with DirectLauncher().launch(["no-such-program"], cell):
            pass


@asynchronous
async def test_leaving_the_block_ends_the_program(cell: Cell) -> None:
    async with DirectLauncher().launch(["sleep", "1000"], cell) as child:
        pid = child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@asynchronous
async def test_a_child_that_outlives_the_program_does_not_hold_up_the_session(cell: Cell) -> None:
    program = (
        "import os, subprocess; p = subprocess.Popen(['sleep', '1000'], start_new_session=True); print(p.pid)"
    )
    async with DirectLauncher().launch(python(program), cell) as child:
        lines = [line async for line in child.lines()]
        assert await child.wait() == 0
        assert await child.complaint() == ""
    os.kill(int(lines[0]), 9)


@asynchronous
async def test_what_left_the_group_ends_with_the_program_whose_home_it_was_given(
    cell: Cell, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    own = replace(cell, home=home, environment={**cell.environment, "HOME": str(home)})
    program = (
        "import subprocess; p = subprocess.Popen(['sleep', '1000'], start_new_session=True); print(p.pid)"
    )
    async with DirectLauncher().launch(python(program), own) as child:
        lines = [line async for line in child.lines()]
    while state_of(int(lines[0])) not in ("gone", "Z"):
        await asyncio.sleep(0)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"
