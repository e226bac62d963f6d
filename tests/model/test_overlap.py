from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaultloop.model.glob import matches
from vaultloop.model.overlap import meet, meeting
from vaultloop.model.policy import Audience, Policy, is_protected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("**", "Family"),
        ("Family/**", "Family/Plans.md"),
        ("Family", "Family/2026/*.md"),
        ("**/*.md", "Family/**"),
        ("*/Guest", "Family/*/x"),
        ("Notes/**/Open", "Notes/Open"),
        ("a*c", "*b*"),
        ("Journal/202?-*", "Journal/2026-11-22.md"),
        ("Plan[ABC].md", "PlanB.md"),
        ("FAMILY", "family/plans.md"),
    ],
)
def test_patterns_that_can_name_one_file_meet(first: str, second: str) -> None:
    assert meet(first, second)
    assert meet(second, first)


@pytest.mark.parametrize(
    ("first", "second", "hidden"),
    [
        ("Family", "Work", ()),
        ("Family", "Family2", ()),
        ("**/*.md", "Photos/*.jpg", ("Photos",)),
        ("Family/*.md", "Family/*.csv", ("**/*.csv/*.md", "**/*.md")),
        ("a*c", "b*", ()),
        ("*/Guest", "*/Host", ("*/*/*",)),
        ("**", "Family", ("family",)),
        ("Family/**", "**", ("Family",)),
        ("**/a", "x/**", ("x/**/a",)),
        ("**", "agent", ()),
        ("agent/**", "**", ()),
        ("**/.obsidian", "**", ()),
        ("**", "Projects/CLAUDE.md", ()),
        ("Templates", "**", ()),
    ],
)
def test_patterns_that_name_no_file_together_do_not(first: str, second: str, hidden: tuple[str, ...]) -> None:
    assert not meet(first, second, hidden)
    assert not meet(second, first, hidden)


def test_the_patterns_that_meet_are_named() -> None:
    assert meeting(["Work", "Family/**"], ["Inbox.md", "**"], ["Work"]) == ("Family/**", "**")
    assert meeting(["Work"], [], []) is None


def test_a_pattern_made_to_be_slow_is_answered_in_a_moment() -> None:
    slow = "/".join(["**", "*a*b*c*d*e*"] * 6)
    assert meet(slow, slow.replace("a", "b"))


PATTERNS = st.lists(
    st.sampled_from(["**", "*", "a", "b", "a*", "*b", "a?", "[ab]", "A", ".a", "agent"]),
    min_size=1,
    max_size=4,
).map("/".join)
PATHS = st.lists(
    st.sampled_from(["a", "b", "ab", "aa", "c", "A", ".a", "agent"]), min_size=1, max_size=4
).map("/".join)


@given(PATTERNS, PATTERNS, st.lists(PATTERNS, max_size=2), PATHS)
@settings(deadline=None)
def test_no_path_that_one_writes_and_the_other_reads_is_missed(
    first: str, second: str, hidden: list[str], path: str
) -> None:
    writer = Policy("w", Audience.GROUP, can_write=(first,), except_=tuple(hidden))
    reader = Policy("r", Audience.OWNER, can_read=(second,), except_=tuple(hidden))
    if writer.writes(path) and reader.reads(path) and not is_protected(path):
        assert meet(first, second, tuple(hidden))


@given(st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3), st.data())
@settings(deadline=None)
def test_patterns_that_are_told_to_meet_have_a_path(parts: list[str], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=3))
    paths = ["/".join(path) for size in range(1, 6) for path in product("ab", repeat=size)]
    first, second = "/".join(parts), "/".join(other)
    assert meet(first, second) == any(matches(first, path) and matches(second, path) for path in paths)
