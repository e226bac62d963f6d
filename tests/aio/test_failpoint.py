"""Named places to crash."""

import signal
import subprocess
import sys

import pytest

from vaultloop.aio.failpoint import VARIABLE, Failpoint

PROGRAM = """
from vaultloop.aio.failpoint import Failpoint, reached
for _ in range(2):
    reached(Failpoint.BRANCH_MOVED)
    print("passed", flush=True)
"""


@pytest.mark.parametrize(("armed", "passed"), [("branch-moved", 0), ("branch-moved:2", 1)])
def test_an_armed_point_kills_the_process_at_the_passage_named(armed: str, passed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={VARIABLE: armed}, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.count("passed") == passed


def test_without_the_variable_nothing_happens() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], env={}, capture_output=True, text=True, check=True)
    assert done.stdout.count("passed") == 2


def test_every_point_has_a_name_that_fits_the_variable() -> None:
    assert all(":" not in point for point in Failpoint)
