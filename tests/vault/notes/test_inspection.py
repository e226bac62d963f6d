"""Looking at a whole vault, and at one change: what is wrong in what it touches, and what it breaks."""

from collections.abc import Mapping

import pytest

from support.memory_vault import MemoryFiles
from support.notes import OWNER, cron, scope
from vaultloop.components import KINDS
from vaultloop.vault.notes.inspection import LARGEST_TEXT, inspected, inspected_change

BASE = {
    "agent/scopes/owner.md": OWNER,
    "agent/scopes/family.md": scope(),
    "agent/crons/job.md": cron(scope="family"),
    "agent/crons/old.md": cron(schedule="0 25 * * *"),
    "CLAUDE.md": "See @Style.md and @Gone.md.\n",
    "Style.md": "Be brief.\n",
}
MERGE = "<<<<<<< ours\nA\n=======\nB\n>>>>>>> theirs\n"


def found(before: Mapping[str, str] | None, after: Mapping[str, str]) -> list[tuple[str, str]]:
    """File and code of each problem of the change."""
    was = before or {}
    changed = {path for path in was.keys() | after.keys() if was.get(path) != after.get(path)}
    old = None if before is None else MemoryFiles("before", before)
    result = inspected_change(old, MemoryFiles("after", after), changed, lambda: KINDS)
    return [(problem.file, problem.code) for problem in result.problems]


def without(path: str) -> dict[str, str]:
    return {other: text for other, text in BASE.items() if other != path}


def test_a_whole_vault_is_told_about_with_its_standing_texts() -> None:
    result = inspected(MemoryFiles("now", BASE), lambda: KINDS)
    assert [(problem.file, problem.code) for problem in result.problems] == [
        ("CLAUDE.md", "missing-import"),
        ("agent/crons/old.md", "bad-schedule"),
    ]
    assert sorted(result.declarations) == [
        "agent/crons/job.md",
        "agent/scopes/family.md",
        "agent/scopes/owner.md",
    ]
    assert (result.errors, result.warnings) == (1, 1)


def test_a_change_is_not_blamed_for_what_was_wrong_before() -> None:
    assert found(BASE, {**BASE, "agent/crons/new.md": cron()}) == []
    assert found(BASE, {**BASE, "agent/crons/old.md": cron(schedule="0 26 * * *")}) == [
        ("agent/crons/old.md", "bad-schedule")
    ]


def test_a_change_is_told_what_it_breaks_elsewhere() -> None:
    assert found(BASE, without("agent/scopes/family.md")) == [("agent/crons/job.md", "missing-reference")]
    both = {**BASE, "agent/scopes/club.md": scope()}
    assert found(BASE, both) == [
        ("agent/scopes/club.md", "chat-claimed-twice"),
        ("agent/scopes/family.md", "chat-claimed-twice"),
    ]


def test_a_folder_that_is_nearly_agent_is_told_when_it_appears_and_not_again() -> None:
    odd = {**BASE, "Agent/rule.md": "Text\n"}
    assert found(BASE, odd) == [("Agent", "folder-look-alike")]
    assert found(odd, {**odd, "agent/crons/new.md": cron()}) == []


def test_the_standing_texts_are_told_about_only_when_one_of_them_changes() -> None:
    assert found(BASE, {**BASE, "Other.md": "Text\n"}) == []
    assert found(BASE, {**BASE, "CLAUDE.md": "See @Gone.md.\n"}) == [("CLAUDE.md", "missing-import")]


def test_without_an_earlier_state_everything_is_new() -> None:
    assert found(None, BASE) == [("CLAUDE.md", "missing-import"), ("agent/crons/old.md", "bad-schedule")]


@pytest.mark.parametrize("path", ["Note.md", "Deep/er/Note.MD"])
def test_changed_ordinary_notes_are_looked_at(path: str) -> None:
    assert found(BASE, {**BASE, path: MERGE}) == [(path, "conflict-markers")]
    assert found({**BASE, path: MERGE}, BASE) == []


def test_other_changed_texts_are_looked_at_like_notes_and_pictures_and_heaps_of_data_are_not() -> None:
    key = f"sk-ant-{'a' * 24}\n"
    assert found(BASE, {**BASE, "file.txt": MERGE}) == [("file.txt", "conflict-markers")]
    assert found(BASE, {**BASE, "docs/keys": key, "agent/run.sh": key}) == [
        ("agent/run.sh", "secret"),
        ("docs/keys", "secret"),
    ]
    assert found(BASE, {**BASE, "image.png": f"PNG\0{key}", "log.txt": key + "x" * LARGEST_TEXT}) == []


def test_a_change_of_ordinary_notes_asks_for_no_kinds() -> None:
    after = MemoryFiles("after", {**BASE, "Note.md": "Text\n"})

    def never() -> tuple[()]:
        raise AssertionError

    assert inspected_change(MemoryFiles("before", BASE), after, {"Note.md"}, never).problems == ()
