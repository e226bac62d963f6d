import asyncio
import os
import platform
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from support.cells import ABIS, WHO, alive, cell_at, ended, fence, found, python, run_by
from support.run import asynchronous
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience
from vaultloop.model.status import Confinement
from vaultloop.sandbox.launcher import FencedLauncher
from vaultloop.sandbox.limits import MIB, Limits

NEWEST = ABIS[-1]


async def what_it_gets(folder: Path, abi: int) -> list[str]:
    program = (
        "import os; fds = os.listdir('/proc/self/fd'); print(os.getcwd()); print(sorted(os.environ)); "
        "print(len(fds)); print(oct(os.umask(0))); print(os.getsid(0) == os.getpid()); "
        "print([l.split()[1] for l in open('/proc/self/status') if l.startswith('Cap')])"
    )
    async with fence(abi) as launcher:
        result = await ended(launcher, python(program), cell_at(folder))
    assert result.status == 0, result
    return result.output.replace(str(folder), "FOLDER").splitlines()


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("abi", ABIS)
def test_a_program_gets_its_view_its_environment_three_streams_and_nothing_else(who: str, abi: int) -> None:
    # The fourth descriptor is the one through which the folder of descriptors is read.
    capabilities = str(["0" * 16] * 5) if os.getuid() == 0 and who == "suite" else None
    *lines, held = run_by(who, what_it_gets, abi)
    assert lines == ["FOLDER/view", "['HOME', 'LC_CTYPE', 'PATH', 'TMPDIR']", "4", "0o77", "True"]
    assert capabilities in (held, None)


@asynchronous
async def test_what_is_written_reaches_the_program_and_its_complaint_comes_back(tmp_path: Path) -> None:
    program = "import sys; t = sys.stdin.read(); print(t); print('x' * 100_000 + t, file=sys.stderr); exit(3)"
    async with fence() as launcher:
        result = await ended(launcher, python(program), cell_at(tmp_path), b"hi")
    assert (result.status, result.output) == (3, "hi\n")
    assert result.complaint.endswith("xxxhi")
    assert len(result.complaint) == 4095  # and the end of the line


@asynchronous
async def test_all_that_a_program_printed_before_its_end_is_read(tmp_path: Path) -> None:
    program = "import os; os.write(1, b'x' * 60_000); os.kill(os.getpid(), 9)"
    async with fence() as launcher:
        result = await ended(launcher, python(program), cell_at(tmp_path))
    assert (result.status, len(result.output)) == (-9, 60_000)


@asynchronous
async def test_a_slow_reader_loses_nothing_of_what_was_printed_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vaultloop.sandbox.fenced.LAST_WORDS", 0.0)
    program = "import os; os.write(1, b'x' * 65536); os.write(1, b'y' * 65536); os.write(1, b'z' * 65536)"
    async with fence() as launcher, launcher.launch(python(program), cell_at(tmp_path)) as child:
        assert await child.wait() == 0
        await child.stop()
        for _ in range(100):
            await asyncio.sleep(0)
        assert b"".join([line async for line in child.lines()]).endswith(b"z" * 65536)


@asynchronous
async def test_a_missing_program_is_named_with_a_cure(tmp_path: Path) -> None:
    async with fence() as launcher:
        with pytest.raises(Stalled, match=r"no-such-program cannot be started.*Install it"):
            async with launcher.launch(["no-such-program"], cell_at(tmp_path)):
                pass


@asynchronous
async def test_a_program_that_the_kernel_cannot_run_is_named_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF is not enough")
    broken.chmod(0o755)
    async with fence() as launcher:
        with pytest.raises(Stalled, match=r"broken cannot be started \(Exec format error\)"):
            async with launcher.launch([str(broken)], cell_at(tmp_path)):
                pass


@asynchronous
async def test_a_program_whose_interpreter_nobody_granted_names_the_setting(tmp_path: Path) -> None:
    interpreter, script = tmp_path / "programs" / "sh", tmp_path / "script"
    interpreter.parent.mkdir()
    shutil.copy(shutil.which("dash") or "/bin/sh", interpreter)
    script.write_text(f"#!{interpreter}\necho done\n")
    script.chmod(0o755)
    async with fence() as launcher:
        with pytest.raises(Stalled, match=r"script cannot be started.*setting `programs`"):
            async with launcher.launch([str(script)], cell_at(tmp_path)):
                pass
    async with fence(programs=[interpreter.parent]) as granting:
        assert (await ended(granting, [str(script)], cell_at(tmp_path))).output == "done\n"


@asynchronous
async def test_leaving_the_block_ends_the_program(tmp_path: Path) -> None:
    async with fence() as launcher:
        async with launcher.launch(["sleep", "1000"], cell_at(tmp_path)) as child:
            assert alive(child.pid)
        assert not alive(child.pid)


@asynchronous
async def test_a_program_that_hears_the_first_signal_may_end_in_its_own_way(tmp_path: Path) -> None:
    program = "import signal; signal.signal(2, lambda *_: exit(7)); print('go', flush=True); signal.pause()"
    async with (
        fence() as launcher,
        launcher.launch(python(program), cell_at(tmp_path)) as child,
    ):
        assert await anext(child.lines()) == b"go\n"
        await child.stop()
        assert await child.wait() == 7


@asynchronous
async def test_a_program_that_hears_no_signal_is_killed_also_when_it_is_stopped(tmp_path: Path) -> None:
    deaf = "import os, signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; "
    async with fence() as launcher:
        for deed in ("time.sleep(1000)", "os.kill(0, 19)"):
            program = f"{deaf} print('go', flush=True); {deed}"
            async with launcher.launch(python(program), cell_at(tmp_path)) as child:
                assert await anext(child.lines()) == b"go\n"
                await child.stop()
                assert await child.wait() == -signal.SIGKILL
                assert not alive(child.pid)


# Programs that try to outlive their session; each prints the ids of what it leaves behind.
LEAVERS = {
    "daemon": """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.environ.clear()
        time.sleep(1000)
    os._exit(0)
os.wait()
time.sleep(0.05)
""",
    "hopper": """
import os, time
print(os.getpid(), flush=True)
if os.fork() == 0:
    end = time.time() + 20
    while time.time() < end:
        if os.fork():
            os._exit(0)
        os.setsid()
os._exit(0)
""",
    "stopped": """
import os, time
pid = os.fork()
if pid == 0:
    os.setsid()
    os.kill(os.getpid(), 19)
os.waitpid(pid, os.WUNTRACED)
print(pid, flush=True)
""",
    "many with pipes": """
import os, time
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        time.sleep(1000)
    print(pid, flush=True)
""",
}


async def left_behind(folder: Path, abi: int, program: str) -> list[int]:
    """What of a program is alive after it ended by itself, and after its block was left."""
    async with fence(abi) as launcher:
        cell = cell_at(folder)
        async with launcher.launch(python(program), cell) as child:
            lines = [int(line) async for line in child.lines()]
            await child.wait()
        assert lines
        left = [pid for pid in lines if alive(pid)]
        await no_supervisors(launcher)
        return left


async def no_supervisors(launcher: FencedLauncher) -> None:
    """Wait until the last one, which has told its last by now, is gone."""
    children = Path(f"/proc/{launcher.zygote}/task/{launcher.zygote}/children")
    while any(alive(int(pid)) for pid in children.read_text().split()):
        await asyncio.sleep(0)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("leaver", LEAVERS)
def test_nothing_that_a_program_started_outlives_it(who: str, leaver: str) -> None:
    for abi in (1, NEWEST):
        assert run_by(who, left_behind, abi, LEAVERS[leaver]) == []


BOMB = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
GLUTTON = "held = []\nwhile True: held.append(bytearray(b'x') * (64 << 20))"
SCRIBBLER = """
import os, time
for number in range(10_000):
    with open(os.environ['TMPDIR'] + f'/{number}', 'wb') as file:
        file.write(bytes(1 << 20))
"""
HIDER = """
import os, time
for number in range(100):
    file = os.open(os.environ['TMPDIR'] + '/hidden', os.O_CREAT | os.O_WRONLY)
    os.unlink(os.environ['TMPDIR'] + '/hidden')
    os.write(file, bytes(1 << 20))
time.sleep(1000)
"""
MAKER = """
import os
for number in range(1_000_000):
    os.mkdir(os.environ['HOME'] + f'/{number}')
"""
# Beyond the reach of whoever counts folders by their paths.
CLOSED = """
import os, time
os.mkdir(os.environ['TMPDIR'] + '/closed', 0o300)
time.sleep(1000)
"""
DEEP = """
import os, time
os.chdir(os.environ['TMPDIR'])
for _ in range(25):
    os.mkdir('d' * 200)
    os.chdir('d' * 200)
time.sleep(1000)
"""
# Files that have neither a name nor a descriptor, and are mapped by a page.
MAPPER = """
import ctypes, os, time
libc, path = ctypes.CDLL(None), os.environ['TMPDIR'] + '/mapped\\r'
for _ in range(8):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    for _ in range(16): os.write(fd, bytes(1 << 20))
    libc.mmap(None, ctypes.c_size_t(4096), 1, 1, fd, ctypes.c_long(0))
    os.close(fd)
    os.unlink(path)
time.sleep(1000)
"""
# Memory in processes whose first thread has ended.
HEADLESS = """
import ctypes, os, threading, time
def hold():
    held = bytearray(b'x') * (100 << 20)
    time.sleep(1000)
for _ in range(4):
    if os.fork() == 0:
        threading.Thread(target=hold).start()
        ctypes.CDLL(None).syscall(ctypes.c_long(EXIT), 0)
time.sleep(1000)
""".replace("EXIT", "60" if platform.machine() == "x86_64" else "93")
WATCHER = """
import os, select, time
pipes = [os.pipe()[0] for _ in range(200)]
polls = [select.epoll() for _ in range(60)]
for poll in polls:
    for pipe in pipes:
        poll.register(pipe)
time.sleep(1000)
"""
SPEAKER = """
import os
while True:
    os.write(1, bytes(65536))
"""
CHATTERBOX = """
import os
while True:
    os.write(1, b'\\n' * 65536)
"""
SLEEPER = "import time; time.sleep(1000)"


async def breached(folder: Path, program: str) -> list[str]:
    """How a greedy program was ended, and what became of a modest one beside it."""
    limits = Limits(memory=256 * MIB, processes=60, growth=64 * MIB, files=500)
    async with fence(limits=limits) as launcher:
        for name in ("greedy", "modest"):
            (folder / name).mkdir()
        async with launcher.launch(["cat"], cell_at(folder / "modest")) as modest:
            greedy = await ended(launcher, python(program), cell_at(folder / "greedy"))
            await modest.write(b"still here\n", last=True)
            said = [line.decode() async for line in modest.lines()]
    return [greedy.complaint.partition(".")[0], str(greedy.status), *said]


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(
    ("program", "why"),
    [
        (BOMB, "it had more than 60 processes and threads"),
        (GLUTTON, "it used more than 256 MiB of memory"),
        (SCRIBBLER, "it wrote more than 64 MiB"),
        (HIDER, "it wrote more than 64 MiB"),
        (MAKER, "it made more than 500 files"),
        (CLOSED, "it made a folder that cannot be looked into"),
        (DEEP, "it made a folder that cannot be looked into"),
        (MAPPER, "it wrote more than 64 MiB"),
        (HEADLESS, "it used more than 256 MiB of memory"),
        (WATCHER, "it watched more than 10000 descriptors"),
        (SPEAKER, "it printed more than 64 MiB"),
        (CHATTERBOX, "it printed more than 64 MiB"),
    ],
    ids=[
        *("fork bomb", "memory", "full scratch folder", "files without a name", "many files"),
        *("folder that cannot be listed", "folder too deep for a path", "files that are only mapped"),
        *("memory after the first thread", "watches", "one long line", "empty lines"),
    ],
)
def test_a_program_that_breaches_a_limit_is_ended_alone_and_it_is_said_which(
    who: str, program: str, why: str
) -> None:
    assert run_by(who, breached, program) == [f"The session was ended: {why}", "-9", "still here\n"]


@pytest.mark.parametrize("who", WHO)
def test_an_allocation_of_six_gigabytes_fails_in_the_program(who: str) -> None:
    assert run_by(who, allocation) == "MemoryError"


async def allocation(folder: Path) -> str:
    program = "try: bytearray(6 << 30)\nexcept MemoryError: print('MemoryError', end='')"
    async with fence() as launcher:
        return (await ended(launcher, python(program), cell_at(folder))).output


@asynchronous
async def test_a_program_that_outlasts_its_backstop_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vaultloop.sandbox.launcher.BACKSTOP", -600 + 0.3)
    async with fence() as launcher:
        result = await ended(launcher, python(SLEEPER), cell_at(tmp_path))
    assert result.status == -9
    assert result.complaint.startswith("The session was ended: it ran longer than")


@asynchronous
async def test_a_session_goes_on_without_the_zygote_and_the_next_gets_a_new_one(tmp_path: Path) -> None:
    async with fence() as launcher, launcher.launch(["cat"], cell_at(tmp_path)) as child:
        first = launcher.zygote
        assert first is not None
        os.kill(first, signal.SIGKILL)
        while alive(first):
            await asyncio.sleep(0)
        assert (await ended(launcher, ["echo", "new"], cell_at(tmp_path))).output == "new\n"
        assert launcher.zygote not in (None, first)
        await child.write(b"old\n", last=True)
        assert [line async for line in child.lines()] == [b"old\n"]
        assert await child.wait() == 0


@asynchronous
async def test_a_session_whose_supervisor_is_killed_ends_with_all_it_started(tmp_path: Path) -> None:
    program = (
        "import subprocess; p = subprocess.Popen(['sleep', '1000'], start_new_session=True, env={}); "
        "print(p.pid, flush=True); p.wait()"
    )
    async with fence() as launcher:
        async with launcher.launch(python(program), cell_at(tmp_path)) as child:
            started = int(await anext(child.lines()))
            supervisor = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(supervisor, signal.SIGKILL)
            assert await child.wait() == -signal.SIGKILL
            assert (await child.complaint()).startswith("The session was ended: the process that guarded it")
        while alive(started):
            await asyncio.sleep(0)
        assert (await ended(launcher, ["echo", "new"], cell_at(tmp_path))).output == "new\n"


@asynchronous
async def test_a_cancelled_start_leaves_nothing(tmp_path: Path) -> None:
    async def start(launcher: FencedLauncher) -> None:
        async with launcher.launch(["sleep", "1000"], cell_at(tmp_path)):
            await asyncio.Event().wait()

    async with fence() as launcher:
        await ended(launcher, ["true"], cell_at(tmp_path))
        for turns in range(0, 300, 11):
            task = asyncio.create_task(start(launcher))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        await no_supervisors(launcher)


def test_what_holds_a_class_in_is_what_was_found_and_what_the_operator_allows() -> None:
    whole, none = found(NEWEST), found(0)
    for audience in Audience:
        assert FencedLauncher(whole).confinement(audience) is Confinement.FENCED
        with pytest.raises(Stalled, match=r"lacks Landlock \(\w+\)"):
            FencedLauncher(none).confinement(audience)
    both = (Audience.OWNER, Audience.CRON)
    assert FencedLauncher(none, both).confinement(Audience.OWNER) is Confinement.DEGRADED
    with pytest.raises(Stalled, match=r"class group are refused"):
        FencedLauncher(none, both).confinement(Audience.GROUP)


@asynchronous
async def test_where_nothing_holds_at_all_the_owner_runs_unconfined_if_the_operator_says_so(
    tmp_path: Path,
) -> None:
    bare = found(0)
    none = replace(bare, findings=tuple(replace(finding, errno=38) for finding in bare.findings))
    with pytest.raises(Stalled, match="class owner are refused"):
        FencedLauncher(none).confinement(Audience.OWNER)
    async with FencedLauncher(none, [Audience.OWNER]) as launcher:
        assert launcher.confinement(Audience.OWNER) is Confinement.UNCONFINED
        result = await ended(launcher, ["sh", "-c", "cd / && pwd"], cell_at(tmp_path))
        assert (result.output, launcher.zygote) == ("/\n", None)
        with pytest.raises(Stalled, match="class group are refused"):
            async with launcher.launch(["true"], cell_at(tmp_path, Audience.GROUP)):
                pass


@asynchronous
async def test_a_class_that_is_refused_starts_nothing(tmp_path: Path) -> None:
    async with FencedLauncher(found(0), [Audience.OWNER]) as launcher:
        with pytest.raises(Stalled, match="class public are refused"):
            async with launcher.launch(["touch", "here"], cell_at(tmp_path, Audience.PUBLIC)):
                pass
        assert not (tmp_path / "view/here").exists()
        # The owner's runs behind what there is: the filter of system calls, and the limits.
        program = "import socket; socket.socket(socket.AF_UNIX)"
        assert "Permission denied" in (await ended(launcher, python(program), cell_at(tmp_path))).complaint


@pytest.mark.parametrize("audience", Audience)
def test_times_of_files_are_set_for_the_owner_and_schedules_alone(audience: Audience) -> None:
    assert run_by("suite", sets_times, audience) == (audience in (Audience.OWNER, Audience.CRON))


async def sets_times(folder: Path, audience: str) -> bool:
    async with fence() as launcher:
        command = python("import os; open('x', 'w').close(); os.utime('x', (1, 1))")
        return (await ended(launcher, command, cell_at(folder, Audience(audience)))).status == 0


@pytest.mark.parametrize("who", WHO)
def test_a_home_is_fresh_and_shells_start_without_a_word(who: str) -> None:
    assert run_by(who, shell) == ["", "0"]


async def shell(folder: Path) -> list[str]:
    async with fence() as launcher:
        result = await ended(launcher, ["bash", "-lic", "cat <(ls -A ~) 2>&1"], cell_at(folder))
    complaint = [line for line in result.complaint.splitlines() if "no job control" not in line]
    return [
        "".join([result.output, *(line for line in complaint if "process group" not in line)]),
        str(result.status),
    ]


@asynchronous
async def test_a_step_into_the_cell_that_fails_starts_nothing_and_is_named(tmp_path: Path) -> None:
    for missing, step in (("view", "view"), ("home", "landlock")):
        folder = tmp_path / step
        folder.mkdir()
        cell = cell_at(folder)
        (folder / missing).rmdir()
        async with fence() as launcher:
            with pytest.raises(Stalled, match=rf"cannot be held in: the step `{step}` failed \(No such file"):
                async with launcher.launch(["touch", str(cell.scratch / "ran")], cell):
                    pass
            await no_supervisors(launcher)
        assert not (cell.scratch / "ran").exists()


@asynchronous
async def test_long_arguments_and_odd_names_reach_the_program(tmp_path: Path) -> None:
    odd = "caf\udce9 \U0001f512 \n'\""
    program = "import os, sys; print([len(sys.argv[1]), ascii(sys.argv[2]), ascii(os.environ['ODD'])])"
    cell = cell_at(tmp_path)
    cell = replace(cell, environment={**cell.environment, "ODD": odd})
    async with fence() as launcher:
        result = await ended(launcher, python(program, "x" * 120_000, odd), cell)
    assert result.output == f"{[120_000, ascii(odd), ascii(odd)]}\n"


# Each prints `refused` once it got what the fence's page says.
UNUSUAL = (
    "touch a && ! chmod 600 a",
    "export GIT_CONFIG_NOSYSTEM=1; ! git init --quiet new",
    "printf '#!/bin/sh\n' > c.sh && ! ./c.sh && sh c.sh",
    "cp /bin/true d && ! ./d",
    'cp /bin/true "$HOME/e" && ! "$HOME/e"',
    'cp /bin/true "$TMPDIR/f" && ! "$TMPDIR/f"',
)


async def refused_in(folder: Path) -> list[str]:
    async with fence() as launcher:
        outcomes = [
            (await ended(launcher, ["sh", "-c", f"umask 022; {command} && echo refused"], cell_at(folder)))
            for command in UNUSUAL
        ]
    return ["refused" if outcome.output.endswith("refused\n") else outcome.complaint for outcome in outcomes]


@pytest.mark.parametrize("who", WHO)
def test_what_sets_modes_fails_and_what_a_session_wrote_is_not_run(who: str) -> None:
    assert run_by(who, refused_in) == ["refused"] * len(UNUSUAL)
