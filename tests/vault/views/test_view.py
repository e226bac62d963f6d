import os
import socket
import stat
import time
import tracemalloc
from pathlib import Path

import pytest

from support.leased import lease
from support.nested import nest
from vaultloop.model.errors import Stalled
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.views.scan import MOST_FOUND
from vaultloop.vault.views.view import (
    DEEPEST,
    LARGEST_FILE,
    MOST_BYTES,
    MOST_WRITTEN,
    Changes,
    NotOrdinaryError,
    View,
    blob_id,
)
from vaultloop.vault.views.views import Views


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


def the_refusal(view: View) -> str:
    changes = view.changes()
    assert (changes.written, changes.deleted) == ((), ())
    (refusal,) = changes.refused
    return str(refusal)


def test_more_files_than_a_session_may_write_are_refused_together_with_what_it_deleted(
    views: Views, repository: Repository
) -> None:
    view = lease(views, repository, {"a.md": "1"})
    (view.folder / "a.md").unlink()
    for number in range(MOST_WRITTEN + 1):
        (view.folder / f"{number}.md").touch()
    assert the_refusal(view) == "all that it wrote: 1,001 files; more than 1,000 are too many for one session"


def test_more_bytes_than_a_session_may_write_are_refused_and_not_read(
    views: Views, repository: Repository
) -> None:
    view = lease(views, repository, {f"{n}.md": "x" for n in range(5)})
    for number in range(5):
        with (view.folder / f"{number}.md").open("r+b") as file:
            file.truncate(MOST_BYTES // 5 + 1)
    begun = time.process_time()
    assert the_refusal(view) == "all that it wrote: more than 100 MB are too many for one session"
    assert time.process_time() - begun < 2


def test_a_folder_of_very_many_files_is_not_looked_through_to_its_end(
    views: Views, repository: Repository
) -> None:
    view = lease(views, repository, {"a.md": "1"})
    for folder in range(20):
        (view.folder / str(folder)).mkdir()
        for number in range(MOST_FOUND // 10):
            os.mkfifo(view.folder / f"{folder}/{number}")
    tracemalloc.start()
    try:
        told = the_refusal(view)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert told == "all that it wrote: more than 10,000 files and folders are too many for one session"
    assert peak < 20_000_000
    views.discard(view)


def test_a_folder_of_very_many_folders_is_not_looked_through_to_its_end(
    views: Views, repository: Repository
) -> None:
    view = lease(views, repository, {"a.md": "1"})
    for number in range(MOST_FOUND + 1):
        (view.folder / str(number)).mkdir()
    assert "more than 10,000 files and folders" in the_refusal(view)


@pytest.mark.parametrize("name", [".git", ".GIT", ".obsidian", ".mcp.json", ".git\u200b", "..."])
def test_whatever_begins_with_a_dot_is_refused_and_not_entered(
    views: Views, repository: Repository, name: str
) -> None:
    view = lease(views, repository, {"a/b.md": "1"})
    (view.folder / "a" / name).mkdir()
    (view.folder / "a" / name / "config").write_text("[core]\n\tfsmonitor = touch /tmp/x\n")
    assert refused(view) == {f"a/{name}": "its name begins with a dot"}


def test_sockets_and_devices_are_refused(
    views: Views, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = lease(views, repository, {"a.md": "1", "folder/b.md": "2"})
    monkeypatch.chdir(view.folder)
    with socket.socket(socket.AF_UNIX) as listener:
        # By a short name: the path of a socket has a limit.
        listener.bind("socket.md")
    expected = {"socket.md": "not a regular file"}
    try:
        os.mknod(view.folder / "null.md", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        expected["null.md"] = "not a regular file"
    except PermissionError:
        pass  # Only root can make one.
    assert refused(view) == expected


def test_a_sparse_file_of_a_gigabyte_is_refused_unread(views: Views, repository: Repository) -> None:
    view = lease(views, repository, {"a.md": "1"})
    for name in ("a.md", "new.md"):
        with (view.folder / name).open("wb") as file:
            file.truncate(1024**3)
    begun = time.process_time()
    assert refused(view) == dict.fromkeys(("a.md", "new.md"), "larger than 25 MB")
    assert time.process_time() - begun < 1


def test_something_else_in_the_place_of_a_file_or_a_folder_is_refused_and_deletes_nothing(
    views: Views, repository: Repository
) -> None:
    view = lease(views, repository, {"a.md": "1", "b/c.md": "2", "d/e/f.md": "3"})
    (view.folder / "a.md").unlink()
    (view.folder / "a.md").mkdir()
    (view.folder / "a.md/x.md").write_text("x")
    for name in ("b/c.md", "d/e/f.md"):
        (view.folder / name).unlink()
    (view.folder / "b").rmdir()
    os.mkfifo(view.folder / "b")
    (view.folder / "d/e").rmdir()
    (view.folder / "d/e").symlink_to("/etc")
    changes = view.changes()
    assert changes.deleted == ()
    assert changes.written == ()
    assert {refusal.path: refusal.reason for refusal in changes.refused} == {
        "a.md": "not a regular file",
        "b": "not a regular file",
        "d/e": "a symbolic link",
    }


def test_a_note_in_the_place_of_a_folder_is_an_ordinary_change(views: Views, repository: Repository) -> None:
    view = lease(views, repository, {"a/b.md": "1"})
    (view.folder / "a/b.md").unlink()
    (view.folder / "a").rmdir()
    (view.folder / "a").write_text("now a file")
    assert view.changes() == Changes(written=("a",), deleted=("a/b.md",))


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_was_closed_hides_what_is_in_it_and_deletes_nothing(
    views: Views, repository: Repository
) -> None:
    view = lease(views, repository, {"a/b/c.md": "1"})
    (view.folder / "a/b").chmod(0)
    assert refused(view) == {"a/b": "a folder that cannot be read"}
    assert view.changes().deleted == ()
