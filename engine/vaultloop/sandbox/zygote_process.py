"""The zygote, as the engine holds it: started when it is first needed, and again when it has ended."""

import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

import vaultloop
from vaultloop.model.errors import Stalled
from vaultloop.sandbox.zygote import NEW, READY

log = logging.getLogger(__name__)

# How long a new zygote may take to be ready, and an old one to end (seconds); both need some hundredths.
READY_PATIENCE = 20.0
END_PATIENCE = 5.0

# Neither the site's packages nor the user's environment decide what is loaded: `-I -S`.
_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from vaultloop.sandbox.zygote import serve; serve(int(sys.argv[2]))"
)


class ZygoteProcess:
    """Hands sessions to a zygote. To be closed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def hand_over(self, descriptors: list[int]) -> None:
        """Have a supervisor forked that owns copies of `descriptors`: control socket, then three streams.

        Raises:
            Stalled: no zygote can be started.
        """
        async with self._lock:
            if self._socket is None:
                await self._start()
            try:
                await self._send(descriptors)
            except ConnectionError:
                log.warning("the zygote has ended; a new one is started")
                await self._end()
                await self._start()
                await self._send(descriptors)

    async def close(self) -> None:
        """End it, once no session needs it any more."""
        async with self._lock:
            await self._end()

    async def _start(self) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        root = Path(vaultloop.__file__).resolve().parent.parent
        with its:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", "-X", "utf8", "-c", _PROGRAM, str(root), str(its.fileno())),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    env={"PATH": os.defpath},
                    cwd="/",
                    pass_fds=(its.fileno(),),
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise Stalled(f"No process can be started ({error.strerror}).", cure="") from error
        self._socket = ours
        await self._until_ready(ours)

    async def _until_ready(self, ours: socket.socket) -> None:
        answer = b""
        try:
            async with asyncio.timeout(READY_PATIENCE):
                answer = await asyncio.get_running_loop().sock_recv(ours, len(READY))
        except (TimeoutError, ConnectionError):
            pass
        except BaseException:
            await self._end()
            raise
        if answer != READY:
            await self._end()
            raise Stalled(
                "The process that starts sessions does not start itself; its complaint is in the log.",
                cure="`vaultloop doctor` says what this machine lacks.",
            )

    async def _send(self, descriptors: list[int]) -> None:
        """Pass them on; the zygote takes each at once, so that there is room."""
        assert self._socket is not None
        while True:
            try:
                socket.send_fds(self._socket, [NEW], descriptors)
                return
            except BlockingIOError:
                await asyncio.sleep(0.001)

    async def _end(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is None:
            return
        process, self._process = self._process, None
        try:
            async with asyncio.timeout(END_PATIENCE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
