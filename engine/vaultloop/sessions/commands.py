"""Slash commands: answered by the engine at once, without a model and without waiting for one."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from vaultloop.model.conversation import OWNER, Message
from vaultloop.model.policy import Audience, Policy
from vaultloop.sessions.approvals import Approvals

# `/status` and, as Telegram writes it in groups, `/status@bot`; `/etc/hosts is full` is no command.
_COMMAND = re.compile(r"\s*/(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:@\w+)?(?:\s|\Z)")

DESCRIPTIONS = {
    "status": "what runs, and what needs you",
    "crons": "the schedules and when they fire next",
    "cancel": "stop what is running for this chat",
    "retry": "run again what did not end well",
    "proposals": "what waits for your consent",
    "approve": "take a proposal: its number, and the commit that you saw",
    "deny": "leave a proposal: its number",
    "help": "this list",
}
# Only the owner decides about proposals, whatever a scope lists.
ON_PROPOSALS = frozenset({"proposals", "approve", "deny"})
# What is answered although no session can be started.
WHILE_IT_WAITS = frozenset({"status", "cancel", "help"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Who knows the answers.

    Attributes:
        status: how it stands, for who asks in the chat of a message.
        crons: a text of the whole engine.
        cancel, retry: act on the chat of a message, under the policy of who asks, and say what they did.
    """

    status: Callable[[Message, Policy], str]
    crons: Callable[[], str]
    cancel: Callable[[Message, Policy], str]
    retry: Callable[[Message, Policy], str]


def command_in(text: str) -> str | None:
    """The name of the command that a message is, known or not; None for ordinary text."""
    found = _COMMAND.match(text)
    return found["name"].lower() if found else None


def available(policy: Policy) -> list[str]:
    """The commands of a chat: all in the owner's private one, elsewhere those that its scope lists."""
    listed = {name.strip().lstrip("/").lower() for name in policy.commands}
    owner = policy.audience is Audience.OWNER
    return [name for name in DESCRIPTIONS if owner or (name in listed and name not in ON_PROPOSALS)]


def answer(name: str, message: Message, policy: Policy, answers: Answers) -> str:
    """Carry out a command; one that is unknown or not available here is answered with those that are."""
    if name not in available(policy):
        return _help(policy)
    match name:
        case "status":
            return answers.status(message, policy)
        case "crons":
            return answers.crons()
        case "cancel":
            return answers.cancel(message, policy)
        case "retry":
            return answers.retry(message, policy)
        case _:
            return _help(policy)


async def answer_on_proposals(name: str, message: Message, approvals: Approvals) -> str:
    """Carry out one of `ON_PROPOSALS`, in the name of the owner, who says so in this chat.

    Raises:
        VaultloopError: it cannot be done; with the cure.
    """
    by = f"{OWNER} ({message.channel})"
    match name, *message.text.split()[1:]:
        case "proposals", *_:
            return approvals.listing()
        case "approve", number, commit if number.isdecimal():
            return await approvals.approve(_numbered(number), commit, by)
        case "deny", number if number.isdecimal():
            return await approvals.deny(_numbered(number), by)
        case "approve", *_:
            return "Say which, and the commit that you saw: /approve 12 3fa9"
        case _:
            return "Say which: /deny 12"


def _numbered(digits: str) -> int:
    # Python turns down numbers of some thousand digits; no proposal has one of thirty.
    return int(digits[:30])


def _help(policy: Policy) -> str:
    names = available(policy)
    if not names:
        return "There are no commands in this chat. Write in plain words."
    return "\n".join(f"/{name}: {DESCRIPTIONS[name]}" for name in names)
