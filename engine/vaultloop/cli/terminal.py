"""The terminal's end of a console chat."""

import asyncio
import json
import os
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from vaultloop.aio.rpc import Handler, Peer
from vaultloop.cli.plain import plain

# While another engine acts, nobody here would answer.
NOT_TAKEN = "Another engine acts. What you type here is not taken until this one does."


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for something that was said.

    Attributes:
        refused: it was not let in: the chat or the person may not say it, or not so often.
        outcome: how its session ended; None where there was none, as for a command.
    """

    text: str
    refused: bool
    outcome: str | None = None

    @property
    def is_well(self) -> bool:
        """Whether it is what was asked for."""
        return not self.refused and self.outcome in (None, "done")

    def as_json(self) -> dict[str, Any]:
        """The shape that `vaultloop chat --json` promises."""
        return {"text": self.text, "refused": self.refused, "outcome": self.outcome}


class Terminal:
    """Says what is typed, shows what is answered; each reply once."""

    def __init__(self, *, chat: str, person: str, as_json: bool = False) -> None:
        """Speak in `chat` as `person`; with `as_json`, what is shown is for a program: one object a line."""
        self._as_json = as_json
        self._chat = chat
        self._person = person
        self._shown: set[str] = set()
        self._asked: dict[str, asyncio.Future[Answer]] = {}
        self._unanswered: set[str] = set()
        self._answered = asyncio.Event()
        self.handlers: dict[str, Handler] = {"reply": self._take}

    async def ask(self, peer: Peer, text: str) -> Answer:
        """Say one thing and wait for its answer; other replies to this chat go to standard error.

        Raises:
            ConnectionError: the engine went away before it answered.
        """
        return await peer.while_open(self._ask(peer, text))

    async def converse(self, peer: Peer) -> None:
        """Say each line typed until the input ends; show replies whenever they come.

        Input that comes from another program ends at once: then everything said is waited for.

        Raises:
            ConnectionError: the engine went away meanwhile.
        """
        await peer.while_open(self._converse(peer))

    async def _ask(self, peer: Peer, text: str) -> Answer:
        message = uuid.uuid4().hex
        self._asked[message] = asyncio.get_running_loop().create_future()
        await self._listen(peer)
        return await self._say(peer, message, text) or await self._asked[message]

    async def _converse(self, peer: Peer) -> None:
        await self._listen(peer)
        speaker = "the owner" if self._person == "owner" else self._person
        welcome = f"You speak as {speaker}. /help lists commands; ctrl-D leaves."
        print(welcome, file=sys.stderr if self._as_json else sys.stdout, flush=True)
        async for line in _lines():
            if line.strip():
                message = uuid.uuid4().hex
                self._unanswered.add(message)
                if passed_over := await self._say(peer, message, line.strip()):
                    self._unanswered.discard(message)
                    print(self._shape(passed_over), flush=True)
        while self._unanswered and not sys.stdin.isatty():
            self._answered.clear()
            await self._answered.wait()

    async def _listen(self, peer: Peer) -> None:
        await peer.call("listen", chat=self._chat)

    async def _say(self, peer: Peer, message: str, text: str) -> Answer | None:
        """Say it; what to tell in place of an answer, if it is known by now that none will come."""
        said = await peer.call("say", chat=self._chat, person=self._person, message=message, text=text)
        unanswered = (said or {}).get("unanswered")
        return Answer(plain(unanswered), refused=True) if unanswered else None

    async def _take(self, _: Peer, reply: dict[str, Any]) -> bool:
        if reply["key"] in self._shown:
            return True
        self._shown.add(reply["key"])
        refused, outcome = reply.get("refused", False), reply.get("outcome")
        answer = Answer(plain(reply["text"]), refused=refused, outcome=outcome)
        asked = [self._asked[message] for message in reply["answers"] if message in self._asked]
        for waiting in asked:
            waiting.set_result(answer)
        if not asked:
            print(self._shape(answer), file=sys.stderr if self._asked else sys.stdout, flush=True)
        self._unanswered.difference_update(reply["answers"])
        self._answered.set()
        return True

    def _shape(self, answer: Answer) -> str:
        if self._as_json:
            return json.dumps(answer.as_json(), ensure_ascii=False)
        # Set off from what was typed.
        return textwrap.indent(answer.text, "    ")


async def turn_away() -> None:
    """Say of each line typed that it is not taken, until the input ends: another engine acts."""
    async for line in _lines():
        if line.strip():
            print(textwrap.indent(NOT_TAKEN, "    "), flush=True)


async def _lines() -> AsyncIterator[str]:
    """Lines of standard input, read without a thread that would outlive a ctrl-C.

    The descriptor stays blocking: a terminal shares it with standard output, which could not take that.
    """
    loop, reader, descriptor = asyncio.get_running_loop(), asyncio.StreamReader(), sys.stdin.fileno()

    def take() -> None:
        data = os.read(descriptor, 65536)
        reader.feed_data(data) if data else end()

    def end() -> None:
        loop.remove_reader(descriptor)
        reader.feed_eof()

    try:
        loop.add_reader(descriptor, take)
    except PermissionError:
        # A file is always ready, so it cannot be waited for.
        reader.feed_data(sys.stdin.buffer.read())
        reader.feed_eof()
    try:
        while line := await reader.readline():
            yield line.decode(errors="replace")
    finally:
        loop.remove_reader(descriptor)
