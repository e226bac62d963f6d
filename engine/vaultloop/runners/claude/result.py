"""What a run of the CLI came to, in the words of the vault's owner.

There is a result only if the CLI printed a result line, and success only if that line says `is_error: false`:
the subtype of an API error is `success`, and the exit code of an interrupted run is 0.
"""

import re
import signal
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from vaultloop.model.cell import Result
from vaultloop.runners.claude.lines import is_count, text

# The longest that somebody else's words may be in a sentence of ours.
LONGEST_QUOTE = 200

KEY_CURE = "Set ANTHROPIC_API_KEY in the environment of the engine to a valid key."

_MODEL_CURE = "Correct `model` in the scope or the defaults note."
_LATER = "It usually passes: ask again in a few minutes."
_LESS = "Ask for less at once, or about smaller files."


class Trouble(NamedTuple):
    """Why there is no answer.

    Attributes:
        text: what happened and what to do; `{said}`, `{status}` and `{model}` are filled in.
        retryable: whether another try may do better.
        resumable: false if the transcript to go on from is what is wrong.
    """

    text: str
    retryable: bool
    resumable: bool = True


_BY_STATUS: Mapping[int, Trouble] = {
    400: Trouble(
        f"The model's API did not accept the request (400{{said}}). {_MODEL_CURE} If the message speaks of "
        "length, ask for less at once.",
        False,
    ),
    401: Trouble(f"The model's API does not know the engine's key (401). {KEY_CURE}", False),
    402: Trouble(
        "The account of the engine's key has nothing left to spend ({status}{said}). "
        "Add credit to it, then ask again.",
        False,
    ),
    403: Trouble(
        "The agent may not do this (403{said}). If it is the engine's key that may not, give its account the "
        "right to use this model, or name another `model` in the scope or the defaults note.",
        False,
    ),
    404: Trouble(
        f"The model's API has no model `{{model}}` for the engine's key (404). {_MODEL_CURE}",
        False,
    ),
    413: Trouble(f"The request became too large for the model's API (413). {_LESS}", False),
    429: Trouble(
        "The model's API takes no more requests from the engine's account for now (429{said}). "
        "Ask again in a few minutes, or raise the limits of the account.",
        True,
    ),
    529: Trouble(f"The model's API is overloaded (529). {_LATER}", True),
}
_SERVER_ERROR = Trouble(f"The model's API had an error of its own ({{status}}). {_LATER}", True)
_OTHER_STATUS = Trouble("The model's API answered with an error ({status}{said}).", False)

_REFUSAL = Trouble(
    "The model declined to answer this. Say it in other words, or name another `model` in the scope or the "
    "defaults note.",
    False,
)
_UNREACHABLE = Trouble(
    "The model's API cannot be reached{said}. Check the network of the engine, and `anthropic-base-url` if "
    "it is set.",
    True,
)
_MALFORMED = Trouble(
    "What answered in the place of the model's API cannot be understood. Check `anthropic-base-url` if it is "
    "set, and any proxy on the way; otherwise ask again later.",
    True,
)
_STEPS = Trouble(
    "The agent used up its steps before it had an answer. Raise `max-steps` in the scope, or ask for less at "
    "once.",
    False,
)
_BUDGET = Trouble(
    "The agent used up its budget before it had an answer. Raise `budget-usd-per-run`, or ask for less at "
    "once.",
    False,
)
# Said by the gateway; which one it was, and when it begins anew, is told before this.
_SPENT = Trouble(
    "The agent used up a budget before it had an answer. Raise that budget, or ask for less at once.", False
)
_TOO_MUCH = Trouble(f"What the agent read became too much for the model. {_LESS}", False)
_STOPPED = Trouble("The agent was interrupted before it had an answer. Ask again.", True)
_NO_CONVERSATION = Trouble(
    "The agent cannot go on from its earlier conversation: the transcript is missing or damaged.", True, False
)
_GARBLED_END = (
    "What Claude Code said of its end cannot be understood (malformed stream). Ask again; if it stays so, "
    "install the version of Claude Code with which this vaultloop was tested."
)
_UNKNOWN = Trouble("The agent ended without an answer{said}. The engine's log has details.", True)

# Subtypes and terminal reasons.
_BY_NAME: Mapping[str, Trouble] = {
    "error_max_turns": _STEPS,
    "max_turns": _STEPS,
    "error_max_budget_usd": _BUDGET,
    "budget_exhausted": _BUDGET,
    "rapid_refill_breaker": _TOO_MUCH,
    "prompt_too_long": _TOO_MUCH,
    "blocking_limit": _TOO_MUCH,
    "aborted_tools": _STOPPED,
    "aborted_streaming": _STOPPED,
}

# Words of the CLI (lower case) that tell causes apart where no status does.
_CONNECTION = re.compile(r"connection|econn|enotfound|eai_again|timed out|timeout|network|certificate")
_GARBLED = re.compile(r"malformed|empty response|could not parse|unexpected end of json")
_CREDIT = re.compile(r"credit balance|billing")
_OWN_BUDGET = "budget-usd-per-"


def understood(
    answer: Mapping[str, Any], model: str, *, spent_before: float = 0.0, hidden: Collection[str] = ()
) -> Result:
    """What a result line of the right shape means.

    `spent_before` is what a resumed conversation had cost: the line names the sum. Texts in `hidden` are
    never repeated.
    """
    ok = answer.get("is_error") is False
    trouble = Trouble("", True) if ok else trouble_of(answer, model, hidden)
    given: Mapping[str, Any] = answer.get("usage") or {}
    usage = {key: value for key, value in given.items() if isinstance(value, int) and is_count(value)}
    return Result(
        ok=ok,
        text=without_secrets(text(answer, "result"), hidden) if ok else trouble.text,
        cost_usd=max(0.0, float(answer.get("total_cost_usd") or 0.0) - spent_before),
        model=model or quoted(next(iter(answer.get("modelUsage") or {}), ""), hidden),
        steps=int(answer.get("num_turns") or 0),
        usage=usage,
        resumable=trouble.resumable,
        retryable=trouble.retryable,
    )


def trouble_of(answer: Mapping[str, Any], model: str, hidden: Collection[str] = ()) -> Trouble:
    """Why a result line that is an error has no answer in it."""
    errors = [error for error in answer.get("errors") or () if isinstance(error, str)]
    said = text(answer, "result") or "; ".join(errors)
    status = answer.get("api_error_status")
    trouble = _cause(answer, status, said.lower())
    # Where a sentence already is all that there is to say, a diagnostic for developers adds nothing.
    quote = "" if "[ede_diagnostic]" in said else quoted(_without_prefix(said), hidden)
    filled = trouble.text.format(status=status, model=model, said=f": {quote}" if quote else "")
    return trouble._replace(text=filled)


def _cause(answer: Mapping[str, Any], status: object, said: str) -> Trouble:
    if answer.get("stop_reason") == "refusal":
        return _REFUSAL
    if isinstance(status, int):
        return _of_status(status, said)
    named = _BY_NAME.get(text(answer, "subtype")) or _BY_NAME.get(text(answer, "terminal_reason"))
    return named or _of_words(said)


def _of_status(status: int, said: str) -> Trouble:
    if status == 402 and _OWN_BUDGET in said:
        return _SPENT
    if status == 400 and _CREDIT.search(said):
        return _BY_STATUS[402]
    if status not in _BY_STATUS and status >= 500:
        return _SERVER_ERROR
    return _BY_STATUS.get(status, _OTHER_STATUS)


def _of_words(said: str) -> Trouble:
    if "no conversation found" in said:
        return _NO_CONVERSATION
    if _GARBLED.search(said):
        return _MALFORMED
    return _UNREACHABLE if _CONNECTION.search(said) else _UNKNOWN


def garbled() -> Result:
    """A run whose result line has not the shape of one."""
    return Result(ok=False, text=_GARBLED_END)


def without_result(status: int, complaint: str, hidden: Collection[str] = ()) -> Result:
    """A run that ended with this exit status and printed no result line."""
    number = -status if status < 0 else status - 128
    if number == signal.SIGKILL:
        why = (
            "Claude Code was killed before it answered. If nobody did that, the machine may have run out of "
            "memory: its system log says so."
        )
    elif number in set(signal.Signals):
        why = f"Claude Code was stopped ({signal.Signals(number).name}) before it answered. Ask again."
    else:
        last = quoted(_last_words(complaint), hidden)
        why = f"Claude Code ended without an answer (exit code {status}){f': {last}' if last else '.'}"
    return Result(ok=False, text=why)


def quoted(said: str, hidden: Collection[str] = ()) -> str:
    """One line of somebody else's words, with no secret in it and no full stop after it."""
    line = " ".join(without_secrets(said, hidden).split())
    return (line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 1] + "…").rstrip(". ")


def without_secrets(said: str, hidden: Collection[str]) -> str:
    """Somebody else's words with none of the texts in `hidden` in them."""
    for secret in filter(None, hidden):
        said = said.replace(secret, "[hidden]")
    return said


def _without_prefix(said: str) -> str:
    return re.sub(r"^(Failed to authenticate\. )?API Error: (Request rejected \(\d+\) · |\d{3} )?", "", said)


def _last_words(complaint: str) -> str:
    """The last line that is not part of a stack."""
    lines = [line for line in complaint.splitlines() if line.strip() and not re.match(r"\s+at |\s*\^", line)]
    return lines[-1] if lines else ""
