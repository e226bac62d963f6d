from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vaultloop.components import KINDS
from vaultloop.components.cron.kind import CronSpec
from vaultloop.model.errors import VaultloopError
from vaultloop.model.policy import Audience
from vaultloop.model.resource import Ref, Resource, Source
from vaultloop.model.status import Condition, Confinement, Push, PushState, Status
from vaultloop.state.database import Database
from vaultloop.state.status_book import Hold, LastGood, StatusBook

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CRON = Ref("cron", "digest")
KINDS_BY_NAME = {kind.name: kind for kind in KINDS}


def status(condition: Condition, reason: str, *, minutes: int = 0, message: str = "") -> Status:
    return Status(CRON, condition, reason, message, NOON + timedelta(minutes=minutes), "a" * 40, None)


def version(name: str = "digest", *, applied: str = "a" * 40, blob: str = "b1", uid: str = "u1") -> LastGood:
    return LastGood(Ref("cron", name), uid, f"agent/{name}.md", blob, "text", "{}", applied)


def test_since_stays_while_a_resource_stands_the_same_and_moves_when_it_does_not(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        book = StatusBook(database)
        assert book.record([status(Condition.READY, "Applied")])
        assert book.record([status(Condition.READY, "Applied", minutes=5, message="new words")])
        assert [row.since for row in book.statuses()] == [NOON]
        assert book.record([status(Condition.STALLED, "InternalError", minutes=9)])
        assert [row.since for row in book.statuses()] == [NOON + timedelta(minutes=9)]


def test_rows_that_change_nothing_are_not_written(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        book = StatusBook(database)
        book.record([status(Condition.READY, "Applied")])
        book.keep([version()], gone=())
        assert not book.record([status(Condition.READY, "Applied", minutes=5)])
        assert not book.keep([version(applied="f" * 40)], gone=[Ref("cron", "unknown")])


def test_a_resource_that_is_no_more_has_no_row(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        book = StatusBook(database)
        book.record([status(Condition.READY, "Applied")])
        assert book.record([])
        assert book.statuses() == []


def test_a_known_version_keeps_the_revision_that_brought_it(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        book = StatusBook(database)
        book.keep([version(applied="a" * 40)], gone=())
        book.keep([version(applied="f" * 40)], gone=())
        assert [good.applied for good in book.last_good()] == ["a" * 40]
        book.keep([version(applied="f" * 40, blob="b2")], gone=())
        assert [good.applied for good in book.last_good()] == ["f" * 40]


def test_a_renamed_version_takes_its_uid_along(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        book = StatusBook(database)
        book.keep([version("old")], gone=())
        book.keep([version("new")], gone=[Ref("cron", "old")])
        assert [(good.ref.name, good.uid) for good in book.last_good()] == [("new", "u1")]


def test_a_version_comes_back_as_the_resource_it_was_with_what_it_inherited(tmp_path: Path) -> None:
    spec = CronSpec(
        schedule="@daily",
        timezone="Europe/Berlin",
        scope="owner",
        start_within=timedelta(minutes=90),
        send_to=("owner", "-1001234567890"),
        budget_usd_per_run=0.5,
        body="Do it: {{last-run}}.",
    )
    resource = Resource(CRON, spec, Source("agent/digest.md", "b1", {"kind": 2}, "the note"), "u1")
    with Database(tmp_path / "db") as database:
        StatusBook(database).keep([LastGood.of(resource, "a" * 40)], gone=())
    with Database(tmp_path / "db") as database:
        (good,) = StatusBook(database).last_good()
    assert good.resource(KINDS_BY_NAME) == resource
    assert good.text == "the note"


def test_a_version_that_this_engine_does_not_understand_is_none(tmp_path: Path) -> None:
    assert version().resource(KINDS_BY_NAME) is None
    assert LastGood(Ref("oracle", "x"), "u", "p", "b", "t", "{}", "a").resource(KINDS_BY_NAME) is None


def test_what_the_engine_saw_survives_a_restart(tmp_path: Path) -> None:
    push = Push(PushState.STRANDED, NOON, "no route to host")
    with Database(tmp_path / "db") as database:
        book = StatusBook(database)
        assert (book.revision, book.applied_revision, book.attention) == (None, None, ())
        assert book.push.state is PushState.LOCAL
        book.saw("a" * 40, applied=True)
        book.saw("b" * 40, applied=False)
        book.record_push(push)
        book.record_attention(["Look here."])
        book.record_sandbox({Audience.OWNER: Confinement.FENCED, Audience.PUBLIC: None})
    with Database(tmp_path / "db", read_only=True) as database:
        book = StatusBook(database)
        assert (book.revision, book.applied_revision) == ("b" * 40, "a" * 40)
        assert (book.push, book.attention) == (push, ("Look here.",))
        assert book.sandbox == {"owner": "fenced", "public": "refused"}


def test_the_owners_word_is_for_what_is_held_and_for_nothing_else(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        book = StatusBook(database)
        with pytest.raises(VaultloopError, match="Nothing is held"):
            book.confirm("a" * 40)
        book.record_hold(Hold("a1b2c3d4" * 5, "tree-1", frozenset({CRON})))
        for wrong in ("ffff", "a1b", ""):
            with pytest.raises(VaultloopError, match="vaultloop confirm a1b2c3d4a1b2"):
                book.confirm(wrong)
        assert not book.is_confirmed("tree-1")
        assert book.confirm("a1b2c3d") == "a1b2c3d4" * 5
        assert book.is_confirmed("tree-1")
        assert not book.is_confirmed("tree-2")


def test_a_word_once_acted_on_is_forgotten(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        book = StatusBook(database)
        book.record_hold(Hold("a" * 40, "tree-1", frozenset({CRON})))
        book.confirm("a" * 40)
        book.record_hold(None)
        assert book.hold is None
        assert not book.is_confirmed("tree-1")
