import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support import unprivileged
from support.cells import WHO, cell_at, ended, fence, python, run_by
from vaultloop.sandbox import limits
from vaultloop.sandbox.limits import (
    GIB,
    MIB,
    Held,
    Limits,
    UncountedError,
    Watch,
    counted,
    living,
    said,
    tasks_of,
)

# Prints the limits that the kernel holds, the niceness, and the standing with the out-of-memory killer.
HELD = """
import json, os, resource
names = ('CORE', 'DATA', 'FSIZE', 'NOFILE', 'NPROC')
held = {name: resource.getrlimit(getattr(resource, 'RLIMIT_' + name)) for name in names}
print(json.dumps([held, os.nice(0), int(open('/proc/self/oom_score_adj').read())]))
"""


async def held(folder: Path, most: int) -> list[object]:
    async with fence(limits=Limits(processes=most, growth=GIB)) as launcher:
        result = await ended(launcher, python(HELD), cell_at(folder))
    return [json.loads(result.output), tasks_of(os.getuid()), os.nice(0)]


@pytest.mark.parametrize("who", WHO)
def test_a_program_is_held_to_its_limits_and_cannot_raise_them(who: str) -> None:
    (kernel, niceness, score), tasks, ours = run_by(who, held, 400)
    assert all(soft == hard for soft, hard in kernel.values())
    assert kernel["CORE"] == [0, 0]
    assert kernel["DATA"] == [limits.DATA_BYTES] * 2
    assert kernel["FSIZE"] == [limits.FILE_BYTES] * 2
    assert kernel["NOFILE"] == [limits.OPEN_FILES] * 2
    # Twice what it may have, beside what runs already; others may come and go while we look.
    assert abs(kernel["NPROC"][0] - tasks - 800) < 200
    assert niceness == min(19, ours + limits.NICENESS)
    assert score >= limits.OOM_SCORE


def test_a_lower_limit_of_ours_is_not_raised() -> None:
    program = (
        "import resource\n"
        "from vaultloop.sandbox.limits import Limits, hold\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (77, 77))\n"
        "hold(Limits(), 10)\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE) == (77, 77)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_threads_and_processes_of_a_user_are_counted() -> None:
    mine = tasks_of(os.getuid())
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE), subprocess.Popen(["cat"], stdin=subprocess.PIPE):
        assert tasks_of(os.getuid()) > 2
    assert mine > 0
    assert tasks_of(2**31 - 7) == 0


def test_bytes_and_files_are_counted_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(bytes(MIB))
    (tmp_path / "a/out").symlink_to("/usr")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    with (tmp_path / "a/sparse").open("wb") as file:
        file.truncate(GIB)
    size, files = counted([str(tmp_path / "a")])
    assert files == 5
    assert MIB <= size < 2 * MIB
    assert counted([str(tmp_path / "a")], 2)[1] == 3
    assert counted([str(tmp_path / "nowhere")]) == (0, 0)


def uncounted(folder: str) -> list[str]:
    """What is said of a folder that may not be listed, of one without search, and of one too deep."""
    said = []
    for name, mode in (("closed", 0o300), ("unsearched", 0o700), ("deep", 0o700)):
        made = Path(folder, name)
        made.mkdir(mode=mode)
        if name == "unsearched":
            (made / "file").touch()
            made.chmod(0o400)
        if name == "deep":
            os.chdir(made)
            for _ in range(25):
                os.mkdir("d" * 200)  # noqa: PTH102 - no path is as long
                os.chdir("d" * 200)
        try:
            said.append(str(counted([str(made)])))
        except UncountedError:
            said.append("uncounted")
    return said


def test_a_folder_that_cannot_be_counted_is_not_taken_for_an_empty_one() -> None:
    with unprivileged.place() as folder:
        assert unprivileged.drive(uncounted, str(folder)) == ["uncounted"] * 3


def hidden() -> list[str]:
    """What the watch says at each look at a process that nobody can look into, and of its memory."""
    limits.EAGER = limits.FOLDERS_PAUSE = 0.0
    limits.FOLDERS_SHARE = 1e9
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        held = bytearray(b"x") * (64 * MIB)
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
        os.write(tell, b"-")
        signal.pause()
        held.clear()
    os.read(told, 1)
    with tempfile.TemporaryDirectory() as folder:
        watch, small = (Watch(Limits(memory=most), folder, []) for most in (GIB, 32 * MIB))
        said = [watch.breach(), watch.breach(), small.breach()]
    os.kill(child, signal.SIGKILL)
    # Until it is fetched it belongs to root: nobody looks into it, and nothing is wrong.
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(Limits(), folder, [])
        return [*said, watch.breach(), watch.breach()]


def test_a_process_that_hides_is_counted_in_full_and_ends_its_session() -> None:
    assert unprivileged.drive(hidden) == [
        "",
        "The session was ended: a process of it cannot be looked into.",
        "The session was ended: it used more than 32 MiB of memory.",
        "",
        "",
    ]


def test_a_nameless_file_below_a_path_that_is_too_long_is_counted(tmp_path: Path) -> None:
    below = os.open(tmp_path, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=below)
        above, below = below, os.open("d" * 200, os.O_RDONLY, dir_fd=below)
        os.close(above)
    file = os.open("file", os.O_RDWR | os.O_CREAT, dir_fd=below)
    os.unlink("file", dir_fd=below)
    before = Held.by(living([os.getpid()]), [], MIB).size
    os.write(file, bytes(MIB))
    assert Held.by(living([os.getpid()]), [], MIB).size - before >= MIB
    os.close(file)
    os.close(below)


def test_watches_are_counted_also_where_one_file_is_watched_by_many_numbers() -> None:
    with select.epoll() as poll:
        reading, writing = os.pipe()
        copies = [os.dup(reading) for _ in range(50)]
        for copy in copies:
            poll.register(copy, select.EPOLLIN)
        assert Held.by(living([os.getpid()]), [], MIB).watches >= 50
        for descriptor in (reading, writing, *copies):
            os.close(descriptor)


def test_what_lay_in_the_view_at_the_start_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EAGER", 0.0)
    monkeypatch.setattr(limits, "FOLDERS_PAUSE", 0.0)
    monkeypatch.setattr(limits, "FOLDERS_SHARE", 1e9)
    view, home = tmp_path / "view", tmp_path / "home"
    for folder in (view, home):
        folder.mkdir()
    for number in range(20):
        (view / f"{number}.md").write_bytes(bytes(MIB))
    watch = Watch(Limits(growth=2 * MIB, files=3), str(view), [str(home)])
    assert watch.breach() == ""
    (home / "new").write_bytes(bytes(MIB))
    assert watch.breach() == ""
    (view / "new").write_bytes(bytes(2 * MIB))
    assert watch.breach() == "The session was ended: it wrote more than 2 MiB."
    (view / "new").unlink()
    for number in range(3):
        (home / f"{number}").mkdir()
    assert watch.breach() == "The session was ended: it made more than 3 files."


def test_sizes_are_said_as_people_say_them() -> None:
    assert [said(size) for size in (64 * MIB, GIB, 2 * GIB + 300 * MIB)] == ["64 MiB", "1.0 GiB", "2.3 GiB"]
