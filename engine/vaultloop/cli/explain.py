"""`vaultloop explain`: what a session may do, and which line of which note says so."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaultloop.cli import output
from vaultloop.cli.options import as_json, with_given_settings
from vaultloop.cli.standpoint import GivenSettings, history, owners, present
from vaultloop.model.conversation import OWNER

if TYPE_CHECKING:
    from vaultloop.explanation import Answer, Question


@click.command(name="explain")
@click.option(
    "--chat", metavar="ID", help="The chat where somebody speaks; without it your private one, `owner`."
)
@click.option("--person", metavar="ID", help="Who speaks there; without it, somebody who may.")
@click.option("--scope", metavar="NAME", help="The scope of that name, in place of a chat.")
@click.option("--read", metavar="PATH", help="May it see this file of the vault?")
@click.option("--write", metavar="PATH", help="May it change this file of the vault?")
@click.option("--tool", metavar="T", help="May it use this tool or ability?")
@click.option("--rpc", metavar="METHOD", help="May it call this method of Telegram?")
@click.option("--host", metavar="H", help="May it reach this host of the internet?")
@click.option("--at", "revision", metavar="REVISION", help="At this revision, not what lies there now.")
@as_json
@with_given_settings
def command(
    given: GivenSettings,
    chat: str | None,
    person: str | None,
    scope: str | None,
    revision: str | None,
    *,
    as_json: bool,
    **asked: str | None,
) -> None:
    """Explain what a session may do, with the line of the note for each grant
    and each denial; without a question, all that it may do.

    Answers from the vault that one stands in, or else the settings name; no
    engine is needed. Exits 0 if it is allowed, 1 if it is denied.
    """
    question = _question(chat, person, scope, asked)
    answer = asyncio.run(_answer(given, question, revision))
    if as_json:
        output.print_json(answer.as_json())
    else:
        _print(answer, question)
    sys.exit(0 if answer.allowed else 1)


def _question(
    chat: str | None, person: str | None, scope: str | None, asked: dict[str, str | None]
) -> "Question":
    from vaultloop.explanation import Question, What  # noqa: PLC0415 - `--help` waits for none of it

    named = {what: name for what, name in asked.items() if name is not None}
    if chat is not None and scope is not None:
        raise click.UsageError("name either --chat or --scope, not both")
    if chat is None and scope is None:
        # As for `chat`: whoever names nobody means themselves.
        chat = OWNER
    if person is not None and chat is None:
        raise click.UsageError("--person speaks in a chat; name it with --chat")
    if len(named) > 1:
        raise click.UsageError(f"ask one thing at a time, not {' and '.join(f'--{what}' for what in named)}")
    what, name = next(iter(named.items()), (None, ""))
    return Question(chat, person, scope, What(what) if what else None, name or "")


async def _answer(given: GivenSettings, question: "Question", revision: str | None) -> "Answer":
    from vaultloop.explanation import Explanation  # noqa: PLC0415

    place = Path.cwd()
    files = present(given, place) if revision is None else history(given, place).files(revision)
    return await Explanation(files, owners(given)).answer(question)


def _print(answer: "Answer", question: "Question") -> None:
    if question.what is None and answer.policy is not None:
        output.say(f"{answer.policy.scope} ({answer.policy.audience}), policy {answer.policy.id}:")
        for ground in answer.grounds:
            output.say(str(ground))
    else:
        word = "allowed" if answer.allowed else "denied"
        for ground in answer.grounds:
            output.say(f"{word}: {ground}")
        if not answer.grounds:
            output.say(f"{word}: {answer.why}")
            return
    if answer.why:
        output.say(answer.why)
