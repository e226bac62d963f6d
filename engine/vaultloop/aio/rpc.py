"""JSON-RPC 2.0 over a unix socket, one message a line: how the processes and the command line talk.

Both sides may call: a client that only asks is the common case, a chat console also gets calls. The peer is
whoever may open the socket, which lies in a directory that only its owner can enter (0700).
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
JsonObject = dict[str, Any]
Handler = Callable[["Peer", JsonObject], Awaitable[Any]]

# A status of 10,000 resources is about 4 MB; a line beyond this bound is a mistake, not a message.
LONGEST_LINE = 32 * 1024 * 1024

LONGEST_ADDRESS = 100

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REFUSED = -32000


class RpcError(Exception):
    """The other side refused or failed; the text is meant for a person."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Peer:
    """One end of one connection.

    Attributes:
        lifetime: closed when the connection ends; a handler enters here what shall last as long.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handlers: Mapping[str, Handler]
    ) -> None:
        self.lifetime = ExitStack()
        self._reader = reader
        self._writer = writer
        self._handlers = handlers
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last_id = 0
        self._ended = asyncio.Event()

    async def call(self, method: str, **params: Any) -> Any:
        """The other side's result.

        Raises:
            RpcError: it refused, failed or does not know the method.
            ConnectionError: it went away before it answered.
        """
        self._last_id += 1
        call_id = self._last_id
        answer = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = answer
        try:
            await self._send({"jsonrpc": "2.0", "id": call_id, "method": method, "params": params})
            return await answer
        finally:
            del self._waiting[call_id]
            if answer.done() and not answer.cancelled():
                answer.exception()  # the sending may have failed first, and told the same

    async def while_open(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which waits for something that the other side is to do.

        Raises:
            ConnectionError: it went away before that; `work` is cancelled.
        """
        working = asyncio.create_task(work, name="work of an rpc client")
        ended = asyncio.create_task(self._ended.wait(), name="end of an rpc connection")
        try:
            await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ConnectionError("the other side closed the connection")
            return working.result()
        finally:
            for task in (working, ended):
                task.cancel()
            await asyncio.gather(working, ended, return_exceptions=True)

    async def serve(self) -> None:
        """Read until the other side closes; answer each call in a task of its own."""
        try:
            async with asyncio.TaskGroup() as group:
                while line := await self._reader.readline():
                    message = _parsed(line)
                    if "method" in message:
                        group.create_task(self._answer(message), name=f"rpc {message['method']}")
                    else:
                        self._settle(message)
                # Nobody will answer any more; handlers that wait for such an answer must not wait for ever.
                self._lose_answers()
        except* (ConnectionError, ValueError) as errors:
            # ValueError: no JSON-RPC, or a line beyond the bound. Such a peer is dropped, others go on.
            log.debug("rpc peer dropped: %s", errors.exceptions[0])
        finally:
            self.lifetime.close()
            self._lose_answers()
            self._writer.close()
            self._ended.set()

    def _lose_answers(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the other side closed the connection"))

    async def _answer(self, message: JsonObject) -> None:
        reply: JsonObject = {"jsonrpc": "2.0", "id": message.get("id")}
        method = message["method"]
        try:
            handler = self._handlers.get(method)
            if handler is None:
                raise RpcError(METHOD_NOT_FOUND, f"no such method: {method}")
            reply["result"] = await handler(self, message.get("params") or {})
        except RpcError as error:
            reply["error"] = {"code": error.code, "message": str(error)}
        except Exception as error:
            log.exception("rpc %s failed", method)
            reply["error"] = {"code": INTERNAL_ERROR, "message": f"{method} failed: {type(error).__name__}"}
        if message.get("id") is not None:
            with suppress(ConnectionError):
                await self._send(reply)

    def _settle(self, message: JsonObject) -> None:
        answer = self._waiting.get(message.get("id", -1))
        if answer is None or answer.done():
            return
        if "error" in message:
            error = message["error"]
            answer.set_exception(RpcError(error["code"], error["message"]))
        else:
            answer.set_result(message.get("result"))

    async def _send(self, message: JsonObject) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")
        await self._writer.drain()


def _parsed(line: bytes) -> JsonObject:
    """A message.

    Raises:
        ValueError: it is none.
    """
    try:
        message = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(message, dict) or not isinstance(message.get("method", ""), str):
        raise ValueError("no JSON-RPC message")
    if not isinstance(message.get("id"), int | str | None):
        raise ValueError("no JSON-RPC id")
    return message


@contextmanager
def _short_name(path: Path) -> Iterator[str]:
    """A name of `path` that fits into a socket address (108 bytes, unix(7)), however deep it lies."""
    if len(os.fsencode(path)) < LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@asynccontextmanager
async def serving(path: Path, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """Answer calls on the unix socket at `path` for as long as the block lasts.

    A socket file left by a killed process is replaced: the caller holds the lock of the state directory.
    """
    peers: set[asyncio.Task[None]] = set()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peers.add(task)
        try:
            await Peer(reader, writer, handlers).serve()
        except asyncio.CancelledError:
            writer.close()
        finally:
            peers.discard(task)

    path.unlink(missing_ok=True)
    with _short_name(path) as name:
        server = await asyncio.start_unix_server(welcome, name, limit=LONGEST_LINE)
    path.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        for task in list(peers):
            task.cancel()
        await asyncio.gather(*peers, return_exceptions=True)
        path.unlink(missing_ok=True)


@asynccontextmanager
async def connected(path: Path, handlers: Mapping[str, Handler] | None = None) -> AsyncIterator[Peer]:
    """A peer connected to the socket at `path`.

    Raises:
        OSError: nobody serves there.
    """
    with _short_name(path) as name:
        reader, writer = await asyncio.open_unix_connection(name, limit=LONGEST_LINE)
    peer = Peer(reader, writer, handlers or {})
    reading = asyncio.create_task(peer.serve(), name=f"rpc client {path.name}")
    try:
        yield peer
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        writer.close()
