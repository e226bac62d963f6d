"""What result lines mean; their shapes are those that the CLI was seen to print."""

import re
from typing import Any

import pytest

from vaultloop.runners.claude.result import LONGEST_QUOTE, understood, without_result

KEY = "sk-ant-secret"


def answer(**fields: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": True, **fields}


@pytest.mark.parametrize(
    ("fields", "words", "retryable"),
    [
        ({"api_error_status": 400, "result": "API Error: 400 bad"}, r"\(400: bad\).*`model`", False),
        (
            {"api_error_status": 400, "result": "API Error: 400 Your credit balance is too low"},
            "nothing left to spend.*Add credit",
            False,
        ),
        ({"api_error_status": 401, "result": "Invalid API key · Fix it"}, "Set ANTHROPIC_API_KEY", False),
        ({"api_error_status": 402, "result": "API Error: 402 pay"}, "Add credit", False),
        (
            {"api_error_status": 402, "result": "API Error: 402 Spent 1 of 1 (budget-usd-per-day)."},
            "^The agent used up a budget .* Raise that budget",
            False,
        ),
        ({"api_error_status": 403, "result": "API Error: 403 no"}, r"\(403: no\).*right to use", False),
        ({"api_error_status": 404, "result": "Run --model to"}, "no model `m`.*Correct `model`", False),
        ({"api_error_status": 413, "terminal_reason": "image_error"}, "too large.*Ask for less", False),
        ({"api_error_status": 429, "result": "slow down"}, r"\(429: slow down\).*few minutes", True),
        ({"api_error_status": 500, "result": "boom"}, r"of its own \(500\).*few minutes", True),
        ({"api_error_status": 503, "result": "boom"}, r"of its own \(503\).*few minutes", True),
        ({"api_error_status": 529, "result": "Overloaded"}, r"overloaded \(529\).*few minutes", True),
        ({"api_error_status": 418, "result": "a teapot"}, r"\(418: a teapot\)", False),
        ({"stop_reason": "refusal", "result": "flagged"}, "declined.*other words", False),
        ({"subtype": "error_max_turns"}, "Raise `max-steps`", False),
        ({"subtype": "error_max_budget_usd"}, "Raise `budget-usd-per-run`", False),
        ({"terminal_reason": "rapid_refill_breaker", "result": "thrashing"}, "too much.*Ask for less", False),
        ({"terminal_reason": "aborted_tools", "errors": ["[ede_diagnostic] x=y"]}, "interrupted", True),
        ({"result": "API Error: Connection refused (ECONNREFUSED)"}, r"cannot be reached: .*network", True),
        ({"result": "API Error: API returned an empty or malformed response"}, "anthropic-base-url", True),
        ({"errors": ["[ede_diagnostic] x=y"]}, r"ended without an answer\. The engine's log", True),
        ({}, "ended without an answer", True),
    ],
)
def test_a_failure_says_what_happened_and_what_to_do(
    fields: dict[str, Any], words: str, retryable: bool
) -> None:
    result = understood(answer(**fields), "m")
    assert not result.ok
    assert re.search(words, result.text), result.text
    assert result.retryable is retryable
    for foreign in ("ede_diagnostic", "{", "--model", "·"):
        assert foreign not in result.text


def test_a_conversation_that_cannot_be_found_can_be_begun_anew() -> None:
    result = understood(answer(errors=["No conversation found with session ID: 50f9"]), "m")
    assert (result.resumable, result.retryable) == (False, True)
    assert understood(answer(api_error_status=500), "m").resumable


@pytest.mark.parametrize("claimed", ["success", "error_during_execution"])
def test_only_is_error_decides(claimed: str) -> None:
    assert understood(answer(is_error=False, subtype=claimed, result="Hi."), "m").text == "Hi."
    assert not understood({"type": "result", "subtype": claimed, "result": "Hi."}, "m").ok


def test_the_cost_is_that_of_this_run_alone() -> None:
    line = answer(is_error=False, result="Hi.", total_cost_usd=0.75)
    assert understood(line, "m", spent_before=0.5).cost_usd == 0.25
    assert understood(line, "m", spent_before=2.0).cost_usd == 0.0


def test_no_sentence_repeats_a_key_or_goes_on_for_ever() -> None:
    said = f"bad key {KEY}\n" + "x" * 10_000
    for text in (
        understood(answer(api_error_status=400, result=said), "m", hidden=[KEY]).text,
        without_result(1, said, [KEY]).text,
    ):
        assert KEY not in text
        assert "\n" not in text
        assert len(text) < LONGEST_QUOTE + 250


def test_an_answer_does_not_repeat_a_key_and_is_whole_otherwise() -> None:
    line = answer(is_error=False, result=f"It is {KEY}.\n\nReally.", modelUsage={KEY: {}})
    result = understood(line, "", hidden=[KEY])
    assert (result.text, result.model) == ("It is [hidden].\n\nReally.", "[hidden]")


@pytest.mark.parametrize(
    ("status", "complaint", "words"),
    [
        (143, "", "stopped (SIGTERM)"),
        (-15, "", "stopped (SIGTERM)"),
        (-9, "", "run out of memory"),
        (1, "TypeError: x is not y\n    at f (a.js:1)\n", "(exit code 1): TypeError: x is not y"),
        (0, "", "(exit code 0)"),
    ],
)
def test_an_end_without_a_result_line_is_told_by_its_status(status: int, complaint: str, words: str) -> None:
    result = without_result(status, complaint)
    assert not result.ok
    assert words in result.text
    assert " at f" not in result.text
