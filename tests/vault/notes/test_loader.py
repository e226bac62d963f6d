from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.folders import write
from vaultloop.components import KINDS
from vaultloop.model.resource import Ref
from vaultloop.vault.files import Entry
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.notes.declaration import MOST_PROBLEMS
from vaultloop.vault.notes.frontmatter import LONGEST_FRONTMATTER
from vaultloop.vault.notes.loader import FolderFiles, KnownNote, Loader
from vaultloop.vault.plain_folder import blob_id

OWNER = "---\nkind: scope\nchats: owner\n---\n"
CRON = '---\nkind: cron\nschedule: "0 7 * * *"\nscope: "[[owner]]"\n---\nLook around.\n'
BERLIN = "---\nkind: defaults\ntimezone: Europe/Berlin\n---\n"


@dataclass
class Memory:
    """A state of a vault in memory, and how much of it was looked at."""

    notes: dict[str, bytes]
    revision: str = "r1"
    listed: int = 0
    read_paths: list[str] = field(default_factory=list)

    def tree_id(self, folder: str) -> str | None:
        inside = {path: data for path, data in self.notes.items() if path.startswith(f"{folder}/")}
        return blob_id(repr(sorted(inside.items())).encode()) if inside else None

    def under(self, folder: str) -> Iterator[Entry]:
        self.listed += 1
        return (
            Entry(path, blob_id(self.notes[path]))
            for path in sorted(self.notes)
            if path.startswith(f"{folder}/")
        )

    def entry(self, path: str) -> Entry | None:
        return Entry(path, blob_id(self.notes[path])) if path in self.notes else None

    def read(self, entry: Entry) -> bytes:
        self.read_paths.append(entry.path)
        return self.notes[entry.path]


def memory(revision: str = "r1", **notes: str) -> Memory:
    return Memory({path.replace("__", "/") + ".md": text.encode() for path, text in notes.items()}, revision)


@pytest.fixture
def effort() -> Effort:
    return Effort()


@pytest.fixture
def loader(effort: Effort) -> Loader:
    return Loader(KINDS, effort)


def test_a_declaration_is_named_by_its_kind_and_its_file(tmp_path: Path, loader: Loader) -> None:
    write(tmp_path, {"agent/scopes/owner.md": OWNER, "agent/job.md": CRON, "Notes/other.md": CRON})
    snapshot = loader.load(FolderFiles(tmp_path, "r7"))
    assert snapshot.revision == "r7"
    assert set(snapshot.resources) == {Ref("scope", "owner"), Ref("cron", "job")}
    assert snapshot.problems == ()
    source = snapshot.resources[Ref("cron", "job")].source
    assert (source.path, source.text, source.lines) == (
        "agent/job.md",
        CRON,
        {"kind": 2, "schedule": 3, "scope": 4, "body": 6},
    )


def test_an_empty_vault_declares_nothing(tmp_path: Path, loader: Loader) -> None:
    snapshot = loader.load(FolderFiles(tmp_path))
    assert (dict(snapshot.resources), snapshot.problems) == ({}, ())


def test_one_changed_note_among_ten_thousand_is_the_only_one_parsed(loader: Loader, effort: Effort) -> None:
    notes = {f"agent/crons/job{number}.md": CRON.encode() for number in range(1000)}
    notes |= {f"Notes/{number}.md": b"# Note" for number in range(9000)}
    vault = Memory(notes | {"agent/owner.md": OWNER.encode()})
    loader.load(vault)
    assert effort.parsed == 1001
    changed = Memory(vault.notes | {"agent/crons/job7.md": CRON.replace("7", "8").encode()}, "r2")
    snapshot = loader.load(changed)
    assert effort.parsed == 1002
    assert changed.read_paths == ["agent/crons/job7.md"]
    assert snapshot.resources[Ref("cron", "job7")].spec.fields()["schedule"] == "0 8 * * *"
    assert len(snapshot.resources) == 1001


def test_a_change_outside_of_the_declarations_reads_nothing_and_keeps_all(
    loader: Loader, effort: Effort
) -> None:
    first = loader.load(memory(agent__owner=OWNER))
    other = memory("r2", agent__owner=OWNER, Notes__x="new")
    second = loader.load(other)
    assert (effort.parsed, other.listed, other.read_paths) == (1, 0, [])
    assert (second.revision, second.resources) == ("r2", first.resources)


def test_a_deleted_note_is_gone_and_a_returned_one_is_there_again(loader: Loader) -> None:
    assert Ref("cron", "job") in loader.load(memory(agent__owner=OWNER, agent__job=CRON)).resources
    assert Ref("cron", "job") not in loader.load(memory(agent__owner=OWNER)).resources
    assert Ref("cron", "job") in loader.load(memory(agent__owner=OWNER, agent__job=CRON)).resources


def test_a_new_scope_mends_the_reference_to_it_without_parsing_the_other_note(
    loader: Loader, effort: Effort
) -> None:
    broken = loader.load(memory(agent__job=CRON))
    assert [problem.code for problem in broken.problems] == ["missing-reference"]
    assert broken.broken == {Ref("cron", "job"): "agent/job.md"}
    mended = loader.load(memory(agent__job=CRON, agent__owner=OWNER))
    assert (mended.problems, effort.parsed) == ((), 2)


def test_a_reference_to_a_note_that_is_invalid_now_still_holds(loader: Loader) -> None:
    snapshot = loader.load(memory(agent__owner=OWNER.replace("owner", "nobody"), agent__job=CRON))
    assert set(snapshot.broken) == {Ref("scope", "owner")}
    assert set(snapshot.resources) == {Ref("cron", "job")}


def test_a_changed_default_reaches_who_inherits_it_without_parsing_them(
    loader: Loader, effort: Effort
) -> None:
    plain = loader.load(memory(agent__owner=OWNER, agent__job=CRON))
    berlin = loader.load(memory(agent__owner=OWNER, agent__job=CRON, agent__defaults=BERLIN))
    job = Ref("cron", "job")
    assert "timezone" not in plain.resources[job].spec.fields()
    assert berlin.resources[job].spec.fields()["timezone"] == "Europe/Berlin"
    assert effort.parsed == 3


def test_what_a_note_says_itself_is_not_inherited(loader: Loader) -> None:
    own = CRON.replace("kind: cron", "kind: cron\ntimezone: UTC")
    snapshot = loader.load(memory(agent__owner=OWNER, agent__job=own, agent__defaults=BERLIN))
    assert snapshot.resources[Ref("cron", "job")].spec.model_dump()["timezone"] == "UTC"


def test_an_invalid_defaults_note_changes_nothing_for_those_who_inherit(loader: Loader) -> None:
    good = loader.load(memory(agent__owner=OWNER, agent__job=CRON, agent__defaults=BERLIN))
    bad = loader.load(
        memory(agent__owner=OWNER, agent__job=CRON, agent__defaults=BERLIN.replace("Berlin", "Atlantis"))
    )
    assert set(bad.broken) == {Ref("defaults", "defaults")}
    job = Ref("cron", "job")
    assert bad.resources[job].spec == good.resources[job].spec


def test_an_invalid_defaults_note_after_a_restart_is_replaced_by_the_recalled_one(loader: Loader) -> None:
    loader.recall([KnownNote("agent/defaults.md", "b1", BERLIN)])
    snapshot = loader.load(
        memory(agent__owner=OWNER, agent__job=CRON, agent__defaults="---\nkind: defaults\nrunner: x\n---\n")
    )
    assert snapshot.resources[Ref("cron", "job")].spec.fields()["timezone"] == "Europe/Berlin"


def test_recalled_notes_are_bound_to_each_other_as_they_were(loader: Loader) -> None:
    desired = loader.load(memory(agent__owner=OWNER, agent__job=CRON, agent__defaults=BERLIN)).resources
    kept = [KnownNote(found.source.path, found.source.blob, found.source.text) for found in desired.values()]
    assert Loader(KINDS, Effort()).recall(kept) == desired


def test_a_kept_version_is_understood_by_itself_although_its_scope_is_gone(loader: Loader) -> None:
    resource = loader.parse("agent/job.md", "b1", CRON)
    assert resource is not None
    assert resource.spec.fields()["scope"] == "owner"
    assert loader.parse("agent/job.md", "b2", "---\nkind: cron\n---\n") is None
    assert loader.parse("agent/job.md", "b3", "Only text.") is None


def test_a_declared_id_is_the_resources_identity(loader: Loader) -> None:
    snapshot = loader.load(memory(agent__owner=OWNER.replace("kind", "id: me\nkind")))
    assert snapshot.resources[Ref("scope", "owner")].uid == "me"


def test_a_reference_may_name_the_id(loader: Loader) -> None:
    by_id = CRON.replace("[[owner]]", "me")
    snapshot = loader.load(memory(agent__owner=OWNER.replace("kind", "id: me\nkind"), agent__job=by_id))
    assert snapshot.resources[Ref("cron", "job")].spec.fields()["scope"] == "owner"


@pytest.mark.parametrize(
    "note",
    [
        "---\nkind: scope\nchats: owner\nchats: owner\n---\n",
        '---\nkind: scope\nchats: "owner\n---\n',
        "---\nkind: scope\nchats: owner\n",
        "---\nkind: scopes\nchats: owner\n---\n",
        "---\nKind: scope\nchats: owner\n---\n",
        "<<<<<<< HEAD\n---\nkind: scope\n=======\n---\nkind: scope\n>>>>>>> x\n",
        "---\nkind: scope\n---\n\0",
        "---\nkind: scope\nchats: owner\n---\n" + "x" * 1024 * 1024,
        "---\nkind: scope\nchats: owner\n---\nghp_0123456789abcdefghijklmnopqrstuvwxyz\n",
        '---\nkind: scope\ndescription: "\\d"\n---\n',
    ],
)
def test_a_note_that_became_invalid_keeps_its_name_so_that_its_last_good_version_is_kept(
    note: str, loader: Loader
) -> None:
    snapshot = loader.load(memory(agent__owner=note, agent__rule="---\nkind: rule\n---\nBe kind.\n"))
    assert snapshot.broken == {Ref("scope", "owner"): "agent/owner.md"}
    assert set(snapshot.resources) == {Ref("rule", "rule")}
    assert {problem.file for problem in snapshot.problems} == {"agent/owner.md"}


def test_latin_1_is_named_with_the_place_of_its_first_odd_letter(tmp_path: Path, loader: Loader) -> None:
    write(tmp_path, {"agent/owner.md": (OWNER + "Gr\u00fc\u00dfe").encode("latin-1")})
    (problem,) = loader.load(FolderFiles(tmp_path)).problems
    assert (problem.code, problem.line, problem.column) == ("not-utf-8", 5, 3)


def test_a_secret_is_never_quoted_by_another_problem(loader: Loader) -> None:
    token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
    snapshot = loader.load(memory(agent__job=CRON.replace("0 7 * * *", token) + f"<{token}>"))
    assert {problem.code for problem in snapshot.problems} == {"secret", "bad-schedule"}
    assert token not in repr(snapshot.problems)


def test_problems_of_all_notes_come_together_and_in_order(loader: Loader) -> None:
    bad = CRON.replace("schedule", "shedule").replace("scope:", "paused: x\nscope:")
    problems = loader.load(memory(agent__b=bad, agent__a=bad, agent__owner=OWNER)).problems
    assert [(p.file, p.line) for p in problems] == [
        ("agent/a.md", 3),
        ("agent/a.md", 4),
        ("agent/b.md", 3),
        ("agent/b.md", 4),
    ]


def test_two_notes_of_one_name_are_both_refused_and_neither_replaces_the_running_one(loader: Loader) -> None:
    snapshot = loader.load(memory(agent__a__x=CRON, agent__b__X=CRON, agent__owner=OWNER))
    assert {problem.code for problem in snapshot.problems} == {"duplicate-name"}
    assert set(snapshot.resources) == {Ref("scope", "owner")}
    assert set(snapshot.broken) == {Ref("cron", "x"), Ref("cron", "X")}


def test_notes_of_two_kinds_may_share_a_name(loader: Loader) -> None:
    snapshot = loader.load(memory(agent__scopes__owner=OWNER, agent__crons__owner=CRON))
    assert (len(snapshot.resources), snapshot.problems) == (2, ())


def test_two_scopes_on_one_chat_are_reported_and_stay(loader: Loader) -> None:
    snapshot = loader.load(memory(agent__a=OWNER, agent__b=OWNER))
    assert [problem.code for problem in snapshot.problems] == ["chat-claimed-twice"] * 2
    assert (len(snapshot.resources), dict(snapshot.broken)) == (2, {})


@pytest.mark.parametrize("path", ["agent__.trash__old", "agent__.hidden"])
def test_hidden_notes_declare_nothing(path: str, loader: Loader) -> None:
    assert not loader.load(memory(**{path: OWNER})).resources


@pytest.mark.parametrize(
    "name", ["job.sync-conflict-20261122-101112-ABCDEFG", "job (conflicted copy 2026-11-22 101112)", "job 2"]
)
def test_a_copy_that_a_sync_service_made_declares_nothing(name: str, loader: Loader) -> None:
    snapshot = loader.load(memory(agent__owner=OWNER, agent__job=CRON, **{f"agent__{name}": CRON}))
    assert [problem.code for problem in snapshot.problems] == ["sync-conflict"]
    assert set(snapshot.resources) == {Ref("scope", "owner"), Ref("cron", "job")}


def test_a_number_in_a_name_alone_makes_no_copy(loader: Loader) -> None:
    assert loader.load(memory(**{"agent__owner": OWNER, "agent__week 2": CRON})).problems == ()


def test_a_missing_grant_is_left_out_with_a_warning(loader: Loader) -> None:
    snapshot = loader.load(memory(agent__owner=OWNER.replace("chats", "mcp-servers: [[wiki]]\nchats")))
    assert [(problem.code, problem.is_error) for problem in snapshot.problems] == [
        ("missing-reference", False)
    ]
    assert "mcp-servers" not in snapshot.resources[Ref("scope", "owner")].spec.fields()


def test_text_below_the_frontmatter_matters_only_where_the_kind_uses_it(loader: Loader) -> None:
    first = loader.load(memory(agent__d=BERLIN, agent__owner=OWNER)).resources
    second = loader.load(memory(agent__d=BERLIN + "A remark.\n", agent__owner=OWNER + "Be kind.\n")).resources
    assert first[Ref("defaults", "d")].spec == second[Ref("defaults", "d")].spec
    assert second[Ref("scope", "owner")].spec.body == "Be kind."


def test_a_note_with_countless_mistakes_is_told_the_first_and_worst(loader: Loader) -> None:
    odd = "".join(f"odd{number}: x\n" for number in range(200))
    snapshot = loader.load(memory(agent__owner=OWNER.replace("chats", odd + "chat")))
    assert len(snapshot.problems) == MOST_PROBLEMS
    assert len(snapshot.errors) == 1


def test_a_frontmatter_beyond_all_measure_is_not_read(loader: Loader) -> None:
    snapshot = loader.load(
        memory(agent__owner=OWNER.replace("chats", "x" * LONGEST_FRONTMATTER + ": y\nchats"))
    )
    assert [problem.code for problem in snapshot.problems] == ["too-large"]
    assert set(snapshot.broken) == {Ref("scope", "owner")}


KEYS = sorted({info.alias or name for kind in KINDS for name, info in kind.spec.model_fields.items()})
ODDITIES = [
    "",
    "[]",
    "[a, b]",
    "{a: b}",
    "-5",
    "x y",
    "[[a]]",
    "**",
    "true",
    "2026-02-30",
    "@x",
    "{{y}}",
    "1e3",
    "\n  - a\n  - b",
    "|\n  t",
]


@given(
    st.sampled_from([kind.name for kind in KINDS]),
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(ODDITIES) | st.text(max_size=20)),
)
def test_whatever_stands_in_a_note_each_problem_has_a_place_and_a_cure(
    kind: str, values: dict[str, str]
) -> None:
    lines = [f"kind: {kind}", *(f"{key}: {value}" for key, value in values.items())]
    text = "\n".join(["---", *lines, "---", "Text."])
    snapshot = Loader(KINDS, Effort()).load(Memory({"agent/x.md": text.encode(errors="replace")}))
    for problem in snapshot.problems:
        assert 1 <= problem.line <= text.count("\n") + 1
        assert problem.column >= 1
        assert problem.message
        assert problem.cure
    named = Ref(kind, "x") in {*snapshot.resources, *snapshot.broken}
    assert named
    assert bool(snapshot.errors) == (Ref(kind, "x") in snapshot.broken)
