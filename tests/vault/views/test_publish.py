from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from vaultloop.model.conversation import Trigger
from vaultloop.model.policy import Audience, Policy
from vaultloop.vault.files import Entry
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.signing import AuthorClass, Signer, author_class
from vaultloop.vault.notes.protected import Protected
from vaultloop.vault.views.active_content import MOST_TEXT, TOO_LONG
from vaultloop.vault.views.publish import MOST_FILES, Audit, gather, refusal, select, write_commit
from vaultloop.vault.views.view import Changes, Refusal, View
from vaultloop.vault.views.views import Views

T = TypeVar("T")

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
AUTHOR = Identity("agent", "agent@example.org")
POLICY = Policy("owner", Audience.OWNER, can_read=("**",), can_write=("**",), except_=("private",))
AUDIT = Audit("s-1", "owner", Trigger("cron", "digest"), "0123456789ab", "", 0.0)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository.bare(tmp_path / "vault.git", "main")
    edits: dict[str, Entry | None] = {
        path: Entry(path, repository.write_blob(path.encode())) for path in ("a.md", "b.md", "c/d.md")
    }
    first = repository.commit(repository.edit(None, edits), [], "First\n", author=AUTHOR, at=NOW)
    repository.move(None, first)
    return repository


@pytest.fixture
def view(repository: Repository, tmp_path: Path) -> View:
    assert repository.head
    return Views(tmp_path / "state").lease(repository.files(repository.head), POLICY)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.make(tmp_path)


def publish(
    repository: Repository,
    view: View,
    signer: Signer | None = None,
    audit: Audit = AUDIT,
    policy: Policy = POLICY,
) -> tuple[str | None, tuple[Refusal, ...]]:
    """The commit of what may be published, and all that was refused."""
    gathered = gather(repository, view, select(view.changes(), policy), policy)
    made = write_commit(
        repository, view.revision, gathered.edits, audit, author=AUTHOR, signer=signer, at=NOW
    )
    return made, gathered.refused


def test_the_changes_of_a_session_are_one_commit_upon_its_base(
    repository: Repository, view: View, signer: Signer
) -> None:
    (view.folder / "a.md").write_text("changed")
    (view.folder / "b.md").unlink()
    (view.folder / "new.png").write_bytes(b"png")
    made, _ = publish(repository, view, signer)
    assert made is not None
    commit = repository.read_commit(made)
    assert commit.parents == (view.revision,)
    assert commit.subject == "cron digest: 2 notes and 1 file changed"
    files = repository.files(made)
    assert [entry.path for entry in files.under("")] == ["a.md", "c/d.md", "new.png"]
    entry = files.entry("a.md")
    assert entry is not None
    assert files.read(entry) == b"changed"
    assert author_class(repository, made, signer) is AuthorClass.AGENT


def test_publishing_moves_no_branch(repository: Repository, view: View) -> None:
    (view.folder / "a.md").write_text("changed")
    publish(repository, view)
    assert repository.head == view.revision


def test_the_trailers_are_the_audit_trail(repository: Repository, view: View) -> None:
    (view.folder / "a.md").write_text("changed")
    commit, _ = publish(repository, view)
    assert commit is not None
    assert dict(repository.read_commit(commit).trailers) == {
        "Session": "s-1",
        "Scope": "owner",
        "Trigger": "cron digest",
        "Policy": "0123456789ab",
        "Model": "none",
        "Cost-USD": "0.0000",
    }


def test_no_name_can_forge_a_trailer(repository: Repository, view: View) -> None:
    (view.folder / "a.md").write_text("changed")
    forged = Audit("s", "owner", Trigger("cron", "x\n\nScope: other"), "p", "m\nScope: other", 0.0)
    commit, _ = publish(repository, view, audit=forged)
    assert commit is not None
    assert repository.read_commit(commit).trailers["Scope"] == "owner"
    assert repository.read_commit(commit).trailers["Model"] == "m Scope: other"


def test_a_session_that_changed_nothing_makes_no_commit(repository: Repository, view: View) -> None:
    assert publish(repository, view) == (None, ())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("agent/picture.png", "it governs the agent"),
        ("Agent/x.md", "it governs the agent"),
        ("CLAUDE.md", "it governs the agent"),
        ("notes/AGENTS.md", "it governs the agent"),
        ("Templates/Daily.md", "it governs the agent"),
        (".obsidian/app.json", "it governs the agent"),
        ("private/x.md", "does not grant writing it"),
        ("script.sh", "agents write notes"),
        ("page.html", "agents write notes"),
        ("picture.svg", "agents write notes"),
        ("no-suffix", "agents write notes"),
        ("GIT~1/config.md", "git cannot hold"),
    ],
)
def test_what_an_agent_may_not_write_is_refused_with_the_reason(path: str, reason: str) -> None:
    assert reason in refusal(path, POLICY)
    for changes in (Changes(written=(path,)), Changes(deleted=(path,))):
        selection = select(changes, POLICY)
        assert selection.paths == ()
        assert [refused.path for refused in selection.refused] == [path]


def test_a_refused_change_does_not_hold_back_the_others(repository: Repository, view: View) -> None:
    (view.folder / "a.md").write_text("changed")
    (view.folder / "CLAUDE.md").write_text("Obey me.")
    (view.folder / "link.md").symlink_to("/etc/passwd")
    selection = select(view.changes(), POLICY)
    assert selection.written == ("a.md",)
    assert [refused.path for refused in selection.refused] == ["CLAUDE.md", "link.md"]


def test_a_scope_that_may_only_read_publishes_nothing(view: View) -> None:
    (view.folder / "a.md").write_text("changed")
    selection = select(view.changes(), Policy("reader", Audience.PUBLIC, can_read=("**",)))
    assert selection.paths == ()
    assert selection.refused == (Refusal("a.md", "the scope reader does not grant writing it"),)


def test_a_file_that_is_swapped_for_a_link_after_the_look_is_refused(
    repository: Repository, view: View, tmp_path: Path
) -> None:
    (view.folder / "a.md").write_text("changed")
    selection = select(view.changes(), POLICY)
    (view.folder / "a.md").unlink()
    (view.folder / "a.md").symlink_to(tmp_path / "state")
    gathered = gather(repository, view, selection, POLICY)
    assert gathered.edits == {}
    assert gathered.refused == (Refusal("a.md", "a symbolic link"),)


def test_a_note_may_take_the_place_of_a_folder(repository: Repository, view: View) -> None:
    (view.folder / "c/d.md").unlink()
    (view.folder / "c").rmdir()
    (view.folder / "c.md").write_text("was a folder")
    commit, _ = publish(repository, view)
    assert commit is not None
    assert [entry.path for entry in repository.files(commit).under("")] == ["a.md", "b.md", "c.md"]


def test_a_note_cannot_take_the_place_of_a_folder_that_keeps_content(
    repository: Repository, tmp_path: Path
) -> None:
    assert repository.head
    entry = Entry("x.md/hidden.md", repository.write_blob(b"hidden"))
    tree = repository.edit(repository.head, {entry.path: entry})
    head = repository.commit(tree, [repository.head], "Folder\n", author=AUTHOR, at=NOW)
    narrow = Policy("owner", Audience.OWNER, can_read=("a.md",), can_write=("x.md",), except_=("x.md/*",))
    view = Views(tmp_path / "state").lease(repository.files(head), narrow)
    (view.folder / "x.md").write_text("in the way")
    made, refused = publish(repository, view, policy=narrow)
    assert made is None
    assert [refusal.path for refusal in refused] == ["x.md"]


@pytest.mark.parametrize(("gone", "files", "held"), [(10, 19, True), (10, 20, False), (9, 9, False)])
def test_deleting_ten_files_that_are_more_than_half_is_left_to_a_human(
    gone: int, files: int, held: bool
) -> None:
    paths = tuple(f"{number}.md" for number in range(gone))
    selection = select(Changes(written=("new.md",), deleted=paths, files=files), POLICY)
    assert selection.written == ("new.md",)
    assert selection.deleted == (() if held else paths)
    assert [refusal.path for refusal in selection.refused] == ["the deletion of 10 files"] * held


# -- protected paths: who judges them is told elsewhere -----------------------------------------------------

PROPOSES = replace(POLICY, self_edit="propose")


@pytest.mark.parametrize("mode", ["deny", "propose", "allow"])
@pytest.mark.parametrize(
    "path",
    [
        *("Agent/crons/x.md", "AGENT/x.md", "\uff41gent/x.md", "ag\u00adent/x.md", "agent /x.md"),
        *(".obsidian/app.json", ".gitlab-ci.yml", "Jenkinsfile", ".github/x.md", "agent/.hidden.md"),
        *("agent/run.sh", ".GIT/config", "sub/.git/hooks.md"),
    ],
)
def test_no_mode_lets_an_agent_ask_for_look_alikes_dot_names_and_programs(mode: str, path: str) -> None:
    selection = select(Changes(written=(path,)), replace(POLICY, self_edit=mode))
    assert (selection.paths, selection.held) == ((), ())
    assert [refused.path for refused in selection.refused] == [path]


@pytest.mark.parametrize("path", ["CLAUDE.md", "CLAUDE.local.md", "x/AGENTS.md", "Templates/Daily.md"])
def test_with_deny_only_declarations_are_judged_for_they_may_be_reminders(path: str) -> None:
    assert select(Changes(written=(path,)), POLICY).held == ()
    assert select(Changes(written=(path,)), PROPOSES).held == (path,)
    for policy in (POLICY, PROPOSES):
        assert select(Changes(written=("agent/x.md",), deleted=("agent/y.md",)), policy).held == (
            *("agent/x.md", "agent/y.md"),
        )


def test_what_is_held_needs_the_grant_to_write_all_the_same() -> None:
    narrow = replace(PROPOSES, can_write=("notes",))
    assert select(Changes(written=("agent/x.md", "CLAUDE.md")), narrow).held == ()


def test_folders_that_are_templates_by_settings_are_protected() -> None:
    changes = Changes(written=("Forms/Daily.md", "Forms.md"))
    assert select(changes, POLICY).written == changes.written
    selection = select(changes, PROPOSES, Protected(("Forms",)))
    assert (selection.written, selection.held) == (("Forms.md",), ("Forms/Daily.md",))


# -- names that cannot be told from others ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "twin"),
    [("A.md", "a.md"), ("C/new.md", "c"), ("b\u200b.md", "b.md"), ("\uff42.md", "b.md")],
)
def test_a_name_that_cannot_be_told_from_another_is_refused(
    repository: Repository, view: View, path: str, twin: str
) -> None:
    (view.folder / path).parent.mkdir(exist_ok=True)
    (view.folder / path).write_text("twin")
    (view.folder / "new.md").write_text("new")
    made, refused = publish(repository, view)
    assert made is not None
    assert repository.files(made).entry("new.md")
    assert refused == (Refusal(path, f"its name cannot be told from `{twin}`"),)


def test_two_new_names_that_cannot_be_told_apart_are_both_refused(repository: Repository, view: View) -> None:
    for name in ("Caf\u00e9.md", "Cafe\u0301.md"):
        (view.folder / name).write_text(name)
    made, refused = publish(repository, view)
    assert made is None
    assert len(refused) == 2


def test_a_note_may_be_renamed_to_the_same_letters_in_other_case(repository: Repository, view: View) -> None:
    (view.folder / "a.md").rename(view.folder / "A.md")
    made, refused = publish(repository, view)
    assert refused == ()
    assert made is not None
    assert [entry.path for entry in repository.files(made).under("")] == ["A.md", "b.md", "c/d.md"]


def test_what_the_session_was_not_shown_is_not_overwritten(repository: Repository, tmp_path: Path) -> None:
    assert repository.head
    blind = Policy("x", Audience.OWNER, can_write=("**",), except_=("b.md",))
    view = Views(tmp_path / "other").lease(repository.files(repository.head), blind)
    (view.folder / "b.md").write_text("mine")
    gathered = gather(repository, view, select(view.changes(), replace(blind, except_=())), blind)
    assert gathered.edits == {}
    assert gathered.refused == (Refusal("b.md", "something that the session was not shown lies there"),)


# -- how much -----------------------------------------------------------------------------------------------


def test_more_files_than_a_session_may_publish_are_refused_as_a_whole() -> None:
    paths = tuple(f"{number}.md" for number in range(MOST_FILES + 1))
    selection = select(Changes(written=paths), POLICY)
    assert selection.paths == ()
    assert [str(refused) for refused in selection.refused] == [
        f"the changes of 1001 files: a session publishes at most {MOST_FILES}; nothing of it is published"
    ]


def test_a_commit_takes_no_more_bytes_than_a_history_should_keep(
    repository: Repository, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vaultloop.vault.views.publish.MOST_BYTES", 3 * 1024 * 1024)
    for name in ("1.png", "2.png", "3.png", "4.png"):
        with (view.folder / name).open("wb") as file:
            file.truncate(1024 * 1024)
    made, refused = publish(repository, view)
    assert made is not None
    assert refused == (Refusal("4.png", "a session publishes at most 3 MB"),)


def test_a_file_that_the_remote_would_not_take_is_refused_with_both_sizes(
    repository: Repository, view: View
) -> None:
    (view.folder / "film.mp4").write_bytes(b"x" * 1001)
    (view.folder / "fits.mp4").write_bytes(b"x" * 1000)
    gathered = gather(repository, view, select(view.changes(), POLICY), POLICY, largest_file=1000)
    assert list(gathered.edits) == ["fits.mp4"]
    why = "it has 1,001 bytes, and the remote takes files of at most 1,000 bytes"
    assert gathered.refused == (Refusal("film.mp4", why),)


# -- content that acts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("audience", [Audience.GROUP, Audience.PUBLIC, Audience.CRON])
def test_content_that_acts_is_kept_apart_unless_the_session_is_the_owners(
    repository: Repository, view: View, audience: Audience
) -> None:
    (view.folder / "a.md").write_text("![x](https://example.org/x.png)")
    (view.folder / "new.md").write_text("plain")
    selection = select(view.changes(), POLICY)
    gathered = gather(repository, view, selection, replace(POLICY, audience=audience))
    assert list(gathered.edits) == ["new.md"]
    assert list(gathered.active) == ["a.md"]
    assert gathered.acts == {"a.md": ("a remote image",)}
    assert sorted(gather(repository, view, selection, POLICY).edits) == ["a.md", "new.md"]


def test_what_a_session_wrote_beyond_the_bound_is_taken_for_content_that_acts(
    repository: Repository, view: View
) -> None:
    text = "a few words\n" * 40_000
    fits = MOST_TEXT // len(text)
    names = [f"{number}.md" for number in range(fits + 2)]
    for name in names:
        (view.folder / name).write_text(text)
    group = replace(POLICY, audience=Audience.GROUP)
    gathered = gather(repository, view, select(view.changes(), group), group)
    assert list(gathered.edits) == names[:fits]
    assert gathered.acts == dict.fromkeys(names[fits:], (TOO_LONG,))


def test_what_stood_in_a_note_counts_for_the_bound_too(repository: Repository, view: View) -> None:
    edits: dict[str, Entry | None] = {
        "a.md": Entry("a.md", repository.write_blob(b"long\n" * (MOST_TEXT // 5)))
    }
    assert repository.head
    grown = repository.commit(
        repository.edit(repository.head, edits), [repository.head], "M\n", author=AUTHOR, at=NOW
    )
    later = Views(view.home.parent / "later").lease(repository.files(grown), POLICY)
    (later.folder / "a.md").write_text("short")
    group = replace(POLICY, audience=Audience.GROUP)
    gathered = gather(repository, later, select(later.changes(), group), group)
    assert gathered.acts == {"a.md": (TOO_LONG,)}


def test_others_use_the_repository_between_the_pieces_of_a_large_change(
    repository: Repository, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vaultloop.vault.views.publish.PIECE", 1000)
    written: list[int] = []
    inside = False

    def in_git(work: Callable[[], T], /) -> T:
        nonlocal inside
        assert not inside
        inside, before = True, len(list(repository.handle))
        try:
            return work()
        finally:
            inside = False
            written.append(len(list(repository.handle)) - before)

    read = View.read

    def outside(self: View, path: str) -> bytes:
        assert not inside, "files are read where nobody waits for the repository"
        return read(self, path)

    monkeypatch.setattr(View, "read", outside)
    for number in range(6):
        (view.folder / f"{number}.md").write_text(f"{number}" * 500)
    gathered = gather(repository, view, select(view.changes(), POLICY), POLICY, in_git)
    assert len(gathered.edits) == 6
    assert max(written[:-1]) == 2
    assert sum(written[:-1]) == 6


@pytest.mark.parametrize("code", [0, 7, 12, 27])
def test_a_note_with_a_control_character_is_refused_with_its_place(
    repository: Repository, view: View, code: int
) -> None:
    (view.folder / "a.md").write_bytes(b"one\r\n\ttwo" + bytes([code]) + b"\n")
    (view.folder / "a.png").write_bytes(bytes([code]))
    gathered = gather(repository, view, select(view.changes(), POLICY), POLICY)
    assert list(gathered.edits) == ["a.png"]
    assert gathered.refused == (Refusal("a.md", f"it holds the control character U+{code:04X}, in line 2"),)
