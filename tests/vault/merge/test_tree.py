"""Two lines of work become one tree with everything of both, whatever moved, vanished or met."""

from pathlib import Path

import pytest
from pygit2.enums import FileMode

from support.two_writers import TwoWriters
from vaultloop.vault.git.trees import Leaf
from vaultloop.vault.merge.tree import AuditError, Join, Merger
from vaultloop.vault.merge.version import Rule

TEXT = "".join(f"Line {number} of a note\n" for number in range(20))
EDITED = TEXT.replace("Line 7 of", "Line seven of")
CRON = "---\nkind: cron\nschedule: 0 7 * * *\n---\nDigest\n"


@pytest.fixture
def vault(tmp_path: Path) -> TwoWriters:
    return TwoWriters(tmp_path / "vault.git")


def _told(join: Join) -> str:
    return "\n".join(note.sentence for note in join.notes)


def test_changes_of_different_files_are_both_there_without_a_word(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1", "b.md": "1", "c.md": "1", "d/e.md": "1"})
    human = vault.human(start, {"a.md": "2", "c.md": None})
    agent = vault.agent(start, {"b.md": "2", "d/f.md": "1"})
    join = vault.join(human, agent)
    assert vault.files(join.tree) == {"a.md": b"2", "b.md": b"2", "d/e.md": b"1", "d/f.md": b"1"}
    assert join == Join(join.tree)


def test_the_same_change_by_both_is_there_once(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1", "b.md": "1"})
    human = vault.human(start, {"a.md": "2", "b.md": None, "c.md": "new"})
    agent = vault.agent(start, {"a.md": "2", "b.md": None, "c.md": "new", "d.md": "beside"})
    join = vault.join(human, agent)
    assert vault.files(join.tree) == {"a.md": b"2", "c.md": b"new", "d.md": b"beside"}
    assert join.notes == ()


@pytest.mark.parametrize("text", [TEXT, "One line\n"])
def test_an_edit_follows_a_rename(vault: TwoWriters, text: str) -> None:
    start = vault.human(None, {"a.md": text})
    human = vault.human(start, {"a.md": None, "b.md": text})
    agent = vault.agent(start, {"a.md": text + "More\n"})
    assert vault.joined(human, agent) == {"b.md": f"{text}More\n".encode()}
    human, agent = (
        vault.agent(start, {"a.md": None, "b.md": text}),
        vault.human(start, {"a.md": text + "More\n"}),
    )
    assert vault.joined(human, agent) == {"b.md": f"{text}More\n".encode()}


def test_renamed_differently_it_has_the_humans_name_and_is_there_once(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": TEXT})
    human = vault.human(start, {"a.md": None, "human.md": TEXT})
    agent = vault.agent(start, {"a.md": None, "agent's.md": EDITED})
    join = vault.join(human, agent)
    assert vault.files(join.tree) == {"human.md": EDITED.encode()}
    assert _told(join) == (
        "a.md: both sides renamed it; it has the name that Hana Human gave it, human.md."
        " Links to agent's.md lead nowhere."
    )


def test_a_new_file_follows_its_folder(vault: TwoWriters) -> None:
    start = vault.human(None, {"old/a.md": "a", "old/b.md": "b", "old/sub/c.md": "c"})
    human = vault.human(
        start,
        {"old/a.md": None, "old/b.md": None, "old/sub/c.md": None}
        | {"new/a.md": "a", "new/b.md": "b", "new/sub/c.md": "c"},
    )
    agent = vault.agent(start, {"old/fresh.md": "1", "old/sub/fresh.md": "2", "old/other/fresh.md": "3"})
    join = vault.join(human, agent)
    assert vault.files(join.tree) == {
        "new/a.md": b"a",
        "new/b.md": b"b",
        "new/sub/c.md": b"c",
        "new/fresh.md": b"1",
        "new/sub/fresh.md": b"2",
        "new/other/fresh.md": b"3",
    }
    assert "old/fresh.md: its folder was renamed meanwhile, so it is new/fresh.md." in _told(join)


def test_a_new_file_stays_where_its_folder_was_if_nobody_knows_where_that_went(vault: TwoWriters) -> None:
    start = vault.human(None, {"old/a.md": "a", "old/b.md": "b"})
    human = vault.human(start, {"old/a.md": None, "old/b.md": None, "x/a.md": "a", "y/b.md": "b"})
    agent = vault.agent(start, {"old/fresh.md": "1"})
    join = vault.join(human, agent)
    assert vault.files(join.tree) == {"x/a.md": b"a", "y/b.md": b"b", "old/fresh.md": b"1"}
    assert "old/fresh.md: it is new in old/, which was moved away meanwhile" in _told(join)


def test_nothing_follows_a_note_or_its_folder_to_where_it_governs(vault: TwoWriters) -> None:
    start = vault.human(None, {"jobs/a.md": TEXT, "jobs/b.md": "b", "say.md": TEXT})
    human = vault.human(
        start,
        {"jobs/a.md": None, "jobs/b.md": None, "say.md": None}
        | {"agent/crons/a.md": TEXT, "agent/crons/b.md": "b", "CLAUDE.md": TEXT},
    )
    other = vault.human(start, {"jobs/a.md": EDITED, "jobs/new.md": CRON, "say.md": EDITED})
    assert vault.joined(human, other) == {
        "agent/crons/a.md": TEXT.encode(),
        "agent/crons/b.md": b"b",
        "CLAUDE.md": TEXT.encode(),
        "jobs/a.md": EDITED.encode(),
        "jobs/new.md": CRON.encode(),
        "say.md": EDITED.encode(),
    }


def test_an_edit_follows_what_governs_to_another_name(vault: TwoWriters) -> None:
    start = vault.human(None, {"agent/crons/a.md": CRON + TEXT})
    human = vault.human(start, {"agent/crons/a.md": None, "agent/crons/b.md": CRON + TEXT})
    other = vault.human(start, {"agent/crons/a.md": CRON + EDITED})
    assert vault.joined(human, other) == {"agent/crons/b.md": (CRON + EDITED).encode()}


def test_a_new_file_does_not_push_another_out_of_the_new_folder(vault: TwoWriters) -> None:
    start = vault.human(None, {"old/a.md": "a"})
    human = vault.human(start, {"old/a.md": None, "new/a.md": "a", "new/fresh.md": "human"})
    agent = vault.agent(start, {"old/fresh.md": "agent"})
    assert vault.joined(human, agent) == {
        "new/a.md": b"a",
        "new/fresh.md": b"human",
        "old/fresh.md": b"agent",
    }


def test_an_edit_follows_a_change_of_case(vault: TwoWriters) -> None:
    start = vault.human(None, {"note.md": "One\n"})
    human = vault.human(start, {"note.md": None, "Note.md": "One\n"})
    agent = vault.agent(start, {"note.md": "One\nTwo\n"})
    assert vault.joined(human, agent) == {"Note.md": b"One\nTwo\n"}


@pytest.mark.parametrize(
    ("one", "other"), [("Caf\u00e9.md", "Cafe\u0301.md"), ("Plan.md", "plan.md"), ("a/Plan.md", "A/plan.md")]
)
def test_names_that_some_disks_take_for_one_stay_two_files_with_a_warning(
    vault: TwoWriters, one: str, other: str
) -> None:
    start = vault.human(None, {"x.md": "1"})
    join = vault.join(vault.human(start, {one: "human"}), vault.agent(start, {other: "agent"}))
    assert vault.files(join.tree) == {"x.md": b"1", one: b"human", other: b"agent"}
    assert "some computers take these names for the same" in _told(join)


@pytest.mark.parametrize("deleted_by_agent", [True, False])
def test_an_edit_survives_a_deletion_and_is_reported(vault: TwoWriters, *, deleted_by_agent: bool) -> None:
    start = vault.human(None, {"a.md": "1"})
    change: tuple[str | None, str | None] = ("2", None) if deleted_by_agent else (None, "2")
    human, agent = vault.human(start, {"a.md": change[0]}), vault.agent(start, {"a.md": change[1]})
    join = vault.join(human, agent)
    assert vault.files(join.tree) == {"a.md": b"2"}
    assert "deleted it, but" in _told(join)


def test_a_declaration_deleted_by_one_and_edited_by_the_other_is_held(vault: TwoWriters) -> None:
    path = "agent/crons/digest.md"
    start = vault.human(None, {path: CRON})
    join = vault.join(vault.human(start, {path: None}), vault.human(start, {path: CRON + "More\n"}))
    assert vault.files(join.tree) == {path: CRON.encode()}
    assert join.held == (path,)
    assert "until its owner decides" in _told(join)


def test_of_a_declaration_the_humans_word_counts_be_it_a_deletion(vault: TwoWriters) -> None:
    path = "agent/crons/digest.md"
    start = vault.human(None, {path: CRON, "a.md": "1"})
    join = vault.join(vault.human(start, {path: None}), vault.agent(start, {path: CRON + "More\n"}))
    assert vault.files(join.tree) == {"a.md": b"1"}
    assert join.held == ()
    assert _told(join) == f"{path}: Hana Human deleted it; the change of the agent is in the history."
    join = vault.join(vault.human(start, {path: CRON + "More\n"}), vault.agent(start, {path: None}))
    assert vault.files(join.tree)[path] == f"{CRON}More\n".encode()


def test_a_file_that_has_a_folders_name_becomes_a_copy(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1"})
    human, agent = vault.human(start, {"plan": "human"}), vault.agent(start, {"plan/b.md": "agent"})
    join = vault.join(human, agent)
    ((copy, data), (folder, _)) = sorted(
        (path, data) for path, data in vault.files(join.tree).items() if path != "a.md"
    )
    assert copy.startswith("plan.conflict-Hana-Human-2026-11-22-")
    assert (data, folder) == (b"human", "plan/b.md")
    assert "plan: it is a folder now" in _told(join)


def test_an_edit_in_a_folder_that_became_a_file_survives_beside_it(vault: TwoWriters) -> None:
    start = vault.human(None, {"plan/b.md": "1", "plan/c.md": "1"})
    human = vault.human(start, {"plan/b.md": None, "plan/c.md": None, "plan": "human"})
    files = vault.joined(human, vault.agent(start, {"plan/b.md": "2"}))
    assert files.pop("plan/b.md") == b"2"
    assert list(files.values()) == [b"human"]


def test_of_an_applications_settings_the_winner_stays_and_no_copy_is_made(vault: TwoWriters) -> None:
    path = ".obsidian/workspace.json"
    start = vault.human(None, {path: "{}"})
    join = vault.join(vault.human(start, {path: '{"a": 1}'}), vault.agent(start, {path: '{"b": 1}'}))
    assert vault.files(join.tree) == {path: b'{"a": 1}'}
    assert join.notes[0].rules == {Rule.SETTINGS}
    older, newer = vault.human(start, {path: '{"a": 1}'}), vault.human(start, {path: '{"b": 1}'})
    assert vault.joined(older, newer) == {path: b'{"b": 1}'}


@pytest.mark.parametrize("attributes", [".gitattributes", "secret/.gitattributes"])
def test_what_a_filter_stands_before_is_passed_through_with_a_copy(
    vault: TwoWriters, attributes: str
) -> None:
    filters = {attributes: "*.md filter=git-crypt diff=git-crypt\n"}
    start = vault.human(None, {"secret/a.md": b"\0GITCRYPT\0one", **filters})
    human = vault.human(start, {"secret/a.md": b"\0GITCRYPT\0two"})
    agent = vault.agent(start, {"secret/a.md": b"\0GITCRYPT\0three"})
    files = vault.joined(human, agent)
    assert files.pop(attributes)
    assert files.pop("secret/a.md") == b"\0GITCRYPT\0two"
    ((copy, data),) = files.items()
    assert copy.startswith("secret/a.conflict-agent-2026-11-22-")
    assert copy.endswith(".md")
    assert data == b"\0GITCRYPT\0three"


def test_a_pointer_to_a_large_file_is_never_taken_apart(vault: TwoWriters) -> None:
    def pointer(letter: str) -> str:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{letter * 64}\nsize 12\n"

    start = vault.human(None, {"a.md": pointer("a")})
    human, agent = vault.human(start, {"a.md": pointer("b")}), vault.agent(start, {"a.md": pointer("c")})
    files = vault.joined(human, agent)
    assert files.pop("a.md") == pointer("b").encode()
    assert list(files.values()) == [pointer("c").encode()]


def test_links_submodules_and_modes_are_joined_each_by_itself(vault: TwoWriters) -> None:
    link, program = vault.leaf(b"there", FileMode.LINK), vault.leaf(b"#!/bin/sh\n", FileMode.BLOB)
    start = vault.human(None, {"link": link, "run.sh": program, "module": Leaf("1" * 40, FileMode.COMMIT)})
    human = vault.human(
        start, {"link": vault.leaf(b"elsewhere", FileMode.LINK), "module": Leaf("2" * 40, FileMode.COMMIT)}
    )
    agent = vault.agent(
        start,
        {
            "link": vault.leaf(b"nowhere", FileMode.LINK),
            "run.sh": vault.leaf(b"#!/bin/sh\n", FileMode.BLOB_EXECUTABLE),
            "module": Leaf("3" * 40, FileMode.COMMIT),
        },
    )
    join = vault.join(human, agent)
    leaves = dict(vault.repository.trees.leaves(join.tree))
    assert leaves["module"] == Leaf("2" * 40, FileMode.COMMIT)
    assert leaves["run.sh"].mode == FileMode.BLOB_EXECUTABLE
    assert vault.files(join.tree)["link"] == b"elsewhere"
    assert set(leaves) == {"link", "run.sh", "module"}


def test_a_mode_and_an_edit_come_together(vault: TwoWriters) -> None:
    start = vault.human(None, {"run.sh": "1"})
    human = vault.human(start, {"run.sh": "2"})
    agent = vault.agent(start, {"run.sh": vault.leaf(b"1", FileMode.BLOB_EXECUTABLE)})
    leaves = dict(vault.repository.trees.leaves(vault.join(human, agent).tree))
    assert leaves == {"run.sh": vault.leaf(b"2", FileMode.BLOB_EXECUTABLE)}


def test_a_link_that_meets_a_file_leaves_the_file_as_a_copy(vault: TwoWriters) -> None:
    start = vault.human(None, {"a": "1"})
    human, agent = (
        vault.human(start, {"x": vault.leaf(b"a", FileMode.LINK)}),
        vault.agent(start, {"x": "text"}),
    )
    join = vault.join(human, agent)
    leaves = dict(vault.repository.trees.leaves(join.tree))
    assert leaves["x"].mode == FileMode.LINK
    assert sorted(vault.files(join.tree).values()) == [b"1", b"a", b"text"]


def test_names_that_are_not_utf8_pass_through(vault: TwoWriters) -> None:
    odd, folder = (
        b"caf\xe9.md".decode("utf-8", "surrogateescape"),
        b"f\xe9".decode("utf-8", "surrogateescape"),
    )
    start = vault.human(None, {odd: "1", f"{folder}/a.md": "1", f"{folder}/b.md": "1", "x.md": "1"})
    human = vault.human(start, {odd: "2", f"{folder}/a.md": None, "x.md": "2"})
    agent = vault.agent(start, {f"{folder}/b.md": "2", f"{folder}/new/c.md": "3", "y.md": "1"})
    join = vault.join(human, agent)
    assert vault.files(join.tree) == {
        odd: b"2",
        f"{folder}/b.md": b"2",
        f"{folder}/new/c.md": b"3",
        "x.md": b"2",
        "y.md": b"1",
    }
    join = vault.join(vault.human(start, {odd: None}), vault.agent(start, {odd: "3"}))
    assert vault.files(join.tree)[odd] == b"3"
    assert _told(join).startswith("caf\\udce9.md: ")


def test_without_a_common_ancestor_all_files_are_new(vault: TwoWriters) -> None:
    human = vault.human(None, {"a.md": "1", "same.md": "x"})
    agent = vault.agent(None, {"b.md": "2", "same.md": "x"})
    assert vault.joined(human, agent) == {"a.md": b"1", "b.md": b"2", "same.md": b"x"}


def test_after_a_criss_cross_nothing_comes_back_and_nothing_is_lost(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1", "b.md": "1", "c.md": "1"})
    human, agent = vault.human(start, {"a.md": "2", "c.md": None}), vault.agent(start, {"b.md": "2"})
    here = vault.human(vault.merge(human, agent), {"d.md": "new", "a.md": None})
    there = vault.agent(vault.merge(agent, human), {"b.md": "3"})
    assert vault.joined(here, there) == {"b.md": b"3", "d.md": b"new"}


def test_two_who_merged_the_same_have_nothing_left_to_join(vault: TwoWriters) -> None:
    start = vault.human(None, {"a.md": "1", "b.md": "1"})
    human, agent = vault.human(start, {"a.md": "2"}), vault.agent(start, {"b.md": "2"})
    here, there = vault.merge(human, agent), vault.merge(agent, human)
    tree = vault.repository.tree_of(here)
    assert vault.join(here, there) == Join(str(tree))
    assert vault.join(here, agent) == Join(str(tree))


def test_the_copy_of_one_version_is_made_once(vault: TwoWriters) -> None:
    secret = {".gitattributes": "*.bin filter=lfs\n"}
    start = vault.human(None, {"a.bin": "1", **secret})
    human, agent = vault.human(start, {"a.bin": "2"}), vault.agent(start, {"a.bin": "3"})
    merged = vault.merge(human, agent)
    again = vault.human(agent, {"note.md": "beside"})
    assert set(vault.joined(merged, again)) == set(vault.files_of(merged)) | {"note.md"}
    other = vault.merge(vault.human(human, {"x.md": "1"}), agent)
    copies = [path for path in vault.joined(merged, other) if ".conflict-" in path]
    assert len(copies) == 1


def test_the_cost_follows_the_change_and_not_the_vault(vault: TwoWriters) -> None:
    many = {f"n{number}/m/note.md": "x" for number in range(300)}
    start = vault.human(None, many)
    human, agent = vault.human(start, {"n7/m/note.md": "y"}), vault.agent(start, {"n8/m/note.md": "y"})
    merger = Merger(vault.repository, vault.known.get)
    before = vault.repository.effort.trees
    merger.joined(human, agent)
    # Per side the trees on the way, before and after; then those that are written, and the audit's.
    assert vault.repository.effort.trees - before <= 40


def test_a_tree_that_lacks_what_one_side_wrote_is_refused(
    vault: TwoWriters, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = vault.human(None, {"a.md": "1", "b.md": "1"})
    human, agent = vault.human(start, {"a.md": "human's"}), vault.agent(start, {"b.md": "agent's"})
    trees = vault.repository.trees
    edited = trees.edited
    monkeypatch.setattr(trees, "edited", lambda base, edits: edited(base, {}))
    with pytest.raises(AuditError, match=r"^[ab]\.md of one side is not in the joined tree"):
        vault.merger.joined(human, agent)


def test_a_tree_that_lacks_what_nobody_deleted_is_refused(
    vault: TwoWriters, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = vault.human(None, {"a.md": "1", "b.md": "1", "c.md": "1"})
    human, agent = vault.human(start, {"a.md": "human's"}), vault.agent(start, {"b.md": "agent's"})
    trees = vault.repository.trees
    edited = trees.edited
    monkeypatch.setattr(trees, "edited", lambda base, edits: edited(base, {**edits, "c.md": None}))
    with pytest.raises(AuditError, match=r"^c\.md is not in the joined tree, and nobody deleted it"):
        vault.merger.joined(human, agent)
