import os
from pathlib import Path

import pytest

from support.leased import lease
from support.nested import nest
from vaultloop.model.errors import Stalled
from vaultloop.vault.repository import Repository
from vaultloop.vault.view import DEEPEST, LARGEST_FILE, Changes, NotOrdinaryError, View, blob_id
from vaultloop.vault.views import Views


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.bare(tmp_path / "vault.git", "main")


@pytest.fixture
def views(tmp_path: Path) -> Views:
    return Views(tmp_path / "state")


def test_an_untouched_view_has_no_changes(views: Views, repository: Repository) -> None:
    assert lease(views, repository, {"a.md": "1", "b/c.md": "2"}).changes() == Changes()


def test_writing_the_same_content_again_is_no_change(views: Views, repository: Repository) -> None:
    view = lease(views, repository, {"a.md": "same"})
    (view.folder / "a.md").unlink()
    (view.folder / "a.md").write_text("same")
    assert not view.changes()


def test_new_changed_and_deleted_files_are_found(views: Views, repository: Repository) -> None:
    view = lease(views, repository, {"a.md": "1", "b.md": "2", "c.md": "3"})
    (view.folder / "a.md").write_text("changed")
    (view.folder / "b.md").unlink()
    (view.folder / "new").mkdir()
    (view.folder / "new/d.md").write_text("4")
    assert view.changes() == Changes(written=("a.md", "new/d.md"), deleted=("b.md",))
    assert view.read("new/d.md") == b"4"


def test_a_change_that_sets_back_the_modification_time_is_found(views: Views, repository: Repository) -> None:
    view = lease(views, repository, {"a.md": "good"})
    target = view.folder / "a.md"
    before = target.stat()
    target.write_text("evil")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert view.changes().written == ("a.md",)


def refused(view: View) -> dict[str, str]:
    changes = view.changes()
    assert changes.written == ()
    return {refusal.path: refusal.reason for refusal in changes.refused}


def test_links_are_refused_and_never_followed(views: Views, repository: Repository, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("secret")
    view = lease(views, repository, {"a.md": "1", "folder/b.md": "2"})
    (view.folder / "a.md").unlink()
    (view.folder / "a.md").symlink_to(secret)
    (view.folder / "etc").symlink_to("/etc")
    os.link(secret, view.folder / "hard.md")
    found = refused(view)
    assert found == {"a.md": "a symbolic link", "etc": "a symbolic link", "hard.md": "a hard link"}
    assert view.changes().deleted == ()


def test_a_folder_that_became_a_link_hides_what_was_in_it_and_deletes_nothing(
    views: Views, repository: Repository
) -> None:
    view = lease(views, repository, {"folder/b.md": "2"})
    (view.folder / "folder").rename(view.home / "elsewhere")
    (view.folder / "folder").symlink_to(view.home / "elsewhere")
    assert refused(view) == {"folder": "a symbolic link"}
    assert view.changes().deleted == ()


def test_a_path_through_a_link_is_not_read(views: Views, repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.md").write_text("secret")
    view = lease(views, repository, {"b.md": "1"})
    (view.folder / "folder").symlink_to(tmp_path / "outside")
    with pytest.raises(Exception, match="symbolic link"):
        view.read("folder/a.md")


def test_special_and_oversize_files_and_bad_names_are_refused(views: Views, repository: Repository) -> None:
    view = lease(views, repository, {"a.md": "1"})
    os.mkfifo(view.folder / "pipe.md")
    with (view.folder / "big.md").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    (view.folder / ".claude").mkdir()
    (view.folder / ".claude/settings.json").write_text("{}")
    (view.folder / "line\nbreak.md").write_text("x")
    Path(os.fsdecode(os.fsencode(view.folder) + b"/caf\xe9.md")).write_text("x")
    assert refused(view) == {
        "pipe.md": "not a regular file",
        "big.md": "larger than 25 MB",
        ".claude": "its name begins with a dot",
        "line\N{REPLACEMENT CHARACTER}break.md": "its name has control characters",
        "caf\N{REPLACEMENT CHARACTER}.md": "its name is not UTF-8",
    }


def test_blob_ids_are_those_of_git(repository: Repository) -> None:
    assert blob_id(b"hello\n") == repository.write_blob(b"hello\n")


def test_folders_without_end_are_refused_where_they_become_too_deep(
    views: Views, repository: Repository
) -> None:
    view = lease(views, repository, {"a.md": "1"})
    nest(view.folder / "d", 1500)
    (refusal,) = view.changes().refused
    assert refusal.reason == "it lies too deep"
    assert refusal.path.count("/") == DEEPEST
    views.discard(view)
    assert not view.home.exists()


def test_a_note_that_lies_too_deep_is_in_no_view(views: Views, repository: Repository) -> None:
    deep = "d/" * DEEPEST + "a.md"
    view = lease(views, repository, {"b.md": "1", deep: "2"})
    assert list(view.base) == ["b.md"]
    assert view.changes() == Changes()


@pytest.mark.parametrize("left", ["nothing", "a link", "another folder", "a file"])
def test_a_view_that_is_not_in_its_place_any_more_says_nothing_about_what_was_deleted(
    views: Views, repository: Repository, left: str
) -> None:
    view = lease(views, repository, {"a.md": "1", "b.md": "2"})
    view.folder.rename(view.home / "elsewhere")
    match left:
        case "a link":
            view.folder.symlink_to(view.home / "elsewhere")
        case "another folder":
            view.folder.mkdir()
        case "a file":
            view.folder.touch()
    with pytest.raises(Stalled, match="moved, removed or replaced"):
        view.changes()
    with pytest.raises(NotOrdinaryError):
        view.read("a.md")
