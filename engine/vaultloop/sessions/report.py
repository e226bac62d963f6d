"""What the recipients of a turn hear of its end, and when nobody is disturbed."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from vaultloop.model.conversation import NOTHING_TO_SAY, Outcome, SendWhen, Turn
from vaultloop.model.gateway import Exhausted
from vaultloop.state.turns import TurnRecord, TurnState

# How a turn ended, where nothing else says so.
SENTENCES = {
    Outcome.FAILED: "That did not work.",
    Outcome.INTERRUPTED: "The engine was stopped while it worked on this. Send /retry to run it again.",
    Outcome.CANCELLED: "Cancelled.",
    Outcome.TIMED_OUT: "It took longer than `stop-after` allows and was stopped.",
    Outcome.REPLACED: "A newer run took its place.",
}

# Where this machine cannot hold sessions of a class in, and who asks is not told what it lacks.
NOT_HERE = "This cannot be answered here as yet; the owner can see why."

_SILENCE = (
    "The people who get your answer are only disturbed when there is something that they need to hear. If "
    f"there is nothing, answer with exactly `{NOTHING_TO_SAY}` and no other word: then nothing is sent."
)

# Dress, as agents were seen to use it: the line that begins or ends a block of code, and a pair of tags.
_FENCE = re.compile(r"^[> \t]*(?:`{3,}|~{3,})[ \t]*[\w+.-]*[ \t\r]*$", re.MULTILINE)
_IN_TAGS = re.compile(r"<([A-Za-z][\w-]*)>([^<>]*)</\1>")


def silence(turn: Turn) -> str:
    """What an agent is told about staying silent; empty where its answer is sent, or not, in any case."""
    return _SILENCE if turn.recipients and turn.send_when is SendWhen.SOMETHING_TO_SAY else ""


def says_nothing(reply: str) -> bool:
    """Whether an answer is empty or only the agreed words, once or more, however an agent dresses them up."""
    seen = "".join(
        character for character in unicodedata.normalize("NFKC", reply) if not _is_unseen(character)
    )
    words = _IN_TAGS.sub(r" \2 ", _FENCE.sub("", seen)).casefold()
    said = "".join(re.findall(r"[^\W_]+", words))
    agreed = NOTHING_TO_SAY.casefold().replace(" ", "")
    return not seen.strip() or (said != "" and not said.replace(agreed, ""))


def of_success(record: TurnRecord, *, to_owner: bool = True) -> str:
    """What is told of a turn that was done: first, to its owner, what did not arrive in the vault."""
    detail = record.detail if to_owner else ""
    match record.turn.send_when:
        case SendWhen.FAILURE:
            return ""
        case SendWhen.SOMETHING_TO_SAY:
            return joined(detail, _worth_telling(record))
        case SendWhen.ALWAYS:
            return joined(detail, record.reply) or "Done. (There was nothing to say.)"


def of_failure(record: TurnRecord, outcome: Outcome, why: str) -> str:
    """What is told of a turn that ended otherwise; an answer that is there follows what came of it."""
    # Somebody chose `overlap: replace`: a newer run will tell.
    return "" if outcome is Outcome.REPLACED else joined(why, _worth_telling(record))


def of_failed_try(record: TurnRecord, not_before: datetime, why: str) -> str:
    """What the record says while a turn waits for its next try."""
    coming = not_before.astimezone(ZoneInfo(record.turn.timezone)).isoformat(timespec="minutes")
    return f"Try {record.attempt} of {record.turn.limits.retries + 1} failed, the next is at {coming}: {why}"


def of_parked(spent: Exhausted, timezone: str) -> tuple[str, str]:
    """What the owner and what everybody else hears while a turn waits for a budget, with the date."""
    to_owner = (
        f"{_parked_until(spent.until, timezone)}. {spent.reason} It goes on by itself then, or once the note "
        "allows more."
    )
    return to_owner, parked_here(spent.until, timezone)


def parked_here(until: datetime, timezone: str) -> str:
    """What everybody but the owner hears of a budget that is spent until then."""
    return f"{_parked_until(until, timezone)}: the budget here is spent. It goes on by itself then."


def _parked_until(until: datetime, timezone: str) -> str:
    return f"Parked until {until.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M} ({timezone})"


def of_standing(here: Sequence[TurnRecord], timezone: str, *, waits: bool) -> str:
    """`/status` of a chat that is not the owner's own: what concerns this chat, and nothing of the rest.

    `here` is what has no outcome yet in this chat; `waits` says that its sessions cannot begin as yet.
    """
    running = sum(record.state is not TurnState.QUEUED for record in here)
    parked = [record.not_before for record in here if record.parked and record.not_before is not None]
    return "\n".join(
        [
            NOT_HERE if waits else "The agent answers here.",
            f"In this chat: {running} running, {len(here) - running} waiting.",
            *sorted({parked_here(until, timezone) for until in parked}),
        ]
    )


def tries(record: TurnRecord) -> str:
    """How often a turn was tried, where that is more than once or it waited for its second time."""
    made = record.attempt - (record.state is TurnState.QUEUED)
    if record.attempt == 1:
        return ""
    return "It was tried once." if made == 1 else f"It was tried {made} times."


def joined(*parts: str) -> str:
    """Paragraphs, without the empty ones."""
    return "\n\n".join(part for part in parts if part)


def _worth_telling(record: TurnRecord) -> str:
    silent = record.turn.send_when is SendWhen.SOMETHING_TO_SAY and says_nothing(record.reply)
    return "" if silent else record.reply


def _is_unseen(character: str) -> bool:
    """Whether it has no width on any screen: joiners, marks of direction, control characters."""
    return unicodedata.category(character) in ("Cf", "Cc") and not character.isspace()
