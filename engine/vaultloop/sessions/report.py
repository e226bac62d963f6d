"""What the recipients of a turn hear of its end, and when nobody is disturbed."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from vaultloop.model.conversation import NOTHING_TO_SAY, Outcome, SendWhen, Turn
from vaultloop.state.turns import TurnRecord, TurnState

# How a turn ended, where nothing else says so.
SENTENCES = {
    Outcome.FAILED: "That did not work.",
    Outcome.INTERRUPTED: "The engine was stopped while it worked on this. Send /retry to run it again.",
    Outcome.CANCELLED: "Cancelled.",
    Outcome.TIMED_OUT: "It took longer than `stop-after` allows and was stopped.",
    Outcome.REPLACED: "A newer run took its place.",
}

_SILENCE = (
    "The people who get your answer are only disturbed when there is something that they need to hear. If "
    f"there is nothing, answer with exactly `{NOTHING_TO_SAY}` and no other word: then nothing is sent."
)


def silence(turn: Turn) -> str:
    """What an agent is told about staying silent; empty where its answer is sent, or not, in any case."""
    return _SILENCE if turn.recipients and turn.send_when is SendWhen.SOMETHING_TO_SAY else ""


def says_nothing(reply: str) -> bool:
    """Whether an answer is empty or only the agreed words, however an agent dresses them up."""
    words = re.findall(r"[^\W_]+", reply.casefold())
    return not reply.strip() or words == NOTHING_TO_SAY.casefold().split()


def of_success(record: TurnRecord) -> str:
    """What is told of a turn that was done: first what did not arrive in the vault, then the answer."""
    match record.turn.send_when:
        case SendWhen.FAILURE:
            return ""
        case SendWhen.SOMETHING_TO_SAY:
            return joined(record.detail, _worth_telling(record))
        case SendWhen.ALWAYS:
            return record.told or "Done. (There was nothing to say.)"


def of_failure(record: TurnRecord, outcome: Outcome, why: str) -> str:
    """What is told of a turn that ended otherwise; an answer that is there follows what came of it."""
    # Somebody chose `overlap: replace`: a newer run will tell.
    return "" if outcome is Outcome.REPLACED else joined(why, _worth_telling(record))


def of_failed_try(record: TurnRecord, not_before: datetime, why: str) -> str:
    """What the record says while a turn waits for its next try."""
    coming = not_before.astimezone(ZoneInfo(record.turn.timezone)).isoformat(timespec="minutes")
    return f"Try {record.attempt} of {record.turn.limits.retries + 1} failed, the next is at {coming}: {why}"


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
