from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vaultloop.model.conversation import Message
from vaultloop.state.database import Database
from vaultloop.state.inbox import Fate, Inbox, answer_key

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "engine.db") as opened:
        yield opened


@pytest.fixture
def inbox(database: Database) -> Inbox:
    return Inbox(database)


def message(number: int = 1, *, chat: str = "owner", text: str = "hello") -> Message:
    return Message("console", chat, str(number), "owner", text, NOW)


def test_a_message_is_taken_once(inbox: Inbox) -> None:
    assert inbox.take(message(), NOW)
    assert not inbox.take(message(text="the same id again"), NOW)
    assert inbox.waiting() == [message()]


def test_the_same_id_in_another_chat_is_another_message(inbox: Inbox) -> None:
    assert inbox.take(message(chat="a"), NOW)
    assert inbox.take(message(chat="b"), NOW)


def test_waiting_messages_come_in_the_order_in_which_they_were_taken(inbox: Inbox) -> None:
    for number in (3, 1, 2):
        inbox.take(message(number), NOW)
    assert [m.id for m in inbox.waiting()] == ["3", "1", "2"]


def test_a_message_has_one_fate(inbox: Inbox) -> None:
    inbox.take(message(), NOW)
    assert inbox.settle(message(), Fate.COMMAND)
    assert not inbox.settle(message(), Fate.TURN, "some-turn")
    assert inbox.fate(message()) is Fate.COMMAND
    assert inbox.waiting() == []


def test_the_messages_of_a_turn_are_known(inbox: Inbox) -> None:
    for number in (1, 2, 3):
        inbox.take(message(number), NOW)
    for number in (1, 2):
        inbox.settle(message(number), Fate.TURN, "t")
    assert inbox.of_turn("t") == [message(1), message(2)]


def test_a_reply_leads_back_to_the_messages_that_it_answers(inbox: Inbox) -> None:
    for number in (1, 2):
        inbox.take(message(number), NOW)
    inbox.settle(message(1), Fate.TURN, "t")
    inbox.settle(message(2), Fate.COMMAND)
    assert inbox.answered_by("t") == [message(1)]
    assert inbox.answered_by(answer_key(message(2))) == [message(2)]
    assert inbox.answered_by("t/queued") == []


def test_messages_survive_a_restart(tmp_path: Path) -> None:
    with Database(tmp_path / "engine.db") as database:
        Inbox(database).take(message(), NOW)
    with Database(tmp_path / "engine.db") as database:
        assert Inbox(database).waiting() == [message()]
