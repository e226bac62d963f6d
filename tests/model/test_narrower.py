from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vaultloop.model.glob import matches
from vaultloop.model.narrower import RULES, covers, wider_in
from vaultloop.model.policy import Audience, Policy

PARTS = st.sampled_from(["a", "b", "A", "*", "**", "a*", "?", "[ab]", "caf\u00e9"])
PATTERNS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
PATHS = st.lists(st.sampled_from(["a", "b", "A", "ab", "x", "cafe\u0301"]), min_size=1, max_size=5).map(
    "/".join
)
LISTS = st.lists(PATTERNS, max_size=3).map(tuple)
NAMES = st.lists(st.sampled_from(["1", "2", "owner", "anyone"]), max_size=3, unique=True).map(tuple)
LIMITS = st.none() | st.integers(1, 3)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        "x",
        draw(st.sampled_from([Audience.GROUP, Audience.PUBLIC])),
        chats=draw(NAMES),
        people=draw(NAMES),
        can_read=draw(LISTS),
        can_write=draw(LISTS),
        except_=draw(LISTS),
        abilities=draw(NAMES),
        attachments=draw(st.sampled_from(["none", "on-demand", "all"])),
        self_edit=draw(st.sampled_from(["deny", "propose", "allow"])),
        max_steps=draw(LIMITS),
        budget_usd_per_day=draw(LIMITS),
    )


def test_every_field_of_a_policy_has_a_rule() -> None:
    assert RULES.keys() == {field.name for field in fields(Policy)}


@given(PATTERNS, PATTERNS, PATHS)
@example("a", "a/**", "a/x")
@example("**", "[ab]/*", "a/b/c")
def test_what_is_covered_names_no_file_that_the_other_does_not(wide: str, narrow: str, path: str) -> None:
    if covers((wide,), narrow) and matches(narrow, path):
        assert matches(wide, path)


@given(policies(), policies(), PATHS)
def test_a_policy_that_is_nowhere_wider_lets_nobody_do_more(new: Policy, old: Policy, path: str) -> None:
    wider = wider_in(new, old)
    if {"can_read", "can_write", "except_"}.isdisjoint(wider):
        assert old.reads(path) or not new.reads(path)
        assert old.writes(path) or not new.writes(path)
    if "people" not in wider:
        assert all(person in old.people or "anyone" in old.people for person in new.people)
    if "max_steps" not in wider:
        assert old.max_steps is None or (new.max_steps is not None and new.max_steps <= old.max_steps)


@given(policies())
def test_a_policy_is_not_wider_than_itself(policy: Policy) -> None:
    assert wider_in(policy, replace(policy)) == ()


WIDE = Policy(
    "x",
    Audience.GROUP,
    chats=("1", "2"),
    people=("1", "2"),
    can_read=("a", "b"),
    can_write=("c",),
    attachments="on-demand",
    mounts=("m",),
    abilities=("shell",),
    mcp_servers=("s",),
    telegram_may=("read",),
    telegram_chats=("1",),
    hosts=("h",),
    commands=("status",),
    self_edit="propose",
    max_steps=5,
    budget_usd_per_run=1.0,
    budget_usd_per_day=2.0,
    budget_usd_per_month=3.0,
    messages_per_person_per_hour=4,
    files_to="c",
)


@pytest.mark.parametrize(
    ("field", "narrower", "wider"),
    [
        ("chats", ("1",), ("3",)),
        ("people", (), ("1", "2", "anyone")),
        ("can_read", ("a/x.md", "c/y", "a/*.md"), ("a*",)),
        ("can_write", ("c/d",), ("a",)),
        ("attachments", "none", "all"),
        ("mounts", (), ("m", "n")),
        ("abilities", (), ("web-fetch",)),
        ("mcp_servers", (), ("t",)),
        ("telegram_may", (), ("read", "write")),
        ("telegram_chats", (), ("2",)),
        ("hosts", (), ("i",)),
        ("commands", (), ("cancel",)),
        ("self_edit", "deny", "allow"),
        ("max_steps", 5, None),
        ("stop_after", timedelta(minutes=1), timedelta(hours=1)),
        ("budget_usd_per_run", 0.5, 1.5),
        ("budget_usd_per_day", 2.0, None),
        ("budget_usd_per_month", 1.0, 30.0),
        ("messages_per_person_per_hour", 1, 5),
        ("files_to", None, "a"),
        ("except_", ("secret",), None),
        ("scope", None, "y"),
        ("audience", None, Audience.OWNER),
        ("conversation", None, "continue"),
        ("model", None, "other"),
        ("instructions", None, "Do more."),
    ],
)
def test_each_field_knows_less_from_more(field: str, narrower: Any, wider: Any) -> None:
    if narrower is not None or field == "files_to":
        assert wider_in(replace(WIDE, **{field: narrower}), WIDE) == ()
    if field == "except_":
        assert wider_in(WIDE, replace(WIDE, except_=("secret",))) == ("except_",)
    else:
        assert field in wider_in(replace(WIDE, **{field: wider}), WIDE)


def test_what_cannot_be_compared_counts_as_wider() -> None:
    assert wider_in(replace(WIDE, can_read=("[a]",)), WIDE) == ("can_read",)
    assert wider_in(WIDE, replace(WIDE, people=("anyone",))) == ()
