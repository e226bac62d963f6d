from collections.abc import Sequence

import pytest
import yaml

from vaultloop.vault.merge.frontmatter import Block, Properties, Side, block_in, joined
from vaultloop.vault.merge.version import Rule

BASE = ["title: A", "# why", 'note: "x: y"', "tags: [a, b]", "status: open"]


def block(lines: Sequence[str]) -> Block:
    return block_in(["---", *lines, "---", "text"])


def both(
    base: Sequence[str], one: Sequence[str], other: Sequence[str], *, first_wins: bool = True
) -> Properties:
    return joined(block(base), Side(block(one)), Side(block(other)), first_wins=first_wins)


def changed(old: str, *new: str) -> list[str]:
    at = BASE.index(old)
    return [*BASE[:at], *new, *BASE[at + 1 :]]


def test_changes_of_different_keys_are_both_taken_and_the_rest_stays_as_typed() -> None:
    found = both(BASE, changed("title: A", "title: B"), changed("status: open", "status: done"))
    assert found.lines == ("title: B", "# why", 'note: "x: y"', "tags: [a, b]", "status: done")
    assert not found.clashes


@pytest.mark.parametrize("first_wins", [True, False])
def test_of_one_key_the_winners_value_stays_and_the_losers_is_lost_text(first_wins: bool) -> None:
    found = both(
        BASE,
        changed("status: open", "status: one"),
        changed("status: open", "status: two"),
        first_wins=first_wins,
    )
    values = ["status: one", "status: two"]
    assert found.lines is not None
    assert found.lines[-1] == values[not first_wins]
    assert found.lost[first_wins] == [values[first_wins]]
    assert found.lost[not first_wins] == []


def test_a_new_key_of_both_at_different_places_stands_once() -> None:
    found = both(BASE, ["due: 1", *BASE], [*BASE, "due: 2"])
    assert found.lines is not None
    assert sorted(found.lines) == sorted([*BASE, "due: 1"])
    assert found.clashes == ["due"]


@pytest.mark.parametrize(
    ("base", "one", "other", "result"),
    [
        (["tags: [a, b]"], ["tags: [a, b, c]"], ["tags: [d, a, b]"], ["tags: [d, a, b, c]"]),
        (["tags: [a, b]"], ["tags: [b]"], ["tags: [a, b, c]"], ["tags: [b, c]"]),
        (
            ["tags:", "  - a", "  - b"],
            ["tags:", "  - a", "  - b", "  - 'c d'"],
            ["tags:", "  - b"],
            ["tags:", "  - b", "  - 'c d'"],
        ),
        (["tags: a"], ["tags: [a, b]"], ["tags:", "- a", "- c"], None),
        (["tags:"], ["tags: [a]"], ["tags: [b]"], None),
        (["tags: [a]"], ["tags:", "  - a", "  - x, y"], ["tags: [a, z]"], None),
    ],
)
def test_a_list_is_a_set_of_what_either_added_and_neither_removed(
    base: list[str], one: list[str], other: list[str], result: list[str] | None
) -> None:
    found = both(base, one, other)
    assert found.lines == both(base, other, one, first_wins=False).lines
    assert found.lines is not None
    assert found.rules == {Rule.LIST}
    if result is not None:
        assert list(found.lines) == result
    before, mine, theirs, items = (_items(lines) for lines in (base, one, other, found.lines))
    assert items == (mine & theirs) | (mine - before) | (theirs - before)
    for side in (one, other):
        assert both(base, found.lines, side).lines == found.lines


def _items(lines: Sequence[str]) -> set[str]:
    value = yaml.safe_load("\n".join(lines))["tags"]
    return set(value) if isinstance(value, list) else {value} - {None}


def test_a_removed_key_stays_removed_unless_the_other_changed_it() -> None:
    without = [line for line in BASE if line != "status: open"]
    assert both(BASE, without, changed("title: A", "title: B")).lines == ("title: B", *without[1:])
    assert "status: done" in (both(BASE, without, changed("status: open", "status: done")).lines or ())


def test_a_new_order_stays_with_the_others_change() -> None:
    found = both(BASE, [*BASE[::-1][:2], "title: A", *BASE[1:3]], changed("title: A", "title: B"))
    assert found.lines == ("status: open", "tags: [a, b]", "title: B", "# why", 'note: "x: y"')


def test_properties_that_cannot_be_read_stay_whole_and_the_other_block_is_lost_text() -> None:
    twice = [*BASE, "title: twice"]
    found = both(BASE, twice, changed("status: open", "status: done"))
    assert found.lines == tuple(twice)
    assert found.lost == ([], ["status: done"])
    assert found.clashes == ["---"]


def test_properties_that_refer_to_each_other_are_not_torn_apart() -> None:
    base = ["a: &x 1", "b: 2"]
    found = both(base, ["b: 2"], ["a: &x 1", "b: *x"])
    assert yaml.safe_load("\n".join(found.lines or ())) == {"b": 2}
    assert found.lost[1] == ["b: *x"]


def test_a_rule_with_prose_below_it_is_no_frontmatter() -> None:
    assert block_in(["---", "Once upon a time", "---", "text"]).lines is None
    assert block_in(["---", "a: 1", "text"]).lines is None
    assert block_in(["---", "---", ""]).lines == ()
