"""The terminal's end of a console chat."""

import asyncio
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator
from typing import Any

from vaultloop.aio.rpc import Handler, Peer


class Terminal:
    """Says what is typed, shows what is answered; each reply once."""

    def __init__(self, *, chat: str, person: str) -> None:
        self._chat = chat
        self._person = person
        self._shown: set[str] = set()
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self.handlers: dict[str, Handler] = {"reply": self._take}

    async def ask(self, peer: Peer, text: str) -> str:
        """Say one thing and wait for its answer; other replies to this chat go to standard error."""
        message = uuid.uuid4().hex
        answer = asyncio.get_running_loop().create_future()
        self._waiting[message] = answer
        await self._listen(peer)
        await self._say(peer, message, text)
        return str(await answer)

    async def converse(self, peer: Peer) -> None:
        """Say each line typed until the input ends; show replies whenever they come."""
        await self._listen(peer)
        print("You speak as the owner. /help lists commands; ctrl-D leaves.", flush=True)
        async for line in _lines():
            if line.strip():
                await self._say(peer, uuid.uuid4().hex, line.strip())

    async def _listen(self, peer: Peer) -> None:
        await peer.call("listen", chat=self._chat)

    async def _say(self, peer: Peer, message: str, text: str) -> None:
        await peer.call("say", chat=self._chat, person=self._person, message=message, text=text)

    async def _take(self, _: Peer, reply: dict[str, Any]) -> bool:
        if reply["key"] in self._shown:
            return True
        self._shown.add(reply["key"])
        for message in reply["answers"]:
            answer = self._waiting.pop(message, None)
            if answer is not None:
                answer.set_result(reply["text"])
                return True
        # Set off from what was typed.
        shown = textwrap.indent(reply["text"], "    ")
        print(shown, file=sys.stderr if self._waiting else sys.stdout, flush=True)
        return True


async def _lines() -> AsyncIterator[str]:
    """Lines of standard input, read without a thread that would outlive a ctrl-C."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while line := await reader.readline():
            yield line.decode(errors="replace")
    finally:
        transport.close()
