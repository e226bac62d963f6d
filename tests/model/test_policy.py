"""Policies and protected paths."""

from dataclasses import replace

import pytest

from vaultloop.model.policy import Audience, Policy, is_protected

FINANCE = Policy(
    scope="finance",
    audience=Audience.GROUP,
    can_read=("personal/finances",),
    can_write=("personal/finances/reports",),
    except_=("personal/finances/private",),
)


def test_every_grant_is_empty_unless_given() -> None:
    nobody = Policy(scope="x", audience=Audience.PUBLIC)
    assert not nobody.reads("Home.md")
    assert not nobody.writes("Home.md")


def test_what_may_be_written_may_be_read_and_exceptions_win_over_both() -> None:
    policy = replace(FINANCE, can_read=(), except_=("personal/finances/reports/old",))
    assert policy.reads("personal/finances/reports/q1.md")
    assert not policy.reads("personal/finances/q1.md")
    assert not policy.writes("personal/finances/reports/old/q1.md")
    assert not policy.reads("personal/finances/reports/old/q1.md")


def test_reading_does_not_grant_writing() -> None:
    assert FINANCE.reads("personal/finances/bank.md")
    assert not FINANCE.writes("personal/finances/bank.md")


@pytest.mark.parametrize(
    ("hidden", "path"),
    [
        ("private", "Private/diary.md"),
        ("PRIVATE/**", "private/diary.md"),
        ("Diary [old]", "Diary [old]/2020.md"),
        ("diary [OLD]/**", "Diary [old]/2020.md"),
        ("**/Letters [draft]*", "a/b/letters [Draft] 2.md"),
        ("Stra\u00dfe", "STRASSE/x.md"),
        ("private", "pri\u200bvate/x.md"),
        ("[!A]", "a"),
        ("a[", "A[/x.md"),
    ],
)
def test_an_exception_hides_its_name_in_every_case_and_with_its_brackets(hidden: str, path: str) -> None:
    policy = Policy("x", Audience.OWNER, can_read=("**",), can_write=("**",), except_=(hidden,))
    assert not policy.reads(path)
    assert not policy.writes(path)


def test_an_exception_hides_nothing_beside_it_and_a_grant_is_exact() -> None:
    policy = Policy("x", Audience.OWNER, can_read=("Notes", "Diary [old]"), except_=("Notes/private",))
    assert policy.reads("Notes/privately.md")
    assert not policy.reads("notes/x.md")
    assert not policy.reads("Diary [old]/x.md")


def test_equal_policies_have_equal_ids_and_any_difference_another() -> None:
    assert FINANCE.id == replace(FINANCE).id
    assert FINANCE.id != replace(FINANCE, can_read=("personal",)).id
    assert FINANCE.id != replace(FINANCE, instructions="be kind").id


@pytest.mark.parametrize(
    "path",
    [
        "agent/crons/digest.md",
        "Agent/x.md",
        "AGENT/x.md",
        "\uff41gent/x.md",
        "ag\u200bent/x.md",
        "agent ",
        "CLAUDE.md",
        "projects/claude.MD",
        "a/b/AGENTS.md",
        "CLAUDE.local.md",
        ".obsidian/app.json",
        "notes/.hidden/x.md",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        "ci/Jenkinsfile",
        "Templates/daily.md",
        "templates",
    ],
)
def test_what_governs_the_agent_is_protected(path: str) -> None:
    assert is_protected(path)


@pytest.mark.parametrize(
    "path", ["Inbox.md", "notes/agent/x.md", "agents/x.md", "My Templates/x.md", "a.b/c.md"]
)
def test_ordinary_notes_are_not_protected(path: str) -> None:
    assert not is_protected(path)
