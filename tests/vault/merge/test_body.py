from vaultloop.vault.merge.blocks import lines_of
from vaultloop.vault.merge.body import Side, joined
from vaultloop.vault.merge.callout import with_folds


def both(base: str, one: str, other: str, *, first_wins: bool = True) -> str:
    sides = Side(one.split("\n"), "one"), Side(other.split("\n"), "other")
    found = joined(base.split("\n"), *sides, first_wins=first_wins)
    return "\n".join(lines_of(with_folds(found.parts, found.folds)))


TABLE = "| a | b |\n|---|---|\n| 1 | x |\n| 2 | y |\n| 3 | z |\n"


def test_rows_of_a_table_are_joined_within_it() -> None:
    found = both(TABLE, TABLE.replace("1 | x", "1 | X"), TABLE.replace("3 | z", "3 | Z"))
    assert found == TABLE.replace("x", "X").replace("z", "Z")


def test_of_a_row_changed_by_both_the_losing_table_stands_below_the_whole_table() -> None:
    found = both(TABLE, TABLE.replace("1 | x", "1 | p"), TABLE.replace("1 | x", "1 | q"))
    mine, _, theirs = found.partition("\n> [!conflict]- other\n")
    assert mine == TABLE.replace("1 | x", "1 | p")
    assert "> | 1 | q |" in theirs


def test_a_fence_that_both_changed_in_one_place_stays_one_fence() -> None:
    base = "text\n\n```py\none\ntwo\n```\n\nend\n"
    found = both(base, base.replace("one", "1"), base.replace("one", "I"))
    assert found == (
        "text\n\n```py\n1\ntwo\n```\n\n> [!conflict]- other\n> ```py\n> I\n> two\n> ```\n\nend\n"
    )


def test_lines_of_a_fence_far_apart_are_joined_within_it() -> None:
    base = "```\none\ntwo\nthree\n```\n"
    assert both(base, base.replace("one", "1"), base.replace("three", "3")) == "```\n1\ntwo\n3\n```\n"


def test_items_of_both_stay_in_their_own_sections() -> None:
    base = "# D\n\n## A\n\n- a\n\n## B\n\n- b\n"
    found = both(
        base, base.replace("- a\n", "- a\n- one\n"), base.replace("- a\n", "- a\n\n## New\n\n- other\n")
    )
    assert found == "# D\n\n## A\n\n- a\n- one\n\n## New\n\n- other\n\n## B\n\n- b\n"


def test_new_sections_of_one_name_become_one_and_the_others_stay_whole() -> None:
    base = "# D\n"
    one = "# D\n\n## X\n\n- x\n\n## Log\n\n- one\n"
    other = "# D\n\n## Log\n\n- other\n\n## Y\n\n- y\n"
    found = both(base, one, other)
    assert [line for line in found.split("\n") if line] == [
        *["# D", "## X", "- x", "## Log", "- one", "- other", "## Y", "- y"]
    ]


def test_a_paragraph_written_anew_by_the_loser_stays_as_the_winner_has_it() -> None:
    base = "one two three\nfour five six\nseven eight nine\n"
    found = both(base, base.replace("five", "5"), "all of it\nis quite different\nfrom what was there\n")
    assert found.startswith(
        "one two three\nfour 5 six\nseven eight nine\n\n> [!conflict]- other\n> all of it\n"
    )


def test_what_was_put_into_a_paragraph_that_the_other_wrote_anew_stands_below_it() -> None:
    base = "one two\nthree four\n"
    found = both(base, "one two\n- put in\nthree four\n", "quite different\nfrom what was\nthere before\n")
    assert found == "quite different\nfrom what was\nthere before\n- put in\n"


def test_blank_lines_that_nobody_touched_stay() -> None:
    base = "a\n\n\n\nb\n\n\nc\n"
    assert both(base, base.replace("a", "a a"), base + "d\n") == "a a\n\n\n\nb\n\n\nc\nd\n"


def test_a_block_that_both_moved_stands_once() -> None:
    base = "a a a\n\nb b b\n\nc c c\n\nd d d\n"
    found = both(base, "b b b\n\na a a\n\nc c c\n\nd d d\n", "b b b\n\nc c c\n\nd d d\n\na a a\n")
    assert sorted(line for line in found.split("\n") if line) == ["a a a", "b b b", "c c c", "d d d"]
