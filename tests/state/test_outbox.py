from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vaultloop.model.conversation import Reply
from vaultloop.state.database import Database
from vaultloop.state.outbox import Outbox

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Database(tmp_path / "engine.db") as database:
        yield Outbox(database)


def reply(key: str, *, chat: str = "owner") -> Reply:
    return Reply(key, "console", chat, f"text of {key}")


def test_there_is_one_reply_a_key(outbox: Outbox) -> None:
    assert outbox.put(reply("a"), NOW)
    assert not outbox.put(Reply("a", "console", "owner", "another text"), NOW)
    assert outbox.next("console", "owner") == reply("a")


def test_a_key_that_was_delivered_is_never_owed_again(outbox: Outbox) -> None:
    outbox.put(reply("a"), NOW)
    outbox.delivered("a", NOW)
    assert not outbox.put(reply("a"), NOW)
    assert outbox.waiting() == []


def test_each_chat_gets_its_replies_in_order(outbox: Outbox) -> None:
    for key, chat in (("1", "a"), ("2", "b"), ("3", "a")):
        outbox.put(reply(key, chat=chat), NOW)
    assert outbox.waiting() == [("console", "a"), ("console", "b")]
    assert outbox.next("console", "a") == reply("1", chat="a")
    outbox.delivered("1", NOW)
    assert outbox.next("console", "a") == reply("3", chat="a")
    outbox.delivered("3", NOW)
    assert outbox.next("console", "a") is None
