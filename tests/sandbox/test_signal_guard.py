import os
from pathlib import Path

import pytest

from support.cells import ABIS, WHO, alive, cell_at, ended, fence, python, run_by

# Tries every call that sends a signal on each process that is named, and prints what came of it. The signal,
# SIGCONT, does no harm to those whom it reaches by mistake.
ATTACKER = """
import ctypes, errno, os, signal, struct, sys
C = ctypes.CDLL(None, use_errno=True)
def sent(number, *arguments):
    if C.syscall(number, *arguments) == 0:
        return 'SENT'
    return errno.errorcode[ctypes.get_errno()]
info = struct.pack('=iii', 18, 0, -1) + bytes(116)
calls = {'x86_64': (62, 200, 234, 129, 297), 'aarch64': (129, 130, 131, 138, 240)}[os.uname().machine]
kill, tkill, tgkill, queue, thread_queue = calls
for pid in map(int, sys.argv[1:]):
    print(sent(kill, pid, 18), sent(kill, pid, 0), sent(kill, -pid, 18), sent(tkill, pid, 18),
          sent(tgkill, pid, pid, 18), sent(queue, pid, 18, info), sent(thread_queue, pid, pid, 18, info))
    try:
        fd = os.pidfd_open(pid)
        signal.pidfd_send_signal(fd, 18)
        print('SENT')
    except OSError as error:
        print(errno.errorcode[error.errno])
print(sent(kill, 2**31 - 2, 18), sent(kill, -(2**31 - 2), 18))
"""


async def attacks(folder: Path, abi: int) -> tuple[list[str], bool]:
    """What an attacker gets from signals to the engine, the zygote, its supervisor, and another session."""
    (folder / "other").mkdir()
    async with fence(abi) as launcher, launcher.launch(["cat"], cell_at(folder / "other")) as other:
        assert launcher.zygote
        supervisor = int(Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[1])
        targets = (os.getpid(), launcher.zygote, supervisor, other.pid)
        result = await ended(launcher, python(ATTACKER, *targets), cell_at(folder))
        assert result.status == 0, result
        await other.write(b"alive", last=True)
        assert [line async for line in other.lines()] == [b"alive"]
        return result.output.splitlines(), all(map(alive, targets[:2]))


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("abi", ABIS)
def test_no_signal_reaches_anybody_outside_of_the_cell(who: str, abi: int) -> None:
    lines, unharmed = run_by(who, attacks, abi)
    *tried, nobody = lines
    assert {word for line in tried for word in line.split()} <= {"EPERM", "ESRCH"}
    assert tried[0].startswith("EPERM EPERM")
    assert nobody == "ESRCH ESRCH"
    assert unharmed


# Each line is printed only if the signal arrived, and did what it does without a guard.
INSIDE = """
import os, signal, subprocess, sys, threading, time
heard = []
signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
os.kill(os.getpid(), signal.SIGUSR1)
signal.raise_signal(signal.SIGUSR1)
signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
print('self', len(heard), flush=True)
child = subprocess.Popen(['sleep', '1000'])
os.kill(child.pid, 0)
child.terminate()
print('child', child.wait(), flush=True)
daemon = subprocess.Popen(['sh', '-c', 'sleep 1000 & sleep 1000'], start_new_session=True)
os.killpg(daemon.pid, signal.SIGKILL)
print('group', daemon.wait(), flush=True)
new = dict(start_new_session=True)
everybody = [subprocess.Popen(['sleep', '1000'], **new) for _ in range(3)]
for each in everybody:
    os.kill(each.pid, signal.SIGSTOP)
    os.waitpid(each.pid, os.WUNTRACED)
os.kill(-1, signal.SIGCONT)
went_on = [os.waitpid(each.pid, os.WCONTINUED)[1] for each in everybody]
print('everybody', [os.WIFCONTINUED(status) for status in went_on], flush=True)
for each in everybody: each.kill(); each.wait()
try: os.kill(everybody[0].pid, 0)
except ProcessLookupError: print('nobody', flush=True)
script = 'sleep 1000 & kill $!; wait $!; echo $?'
print(subprocess.run(['bash', '-c', script], capture_output=True).stdout, flush=True)
threading.Thread(target=lambda: os.killpg(0, signal.SIGTERM)).start()
time.sleep(1000)
"""


async def signals_inside(folder: Path, abi: int) -> tuple[list[str], int]:
    async with fence(abi) as launcher:
        result = await ended(launcher, python(INSIDE), cell_at(folder))
    return result.output.splitlines(), result.status


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("abi", ABIS)
def test_signals_within_the_cell_do_what_they_always_do(who: str, abi: int) -> None:
    lines, status = run_by(who, signals_inside, abi)
    assert lines == ["self 3", "child -15", "group -9", "everybody [True, True, True]", "nobody", "b'143\\n'"]
    assert status == -15
