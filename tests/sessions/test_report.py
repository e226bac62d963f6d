"""What people hear of the end of a turn."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from support.desk import cron_turn
from vaultloop.model.conversation import NOTHING_TO_SAY, Outcome, SendWhen
from vaultloop.sessions.report import of_failure, of_success, says_nothing, silence, tries
from vaultloop.state.turns import TurnRecord, TurnState

HERE = ("console", "owner")


def ended(send_when: SendWhen, reply: str, detail: str = "") -> TurnRecord:
    return TurnRecord(
        turn=replace(cron_turn(), recipients=(HERE,), send_when=send_when),
        state=TurnState.PUBLISHED,
        created_at=datetime(2026, 11, 22, 7, tzinfo=UTC),
        started_at=None,
        ended_at=None,
        policy=None,
        base=None,
        view=None,
        acted=False,
        reply=reply,
        model="",
        cost_usd=0.0,
        commit=None,
        outcome=None,
        detail=detail,
        attempt=1,
        not_before=None,
    )


@pytest.mark.parametrize(
    "reply",
    [
        *("", "  \n", NOTHING_TO_SAY, "nothing to say", "**Nothing to say.**", "`NOTHING TO SAY`\n"),
        *(
            "> NOTHING TO SAY",
            "NOTHING_TO_SAY",
            "Nothing\nto say!",
            "\u201cNothing to say.\u201d",
            "# nothing-to-say",
        ),
        *("NOTHING TO SAY\n\nNOTHING TO SAY", "Nothing to say. Nothing to say.", "NOTHINGTOSAY"),
        *("<answer>NOTHING TO SAY</answer>", "<answer>\n**Nothing to say.**\n</answer>"),
        *(
            "```\nNOTHING TO SAY\n```",
            "```text\nNOTHING TO SAY\n```",
            "~~~ markdown\r\nNOTHING TO SAY\r\n~~~",
        ),
        "\uff2e\uff2f\uff34\uff28\uff29\uff2e\uff27 \uff34\uff2f \uff33\uff21\uff39",
        *(
            "\u200b",
            "\ufeff\n\u2060",
            "NOTHING\u200bTO\u200bSAY",
            "N\u200bOTHING TO SAY",
            "NOTHING\u00a0TO\u00a0SAY",
        ),
    ],
)
def test_the_agreed_words_are_recognised_however_they_are_dressed_up(reply: str) -> None:
    assert says_nothing(reply)


@pytest.mark.parametrize(
    "reply",
    [
        *(
            "Nothing to say about roses.",
            "I have nothing to say",
            "Nothing to",
            "nothing to say nothing",
        ),
        *("NOTHING TO SAY\n\nBut the roses are dry.", "<answer>NOTHING TO SAY about roses</answer>"),
        *("```text\nNOTHING TO SAY\nwas printed\n```", "<roses/> NOTHING TO SAY", "<a>NOTHING TO SAY</b>"),
        *("```the log says\nNOTHING TO SAY\n```", "```\n```", "1. NOTHING TO SAY", "<answer></answer>"),
        *("\N{WHITE HEAVY CHECK MARK}", "...", "Nichts zu sagen"),
    ],
)
def test_any_other_word_is_an_answer(reply: str) -> None:
    assert not says_nothing(reply)


@pytest.mark.parametrize(
    ("send_when", "reply", "detail", "told"),
    [
        (SendWhen.SOMETHING_TO_SAY, "It rained.", "", "It rained."),
        (SendWhen.SOMETHING_TO_SAY, "Nothing to say.", "", ""),
        (SendWhen.SOMETHING_TO_SAY, "Nothing to say.", "Not published: a.md", "Not published: a.md"),
        (SendWhen.SOMETHING_TO_SAY, "It rained.", "Not published: a.md", "Not published: a.md\n\nIt rained."),
        (SendWhen.ALWAYS, "It rained.", "", "It rained."),
        (SendWhen.ALWAYS, "", "", "Done. (There was nothing to say.)"),
        (SendWhen.FAILURE, "It rained.", "", ""),
        (SendWhen.FAILURE, "It rained.", "Not published: a.md", ""),
    ],
)
def test_of_a_run_that_was_done_as_much_is_told_as_is_wanted(
    send_when: SendWhen, reply: str, detail: str, told: str
) -> None:
    assert of_success(ended(send_when, reply, detail)) == told


@pytest.mark.parametrize("send_when", SendWhen)
def test_a_failure_is_told_in_any_case_and_a_replaced_run_never(send_when: SendWhen) -> None:
    record = ended(send_when, "")
    assert of_failure(record, Outcome.FAILED, "The model was busy.") == "The model was busy."
    assert of_failure(record, Outcome.REPLACED, "A newer run took its place.") == ""


def test_an_answer_that_is_there_is_told_with_a_failure_unless_it_says_nothing() -> None:
    assert (
        of_failure(ended(SendWhen.SOMETHING_TO_SAY, "It rained."), Outcome.FAILED, "Lost.")
        == "Lost.\n\nIt rained."
    )
    assert of_failure(ended(SendWhen.SOMETHING_TO_SAY, "Nothing to say"), Outcome.FAILED, "Lost.") == "Lost."


def test_silence_is_offered_only_where_it_is_wanted_and_somebody_listens() -> None:
    turn = ended(SendWhen.SOMETHING_TO_SAY, "").turn
    assert f"`{NOTHING_TO_SAY}`" in silence(turn)
    assert silence(replace(turn, recipients=())) == ""
    assert silence(replace(turn, send_when=SendWhen.ALWAYS)) == ""
    assert silence(replace(turn, send_when=SendWhen.FAILURE)) == ""


@pytest.mark.parametrize(
    ("attempt", "state", "said"),
    [
        (1, TurnState.RUNNING, ""),
        (1, TurnState.QUEUED, ""),
        (2, TurnState.QUEUED, "It was tried once."),
        (2, TurnState.RUNNING, "It was tried 2 times."),
        (4, TurnState.PUBLISHED, "It was tried 4 times."),
    ],
)
def test_how_often_it_was_tried_is_counted(attempt: int, state: TurnState, said: str) -> None:
    assert tries(replace(ended(SendWhen.ALWAYS, ""), attempt=attempt, state=state)) == said
