"""The engine's SQLite file."""

import sqlite3
from pathlib import Path

import pytest

from vaultloop.model.conversation import Limits, SendWhen
from vaultloop.model.errors import Stalled
from vaultloop.state.database import MIGRATIONS, Database
from vaultloop.state.turns import Turns


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


def test_what_was_remembered_is_there_after_reopening(path: Path) -> None:
    with Database(path) as database:
        database.remember("revision", "abc")
    with Database(path) as database:
        assert database.fact("revision") == "abc"
        assert database.fact("other") is None


def test_a_transaction_keeps_all_or_nothing_also_when_nested(path: Path) -> None:
    with Database(path) as database:

        def fail_half_way() -> None:
            with database.transaction():
                database.remember("a", "1")
                with database.transaction() as change:
                    change.execute("INSERT INTO facts VALUES ('b', '2')")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail_half_way()
        assert database.fact("a") is None
        assert database.fact("b") is None


def test_the_file_is_closed_to_others(path: Path) -> None:
    with Database(path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_reader_works_beside_the_writer_and_writes_nothing(path: Path) -> None:
    with Database(path) as writer, Database(path, read_only=True) as reader:
        writer.remember("a", "1")
        assert reader.fact("a") == "1"
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.remember("a", "2")


def test_a_reader_finds_the_file_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "Hana's state? 100%20 #1"
    folder.mkdir()
    with Database(folder / "engine.db") as writer:
        writer.remember("a", "1")
        with Database(folder / "engine.db", read_only=True) as reader:
            assert reader.fact("a") == "1"


def test_a_reader_that_comes_before_the_first_writer_is_done_is_told_to_wait(path: Path) -> None:
    sqlite3.connect(path).close()
    path.touch()
    with pytest.raises(Stalled, match="vaultloop up"):
        Database(path, read_only=True)


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    with Database(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(Stalled, match="of a newer vaultloop"):
        Database(path)


def test_a_file_of_the_first_version_is_brought_forward_with_its_turns(path: Path) -> None:
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
    old.executemany(
        "INSERT INTO turns (id, key, conversation, scope, trigger_kind, trigger_name, prompt, reply_channel,"
        " reply_chat, state, created_at) VALUES (?, ?, 'c', 'owner', ?, 'x', 'hello', ?, ?, 'queued', ?)",
        [
            ("a", "ka", "message", "console", "owner", "2026-11-22T07:00:00+00:00"),
            ("b", "kb", "cron", None, None, "2026-11-22T07:00:00+00:00"),
        ],
    )
    old.close()
    with Database(path) as database:
        first, second = Turns(database).unfinished()
        assert (first.turn.recipients, first.turn.send_when) == ((("console", "owner"),), SendWhen.ALWAYS)
        assert (second.turn.recipients, second.turn.send_when) == ((), SendWhen.SOMETHING_TO_SAY)
        assert (second.turn.limits, second.turn.timezone, second.attempt) == (Limits(), "UTC", 1)
        assert database.row("PRAGMA foreign_key_check") is None


def test_remembering_the_same_value_again_writes_nothing(path: Path) -> None:
    with Database(path) as writer, Database(path, read_only=True) as reader:
        writer.remember("a", "1")
        before = reader.row("PRAGMA data_version")
        writer.remember("a", "1")
        assert tuple(reader.row("PRAGMA data_version") or ()) == tuple(before or ())


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_told_with_a_cure(path: Path, content: bytes, *, read_only: bool) -> None:
    path.write_bytes(content)
    with pytest.raises(Stalled, match="Move it away"):
        Database(path, read_only=read_only)


def test_a_full_disk_undoes_one_transaction_and_hinders_no_later_one(path: Path) -> None:
    with Database(path) as database:
        database.row("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            database.remember("long", "x" * 100_000)
        database.row("PRAGMA max_page_count = 100000")
        database.remember("short", "x")
    with Database(path) as database:
        assert database.fact("long") is None
        assert database.fact("short") == "x"
