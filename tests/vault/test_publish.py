from datetime import UTC, datetime
from pathlib import Path

import pytest

from vaultloop.model.conversation import Trigger
from vaultloop.model.policy import Audience, Policy
from vaultloop.vault.files import Entry
from vaultloop.vault.publish import Audit, Written, refusal, select, write_commit
from vaultloop.vault.repository import Identity, Repository
from vaultloop.vault.signing import AuthorClass, Signer, author_class
from vaultloop.vault.view import Changes, Refusal, View
from vaultloop.vault.views import Views

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
    repository: Repository, view: View, signer: Signer | None = None, audit: Audit = AUDIT
) -> Written:
    selection = select(view.changes(), POLICY)
    return write_commit(repository, view, selection, audit, author=AUTHOR, signer=signer, at=NOW)


def test_the_changes_of_a_session_are_one_commit_upon_its_base(
    repository: Repository, view: View, signer: Signer
) -> None:
    (view.folder / "a.md").write_text("changed")
    (view.folder / "b.md").unlink()
    (view.folder / "new.png").write_bytes(b"png")
    written = publish(repository, view, signer)
    assert written.commit is not None
    commit = repository.read_commit(written.commit)
    assert commit.parents == (view.revision,)
    assert commit.subject == "cron digest: 2 notes and 1 file changed"
    files = repository.files(written.commit)
    assert [entry.path for entry in files.under("")] == ["a.md", "c/d.md", "new.png"]
    entry = files.entry("a.md")
    assert entry is not None
    assert files.read(entry) == b"changed"
    assert author_class(repository, written.commit, signer) is AuthorClass.AGENT


def test_publishing_moves_no_branch(repository: Repository, view: View) -> None:
    (view.folder / "a.md").write_text("changed")
    publish(repository, view)
    assert repository.head == view.revision


def test_the_trailers_are_the_audit_trail(repository: Repository, view: View) -> None:
    (view.folder / "a.md").write_text("changed")
    commit = publish(repository, view).commit
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
    commit = publish(repository, view, audit=forged).commit
    assert commit is not None
    assert repository.read_commit(commit).trailers["Scope"] == "owner"
    assert repository.read_commit(commit).trailers["Model"] == "m Scope: other"


def test_a_session_that_changed_nothing_makes_no_commit(repository: Repository, view: View) -> None:
    assert publish(repository, view) == Written(None)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("agent/crons/digest.md", "it governs the agent"),
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
    written = write_commit(repository, view, selection, AUDIT, author=AUTHOR, signer=None, at=NOW)
    assert written == Written(None, (Refusal("a.md", "a symbolic link"),))


def test_a_note_may_take_the_place_of_a_folder(repository: Repository, view: View) -> None:
    (view.folder / "c/d.md").unlink()
    (view.folder / "c").rmdir()
    (view.folder / "c.md").write_text("was a folder")
    commit = publish(repository, view).commit
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
    written = write_commit(
        repository, view, select(view.changes(), narrow), AUDIT, author=AUTHOR, signer=None, at=NOW
    )
    assert written.commit is None
    assert [refused.path for refused in written.refused] == ["x.md"]


@pytest.mark.parametrize(("gone", "files", "held"), [(10, 19, True), (10, 20, False), (9, 9, False)])
def test_deleting_ten_files_that_are_more_than_half_is_left_to_a_human(
    gone: int, files: int, held: bool
) -> None:
    paths = tuple(f"{number}.md" for number in range(gone))
    selection = select(Changes(written=("new.md",), deleted=paths, files=files), POLICY)
    assert selection.written == ("new.md",)
    assert selection.deleted == (() if held else paths)
    assert [refusal.path for refusal in selection.refused] == ["the deletion of 10 files"] * held
