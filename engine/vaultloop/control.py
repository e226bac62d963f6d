"""The engine's socket: what the command line may ask of a running engine."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from vaultloop.aio.rpc import INVALID_PARAMS, REFUSED, Handler, JsonObject, Peer, RpcError
from vaultloop.components.bridge.console import ConsoleChannel
from vaultloop.components.cron.component import CronComponent
from vaultloop.model.conversation import Message, Reply
from vaultloop.model.errors import VaultloopError
from vaultloop.reconcile.loop import Reconciler
from vaultloop.sessions.dispatcher import Dispatcher
from vaultloop.state.inbox import Fate, Inbox
from vaultloop.state.status_book import StatusBook
from vaultloop.state.turns import Turns
from vaultloop.vault.sync.standing import Resumed
from vaultloop.vault.sync.steering import Steering

# How long a terminal may take to show a reply before it counts as gone (seconds): one that was stopped with
# ctrl-Z must not keep replies from the others.
TERMINAL_PATIENCE = 5.0

# Whose act it is that the command line brings: who may use the engine's socket is its owner.
BY_CLI = "owner (cli)"

# In place of an answer, to who was told so in this chat within the hour and is not told again.
NOT_ANSWERED = (
    "Not answered: this person has said more than is answered here in an hour, and the chat was told so"
    " within the last hour."
)


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
        turns: Turns,
        book: StatusBook,
        ready: asyncio.Event,
        poll: Callable[[], Awaitable[None]],
        unsettled: Callable[[], Collection[str]],
        ring: Callable[[], None],
        figures: Callable[[], Awaitable[JsonObject]],
        resume: Callable[[str | None], Awaitable[Resumed]],
        steering: Steering,
    ) -> None:
        """`poll` asks the remote, for the next look at the vault; `ready` is set once one was applied.

        `unsettled` are the declarations that were saved in the folder and do not count yet. `ring` says that
        there may be news at the remote, and waits for nothing. `figures` are what is counted, for `/metrics`.
        `resume` looks again at what sync stands still for, and accepts a rewritten history if one is named.
        `steering` is what the owner says of the revision that runs.
        """
        self._steering = steering
        self._resume_sync = resume
        self._ring_bell = ring
        self._figures = figures
        self._unsettled = unsettled
        self._book = book
        self._ready = ready
        self._poll = poll
        self._reconciler = reconciler
        self._dispatcher = dispatcher
        self._console = console
        self._crons = crons
        self._inbox = inbox
        self._turns = turns

    async def _health(self, _: Peer, __: JsonObject) -> Any:
        """How the engine is, in words that name no note, chat or person."""
        conditions = Counter(str(status.condition) for status in self._book.statuses())
        return {
            "ready": self._ready.is_set(),
            "revision": self._book.revision,
            "applied": self._book.applied_revision,
            "push": str(self._book.push.state),
            "conditions": dict(sorted(conditions.items())),
        }

    async def _metrics(self, _: Peer, __: JsonObject) -> Any:
        """Figures that name no note, chat or person."""
        return {"ready": self._ready.is_set(), **await self._figures()}

    async def _ring(self, _: Peer, __: JsonObject) -> Any:
        """There may be news at the remote; answered before anybody looks."""
        self._ring_bell()
        return {"ok": True}

    async def _plan(self, _: Peer, __: JsonObject) -> Any:
        # What was pushed a moment ago is in the plan; applied it is when the engine looks by itself.
        await self._poll()
        found = (await self._reconciler.preview()).as_json()
        return {**found, "unsettled": list(self._unsettled()), "attention": list(self._book.attention)}

    async def _confirm(self, _: Peer, params: JsonObject) -> Any:
        return {"revision": await self._reconciler.confirm(_text(params, "revision"))}

    async def _run(self, _: Peer, params: JsonObject) -> Any:
        turn = self._crons.run_now(_text(params, "cron"))
        if not params.get("wait", True):
            return {"session": turn.id, "outcome": None, "reply": None}
        ended = await self._dispatcher.ended(turn.id)
        return {"session": turn.id, "outcome": str(ended.outcome), "reply": ended.told}

    async def _restore(self, _: Peer, params: JsonObject) -> Any:
        return {"ok": True, "message": await self._dispatcher.restore(_text(params, "session"))}

    async def _approve(self, _: Peer, params: JsonObject) -> Any:
        approvals, commit = self._dispatcher.approvals, _text(params, "commit")
        return {"message": await approvals.approve(_number(params, "proposal"), commit, BY_CLI)}

    async def _deny(self, _: Peer, params: JsonObject) -> Any:
        return {"message": await self._dispatcher.approvals.deny(_number(params, "proposal"), BY_CLI)}

    async def _undo(self, _: Peer, params: JsonObject) -> Any:
        return {"message": await self._dispatcher.undoing.undo(_text(params, "session"), BY_CLI)}

    async def _resume(self, _: Peer, params: JsonObject) -> Any:
        accept = params.get("accept")
        return (await self._resume_sync(None if accept is None else _text(params, "accept"))).as_json()

    async def _roll_back(self, _: Peer, params: JsonObject) -> Any:
        shown_as, only = _text(params, "shown_as"), params.get("paths", [])
        if not isinstance(only, list) or not all(isinstance(path, str) for path in only):
            raise RpcError(INVALID_PARAMS, "paths is not a list of texts")
        name = str(params.get("revision") or "")
        return {"message": await self._steering.roll_back(name, BY_CLI, shown_as=shown_as, only=only)}

    async def _pin(self, _: Peer, params: JsonObject) -> Any:
        return {"message": await self._steering.pin(_text(params, "revision"), BY_CLI)}

    async def _unpin(self, _: Peer, __: JsonObject) -> Any:
        return {"message": await self._steering.unpin(BY_CLI)}

    async def _listen(self, peer: Peer, params: JsonObject) -> Any:
        """Show the replies of one chat at this terminal until it goes away."""
        self._require_console()
        chat = _text(params, "chat")

        async def show(reply: Reply) -> None:
            answered = self._inbox.answered_by(reply.key)
            turn = self._turns.get(reply.key)
            shown = peer.call(
                "reply",
                key=reply.key,
                text=reply.text,
                answers=[message.id for message in answered],
                refused=any(self._inbox.fate(message) is Fate.REFUSED for message in answered),
                outcome=str(turn.outcome) if turn and turn.outcome else None,
            )
            async with asyncio.timeout(TERMINAL_PATIENCE):
                await shown

        peer.lifetime.enter_context(self._console.listening(chat, show))
        self._dispatcher.offer_replies()

    async def _say(self, _: Peer, params: JsonObject) -> Any:
        """Take what was said; `unanswered` says why no reply will come, where that is known already."""
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
        return {"unanswered": NOT_ANSWERED if self._inbox.is_passed_over(message) else None}

    def _require_console(self) -> None:
        if not self._console.is_on:
            raise RpcError(
                REFUSED,
                "No bridge note turns the console on. Add a note under agent/ with `kind: bridge` and "
                "`platform: console`; `vaultloop status` shows whether it was applied.",
            )

    # By the name that the socket knows each by. An engine that stands by refuses what it cannot answer.
    METHODS: ClassVar[Mapping[str, "Callable[[Control, Peer, JsonObject], Awaitable[Any]]"]] = {
        "health": _health,
        "metrics": _metrics,
        "ring": _ring,
        "plan": _plan,
        "confirm": _confirm,
        "run": _run,
        "restore": _restore,
        "approve": _approve,
        "deny": _deny,
        "undo": _undo,
        "resume": _resume,
        "rollback": _roll_back,
        "pin": _pin,
        "unpin": _unpin,
        "listen": _listen,
        "say": _say,
    }

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {name: _explained(partial(method, self)) for name, method in self.METHODS.items()}


def _explained(method: Handler) -> Handler:
    """The same method; what a person can act on reaches them in its own words."""

    async def answered(peer: Peer, params: JsonObject) -> Any:
        try:
            return await method(peer, params)
        except VaultloopError as error:
            raise RpcError(REFUSED, str(error)) from error

    return answered


def _number(params: JsonObject, name: str) -> int:
    value = params.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RpcError(INVALID_PARAMS, f"{name} is missing, or not a number")
    return value


def _text(params: JsonObject, name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise RpcError(INVALID_PARAMS, f"{name} is missing, or not a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RpcError(INVALID_PARAMS, f"{name} has bytes that are no UTF-8 text") from error
    return value
