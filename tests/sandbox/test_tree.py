import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from support.cells import alive
from vaultloop.sandbox import tree

# A family: a child, a grandchild in a session of its own; prints their ids.
FAMILY = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    print(os.getppid(), os.getpid(), flush=True)
time.sleep(1000)
"""


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, start_new_session=True
    ) as first:
        assert first.stdout is not None
        child, grandchild = map(int, first.stdout.readline().split())
        yield child, grandchild
        tree.kill([child, grandchild])


@pytest.mark.parametrize("lists", [True, False], ids=["lists of children", "parents alone"])
def test_all_below_a_process_are_found_also_where_the_kernel_keeps_no_lists(
    family: tuple[int, int], lists: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_LISTS", lists)
    child, grandchild = family
    assert set(family) <= set(tree.descendants(os.getpid()))
    assert tree.descendants(child) == tree.children(child) == [grandchild]
    assert tree.is_below(grandchild, os.getpid())
    assert not tree.is_below(os.getpid(), child)
    assert not tree.is_below(1, child)


def test_killing_reaches_those_that_left_the_session(family: tuple[int, int]) -> None:
    tree.kill(list(family))
    while any(map(alive, family)):
        time.sleep(0)


def test_a_process_that_is_gone_has_no_state_no_parent_and_hears_no_signal() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert tree.stat(process.pid) == []
    assert tree.parent_of(process.pid) == 0
    assert tree.descendants(process.pid) == []
    tree.send(process.pid, signal.SIGKILL)


def test_who_ended_is_told_with_the_exit_status() -> None:
    # In a process of its own: it fetches whatever ended below it.
    program = (
        "import os, time\n"
        "from vaultloop.sandbox import tree\n"
        "def child(end):\n"
        "    pid = os.fork()\n"
        "    if pid == 0: end()\n"
        "    return pid\n"
        "wanted = {child(lambda: os._exit(3)): 3, child(lambda: os.kill(os.getpid(), 9)): -9}\n"
        "got = {}\n"
        "try:\n"
        "    while True: got.update(tree.reaped())\n"
        "except ChildProcessError: assert got == wanted, got\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
