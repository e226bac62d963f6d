import pytest

from vaultloop.components import KINDS
from vaultloop.model.resource import Ref
from vaultloop.reconcile.safety import hold, sentence
from vaultloop.state.status_book import Hold


def crons(*names: str) -> set[Ref]:
    return {Ref("cron", name) for name in names}


def held(
    vanished: set[Ref], running: int, before: Hold | None = None, tree: str = "t1", at: str = "r1"
) -> Hold | None:
    return hold(vanished, running, kinds=KINDS, revision=at, declarations=tree, before=before)


@pytest.mark.parametrize(
    ("deleted", "running", "is_held"),
    [
        *((0, 0, False), (1, 2, False), (2, 3, False), (2, 4, False), (3, 6, False)),
        *((3, 5, True), (4, 7, True), (1, 1, True), (2, 2, True)),
    ],
)
def test_more_than_half_and_at_least_three_or_everything_is_held(
    deleted: int, running: int, is_held: bool
) -> None:
    found = held(crons(*map(str, range(deleted))), running)
    assert (found is not None) is is_held


def test_removing_access_is_never_held_but_counts() -> None:
    scopes = {Ref("scope", "a"), Ref("scope", "b"), Ref("scope", "c")}
    assert held(scopes, 3) is None
    found = held(scopes | crons("x"), 6)
    assert found is not None
    assert found.refs == crons("x")


def test_what_waits_waits_on_when_something_else_is_edited() -> None:
    first = held(crons("a", "b", "c"), 4)
    later = held(crons("a", "b", "c"), 9, before=first, tree="t2", at="r2")
    assert later == Hold("r2", "t2", frozenset(crons("a", "b", "c")))


def test_what_came_back_waits_no_more() -> None:
    first = held(crons("a", "b", "c"), 4)
    assert held(crons("a"), 4, before=first, tree="t2", at="r2") == Hold("r2", "t2", frozenset(crons("a")))
    assert held(set(), 4, before=first, tree="t2", at="r2") is None


def test_commits_that_govern_nothing_do_not_change_the_revision_to_confirm() -> None:
    first = held(crons("a", "b", "c"), 4, at="r1")
    assert held(crons("a", "b", "c"), 4, before=first, at="r7") == first


def test_the_owner_is_told_what_and_how_to_say_yes() -> None:
    told = sentence(Hold("0123456789abcdef", "t", frozenset(crons("a", "b", "c"))), 4)
    assert "deletes 3 resources of 4" in told
    assert "If a scope is among what was deleted, the access that it granted has ended" in told
    assert "`vaultloop confirm 0123456789ab`" in told
