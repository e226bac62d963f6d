import json
import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from pygit2.enums import FileMode

from support.leased import EVERYTHING, NOW, commit, contents, lease
from support.nested import nest
from vaultloop.model.policy import Audience, Policy
from vaultloop.vault.files import Entry
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.revision import RevisionFiles
from vaultloop.vault.git.trees import Leaf
from vaultloop.vault.views import manifest
from vaultloop.vault.views.view import Changes
from vaultloop.vault.views.views import KEPT_FOR, POOLED_PER_SCOPE, Views

T = TypeVar("T")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.bare(tmp_path / "vault.git", "main")


@pytest.fixture
def views(tmp_path: Path) -> Views:
    return Views(tmp_path / "state")


def test_a_view_holds_what_the_policy_reads_and_nothing_else(views: Views, repository: Repository) -> None:
    policy = Policy("x", Audience.GROUP, can_read=("a",), can_write=("Inbox.md",), except_=("a/private",))
    files = {"a/one.md": "1", "a/private/two.md": "2", "Inbox.md": "3", "b/four.md": "4"}
    view = lease(views, repository, files, policy)
    assert contents(view) == {"Inbox.md": "3", "a/one.md": "1"}
    assert view.revision == repository.head


def test_a_policy_without_grants_has_an_empty_view(views: Views, repository: Repository) -> None:
    assert contents(lease(views, repository, {"a.md": "1"}, Policy("x", Audience.PUBLIC))) == {}


def test_names_that_begin_with_a_dot_are_never_in_a_view(views: Views, repository: Repository) -> None:
    view = lease(views, repository, {".obsidian/app.json": "{}", "a/.hidden.md": "x", "b.md": "1"})
    assert contents(view) == {"b.md": "1"}
    assert not view.changes()


def test_a_view_is_closed_to_others_and_its_name_cannot_be_guessed(
    views: Views, repository: Repository
) -> None:
    one = lease(views, repository, {"a.md": "1"})
    two = lease(views, repository, {"a.md": "2"})
    assert one.home.name != two.home.name
    assert len(one.home.name) >= 24
    for folder in (one.folder, one.home, one.home.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_view_is_found_again_after_a_restart(views: Views, repository: Repository, tmp_path: Path) -> None:
    view = lease(views, repository, {"a.md": "1", "b.md": "2"})
    (view.folder / "a.md").write_text("changed")
    again = Views(tmp_path / "state").reopen(view.home)
    assert again is not None
    assert again.revision == view.revision
    assert again.changes() == Changes(written=("a.md",))
    views.discard(view)
    assert views.reopen(view.home) is None


def test_a_view_is_removed_whatever_was_done_to_its_permissions(views: Views, repository: Repository) -> None:
    view = lease(views, repository, {"a/b/c.md": "1"})
    (view.folder / "a/b").chmod(0o500)
    (view.folder / "a").chmod(0)
    views.discard(view)
    assert not view.home.exists()


def test_a_kept_view_can_be_looked_at_for_a_week(views: Views, repository: Repository) -> None:
    view = lease(views, repository, {"a.md": "1"})
    (view.folder / "a.md").write_text("changed")
    views.keep(view, "session", NOW)
    assert not view.home.exists()
    kept = views.kept("session")
    assert kept is not None
    assert kept.changes().written == ("a.md",)
    views.sweep([], NOW + KEPT_FOR - timedelta(hours=1))
    assert views.kept("session") is not None
    views.sweep([], NOW + KEPT_FOR + timedelta(hours=1))
    assert views.kept("session") is None


def test_sweeping_removes_what_nobody_uses(views: Views, repository: Repository) -> None:
    used = lease(views, repository, {"a.md": "1"})
    left = lease(views, repository, {"a.md": "2"})
    views.sweep([str(used.home)], NOW)
    assert used.home.exists()
    assert not left.home.exists()


def test_a_returned_view_is_moved_to_the_next_revision_by_the_difference(
    views: Views, repository: Repository
) -> None:
    first = lease(views, repository, {"a.md": "1", "b.md": "2", "c/d.md": "3"})
    untouched = (first.folder / "a.md").stat().st_ino
    views.give_back(first, "owner")
    second = lease(views, repository, {"b.md": "new", "c/d.md": None, "e.md": "4"})
    assert contents(second) == {"a.md": "1", "b.md": "new", "e.md": "4"}
    assert (second.folder / "a.md").stat().st_ino == untouched
    assert second.home != first.home
    assert second.revision == repository.head
    assert not second.changes()


def test_nothing_that_a_session_wrote_is_seen_by_the_next(views: Views, repository: Repository) -> None:
    first = lease(views, repository, {"a.md": "1", "b.md": "2"})
    (first.folder / "a.md").write_text("overwritten")
    (first.folder / "b.md").unlink()
    (first.folder / "left.md").write_text("left behind")
    views.give_back(first, "owner")
    second = lease(views, repository, {"c.md": "3"})
    assert contents(second) == {"a.md": "1", "b.md": "2", "c.md": "3"}


def test_a_view_with_anything_strange_in_it_is_never_used_again(
    views: Views, repository: Repository, tmp_path: Path
) -> None:
    first = lease(views, repository, {"a.md": "1"})
    (first.folder / "link.md").symlink_to(tmp_path)
    # Held open, so that its inode is not given to another file.
    with (first.folder / "a.md").open() as before:
        views.give_back(first, "owner")
        second = lease(views, repository, {"b.md": "2"})
        assert contents(second) == {"a.md": "1", "b.md": "2"}
        assert (second.folder / "a.md").stat().st_ino != os.fstat(before.fileno()).st_ino
    assert [home.name for home in second.home.parent.iterdir()] == [second.home.name]


def test_a_folder_that_is_in_the_way_of_a_note_does_not_hinder_the_next_session(
    views: Views, repository: Repository
) -> None:
    first = lease(views, repository, {"a.md": "1"})
    (first.folder / "b.md").mkdir()
    views.give_back(first, "owner")
    assert contents(lease(views, repository, {"b.md": "2"})) == {"a.md": "1", "b.md": "2"}


def test_a_scope_that_was_narrowed_sees_no_more_of_a_returned_view(
    views: Views, repository: Repository
) -> None:
    views.give_back(lease(views, repository, {"a.md": "1", "private/b.md": "2"}), "owner")
    narrowed = replace(EVERYTHING, except_=("private",))
    assert contents(lease(views, repository, {"c.md": "3"}, narrowed)) == {"a.md": "1", "c.md": "3"}


def test_scopes_never_share_a_view(views: Views, repository: Repository) -> None:
    first = lease(views, repository, {"a.md": "1"})
    inode = (first.folder / "a.md").stat().st_ino
    views.give_back(first, "owner")
    other = lease(views, repository, {"b.md": "2"}, replace(EVERYTHING, scope="family"))
    assert (other.folder / "a.md").stat().st_ino != inode


def test_a_leased_view_is_leased_once(views: Views, repository: Repository) -> None:
    views.give_back(lease(views, repository, {"a.md": "1"}), "owner")
    files = repository.files(commit(repository, {"a.md": "2"}))
    one, two = (views.lease(files, EVERYTHING) for _ in range(2))
    assert one.home != two.home
    (one.folder / "a.md").write_text("by one")
    assert contents(two) == {"a.md": "2"}


def test_only_so_many_views_wait_for_a_scope(views: Views, repository: Repository, tmp_path: Path) -> None:
    leased = [lease(views, repository, {f"{n}.md": "x"}) for n in range(POOLED_PER_SCOPE + 1)]
    for view in leased:
        views.give_back(view, "owner")
    assert len(list((tmp_path / "state/pool").glob("*/*"))) == POOLED_PER_SCOPE


def test_the_repository_is_held_for_a_few_files_at_a_time(views: Views, repository: Repository) -> None:
    read = _Counting(repository.files(commit(repository, {f"{n}.md": "x" * 100_000 for n in range(30)})))
    pieces: list[int] = []

    def in_git(work: Callable[[], T]) -> T:
        before = read.bytes
        try:
            return work()
        finally:
            pieces.append(read.bytes - before)

    view = views.lease(read, EVERYTHING, in_git)
    assert len(contents(view)) == 30
    assert len(pieces) > 3
    assert max(pieces) <= 1_200_000
    assert sum(pieces) == read.bytes == 3_000_000


def test_a_lease_that_broke_off_is_swept(views: Views, repository: Repository, tmp_path: Path) -> None:
    files = repository.files(commit(repository, {f"{n}.md": "x" * 900_000 for n in range(5)}))
    pieces = 0

    def stops(work: Callable[[], T]) -> T:
        nonlocal pieces
        pieces += 1
        if pieces == 3:
            raise RuntimeError("the engine stops")
        return work()

    with pytest.raises(RuntimeError):
        views.lease(files, EVERYTHING, stops)
    [home] = (tmp_path / "state/views").iterdir()
    assert views.reopen(home) is None
    views.sweep([], NOW)
    assert not home.exists()


def test_views_that_are_leased_at_the_same_time_are_not_the_same(
    views: Views, repository: Repository
) -> None:
    for view in [lease(views, repository, {"a.md": "1"}) for _ in range(POOLED_PER_SCOPE)]:
        views.give_back(view, "owner")
    files = repository.files(commit(repository, {"a.md": "last"}))
    owner = threading.Lock()

    def in_git(work: Callable[[], T]) -> T:
        with owner:
            return work()

    with ThreadPoolExecutor(8) as threads:
        leased = list(threads.map(lambda _: views.lease(files, EVERYTHING, in_git), range(8)))
    assert len({view.home for view in leased}) == 8
    assert all(contents(view) == {"a.md": "last"} for view in leased)


class _Counting:
    """Files of a revision, and how many bytes of them were read."""

    def __init__(self, files: RevisionFiles) -> None:
        self._files = files
        self.revision, self.tree_id = files.revision, files.tree_id
        self.under, self.entry, self.changed_since = files.under, files.entry, files.changed_since
        self.bytes = 0

    def read(self, entry: Entry) -> bytes:
        data = self._files.read(entry)
        self.bytes += len(data)
        return data


STANDING = {
    "revision": "x",
    "tree": "x",
    "place": [1, 2],
    "reading": "x",
    "asked": [],
    "boot": "x",
    "left": None,
}


@pytest.mark.parametrize(
    "standing",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps({**STANDING, "place": [1]}),
        json.dumps({**STANDING, "revision": None}),
        json.dumps({**STANDING, "asked": "a.md"}),
        json.dumps({**STANDING, "left": [["../../a"], []]}),
        json.dumps({**STANDING, "left": [[], ["a/../../.."]]}),
        json.dumps({**STANDING, "more": 1}),
    ],
)
def test_a_standing_that_was_tampered_with_makes_a_view_unusable(
    views: Views, repository: Repository, standing: str
) -> None:
    view = lease(views, repository, {"a.md": "1"})
    (view.home / "standing.json").write_text(standing)
    assert views.reopen(view.home) is None


@pytest.mark.parametrize(
    "path",
    [
        "../../a.md\n",
        "a/../../../b.md\n",
        "/etc/passwd\n",
        "a//b.md\n",
        ".git\n",
        "\n",
        "b.md",
        "b.md\nc.md\n",
        "b\0.md\n",
        "\udcff\n",
    ],
)
def test_a_list_of_files_that_was_tampered_with_makes_a_view_unusable(
    views: Views, repository: Repository, path: str
) -> None:
    view = lease(views, repository, {"a.md": "1"})
    with (view.home / "paths").open("a", errors="surrogateescape") as file:
        file.write(path)
    with (view.home / "looks").open("ab") as looks:
        looks.write((view.home / "looks").read_bytes())
    assert views.reopen(view.home) is None


@pytest.mark.parametrize("name", ["paths", "looks", "standing.json"])
def test_a_pipe_in_the_place_of_what_lies_beside_a_view_is_not_waited_for(
    views: Views, repository: Repository, name: str
) -> None:
    view = lease(views, repository, {"a.md": "1"})
    (view.home / name).unlink()
    os.mkfifo(view.home / name)
    assert views.reopen(view.home) is None
    views.give_back(view, "owner", fenced=True)
    assert contents(lease(views, repository, {"b.md": "2"})) == {"a.md": "1", "b.md": "2"}


def test_a_returned_view_whose_folder_was_replaced_is_not_used_again(
    views: Views, repository: Repository
) -> None:
    view = lease(views, repository, {"a.md": "1"})
    view.folder.rename(view.home / "elsewhere")
    view.folder.symlink_to(view.home / "elsewhere")
    views.give_back(view, "owner")
    assert contents(lease(views, repository, {"b.md": "2"})) == {"a.md": "1", "b.md": "2"}


def test_nothing_that_lies_among_the_views_hinders_a_sweep(views: Views, tmp_path: Path) -> None:
    nest(tmp_path / "state/views/deep", 1500)
    (tmp_path / "state/views/file").touch()
    (tmp_path / "state/pool").mkdir()
    (tmp_path / "state/pool/file").touch()
    views.sweep(set(), NOW)
    assert list((tmp_path / "state/views").iterdir()) == []


def test_a_view_that_came_back_clean_from_a_fenced_session_is_not_looked_through_again(
    views: Views, repository: Repository
) -> None:
    first = lease(views, repository, {"a.md": "1", "b.md": "2"})
    (first.folder / "b.md").write_text("by the session")
    (first.folder / "left/deep").mkdir(parents=True)
    (first.folder / "left/c.md").write_text("by the session")
    assert first.changes()
    # Nobody is there any more who could do this; it shows whether anybody looks.
    (first.folder / "a.md").write_text("unseen")
    views.give_back(first, "owner", fenced=True)
    second = lease(views, repository, {"d.md": "4"})
    assert contents(second) == {"a.md": "unseen", "b.md": "2", "d.md": "4"}
    assert not (second.folder / "left").exists()
    assert second.changes().written == ("a.md",)


@pytest.mark.parametrize("fenced", [True, False])
def test_a_view_that_nobody_looked_through_after_its_session_is_looked_through_before_the_next(
    views: Views, repository: Repository, *, fenced: bool
) -> None:
    first = lease(views, repository, {"a.md": "1"})
    if not fenced:
        first.changes()
    (first.folder / "a.md").write_text("by a program that outlived its session")
    views.give_back(first, "owner", fenced=fenced)
    assert contents(lease(views, repository, {"b.md": "2"})) == {"a.md": "1", "b.md": "2"}


@pytest.mark.parametrize("looked", [True, False])
def test_a_view_in_which_a_session_made_notes_and_folders_is_mended_and_not_made_anew(
    views: Views, repository: Repository, *, looked: bool
) -> None:
    first = lease(views, repository, {"a.md": "1", "b/c.md": "2"})
    untouched = (first.folder / "a.md").stat().st_ino
    for path in ("new/d.md", "new/e/f.md", "b/g/h.md"):
        (first.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (first.folder / path).write_text("by the session")
    (first.folder / "b/empty/deep").mkdir(parents=True)
    if looked:
        first.changes()
    views.give_back(first, "owner", fenced=True)
    second = lease(views, repository, {"new/d.md": "published", "a.md": "1"})
    assert (second.folder / "a.md").stat().st_ino == untouched
    assert contents(second) == {"a.md": "1", "b/c.md": "2", "new/d.md": "published"}
    folders = {str(path.relative_to(second.folder)) for path in second.folder.rglob("*") if path.is_dir()}
    assert folders == {"b", "new"}


def test_after_a_power_cut_a_returned_view_is_looked_through(
    views: Views, repository: Repository, tmp_path: Path
) -> None:
    first = lease(views, repository, {"a.md": "1"})
    first.changes()
    views.give_back(first, "owner", fenced=True)
    [home] = (tmp_path / "state/pool").glob("*/*")
    (home / "vault/a.md").write_text("")
    standing = json.loads((home / "standing.json").read_text())
    (home / "standing.json").write_text(json.dumps({**standing, "boot": "an earlier one"}))
    assert contents(lease(views, repository, {"b.md": "2"})) == {"a.md": "1", "b.md": "2"}


def test_a_file_that_was_only_touched_is_as_new_for_the_next_session(
    views: Views, repository: Repository
) -> None:
    first = lease(views, repository, {"a.md": "1"})
    (first.folder / "a.md").chmod(0o640)
    assert not first.changes()
    views.give_back(first, "owner", fenced=True)
    second = lease(views, repository, {"b.md": "2"})
    assert (second.folder / "a.md").stat().st_mode & 0o777 == 0o600
    assert not second.changes()


def test_moving_a_view_looks_at_nothing_but_the_change(views: Views, repository: Repository) -> None:
    first = lease(views, repository, {f"{n}/{m}.md": "x" for n in range(20) for m in range(10)})
    first.changes()
    views.give_back(first, "owner", fenced=True)
    head = commit(repository, {"3/4.md": "new", "21/1.md": "new", "5/6.md": None})
    before = repository.effort.trees
    second = views.lease(repository.files(head), EVERYTHING)
    assert repository.effort.trees - before <= 12
    assert (second.folder / "3/4.md").read_text() == "new"
    assert len(second.base) == 200
    assert not second.changes()


def test_a_view_goes_on_from_a_revision_that_is_no_more(views: Views, repository: Repository) -> None:
    first = lease(views, repository, {"a.md": "1", "b.md": "2"})
    untouched = (first.folder / "a.md").stat().st_ino
    standing = json.loads((first.home / "standing.json").read_text())
    (first.home / "standing.json").write_text(json.dumps({**standing, "tree": "0" * 40}))
    views.give_back(first, "owner", fenced=True)
    second = lease(views, repository, {"b.md": "new"})
    assert contents(second) == {"a.md": "1", "b.md": "new"}
    assert (second.folder / "a.md").stat().st_ino == untouched


def test_a_note_that_becomes_a_folder_and_back_is_followed(views: Views, repository: Repository) -> None:
    for step in ({"a": "1", "b/c/d.md": "2"}, {"a": None, "a/x.md": "3", "b/c/d.md": None, "b": "4"}):
        view = lease(views, repository, step)
        assert not view.changes()
        views.give_back(view, "owner", fenced=True)
    last = lease(views, repository, {"a/x.md": None, "a": "5"})
    assert contents(last) == {"a": "5", "b": "4"}


def test_links_and_submodules_of_the_vault_are_in_no_view(views: Views, repository: Repository) -> None:
    first = lease(views, repository, {"a.md": "1", "b.md": "2"})
    assert first.changes() == Changes()
    views.give_back(first, "owner", fenced=True)
    blob = repository.write_blob(b"/etc/passwd")
    head = repository.head
    assert head is not None
    leaves = {
        "a.md": Leaf(blob, FileMode.LINK),
        "c.md": Leaf(blob, FileMode.LINK),
        "d": Leaf(head, FileMode.COMMIT),
    }
    made = repository.commit(
        repository.edit_leaves(head, leaves), [head], "Link\n", author=Identity("H", "h@example.org"), at=NOW
    )
    repository.move(head, made)
    assert contents(views.lease(repository.files(made), EVERYTHING)) == {"b.md": "2"}
    assert contents(views.lease(repository.files(made), EVERYTHING)) == {"b.md": "2"}


def test_twins_in_case_and_unicode_form_are_both_in_a_view(views: Views, repository: Repository) -> None:
    twins = {"note.md": "1", "Note.md": "2", "caf\u00e9.md": "3", "cafe\u0301.md": "4"}
    assert contents(lease(views, repository, twins)) == twins


def test_the_list_of_a_view_that_was_moved_often_is_written_anew(
    views: Views, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "_SUPERSEDED", 10)
    for number in range(40):
        view = lease(views, repository, {"a.md": str(number), "b.md": None if number % 2 else "2"})
        assert not view.changes()
        views.give_back(view, "owner", fenced=True)
    view = lease(views, repository, {"c.md": "3"})
    assert (view.home / "paths").read_text().count("\n") < 30
    assert contents(view) == {"a.md": "39", "c.md": "3"}
    assert not view.changes()


def test_without_attachments_a_view_has_notes_only_and_leaving_them_out_deletes_nothing(
    views: Views, repository: Repository
) -> None:
    files = {"a.md": "1", "b.MD": "2", "c.png": "3", "d/e.pdf": "4", "f.canvas": "5"}
    view = lease(views, repository, files, replace(EVERYTHING, attachments="none"))
    assert contents(view) == {"a.md": "1", "b.MD": "2"}
    assert not view.changes()


def test_on_demand_a_view_has_the_attachments_that_its_prompt_names_and_loses_them_afterwards(
    views: Views, repository: Repository
) -> None:
    policy = replace(EVERYTHING, attachments="on-demand")
    files = repository.files(commit(repository, {"a.md": "1", "x/b.png": "2", "c.pdf": "3"}))
    first = views.lease(files, policy, prompt="What is on ![[b.png]]?")
    assert contents(first) == {"a.md": "1", "x/b.png": "2"}
    assert not first.changes()
    views.give_back(first, "owner", fenced=True)
    second = views.lease(files, policy, prompt="Read c.pdf.")
    assert contents(second) == {"a.md": "1", "c.pdf": "3"}
    assert not (second.folder / "x").exists()
    assert not second.changes()


def test_a_move_that_broke_off_half_way_leaves_nothing_that_is_taken_for_a_view(
    views: Views, repository: Repository, tmp_path: Path
) -> None:
    first = lease(views, repository, {"a.md": "1", "b.md": "2"})
    first.changes()
    views.give_back(first, "owner", fenced=True)
    files = repository.files(commit(repository, {"a.md": None, "b.md": "new"}))
    pieces = 0

    def stops(work: Callable[[], T]) -> T:
        nonlocal pieces
        pieces += 1
        if pieces == 3:
            raise RuntimeError("the engine stops")
        return work()

    with pytest.raises(RuntimeError):
        views.lease(files, EVERYTHING, stops)
    [home] = (tmp_path / "state/views").iterdir()
    assert not (home / "vault/a.md").exists()
    assert views.reopen(home) is None
    views.sweep([], NOW)
    assert contents(views.lease(files, EVERYTHING)) == {"b.md": "new"}


@pytest.mark.parametrize("seed", range(5))
def test_a_view_that_is_moved_again_and_again_is_what_a_new_one_would_be(
    views: Views, repository: Repository, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    names = ["a.md", "b.md", "c.png", "d", "e"]
    paths = [f"{outer}/{inner}" for outer in names for inner in names] + names
    vault: dict[str, str] = {}
    for step in range(25):
        edits: dict[str, str | None] = {}
        for path in chance.sample(paths, 4):
            edits |= dict.fromkeys(other for other in vault if path == other or _clash(path, other))
            written = [other for other, text in edits.items() if text is not None]
            if chance.random() < 0.7 and not any(_clash(path, other) for other in written):
                edits[path] = f"{step} {path}"
        vault = {path: text for path, text in (vault | edits).items() if text is not None}
        policy = replace(
            EVERYTHING,
            except_=("b.md",) if chance.random() < 0.3 else (),
            attachments=chance.choice(["all", "all", "none", "on-demand"]),
        )
        asked = chance.choice(paths)
        files = repository.files(commit(repository, edits))
        view = views.lease(files, policy, prompt=f"`{asked}`")
        new = Views(tmp_path / f"other{step}").lease(files, policy, prompt=f"`{asked}`")
        assert contents(view) == contents(new)
        assert dict.fromkeys(view.base) == dict.fromkeys(new.base)
        assert view.changes() == Changes()
        _work(view.folder, chance)
        back = views.reopen(view.home)
        assert back is not None
        if chance.random() < 0.8:
            back.changes()
        views.give_back(back, "owner", fenced=chance.random() < 0.8)


def _clash(one: str, other: str) -> bool:
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _work(folder: Path, chance: random.Random) -> None:
    """What a session might do: write, delete, make folders; now and then a link."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        match chance.randrange(8):
            case 0:
                path.write_text("by the session")
            case 1:
                path.unlink()
    for name in chance.sample(["new.md", "f/g/h.md", "d/x.md"], chance.randrange(3)):
        with suppress(OSError):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("new")
    if chance.random() < 0.1:
        (folder / "link").symlink_to("/etc")
