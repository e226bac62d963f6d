"""Slash commands: answered by the engine at once, without a model and without waiting for one."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from vaultloop.model.conversation import Message
from vaultloop.model.policy import Audience, Policy

# `/status` and, as Telegram writes it in groups, `/status@bot`; `/etc/hosts is full` is no command.
_COMMAND = re.compile(r"\s*/(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:@\w+)?(?:\s|\Z)")

DESCRIPTIONS = {
    "status": "what runs, and what needs you",
    "crons": "the schedules and when they fire next",
    "cancel": "stop what is running for this chat",
    "retry": "run again what did not end well",
    "help": "this list",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Who knows the answers.

    Attributes:
        status, crons: texts of the whole engine.
        cancel, retry: act on the chat of a message, under the policy of who asks, and say what they did.
    """

    status: Callable[[], str]
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
    return [name for name in DESCRIPTIONS if policy.audience is Audience.OWNER or name in listed]


def answer(name: str, message: Message, policy: Policy, answers: Answers) -> str:
    """Carry out a command; one that is unknown or not available here is answered with those that are."""
    if name not in available(policy):
        return _help(policy)
    match name:
        case "status":
            return answers.status()
        case "crons":
            return answers.crons()
        case "cancel":
            return answers.cancel(message, policy)
        case "retry":
            return answers.retry(message, policy)
        case _:
            return _help(policy)


def _help(policy: Policy) -> str:
    names = available(policy)
    if not names:
        return "There are no commands in this chat. Write in plain words."
    return "\n".join(f"/{name}: {DESCRIPTIONS[name]}" for name in names)
