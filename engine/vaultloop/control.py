"""The engine's socket: what the command line may ask of a running engine."""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from vaultloop.aio.rpc import INVALID_PARAMS, REFUSED, Handler, JsonObject, Peer, RpcError
from vaultloop.components.bridge.console import ConsoleChannel
from vaultloop.components.cron.component import CronComponent
from vaultloop.model.conversation import Message, Reply
from vaultloop.model.errors import VaultloopError
from vaultloop.reconcile.loop import Reconciler
from vaultloop.sessions.dispatcher import Dispatcher
from vaultloop.state.inbox import Inbox

# How long a terminal may take to show a reply before it counts as gone (seconds): one that was stopped with
# ctrl-Z must not keep replies from the others.
TERMINAL_PATIENCE = 5.0


class Control:
    """The methods, by name; each answers what `docs/architecture.md` calls the command line's questions."""

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        dispatcher: Dispatcher,
        console: ConsoleChannel,
        crons: CronComponent,
        inbox: Inbox,
    ) -> None:
        self._reconciler = reconciler
        self._dispatcher = dispatcher
        self._console = console
        self._crons = crons
        self._inbox = inbox

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {
            "plan": self._plan,
            "confirm": self._confirm,
            "run": self._run,
            "restore": self._restore,
            "listen": self._listen,
            "say": self._say,
        }

    async def _plan(self, _: Peer, __: JsonObject) -> Any:
        return (await self._reconciler.preview()).as_json()

    async def _confirm(self, _: Peer, params: JsonObject) -> Any:
        try:
            return {"revision": await self._reconciler.confirm(_text(params, "revision"))}
        except VaultloopError as error:
            raise RpcError(REFUSED, str(error)) from error

    async def _run(self, _: Peer, params: JsonObject) -> Any:
        try:
            turn = self._crons.run_now(_text(params, "cron"))
        except VaultloopError as error:
            raise RpcError(REFUSED, str(error)) from error
        if not params.get("wait", True):
            return {"session": turn.id, "outcome": None, "reply": None}
        ended = await self._dispatcher.ended(turn.id)
        return {"session": turn.id, "outcome": str(ended.outcome), "reply": ended.reply or ended.detail}

    async def _restore(self, _: Peer, params: JsonObject) -> Any:
        try:
            message = await self._dispatcher.restore(_text(params, "session"))
        except VaultloopError as error:
            raise RpcError(REFUSED, str(error)) from error
        return {"ok": True, "message": message}

    async def _listen(self, peer: Peer, params: JsonObject) -> Any:
        """Show the replies of one chat at this terminal until it goes away."""
        self._require_console()
        chat = _text(params, "chat")

        async def show(reply: Reply) -> None:
            shown = peer.call("reply", key=reply.key, text=reply.text, answers=self._answered(reply))
            await asyncio.wait_for(shown, TERMINAL_PATIENCE)

        peer.lifetime.enter_context(self._console.listening(chat, show))
        self._dispatcher.offer_replies()

    async def _say(self, _: Peer, params: JsonObject) -> Any:
        self._require_console()
        message = Message(
            channel=self._console.platform,
            chat=_text(params, "chat"),
            id=str(params.get("message") or uuid.uuid4().hex),
            person=_text(params, "person"),
            text=_text(params, "text"),
            sent_at=datetime.now(UTC),
        )
        await self._dispatcher.receive(message)

    def _require_console(self) -> None:
        if not self._console.is_on:
            raise RpcError(
                REFUSED,
                "No bridge note turns the console on. Add a note under agent/ with `kind: bridge` and "
                "`platform: console`; `vaultloop status` shows whether it was applied.",
            )

    def _answered(self, reply: Reply) -> list[str]:
        """Ids of the messages that a reply answers."""
        return [message.id for message in self._inbox.answered_by(reply.key)]


def _text(params: JsonObject, name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise RpcError(INVALID_PARAMS, f"{name} is missing, or not a text")
    return value
