import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import permutations
from types import FrameType

import pytest
import yaml

from support import edits
from support.versions import agent, human
from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.merge import ordinary
from vaultloop.vault.merge.audit import audit
from vaultloop.vault.merge.note import merge_note, merge_text
from vaultloop.vault.merge.version import Merged, Rule, Version

DAY = "# Day\n\nalpha one\nbeta two\ngamma three\n\n## Tasks\n\n- [ ] buy milk\n- call Bob\n"
HELD = "---\nkind: cron\nschedule: daily\nscope: owner\ncan-read:\n  - a\n---\nDo it.\n"


def both(base: str | bytes | None, one: str | bytes, other: str | bytes, *, declared: bool = False) -> Merged:
    """The merge of a human's and an agent's version, in either order, merged again with either."""
    before = base.encode() if isinstance(base, str) else base
    sides = human(one), agent(other)
    merged = merge_note(before, *sides, declaration=declared)
    assert merge_note(before, *reversed(sides), declaration=declared) == merged
    for side in sides:
        for result in (human(merged.data, minutes=9), agent(merged.data, minutes=-9)):
            assert merge_note(side.data, result, side, declaration=declared).data == merged.data
            if not declared:
                assert merge_note(before, result, side, declaration=declared).data == merged.data
    return merged


def text(base: str | None, one: str, other: str) -> str:
    return both(base, one, other).data.decode()


def test_edits_of_neighbouring_lines_are_both_taken() -> None:
    found = text(DAY, DAY.replace("alpha one", "alpha 1"), DAY.replace("beta two", "beta 2"))
    assert "alpha 1\nbeta 2\ngamma" in found


def test_of_one_line_the_humans_version_stays_and_the_agents_is_folded_beneath_the_paragraph() -> None:
    found = text(DAY, DAY.replace("alpha one", "alpha 1"), DAY.replace("alpha one", "alpha I"))
    assert "alpha 1\nbeta two\ngamma three\n\n> [!conflict]- agent, 2026-11-22, " in found
    assert "\n> alpha I\n\n## Tasks" in found


def test_the_same_edit_by_both_stands_once() -> None:
    same = DAY.replace("alpha one", "alpha 1")
    assert text(DAY, same, same) == same


def test_both_appends_are_kept_the_earlier_first() -> None:
    assert text(DAY, DAY + "- human\n", DAY + "- agent\n") == DAY + "- human\n- agent\n"


def test_appends_without_a_last_line_end_are_never_glued() -> None:
    assert text("a", "a\nhuman", "a\nagent") == "a\nhuman\nagent"


def test_a_new_heading_of_both_stands_once_with_the_items_of_both() -> None:
    found = text(DAY, DAY + "\n## Log\n\n- human\n", DAY + "\n## Log\n\n- agent\n")
    assert found == DAY + "\n## Log\n\n- human\n- agent\n"


def test_an_append_below_an_edited_line_keeps_both() -> None:
    found = text(DAY, DAY + "- human\n", DAY.replace("call Bob", "call Bob Ray"))
    assert found.endswith("- call Bob Ray\n- human\n")


def test_a_daily_note_made_by_both_has_its_header_once() -> None:
    found = text(None, "# Day\n\nhuman wrote\n", "# Day\n\nagent wrote\n")
    assert found == "# Day\n\nhuman wrote\n\nagent wrote\n"


def test_the_same_line_in_one_gap_stands_once_and_in_different_places_twice() -> None:
    assert text(DAY, DAY + "- same\n", DAY + "- same\n").count("- same") == 1
    found = text(DAY, DAY + "- same\n", DAY.replace("# Day\n", "# Day\n- same\n"))
    assert found.count("- same") == 2


def test_line_ends_that_one_side_changed_stay_with_the_edit_of_the_other() -> None:
    merged = both(DAY, DAY.replace("\n", "\r\n"), DAY.replace("alpha one", "alpha 1"))
    assert merged.data == DAY.replace("alpha one", "alpha 1").replace("\n", "\r\n").encode()
    assert merged.rules == {Rule.LINE_ENDS}


def test_a_moved_paragraph_stands_once_where_it_went_with_the_others_edit() -> None:
    base = "# T\n\nfirst of all paragraphs\n\nsecond one is here\n\nthe end of it\n"
    moved = "# T\n\nsecond one is here\n\nthe end of it\n\nfirst of all paragraphs\n"
    found = text(base, moved, base.replace("first of all", "first of nearly all"))
    assert found == moved.replace("first of all", "first of nearly all")


def test_an_item_put_into_a_section_that_the_other_moved_goes_along() -> None:
    base = "# T\n\n## A\n\n- a one\n- a two\n\n## B\n\n- b one\n"
    moved = "# T\n\n## B\n\n- b one\n\n## A\n\n- a one\n- a two\n"
    assert text(base, moved, base.replace("- a two\n", "- new\n- a two\n")) == moved.replace(
        "- a two\n", "- new\n- a two\n"
    )


def test_a_deleted_paragraph_stays_deleted_beside_an_append_below_it() -> None:
    found = text(
        DAY, DAY.replace("alpha one\nbeta two\ngamma three\n\n", ""), DAY.replace("three\n", "three\nnew\n")
    )
    assert found == DAY.replace("alpha one\nbeta two\ngamma three\n", "new\n")


def test_an_edit_survives_the_deletion_of_its_line() -> None:
    found = text(DAY, DAY.replace("beta two\n", ""), DAY.replace("beta two", "beta 2"))
    assert "alpha one\nbeta 2\ngamma" in found


@pytest.mark.parametrize("odd", [b"caf\xe9", b"nul\0byte", b"\xff\xfe\xfd latin"])
def test_a_note_that_is_not_utf_8_is_merged_byte_for_byte(odd: bytes) -> None:
    base = b"one " + odd + b"\n\ntwo " + odd + b"\n\nthree\n"
    merged = both(base, base.replace(b"three", b"3 " + odd), b"zero " + odd + b"\n" + base)
    assert merged.data == b"zero " + odd + b"\n" + base.replace(b"three", b"3 " + odd)


def test_utf_16_is_not_taken_apart() -> None:
    merged = merge_note(
        "a".encode("utf-16"), human("b".encode("utf-16")), agent("c".encode("utf-16")), declaration=False
    )
    assert (merged.data, merged.lost) == ("b".encode("utf-16"), "c".encode("utf-16"))


def test_between_two_of_one_class_the_later_author_stays_whoever_merges() -> None:
    one, other = human("x\n", minutes=1, name="Ada"), human("y\n", minutes=2, name="Bo")
    for sides in ((one, other), (other, one)):
        found = merge_note(b"base\n", *sides, declaration=False).data.decode()
        assert found.startswith("y\n\n> [!conflict]- Ada, 2026-11-22, ")


def test_markers_that_came_with_a_version_are_gone_after_the_merge() -> None:
    torn = DAY.replace("alpha one\n", "<<<<<<< HEAD\nalpha 1\n=======\nalpha I\n>>>>>>> phone\n")
    merged = merge_note(DAY.encode(), human(torn), agent(DAY + "- agent\n"), declaration=False)
    found = merged.data.decode()
    assert "<<<<<<<" not in found
    assert {"alpha 1", "alpha I", "- agent"} <= set(found.splitlines())
    assert Rule.MARKERS in merged.rules


def test_different_properties_of_a_declaration_are_both_taken() -> None:
    merged = both(HELD, HELD.replace("daily", "hourly"), HELD.replace("Do it", "Do it well"), declared=True)
    assert (merged.held, merged.rules) == (False, frozenset())
    assert merged.data.decode() == HELD.replace("daily", "hourly").replace("Do it", "Do it well")


@pytest.mark.parametrize(
    ("one", "other"),
    [("daily", "daily"), ("  - a\n", "  - a\n"), ("Do it.", "Do it.")],
    ids=["key", "list", "body"],
)
def test_a_declaration_that_two_humans_changed_differently_stays_as_it_was(one: str, other: str) -> None:
    sides = (
        human(HELD.replace(one, one + "1\n" * 1)),
        human(HELD.replace(other, other + "2\n" * 1), minutes=1),
    )
    merged = merge_note(HELD.encode(), *sides, declaration=True)
    assert merged.held
    assert merged.data == HELD.encode()


def test_a_humans_version_of_a_declaration_stays_whole_against_an_agents() -> None:
    mine = HELD.replace("daily", "hourly").replace("owner", "finance")
    merged = both(HELD, mine, HELD.replace("daily", "weekly").replace("Do it", "Do more"), declared=True)
    assert (merged.data.decode(), merged.held) == (mine, False)
    assert merged.rules == {Rule.HELD}


def test_lists_of_a_declaration_are_never_unioned() -> None:
    sides = (
        human(HELD.replace("  - a\n", "  - a\n  - b\n")),
        human(HELD.replace("  - a\n", "  - c\n  - a\n"), minutes=3),
    )
    assert merge_note(HELD.encode(), *sides, declaration=True).held


def test_a_declaration_made_by_both_is_the_winners_and_held() -> None:
    merged = merge_note(
        None, human(HELD), human(HELD.replace("daily", "hourly"), minutes=1), declaration=True
    )
    assert (merged.data.decode(), merged.held) == (HELD.replace("daily", "hourly"), True)


def test_a_file_that_is_no_note_is_merged_where_no_changes_meet() -> None:
    base = "one\ntwo\nthree\nfour\n"
    merged = merge_text(
        base.encode(), human(base.replace("one", "1")), agent(base.replace("four", "4")), "a.css"
    )
    assert merged == Merged(b"1\ntwo\nthree\n4\n")


@pytest.mark.parametrize(
    ("path", "base", "one", "other"),
    [
        ("a.css", "one\ntwo\n", "1\ntwo\n", "I\ntwo\n"),
        (
            "a.json",
            '{"a": 1,\n"b": 1,\n"c": 1\n}\n',
            '{"a": 1,\n"d": 2,\n"b": 1,\n"c": 1\n}\n',
            '{"a": 1,\n"b": 1,\n"c": 1,\n"d": 3\n}\n',
        ),
        ("a.png", "a\0\nb\nc\n", "A\0\nb\nc\n", "a\0\nb\nC\n"),
    ],
    ids=["the same line", "a key twice", "binary"],
)
def test_else_the_winner_stays_and_the_loser_is_put_beside(
    path: str, base: str, one: str, other: str
) -> None:
    for sides in ((human(one), agent(other)), (agent(other), human(one))):
        merged = merge_text(base.encode(), *sides, path)
        assert (merged.data, merged.lost) == (one.encode(), other.encode())


# Random pairs of edits on random notes; each batch is one test, so that cores share them.
PAIRS, BATCHES = 5000, 10


class Pair:
    """A note and what two or three writers made of it at once, from a seed."""

    def __init__(self, seed: int, *, writers: int = 2, moves: bool = True) -> None:
        dice = random.Random(seed)
        base = edits.note(edits.Writer("b", dice))
        self.base: bytes | None = self._data(dice, base)
        self.sides = []
        for name in "XYZ"[:writers]:
            lines = edits.edited(base, edits.Writer(name, dice), dice.randint(1, 4), moves=moves)
            data, minutes = self._data(dice, lines), dice.randint(0, 3)
            self.sides.append(
                human(data, minutes=minutes) if dice.random() < 0.5 else agent(data, minutes=minutes)
            )
        if dice.random() < 0.05:
            self.base = None

    @staticmethod
    def _data(dice: random.Random, lines: list[str]) -> bytes:
        ends = "\r\n" if dice.random() < 0.1 else "\n"
        return edits.data(lines, ends=ends, closed=dice.random() < 0.9)


def _properties(data: bytes) -> object:
    lines = data.decode().splitlines()
    if not lines or lines[0] != "---" or "---" not in lines[1:]:
        return {}
    block = lines[1 : lines.index("---", 1)]
    keys = [line.split(":")[0] for line in block if line[0] not in " #-"]
    assert len(set(keys)) == len(keys), keys
    return yaml.safe_load("\n".join(block)) or {}


def _fences_are_closed(data: bytes) -> bool:
    mark = ""
    for line in data.decode().splitlines():
        if not mark and line.startswith(("```", "~~~")):
            mark = line.removesuffix("python")
        elif mark and line == mark:
            mark = ""
    return not mark


def _lines(data: bytes) -> Counter[str]:
    return Counter(line for line in data.decode().splitlines() if line.strip())


def _new_words(base: bytes | None, sides: Iterable[Version]) -> set[str]:
    """The words that stand in one line of one writer only, in lines that the base has not."""
    before = _lines(base or b"")
    lines = [line for side in sides for line in _lines(side.data) if line not in before]
    return {word for line in lines for word in line.split() if word[0] in "XYZ" and word[1:].isdigit()}


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_edits_lose_no_line_and_swapping_gives_the_same_bytes(batch: int) -> None:
    for seed in range(batch * PAIRS // BATCHES, (batch + 1) * PAIRS // BATCHES):
        pair = Pair(seed)
        one, other = pair.sides
        merged = merge_note(pair.base, one, other, declaration=False)
        assert merge_note(pair.base, other, one, declaration=False) == merged, seed
        audit(pair.base, one.data, other.data, merged.data)
        found = merged.data.decode()
        assert all(word in found for word in _new_words(pair.base, pair.sides)), seed
        assert "\n<<<<<<<" not in found, seed
        assert isinstance(_properties(merged.data), dict), seed
        assert _fences_are_closed(merged.data), seed


def test_the_fine_merge_passes_the_audit_without_the_coarse_one_behind_it() -> None:
    for seed in range(PAIRS, PAIRS + 400):
        pair = Pair(seed)
        sides = [ordinary.Side(side.data, f"side {at}") for at, side in enumerate(pair.sides)]
        data, _ = ordinary.joined(pair.base, sides[0], sides[1], first_wins=bool(seed % 2))
        audit(pair.base, pair.sides[0].data, pair.sides[1].data, data)


def test_merging_again_changes_nothing() -> None:
    for seed in range(250):
        pair = Pair(seed, moves=False)
        merged = merge_note(pair.base, *pair.sides, declaration=False).data
        # An agent cannot have written that one human lost against another: nobody would believe it.
        humans = all(side.writer.author_class is AuthorClass.HUMAN for side in pair.sides)
        for side in pair.sides:
            for result in (human(merged, minutes=9), (human if humans else agent)(merged, minutes=-9)):
                assert merge_note(side.data, result, side, declaration=False).data == merged, seed
                assert merge_note(pair.base, result, side, declaration=False).data == merged, seed


def test_merging_again_loses_nothing_where_paragraphs_moved() -> None:
    for seed in range(300):
        pair = Pair(seed)
        merged = merge_note(pair.base, *pair.sides, declaration=False).data
        words = _new_words(pair.base, pair.sides)
        for side in pair.sides:
            again = merge_note(pair.base, human(merged, minutes=9), side, declaration=False).data.decode()
            assert all(word in again for word in words), seed


def test_three_writers_lose_nothing_in_any_order() -> None:
    for seed in range(120):
        trio = Pair(seed, writers=3)
        words = _new_words(trio.base, trio.sides)
        found = set()
        for one, two, three in permutations(trio.sides):
            first = merge_note(trio.base, one, two, declaration=False).data
            last = merge_note(trio.base, human(first, minutes=7), three, declaration=False).data
            assert all(word in last.decode() for word in words), seed
            found.add(last)
        # Whoever meets another's result joins it, and everybody has the same then.
        joined = trio.base
        for data in sorted(found):
            joined = merge_note(
                trio.base, human(joined or b""), human(data, minutes=8), declaration=False
            ).data
        assert joined is not None
        assert all(word in joined.decode() for word in words), seed


def test_a_long_note_takes_steps_in_proportion_to_its_lines() -> None:
    lines = [f"- [ ] task {at} of {at % 97}" for at in range(8000)]
    mine = [line.replace("[ ]", "[x]") if at % 7 == 0 else line for at, line in enumerate(lines)]
    theirs = [f"{line} soon" if at % 11 == 0 else line for at, line in enumerate(lines)]
    steps = _steps(lambda: both_lines(lines, mine, theirs))
    tenth = _steps(lambda: both_lines(lines[:800], mine[:800], theirs[:800]))
    # A step for each pair of lines would make it a hundred times as many.
    assert steps < 20 * tenth


def both_lines(base: list[str], one: list[str], other: list[str]) -> None:
    sides = human("\n".join(one)), agent("\n".join(other))
    merged = merge_note("\n".join(base).encode(), *sides, declaration=False)
    assert merged.rules == {Rule.TASK}


def _steps(work: Callable[[], None]) -> int:
    """How many functions of ours were called: a measure that no busy machine disturbs."""
    count = 0

    def called(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


PROPERTIES = """---
# about
title: "Say \\"hi\\""
summary: |
  first line
  second line

  third line
kin:
  one: 1
  two: 2
related:
  - "[[Plan]]"
  - 'Task #5'
tail: |
  the end
---
Text.
"""


def test_a_text_of_several_lines_that_loses_is_folded_whole() -> None:
    merged = both(
        PROPERTIES, PROPERTIES.replace("second", "my second"), PROPERTIES.replace("first", "her first")
    )
    assert merged.rules == {Rule.CALLOUT}
    told = "> summary: |\n>   her first line\n>   second line\n>\n>   third line\n"
    assert merged.data.decode().endswith(f"{told}")
    assert "  first line\n  my second line\n" in merged.data.decode()


def test_a_nested_property_that_loses_is_folded_with_its_name() -> None:
    found = text(PROPERTIES, PROPERTIES.replace("one: 1", "one: 11"), PROPERTIES.replace("two: 2", "two: 22"))
    assert found.endswith("> kin:\n>   one: 1\n>   two: 22\n")


def test_a_quoted_text_with_quotes_in_it_is_folded_as_it_was_typed() -> None:
    merged = both(PROPERTIES, PROPERTIES.replace("Say", "Shout"), PROPERTIES.replace("Say", "Ask"))
    assert merged.rules == {Rule.CALLOUT}
    assert merged.data.decode().endswith('> title: "Ask \\"hi\\""\n')


def test_a_text_of_several_lines_is_the_same_wherever_it_stands() -> None:
    without = PROPERTIES.replace("tail: |\n  the end\n", "")
    moved = without.replace("kin:", "tail: |\n  the end\nkin:")
    assert "new: 1" in text(PROPERTIES, moved, PROPERTIES.replace("---\nText", "new: 1\n---\nText"))


def test_an_edited_property_survives_its_deletion_without_the_comment_above_it() -> None:
    deleted = PROPERTIES.replace('# about\ntitle: "Say \\"hi\\""\n', "")
    found = text(PROPERTIES, deleted, PROPERTIES.replace("Say", "Ask").replace("one: 1", "one: 3"))
    assert "# about" not in found
    assert 'title: "Ask' in found
    assert "conflict" not in found


def test_an_item_with_a_number_sign_in_quotes_is_an_item_like_others() -> None:
    found = text(
        PROPERTIES,
        PROPERTIES.replace("  - 'Task #5'\n", "  - 'Task #5'\n  - 'Task #6'\n"),
        PROPERTIES.replace("  - 'Task #5'\n", "  - 'Task #7'\n"),
    )
    assert "- 'Task #6'" in found
    assert "- 'Task #7'" in found
    assert "Task #5" not in found


def test_a_line_of_a_text_that_begins_like_a_comment_is_no_comment() -> None:
    base = PROPERTIES.replace("  first line", "  #1 first")
    found = text(base, base.replace("third line", "third #2"), base.replace("tail: |\n  the end\n", "n: 1\n"))
    assert "  #1 first\n" in found
    assert "n: 1\n" in found
    assert "conflict" not in found


def test_rows_that_both_put_at_the_end_of_a_table_all_stand_there() -> None:
    table = "Spent\n\n| what | how much |\n|---|---|\n| tea | 3 |\n\nEnd\n"
    found = text(
        table,
        table.replace("| tea | 3 |\n", "| tea | 3 |\n| milk | 1 |\n| jam | 4 |\n"),
        table.replace("| tea | 3 |\n", "| tea | 3 |\n| milk | 1 |\n| bread | 2 |\n"),
    )
    assert found == table.replace("| tea | 3 |\n", "| tea | 3 |\n| milk | 1 |\n| jam | 4 |\n| bread | 2 |\n")


def test_a_callout_that_two_merges_gave_other_titles_stands_once_and_spoils_nothing() -> None:
    note = "---\ntags: [a]\n---\nText\n\n> [!conflict]- agent, 2026-11-22, 111111\n> lost\n\nEnd\n"
    one = human(note.replace("111111", "222222").replace("[a]", "[a, mine]"))
    other = agent(note.replace("111111", "333333").replace("[a]", "[a, its]"))
    merged = merge_note(note.encode(), one, other, declaration=False)
    assert merge_note(note.encode(), other, one, declaration=False) == merged
    found = merged.data.decode()
    assert merged.lost is None
    assert found.count("[!conflict]") == 1
    assert "its" in found.split("Text")[0]
    assert "mine" in found.split("Text")[0]


def test_where_one_side_tears_a_table_apart_values_of_several_lines_are_still_kept_whole() -> None:
    row = "| a | b |\n"
    note = f"{PROPERTIES}\n| x | y |\n|---|---|\n{row}| c | d |\n"
    merged = both(
        note,
        note.replace(row, f"{row}\nBetween\n\n").replace("first line", "her first line"),
        note.replace(row, f"{row}| e | f |\n").replace("done", "gone"),
    )
    assert merged.lost is None


@pytest.mark.parametrize("known", [False, True], ids=["any-version", "the-very-version"])
def test_an_agent_that_foretells_in_a_callout_what_a_human_will_write_does_not_win(known: bool) -> None:
    note = "---\nstatus: open\n---\nThe gate is open\n\nEnd\n"
    wrote = human(note.replace("gate is open", "gate is closed").replace("status: open", "status: closed"))
    foretold = "\n> [!conflict]- Ada, 2026-11-21, {}\n> The gate is closed\n> status: closed\n"
    other = agent(
        note.replace("gate is open", "gate is ajar").replace("status: open", "status: ajar")
        + foretold.format(wrote.blob[:6] if known else "abcdef")
    )
    found = merge_note(note.encode(), wrote, other, declaration=False).data.decode()
    assert found.startswith("---\nstatus: closed\n---\nThe gate is closed\n")
