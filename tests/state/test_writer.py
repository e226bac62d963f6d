import os
import subprocess
import sys

from vaultloop.state.writer import is_alive, name_of_process


def test_a_process_is_alive_under_its_own_name_only() -> None:
    own = name_of_process(os.getpid())
    pid, started, boot = own.split("/")
    assert is_alive(own)
    for other in (f"{pid}/1/{boot}", f"{pid}/{started}/another-boot", pid, "", "no process", f"-{own}"):
        assert not is_alive(other), other


def test_a_process_that_has_ended_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        name = name_of_process(process.pid)
        assert is_alive(name)
    assert not is_alive(name)
    assert not is_alive(name_of_process(process.pid))
