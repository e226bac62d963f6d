"""Where text goes from less trusted hands into more trusted ones."""

from pathlib import Path

import pytest

from support.folders import loaded, write
from vaultloop.model.problem import Problem

OWNER = "kind: scope\nchats: owner\ncan-read: '**'"
GROUP = "kind: scope\nchats: -1001234567890\npeople: [owner, 5]\ncan-write: Family"
PUBLIC = "kind: scope\nchats: -1009876543210\npeople: anyone\ncan-write: Guestbook"
NIGHT = "kind: scope\ncan-write: News"
MEMORY = "kind: memory\ntier: hot\npath: Memory.md"


def told(folder: Path, **notes: str) -> list[Problem]:
    files = {f"agent/{name}.md": f"---\n{text}\n---\n" for name, text in notes.items()}
    return list(loaded(write(folder, files)).problems)


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        (OWNER, GROUP),
        (OWNER, PUBLIC),
        (NIGHT.replace("News", "Family"), GROUP),
        (OWNER.replace("'**'", "Family/Plans.md"), GROUP),
        (OWNER.replace("can-read: '**'", "can-write: Family/2026"), GROUP),
        (GROUP.replace("Family", "'*/Signed'"), PUBLIC),
        (NIGHT.replace("News", "Guestbook/x"), PUBLIC),
    ],
)
def test_what_a_less_trusted_scope_may_write_and_another_reads_is_told_once(
    reader: str, writer: str, tmp_path: Path
) -> None:
    [problem] = told(tmp_path, reader=reader, writer=writer)
    assert (problem.file, problem.code, problem.is_error) == ("agent/reader.md", "untrusted-reading", False)
    assert problem.cure == 'Add the line `trusts: "[[writer]]"`.'
    assert not told(tmp_path, reader=reader + '\ntrusts: "[[writer]]"', writer=writer)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (OWNER, "kind: scope\ncan-read: '**'"),
        (OWNER, GROUP.replace("can-write", "can-read")),
        (OWNER, GROUP + "\npaused: true"),
        (OWNER + "\npaused: true", GROUP),
        (OWNER + "\nexcept: family", GROUP),
        (OWNER, GROUP + "\nexcept: '*'"),
        (OWNER, GROUP.replace("Family", "agent/rules")),
        (OWNER.replace("'**'", "Journal"), GROUP),
        (OWNER, NIGHT),
        (GROUP.replace("can-write", "can-read"), OWNER.replace("can-read", "can-write")),
    ],
)
def test_nothing_is_told_where_no_text_goes_to_people_who_are_trusted_more(
    one: str, other: str, tmp_path: Path
) -> None:
    assert not told(tmp_path, one=one, other=other)


def test_each_writer_is_told_by_itself_and_the_second_joins_the_first(tmp_path: Path) -> None:
    notes = {"owner": OWNER, "family": GROUP, "night": PUBLIC}
    assert len(told(tmp_path, **notes)) == 2
    [left] = told(tmp_path, **notes | {"owner": OWNER + '\ntrusts: "[[family]]"'})
    assert left.cure == 'Write `trusts: ["[[family]]", "[[night]]"]`.'


@pytest.mark.parametrize("inject", ["always", "index", "never"])
def test_who_writes_a_memory_must_be_trusted_as_much_as_who_has_it(inject: str, tmp_path: Path) -> None:
    owner = OWNER.replace("'**'", "Journal")
    memory = f"{MEMORY}\ninject: {inject}"
    [problem] = told(tmp_path, owner=owner, family=GROUP.replace("Family", "'*.md'"), hot=memory)
    assert (problem.file, problem.line, problem.code) == ("agent/hot.md", 4, "untrusted-memory")
    assert problem.is_error
    assert not told(tmp_path, family=GROUP.replace("Family", "'*.md'\nexcept: Memory.md"))


def test_trusting_a_scope_in_reading_does_not_let_it_write_the_memory(tmp_path: Path) -> None:
    owner = OWNER + '\ntrusts: "[[family]]"'
    problems = told(tmp_path, owner=owner, family=GROUP.replace("Family", "Memory.md"), hot=MEMORY)
    assert [problem.code for problem in problems] == ["untrusted-memory"]


def test_a_memory_of_the_group_itself_is_its_own(tmp_path: Path) -> None:
    group = GROUP.replace("Family", "Memory.md")
    owner = OWNER.replace("'**'", "Journal")
    assert not told(tmp_path, owner=owner, family=group, hot=MEMORY + "\nscopes: '[[family]]'")


def test_a_paused_memory_and_one_that_nobody_has_are_no_flow(tmp_path: Path) -> None:
    group = GROUP.replace("Family", "Memory.md")
    assert not told(tmp_path, family=group, hot=MEMORY)
    owner = OWNER.replace("'**'", "Journal")
    assert not told(tmp_path, owner=owner, family=group, hot=MEMORY + "\npaused: true")


def test_a_memory_beside_the_vault_is_written_by_all_who_have_it(tmp_path: Path) -> None:
    owner = OWNER.replace("'**'", "Journal")
    hot = MEMORY + "\nstorage: volume\nscopes: [owner, family]"
    [problem] = told(tmp_path, owner=owner, family=GROUP, hot=hot)
    assert (problem.code, problem.line, problem.column) == ("untrusted-memory", 6, 17)
    assert not told(tmp_path, hot=hot.replace(", family", ""))


def test_a_hundred_groups_are_compared_in_a_moment(tmp_path: Path) -> None:
    groups = {
        f"g{n}": GROUP.replace("4567890", f"4567{n:03}").replace("Family", f"['G{n}/**/*.md', '**/x{n}*']")
        for n in range(100)
    }
    problems = told(tmp_path, owner=OWNER, **groups)
    assert len([problem for problem in problems if problem.code == "untrusted-reading"]) == 100


def test_what_a_run_without_a_chat_reads_is_followed_through_to_who_reads_the_run(tmp_path: Path) -> None:
    owner = OWNER.replace("'**'", "News")
    night = NIGHT + "\ncan-read: Family\ntrusts: '[[family]]'"
    [problem] = told(tmp_path, owner=owner, family=GROUP, night=night)
    assert (problem.file, problem.code) == ("agent/owner.md", "untrusted-reading")
    assert "`night` passes on what `family` (a group) writes." in problem.message
    for name in ("night", "family"):
        assert not told(tmp_path, owner=f"{owner}\ntrusts: '[[{name}]]'", family=GROUP, night=night)


def test_a_run_without_a_chat_maintains_the_memory_unless_it_reads_from_others(tmp_path: Path) -> None:
    owner, night = OWNER.replace("'**'", "Journal"), NIGHT.replace("News", "Memory.md")
    assert not told(tmp_path, owner=owner, family=GROUP, night=night, hot=MEMORY)
    night += "\ncan-read: Family\ntrusts: '[[family]]'"
    [problem] = told(tmp_path, owner=owner, family=GROUP, night=night, hot=MEMORY)
    assert (problem.code, problem.is_error) == ("untrusted-memory", True)
