from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vaultloop.state.database import Database
from vaultloop.state.proposals import Draft, Proposals, ProposalState

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)


@pytest.fixture
def proposals(tmp_path: Path) -> Iterator[Proposals]:
    with Database(tmp_path / "engine.db") as database:
        yield Proposals(database)


def draft(*paths: str, scope: str = "family", session: str = "s-1", commit: str = "c0ffee") -> Draft:
    return Draft(session, scope, commit, "ba5e", paths, "Because.", ("family: + reads all",))


def test_a_proposal_is_read_as_it_was_written(proposals: Proposals) -> None:
    made = proposals.add(draft("agent/x.md"), ProposalState.OPEN, NOW)
    assert proposals.get(made.number) == made
    assert (made.draft, made.state, made.made_at) == (draft("agent/x.md"), ProposalState.OPEN, NOW)
    assert made.reference == "proposals/1"
    assert proposals.get(7) is None


def test_a_newer_one_on_a_same_note_takes_the_place_of_the_older(proposals: Proposals) -> None:
    first = proposals.add(draft("agent/x.md", "agent/y.md"), ProposalState.OPEN, NOW)
    other = proposals.add(draft("agent/z.md"), ProposalState.OPEN, NOW)
    newer = proposals.add(draft("agent/y.md"), ProposalState.OPEN, NOW)
    assert [one.number for one in proposals.open()] == [other.number, newer.number]
    superseded = proposals.get(first.number)
    assert superseded is not None
    assert (superseded.state, superseded.settled_by) == (ProposalState.SUPERSEDED, "proposal 3")


def test_no_scope_pushes_aside_what_another_proposed(proposals: Proposals) -> None:
    for scope in ("family", "club"):
        proposals.add(draft("agent/x.md", scope=scope), ProposalState.OPEN, NOW)
    assert len(proposals.open()) == 2
    assert [one.draft.scope for one in proposals.open("club")] == ["club"]


def test_it_is_decided_once(proposals: Proposals) -> None:
    number = proposals.add(draft("agent/x.md"), ProposalState.OPEN, NOW).number
    later = NOW + timedelta(hours=1)
    assert proposals.settle(number, ProposalState.APPROVED, "owner (cli)", later, "beef")
    assert not proposals.settle(number, ProposalState.DENIED, "owner (console)", later)
    settled = proposals.get(number)
    assert settled is not None
    assert (settled.state, settled.settled_by, settled.settled_at, settled.result) == (
        *(ProposalState.APPROVED, "owner (cli)", later, "beef"),
    )


def test_what_was_admitted_may_have_to_wait_after_all(proposals: Proposals) -> None:
    older = proposals.add(draft("agent/x.md"), ProposalState.OPEN, NOW)
    number = proposals.add(draft("agent/x.md"), ProposalState.ADMITTED, NOW).number
    assert [one.number for one in proposals.open()] == [older.number]
    opened = proposals.open_up(number, "It changed.", ["+ x"], NOW)
    assert (opened.state, opened.draft.reason, opened.draft.permissions) == (
        *(ProposalState.OPEN, "It changed.", ("+ x",)),
    )
    assert [one.number for one in proposals.open()] == [number]


def test_what_was_admitted_is_no_question_to_the_owner(proposals: Proposals) -> None:
    number = proposals.add(draft("agent/x.md"), ProposalState.ADMITTED, NOW).number
    proposals.arrived(number, "beef", NOW)
    assert proposals.recent(5) == []
    (made,) = proposals.newest(5)
    assert (made.state, made.result) == (ProposalState.ADMITTED, "beef")
    assert proposals.of_session("s-1", (ProposalState.ADMITTED,)) == [made]
    assert proposals.of_session("s-2") == []


def test_what_was_refused_is_kept_by_session(proposals: Proposals) -> None:
    assert proposals.refused("s-1") is None
    proposals.sort_out("s-1", [("a.md", "no")])
    assert proposals.refused("s-1") == (("a.md", "no"),)
    proposals.sort_out("s-1", [])
    assert proposals.refused("s-1") == ()
